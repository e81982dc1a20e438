#!/usr/bin/env bash
# Polars 2.1.0 (PyPI): an integer column divided by a literal is multiplied by the literal's reciprocal once there is
# more than one row, so the same expression gives 98 / 49 = 2.0 in a frame of one row and 1.9999999999999998 in a
# frame of two, whose FLOOR is 1. (A Series divided by a number does it with one row too.) Dividing by a column that
# holds the same number is exact, and so is DuckDB 2.0.0.
#
# Seen: "1 row: 2.0, 2 rows: 1.9999999999999998, its floor: 1.0, by a column: 2.0, DuckDB: 2.0"
# Exits with 1 when any of this changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet --disable-pip-version-check polars==2.1.0 duckdb==2.0.0 pyarrow==26.0.1
"$dir/venv/bin/python" - <<'PYTHON'
import duckdb
import polars as pl

def first(rows, expression):
    return pl.DataFrame({"n": [98] * rows, "by": [49] * rows}).select(expression)["n"][0]

quotient = pl.col("n") / pl.lit(49)
t = pl.DataFrame({"n": [98, 98]}).to_arrow()
seen = (
    first(1, quotient),
    first(2, quotient),
    first(2, quotient.floor()),
    first(2, pl.col("n") / pl.col("by")),
    duckdb.sql("SELECT n / 49 FROM t").fetchall()[0][0],
)
print("1 row: %r, 2 rows: %r, its floor: %r, by a column: %r, DuckDB: %r" % seen)
raise SystemExit(seen != (2.0, 1.9999999999999998, 1.0, 2.0, 2.0))
PYTHON
