#!/usr/bin/env bash
# DuckDB 2.0.0 and 1.5.5 (PyPI) on a grouped OR, or AND, that stands inside a longer one: GROUP BY a OR b allows
# SELECT a OR b and NOT (a OR b), but (a OR b) OR count(*) > 5 is a binder error that asks for column "a" in GROUP BY.
# Parentheses do not help, on either side: the longer OR is made flat before the grouped one is looked for. A sum inside
# a longer sum, GROUP BY n + 1 with (n + 1) + count(*), is found.
#
# Seen, by each version: "ok ok refused refused refused ok"
# Exits with 1 when this changes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for version in 2.0.0 1.5.5; do
  python3 -m venv --clear "$dir/venv"
  "$dir/venv/bin/pip" install --quiet --disable-pip-version-check "duckdb==$version"
  seen=$("$dir/venv/bin/python" - <<'PYTHON'
import duckdb

con = duckdb.connect()
con.execute("CREATE TABLE t AS SELECT * FROM (VALUES (true, false, 1), (false, false, 2), (true, true, 3)) v (a, b, n)")
statements = [
    "SELECT a OR b FROM t GROUP BY a OR b",
    "SELECT NOT (a OR b) FROM t GROUP BY a OR b",
    "SELECT (a OR b) OR count(*) > 5 FROM t GROUP BY a OR b",
    "SELECT count(*) > 5 OR (a OR b) FROM t GROUP BY a OR b",
    "SELECT (a AND b) AND count(*) > 0 FROM t GROUP BY a AND b",
    "SELECT (n + 1) + count(*) FROM t GROUP BY n + 1",
]
seen = []
for statement in statements:
    try:
        con.execute(statement).fetchall()
        seen.append("ok")
    except duckdb.BinderException as error:
        assert 'column "a" must appear in the GROUP BY clause' in str(error), error
        seen.append("refused")
print(*seen)
PYTHON
  )
  echo "$version: $seen"
  [ "$seen" = "ok ok refused refused refused ok" ]
done
