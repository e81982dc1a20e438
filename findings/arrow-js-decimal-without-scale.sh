#!/usr/bin/env bash
# apache-arrow 21.2.0 (npm), the official JavaScript reader, on a stream that pyarrow 26.0.1 wrote: a DECIMAL(18,2)
# of 20.24 reads as 2024. The schema keeps the scale, the value does not, and the type's text joins precision and
# scale as an exponent ("Decimal[18e+2]"). Streams with compressed batches, LZ4 or zstd, are refused: the package
# ships no codec.
#
# Seen: "plain: 2024 of scale 2, Decimal[18e+2]; lz4: refused; zstd: refused"
# Exits with 1 when any of this changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
cd "$dir"
echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund apache-arrow@21.2.0
venv/bin/python - <<'PYTHON'
from decimal import Decimal
import pyarrow as pa

table = pa.table({"total": pa.array([Decimal("20.24")], pa.decimal128(18, 2))})
for codec in (None, "lz4", "zstd"):
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with pa.ipc.new_stream(f"{codec or 'plain'}.arrows", table.schema, options=options) as stream:
        stream.write_table(table)
PYTHON
cat >read.js <<'JAVASCRIPT'
import { readFileSync } from 'node:fs';
import { tableFromIPC } from 'apache-arrow';

function read(name) {
  try {
    const table = tableFromIPC(readFileSync(`${name}.arrows`));
    const { type } = table.schema.fields[0];
    const digits = String(table.get(0).total).replace(/\D/g, '');
    return `${digits} of scale ${type.scale}, ${type}`;
  } catch {
    return 'refused';
  }
}

const seen = `plain: ${read('plain')}; lz4: ${read('lz4')}; zstd: ${read('zstd')}`;
console.log(seen);
process.exit(seen === 'plain: 2024 of scale 2, Decimal[18e+2]; lz4: refused; zstd: refused' ? 0 : 1);
JAVASCRIPT
node read.js
