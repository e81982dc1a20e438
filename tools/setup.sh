#!/usr/bin/env bash
# Installs what building, the demo and the tests need and this machine lacks, saying so.
# Rust itself is expected: https://rustup.rs (the version is in Cargo.toml).
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}

say() { printf 'setup: %s\n' "$*"; }

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || missing+=(postgresql)
python=$(command -v python3 || true)
if [ -z "$python" ]; then missing+=(python3 python3-venv)
elif ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then missing+=(python3-venv); fi

# The browser of the console's tests and screenshots, the spreadsheet that opens the exports, and the pooler that stands before
# a database; the demo needs none.
if [ "${1:-}" != --demo ]; then
  command -v soffice >/dev/null || missing+=(libreoffice-calc-nogui)
  command -v chromium >/dev/null || command -v google-chrome >/dev/null || missing+=(chromium)
  command -v chromedriver >/dev/null || missing+=(chromium-driver)
  command -v pgbouncer >/dev/null || missing+=(pgbouncer)
fi

if [ ${#missing[@]} -gt 0 ]; then
  if command -v apt-get >/dev/null; then
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
      command -v sudo >/dev/null || { say "as root, run: apt-get install ${missing[*]}"; exit 1; }
      as_root=(sudo)
    fi
    say "installing ${missing[*]} (apt-get)"
    # The stack makes clusters of its own; Debian's own "main" cluster would only hold a port and memory.
    if [[ " ${missing[*]} " == *" postgresql "* ]]; then
      "${as_root[@]}" mkdir -p /etc/postgresql-common
      [ -e /etc/postgresql-common/createcluster.conf ] ||
        echo 'create_main_cluster = false' | "${as_root[@]}" tee /etc/postgresql-common/createcluster.conf >/dev/null
    fi
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  else
    say "please install: a C compiler, PostgreSQL 15 or newer (server programs), Python 3.11 or newer with venv,"
    say "and for the tests Chromium with chromedriver, and LibreOffice (soffice)"
    say "  Fedora:  sudo dnf install gcc postgresql-server python3 chromium chromedriver libreoffice-calc pgbouncer"
    say "  Arch:    sudo pacman -S base-devel postgresql python chromium libreoffice-fresh"
    say "  macOS:   xcode-select --install && brew install postgresql@17 python@3.12 chromedriver"
    say "           brew install --cask chromium libreoffice"
    exit 1
  fi
fi
command -v cargo >/dev/null || { say "Rust is not installed; see https://rustup.rs"; exit 1; }

# The judges of the tests, in the target directory so that clones which share one share them too.
if [ "${1:-}" != --demo ]; then
  venv=$target/venv
  stamp=$venv/requirements.txt
  if ! cat tools/requirements.txt tools/package.json | cmp -s - "$stamp"; then
    say "making an environment in $venv (DuckDB and friends judge the tests)"
    rm -rf "$venv"
    mkdir -p "$target"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r tools/requirements.txt
    mkdir "$venv/javascript"
    cp tools/package.json "$venv/javascript"
    "$venv/bin/npm" install --prefix "$venv/javascript" --silent --no-audit --no-fund --no-package-lock
    cat tools/requirements.txt tools/package.json >"$stamp"
  fi
  # What the benches race against and no test judges by.
  if [ "${1:-}" = --bench ] && ! cmp -s tools/peers.txt "$venv/peers/peers.txt"; then
    rm -rf "$venv/peers"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --target "$venv/peers" -r tools/peers.txt
    cp tools/peers.txt "$venv/peers/"
  fi
fi
say "everything is there"
