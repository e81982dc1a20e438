#!/usr/bin/env bash
# sqlx 0.9.0: its macros read the file .env in every folder above a crate, also with SQLX_OFFLINE=true and with a folder of
# descriptions given, where nothing of it is needed. A line that Docker Compose takes (a value with blanks and no quotes)
# fails the build there, although no variable of sqlx stands in the file.
#
# Seen: "quoted: asks for descriptions; unquoted: error reading dotenv file"
# Exits with 1 when any of this changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
mkdir -p shop/src shop/descriptions
cat >shop/Cargo.toml <<'TOML'
[package]
name = "shop"
version = "0.1.0"
edition = "2024"

[dependencies]
sqlx = { version = "=0.9.0", default-features = false, features = ["macros", "postgres", "runtime-tokio"] }
TOML
cat >shop/src/lib.rs <<'RUST'
pub fn one() {
    let _ = sqlx::query!("SELECT 1 AS one");
}
RUST
check() {
  echo "$1" >.env
  touch shop/src/lib.rs
  SQLX_OFFLINE=true SQLX_OFFLINE_DIR="$dir/shop/descriptions" \
    cargo check --quiet --manifest-path shop/Cargo.toml --target-dir "$dir/target" 2>&1 || true
}
quoted=$(check 'COMPANY="Corner Shop"')
unquoted=$(check 'COMPANY=Corner Shop')
grep -q 'no cached data for this query' <<<"$quoted" && quoted='asks for descriptions' || true
grep -q 'error reading dotenv file' <<<"$unquoted" && unquoted='error reading dotenv file' || true
seen="quoted: $quoted; unquoted: $unquoted"
echo "$seen"
[ "$seen" = 'quoted: asks for descriptions; unquoted: error reading dotenv file' ]
