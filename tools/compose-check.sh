#!/usr/bin/env bash
# Runs docker-compose.yml as it is, and looks at what only a container engine can show: that everything becomes healthy,
# that a restart swaps no domain, that a misrouted request is refused, that data come through and no key into a log.
#
#   tools/compose-check.sh [FOLDER OF BINARIES]        # target/release, or target/debug where that is not built
#
# Wants root, docker with compose v2, and debootstrap. No registry is asked: where an image of the compose file is not
# there, it is made: Debian by debootstrap, PostgreSQL 17 from Debian 13 with the entry point's contract (see below), the
# services from the last stage of the Dockerfile with the binaries at hand, and the local gateway in Kong's place.
# Not part of `make test`. Leaves images behind (`docker image ls`), no container and no volume.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=${1:-target/release}
[ -x "$bin/stack" ] || bin=target/debug
[ -x "$bin/stack" ] || { echo "build first: make build" >&2; exit 1; }
work=$(mktemp -d)
export COMPOSE_PROJECT_NAME=tributary-check TRIBUTARY_PORT=${TRIBUTARY_PORT:-18000} TRIBUTARY_SUBNET=${TRIBUTARY_SUBNET:-172.31.241}
compose() { docker compose --env-file "$work/env" "$@"; }
end() {
  local status=$?
  [ $status -eq 0 ] || { compose ps --all; compose logs --tail 15; } 2>/dev/null | tail -80 || true
  compose down --volumes --timeout 20 >/dev/null 2>&1 || true
  rm -rf "$work"
  exit $status
}
trap end EXIT
begun=$SECONDS
passed() { printf '%4d s  ok   %s\n' $((SECONDS - begun)) "$*"; }
failed() { printf '%4d s  FAIL %s\n' $((SECONDS - begun)) "$*"; exit 1; }

# --- images ----------------------------------------------------------------------------------------------------------
# The engine's own builder, which each version has; it tells of its successor on standard error.
build() { DOCKER_BUILDKIT=0 docker build -q "$@" 2>"$work/build.log" || { cat "$work/build.log"; failed "no image of $*"; }; }
has() { docker image inspect "$1" >/dev/null 2>&1; }
debian() { # IMAGE RELEASE PACKAGES
  has "$1" && return
  debootstrap --variant=minbase --include="$3" "$2" "$work/root" http://deb.debian.org/debian >/dev/null
  tar -C "$work/root" -c . | docker import - "$1" >/dev/null
  rm -rf "$work/root"
}
debian debian:bookworm-slim bookworm bash

if ! has postgres:17; then
  debian tributary-check/trixie trixie postgresql-17
  mkdir "$work/postgres"
  # What the compose file relies on of the image: a new data folder is initialised with POSTGRES_PASSWORD, the scripts of
  # /docker-entrypoint-initdb.d run once, everybody logs in with scram-sha-256.
  cat > "$work/postgres/entrypoint" <<'ENTRY'
#!/bin/bash
set -eu
export PATH=/usr/lib/postgresql/17/bin:$PATH PGDATA=/var/lib/postgresql/data/pgdata
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /var/run/postgresql
  chown -R postgres /var/lib/postgresql/data /var/run/postgresql
  exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  initdb --username "$POSTGRES_USER" --pwfile <(echo "$POSTGRES_PASSWORD") --auth-local trust --auth-host scram-sha-256 >/dev/null
  echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
  pg_ctl --wait -o '-c listen_addresses=' start >/dev/null
  for script in /docker-entrypoint-initdb.d/*.sh; do sh "$script"; done
  pg_ctl --wait --mode fast stop >/dev/null
fi
exec "$@" -c listen_addresses='*'
ENTRY
  chmod +x "$work/postgres/entrypoint"
  printf '%s\n' 'FROM tributary-check/trixie' 'COPY entrypoint /entrypoint' \
    'ENV PATH=/usr/lib/postgresql/17/bin:/usr/bin:/bin' 'VOLUME /var/lib/postgresql/data' 'ENTRYPOINT ["/entrypoint"]' \
    > "$work/postgres/Dockerfile"
  build -t postgres:17 "$work/postgres" >/dev/null
fi

mkdir "$work/build"
for service in inventory ecommerce retail reporting gateway stack; do install -s "$bin/$service" "$work/build/"; done
printf '%s\n' 'FROM debian:bookworm-slim' 'COPY inventory ecommerce retail reporting gateway stack /out/' > "$work/build/Dockerfile"
build -t tributary-check/build "$work/build" >/dev/null
mkdir "$work/last"
{ echo 'FROM tributary-check/build AS build'; sed -n '/^FROM debian:bookworm-slim/,$p' Dockerfile; } > "$work/last/Dockerfile"
for service in inventory ecommerce retail reporting stack gateway; do
  build --build-arg SERVICE=$service -t "tributary/$service" "$work/last" >/dev/null
done
if ! has kong:3.9 || [ "$(docker image inspect --format '{{index .Config.Labels "stand-in"}}' kong:3.9)" = gateway ]; then
  mkdir "$work/kong"
  cat > "$work/kong/kong" <<'KONG'
#!/bin/bash
[ "${1:-}" != health ] || exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/8000'
export GATEWAY_CONFIG=$KONG_DECLARATIVE_CONFIG GATEWAY_LISTEN=$KONG_PROXY_LISTEN GATEWAY_ADMIN_LISTEN=$KONG_STATUS_LISTEN
exec /usr/local/bin/service
KONG
  chmod +x "$work/kong/kong"
  printf '%s\n' 'FROM tributary/gateway' 'LABEL stand-in=gateway' 'COPY kong /usr/local/bin/kong' 'STOPSIGNAL SIGTERM' \
    'ENTRYPOINT ["/usr/local/bin/kong"]' > "$work/kong/Dockerfile"
  build -t kong:3.9 "$work/kong" >/dev/null
  gateway='the local gateway in its place'
fi
passed "images (Kong: ${gateway:-the real one})"

# --- up --------------------------------------------------------------------------------------------------------------
sed -e "s/^TRIBUTARY_PORT=.*/TRIBUTARY_PORT=$TRIBUTARY_PORT/; s/^TRIBUTARY_SUBNET=.*/TRIBUTARY_SUBNET=$TRIBUTARY_SUBNET/" .env.example > "$work/env"
while grep -qm1 '=$' "$work/env"; do sed -i "0,/=\$/s//=$(openssl rand -hex 24)/" "$work/env"; done
secret() { sed -n "s/^TRIBUTARY_$1=//p" "$work/env"; }
if [ -n "${gateway:-}" ]; then
  # The stand-in ends on SIGTERM, where Kong wants SIGQUIT.
  printf 'services: { kong: { stop_signal: SIGTERM } }\n' > "$work/stop.yml"
  compose() { docker compose --env-file "$work/env" -f docker-compose.yml -f "$work/stop.yml" "$@"; }
fi
up=$SECONDS
compose up --detach --wait --no-build >"$work/up.log" 2>&1 || { cat "$work/up.log"; failed 'not everything became healthy'; }
passed "everything is healthy after $((SECONDS - up)) s"

api() { # KEY METHOD PATH [BODY]; prints "STATUS BODY"
  curl -sS -o "$work/body" -w '%{http_code} ' -X "$2" -H "apikey: $(secret "KEY_$1")" -H "idempotency-key: $RANDOM$RANDOM" \
    ${4:+-H 'content-type: application/json' -d "$4"} "http://127.0.0.1:$TRIBUTARY_PORT$3" && cat "$work/body"
}
expect() { # STATUS TEXT ARGUMENTS OF api
  local status=$1 text=$2 said
  shift 2
  said=$(api "$@" || true)
  [[ $said == "$status "* && $said == *"$text"* ]] || failed "$2 $3: expected $status with $text, got ${said:0:200}"
}
[ "$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$TRIBUTARY_PORT/retail/api/v1/stores")" = 401 ] || failed 'no key, and no 401'
domains() { # each answers with its own resources
  [[ $(api BACKOFFICE GET /inventory/api/v1/locations) == '200 '*items* ]] &&
    [[ $(api BACKOFFICE GET /ecommerce/api/v1/customers) == '200 '*items* ]] &&
    [[ $(api BACKOFFICE GET /retail/api/v1/registers) == '200 '*items* ]] &&
    [[ $(api ANALYST GET /reporting/api/v1/reports) == '200 '*store_performance* ]]
}
domains || failed 'a domain does not answer'
passed 'each domain answers through the gateway, and nobody without a key'

# --- whom a request reaches --------------------------------------------------------------------------------------------
direct() { curl -s -o /dev/null -w '%{http_code}' -H "x-gateway-token: $(secret "GATEWAY_TOKEN_$1")" "http://$TRIBUTARY_SUBNET.$2:8080$3"; }
[ "$(direct RETAIL 13 /api/v1/registers)" = 200 ] || failed 'retail does not know its own token'
for other in INVENTORY ECOMMERCE REPORTING; do
  [ "$(direct $other 13 /api/v1/registers)" = 403 ] || failed "retail takes the token of $other: $(direct $other 13 /api/v1/registers)"
done
passed 'a request that reaches another service is refused'

restart=$SECONDS
compose restart inventory ecommerce retail reporting >/dev/null 2>&1
until domains; do
  [ $((SECONDS - restart)) -lt 90 ] || failed 'a domain is not itself 90 s after a restart of all services'
  sleep 1
done
passed "after a restart of all services each domain is itself again within $((SECONDS - restart)) s"

# --- the main job ------------------------------------------------------------------------------------------------------
expect 201 ULM BACKOFFICE POST /retail/api/v1/stores '{"code":"ULM","name":"Ulm","city":"Ulm","time_zone":"Europe/Berlin"}'
for source in inventory ecommerce retail; do
  expect 202 '"id"' OPERATOR POST "/reporting/api/v1/sources/$source/poll" '{}'
  run=$(sed -E 's/.*"id":([0-9]+).*/\1/' "$work/body")
  until [[ $(api OPERATOR GET "/reporting/api/v1/jobs/runs/$run") == *'"status":"succeeded"'* ]]; do
    ! grep -q '"status":"failed"' "$work/body" || failed "poll of $source: $(cat "$work/body")"
    sleep 1
  done
done
expect 200 '"complete_through"' ANALYST GET /reporting/api/v1/reports/store_performance
passed 'sources are polled and a report is computed'

mkdir "$work/backup"
for service in inventory ecommerce retail reporting; do
  compose exec -T "$service-db" pg_dump --username postgres --format=custom "${service}_db" > "$work/backup/$service.dump"
  [ -s "$work/backup/$service.dump" ] || failed "no dump of ${service}_db"
done
passed 'databases are dumped within their containers'

# --- one service replaced under traffic --------------------------------------------------------------------------------
: > "$work/answers"
( while [ ! -e "$work/done" ]; do
    curl -s -o /dev/null -w '%{http_code}\n' -H "apikey: $(secret KEY_BACKOFFICE)" "http://127.0.0.1:$TRIBUTARY_PORT/retail/api/v1/registers" >> "$work/answers" || true
  done ) &
traffic=$!
compose up --detach --no-deps --no-build --force-recreate --wait retail >/dev/null 2>&1
touch "$work/done"
wait $traffic
good=$(grep -c '^200$' "$work/answers" || true)
bad=$(grep -vc '^200$' "$work/answers" || true)
expect 200 items BACKOFFICE GET /retail/api/v1/registers
passed "the only retail replaced under traffic: $good answered, $bad refused while it was away"

# --- with a second replica, as docs/operators/upgrade.md says --------------------------------------------------------------
echo "TRIBUTARY_REPLICAS_RETAIL=,$TRIBUTARY_SUBNET.23:8080" >> "$work/env"
two() { compose -f .compose/replica.yml "$@"; }
[ -n "${gateway:-}" ] || two() { compose -f docker-compose.yml -f .compose/replica.yml "$@"; }
two up --detach --no-deps --no-build --wait retail-2 >/dev/null 2>&1 || failed 'the second retail does not come up'
compose up --no-build --exit-code-from kong-config kong-config >"$work/up.log" 2>&1 || { cat "$work/up.log"; failed 'kong.yml cannot be rendered'; }
# The stand-in reads its file only when it starts.
if [ -n "${gateway:-}" ]; then compose restart kong >/dev/null 2>&1; else compose exec -T kong kong reload >/dev/null; fi
restart=$SECONDS
until domains 2>/dev/null; do
  [ $((SECONDS - restart)) -lt 60 ] || failed 'a domain does not answer 60 s after the gateway has two targets'
  sleep 1
done
sleep 3
rm -f "$work/done" && : > "$work/answers"
( while [ ! -e "$work/done" ]; do
    curl -s -o /dev/null -w '%{http_code}\n' -H "apikey: $(secret KEY_BACKOFFICE)" "http://127.0.0.1:$TRIBUTARY_PORT/retail/api/v1/registers" >> "$work/answers" || true
  done ) &
traffic=$!
for replica in retail retail-2; do
  two up --detach --no-deps --no-build --force-recreate --wait $replica >/dev/null 2>&1
  sleep 3
done
touch "$work/done"
wait $traffic
good=$(grep -c '^200$' "$work/answers" || true)
bad=$(grep -vc '^200$' "$work/answers" || true)
[ "$bad" = 0 ] || failed "two replicas replaced one after the other: $bad requests of $((good + bad)) failed ($(sort "$work/answers" | uniq -c | tr -s ' \n' ' '))"
passed "two replicas of retail replaced one after the other under traffic: $good answered, none failed"

# --- secrets -----------------------------------------------------------------------------------------------------------
compose logs > "$work/log" 2>&1
for name in $(sed -n 's/^\(TRIBUTARY_[A-Z_]*\(KEY\|TOKEN\|PASSWORD\|SECRET\)[A-Z_]*\)=.*/\1/p' "$work/env"); do
  ! grep -qF "$(sed -n "s/^$name=//p" "$work/env")" "$work/log" || failed "$name stands in a log"
done
passed 'no key, token or password stands in a log'
printf 'all of it took %d s\n' $((SECONDS - begun))
