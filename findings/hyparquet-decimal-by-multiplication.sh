#!/usr/bin/env bash
# hyparquet 1.31.5 (npm) on a Parquet file that pyarrow 26.0.1 wrote: a DECIMAL(18,2) is the stored integer times
# 0.01, which is not the nearest double: 20.24 reads as 20.240000000000002 and 1234567.89 as 1234567.8900000001,
# where division by 100 gives the double that prints as written.
#
# Seen: "20.240000000000002 1234567.8900000001 (by division: 20.24 1234567.89)"
# Exits with 1 when this changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check pyarrow==26.0.1
cd "$dir"
echo '{"private": true, "type": "module"}' >package.json
npm install --silent --no-audit --no-fund hyparquet@1.31.5
venv/bin/python - <<'PYTHON'
from decimal import Decimal
import pyarrow as pa
import pyarrow.parquet as pq

values = [Decimal("20.24"), Decimal("1234567.89")]
pq.write_table(pa.table({"total": pa.array(values, pa.decimal128(18, 2))}), "t.parquet")
PYTHON
cat >read.js <<'JAVASCRIPT'
import { readFileSync } from 'node:fs';
import { parquetReadObjects } from 'hyparquet';

const bytes = readFileSync('t.parquet');
const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length);
const rows = await parquetReadObjects({ file });
const seen = `${rows.map((row) => row.total).join(' ')} (by division: ${2024 / 100} ${123456789 / 100})`;
console.log(seen);
process.exit(seen === '20.240000000000002 1234567.8900000001 (by division: 20.24 1234567.89)' ? 0 : 1);
JAVASCRIPT
node read.js
