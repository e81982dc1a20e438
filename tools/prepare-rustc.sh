#!/usr/bin/env bash
# The compiler as tools/prepare.sh has Cargo call it: with the database that the crate's statements are for.
set -euo pipefail
case ${CARGO_PKG_NAME:-} in
  inventory) database=inventory_db ;;
  kit | ecommerce) database=ecommerce_db ;; # The tables that `kit` knows are in each service's database.
  retail) database=retail_db ;;
  lake | aggregator | jobs | reporting) database=reporting_db ;;
  *) exec "$@" ;;
esac
export SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$PREPARE_DRAFTS/${CARGO_MANIFEST_DIR#"$PREPARE_ROOT/"}
export DATABASE_URL="postgres://postgres@localhost/$database?host=$PREPARE_SERVER"
exec "$@"
