//! DuckDB, in a process that is asked many statements at a time.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use super::tables::{Table, as_json};

const PROGRAM: &str = r#"
import datetime, json, sys
import duckdb
con = duckdb.connect()
con.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false; SET threads = 1")
epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
day = datetime.date(1970, 1, 1)
def plain(value):
    if isinstance(value, datetime.datetime):
        return (value - epoch) // datetime.timedelta(microseconds=1)
    if isinstance(value, datetime.date):
        return (value - day).days
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)
def read(value, kind):
    if value is None:
        return None
    if kind == "DATE":
        return day + datetime.timedelta(days=value)
    if kind == "TIMESTAMPTZ":
        return epoch + datetime.timedelta(microseconds=value)
    return value
def load(tables):
    for table in tables:
        columns = ", ".join(f"{name} {kind}" for name, kind in table["columns"])
        con.execute(f"CREATE OR REPLACE TABLE {table['name']} ({columns})")
        for row in table["rows"]:
            values = [read(value, kind) for value, (_, kind) in zip(row, table["columns"])]
            con.execute(f"INSERT INTO {table['name']} VALUES ({', '.join('?' * len(values))})", values)
def answer(sql):
    try:
        rows = con.execute(sql).fetchall()
        kinds = [str(column[1]) for column in con.description]
        return {"kinds": kinds, "rows": [[plain(value) for value in row] for row in rows]}
    except Exception as error:
        return {"error": str(error)}
for line in sys.stdin:
    asked = json.loads(line)
    if "tables" in asked:
        load(asked["tables"])
    print(json.dumps([answer(sql) for sql in asked["statements"]]), flush=True)
"#;

pub(super) struct Judge {
    process: Child,
    asked: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Judge {
    /// The interpreter is that of the virtual environment that `make setup` makes in the target directory.
    pub(super) fn new(tables: &[Table]) -> Self {
        let own = std::env::current_exe().unwrap();
        let python = own.ancestors().nth(3).unwrap().join("venv/bin/python");
        assert!(python.exists(), "{} is not there: run `make setup`", python.display());
        let mut process = Command::new(python)
            .args(["-I", "-c", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (asked, answers) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let mut judge = Self { process, asked, answers };
        judge.load(tables);
        judge
    }

    pub(super) fn load(&mut self, tables: &[Table]) {
        writeln!(self.asked, "{}", json!({"tables": as_json(tables), "statements": []})).unwrap();
        self.answers();
    }

    /// Asks, and does not wait.
    pub(super) fn ask(&mut self, statements: &[String]) {
        writeln!(self.asked, "{}", json!({"statements": statements})).unwrap();
    }

    /// The answers to what was asked first.
    pub(super) fn answers(&mut self) -> Vec<Value> {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // It ends by itself when nobody can ask any more; a panicking test does not wait.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
