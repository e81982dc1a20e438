#!/usr/bin/env bash
# Describes every checked statement (`sqlx::query!` and its kin) anew, in the folder `.sqlx` of its crate: a PostgreSQL
# of its own runs the migrations, and the compiler asks it (tools/prepare-rustc.sh).
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)
bin=${bin:-$(dirname "$(command -v postgres || echo /usr/local/bin/postgres)")}
[ -x "$bin/postgres" ] || { echo "prepare: there is no PostgreSQL; run tools/setup.sh" >&2; exit 1; }

home=$(mktemp -d)
drafts=$(mktemp -d)
as_postgres=()
if [ "$(id -u)" -eq 0 ]; then # PostgreSQL refuses to run as root.
  as_postgres=(runuser -u postgres --)
  chown postgres "$home"
fi
leave() {
  "${as_postgres[@]}" "$bin/pg_ctl" --pgdata="$home/data" --mode=immediate --silent stop || true
  rm -rf "$home" "$drafts"
}
trap leave EXIT
cd "$home"
"${as_postgres[@]}" "$bin/initdb" --username=postgres --auth=trust --encoding=UTF8 --no-sync --pgdata="$home/data" >/dev/null
"${as_postgres[@]}" "$bin/pg_ctl" --pgdata="$home/data" --silent --wait --log="$home/log" \
  --options="-k $home -c listen_addresses= -c fsync=off -c autovacuum=off" start
cd "$OLDPWD"

for folder in migrations/*/; do
  database=$(basename "$folder")_db
  "$bin/createdb" --host="$home" --username=postgres "$database"
  for file in "$folder"*.sql; do
    "$bin/psql" --host="$home" --username=postgres --dbname="$database" --no-psqlrc --quiet --single-transaction \
      --set=ON_ERROR_STOP=1 --output=/dev/null --file="$file"
  done
done

# Cargo builds a crate again when a file of it is newer, and only then the macros ask.
crates=$(grep -rlE 'sqlx::query(_as|_scalar)?!' --include='*.rs' services aggregator jobs | sed -E 's|/src/.*||' | sort -u)
for crate in $crates; do
  mkdir -p "$drafts/$crate"
  touch "$crate/src/lib.rs"
done
PREPARE_ROOT=$PWD PREPARE_SERVER=$home PREPARE_DRAFTS=$drafts RUSTC_WORKSPACE_WRAPPER=$PWD/tools/prepare-rustc.sh \
  "${CARGO:-cargo}" check --workspace --quiet --keep-going

# What no crate says any more goes; a description that is as it was keeps its file.
for crate in $crates; do
  mkdir -p "$crate/.sqlx"
  for old in "$crate"/.sqlx/*.json; do
    [ -e "$drafts/$crate/$(basename "$old")" ] || rm -f "$old"
  done
  for new in "$drafts/$crate"/*.json; do
    cmp -s "$new" "$crate/.sqlx/$(basename "$new")" || cp "$new" "$crate/.sqlx/"
  done
  echo "prepare: $(ls "$crate/.sqlx" | wc -l) statements of $crate"
done
