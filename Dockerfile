# syntax=docker/dockerfile:1
# One image per program: `docker build --build-arg SERVICE=retail .`, where SERVICE is inventory, ecommerce,
# retail, reporting, gateway or stack. All six are built once, in layers that the images share.

FROM rust:1.95-bookworm AS build
WORKDIR /src

# Dependencies first, with empty crates: this layer lasts until a manifest or the lock file changes.
COPY Cargo.toml Cargo.lock ./
COPY services/kit/Cargo.toml services/kit/
COPY services/inventory/Cargo.toml services/inventory/
COPY services/ecommerce/Cargo.toml services/ecommerce/
COPY services/retail/Cargo.toml services/retail/
COPY services/reporting/Cargo.toml services/reporting/
COPY services/gateway/Cargo.toml services/gateway/
COPY services/stack/Cargo.toml services/stack/
COPY aggregator/Cargo.toml aggregator/
COPY aggregator/base/Cargo.toml aggregator/base/
COPY aggregator/lake/Cargo.toml aggregator/lake/
COPY jobs/Cargo.toml jobs/
COPY exports/Cargo.toml exports/
COPY tests/Cargo.toml tests/
RUN for manifest in services/*/Cargo.toml aggregator/Cargo.toml aggregator/base/Cargo.toml aggregator/lake/Cargo.toml jobs/Cargo.toml exports/Cargo.toml tests/Cargo.toml; do \
        folder=$(dirname "$manifest"); mkdir -p "$folder/src"; : > "$folder/src/lib.rs"; \
        # A manifest may name a benchmark or a test; the empty crate has none.
        sed -i -E '/^\[\[(bench|test)\]\]/,/^$/d' "$manifest"; \
    done \
    && for service in inventory ecommerce retail reporting gateway stack; do echo 'fn main() {}' > "services/$service/src/main.rs"; done \
    && cargo build --release --locked --bins

COPY . .
# Cargo goes by the files' times, and the real ones may be older than the empty ones.
RUN find services aggregator jobs exports tests -name '*.rs' -exec touch {} + \
    && cargo build --release --locked --bins \
    && mkdir /out \
    && for service in inventory ecommerce retail reporting gateway stack; do install -s "target/release/$service" /out/; done


FROM debian:bookworm-slim
ARG SERVICE
# Folders for volumes: a new volume takes over whose they are.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin tributary \
    && install -d -o tributary -g tributary /data/lake /data/exports /data/spool /config
COPY --from=build /out/${SERVICE} /usr/local/bin/service
USER 10001
ENTRYPOINT ["/usr/local/bin/service"]
