//! Judges that nobody here wrote: DuckDB, pyarrow, openpyxl and pandas, and readers in JavaScript, in the virtual
//! environment that `make setup` makes in the target directory.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::binaries;
use crate::stack::Stack;

/// A file or folder of the virtual environment.
///
/// # Panics
/// When it is not there.
pub fn folder(path: &str) -> PathBuf {
    let target = binaries::folder().parent().expect("target/debug lies in target").to_owned();
    let path = target.join("venv").join(path);
    assert!(path.exists(), "{} is not there: run `make setup` (the tests do not skip)", path.display());
    path
}

fn interpreter() -> PathBuf {
    folder("bin/python")
}

/// Runs a Python program; `args` are its `sys.argv[1:]`. Returns what it printed.
///
/// # Panics
/// When it fails, with its traceback.
#[track_caller]
pub fn python(program: &str, args: &[&str]) -> String {
    let output = Command::new(interpreter())
        .args(["-I", "-c", program])
        .args(args)
        .env("TZ", "UTC")
        .output()
        .expect("Python starts");
    assert!(output.status.success(), "Python failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("Python prints UTF-8")
}

/// Runs a module of JavaScript beside the packages of `tools/package.json`; `args` are its `process.argv.slice(1)`. Returns
/// what it printed.
///
/// # Panics
/// When it fails, with its message.
#[track_caller]
pub fn node(program: &str, args: &[&str]) -> String {
    let output = Command::new(folder("bin/node"))
        .args(["--input-type=module", "--eval", program, "--"])
        .args(args)
        .current_dir(folder("javascript"))
        .env("TZ", "UTC")
        .output()
        .expect("Node starts");
    assert!(output.status.success(), "Node failed: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("Node prints UTF-8")
}

/// Starts a Python program that is spoken to: standard input and output are pipes.
pub fn conversation(program: &str, args: &[&str]) -> std::io::Result<Child> {
    Command::new(interpreter())
        .args(["-I", "-c", program])
        .args(args)
        .env("TZ", "UTC")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
}

/// Runs one query on the lake, attached as any user of DuckDB would: read-only and as `lake_reader`.
///
/// `USE lake` is in force. Each row is a JSON array; decimals, dates and timestamps come as text.
#[track_caller]
pub fn duckdb(stack: &Stack, sql: &str) -> Vec<Vec<Value>> {
    let url = stack.url("reporting_db", "lake_reader");
    let lake = stack.state().lake;
    let answer = python(&format!("{ATTACH}{PROGRAM}"), &[&url, &lake.to_string_lossy(), sql]);
    serde_json::from_str(&answer).expect("the program prints JSON")
}

/// `con`, a DuckDB with the lake at its first two arguments attached, and `asked`, the third.
pub const ATTACH: &str = r#"
import glob, importlib.util, json, sys
import duckdb
url, data, asked = sys.argv[1:]
con = duckdb.connect()
# A statement that takes long would draw a bar into the answer.
con.execute("SET enable_progress_bar = false")
for name in ("postgres_scanner", "ducklake"):
    package = importlib.util.find_spec(f"duckdb_extension_{name}").submodule_search_locations[0]
    (extension,) = glob.glob(f"{package}/extensions/*/{name}.duckdb_extension")
    con.execute(f"LOAD '{extension}'")
con.execute(f"ATTACH 'ducklake:postgres:{url}' AS lake (DATA_PATH '{data}/', METADATA_SCHEMA 'lake', READ_ONLY)")
con.execute("USE lake")
"#;

const PROGRAM: &str = r#"
def plain(value):
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
print(json.dumps([[plain(value) for value in row] for row in con.execute(asked).fetchall()]))
"#;
