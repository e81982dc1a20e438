//! Statements in the sources: who writes which table, that columns are named, and that what writes is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;
use system_tests::binaries::repository;

use super::collect;

/// Where statements name their columns.
const NAMED: [&str; 6] = [
    "services/inventory/src",
    "services/ecommerce/src",
    "services/retail/src",
    "aggregator/src",
    "aggregator/lake/src",
    "jobs/src",
];

/// Where statements that write are checked by the compiler; their descriptions stand in `.sqlx` beside `src`.
pub(crate) const CHECKED: [&str; 7] = [
    "aggregator",
    "aggregator/lake",
    "jobs",
    "services/ecommerce",
    "services/inventory",
    "services/kit",
    "services/retail",
];

#[test]
fn a_table_of_the_reporting_database_has_one_writing_crate() {
    let schemas = ["lake", "sync", "jobs", "published", "reports", "exports"];
    let mut writers: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (name, folder) in [
        ("aggregator", "aggregator/src"),
        ("aggregator/lake", "aggregator/lake/src"),
        ("jobs", "jobs/src"),
        ("exports", "exports/src"),
        ("reporting", "services/reporting/src"),
    ] {
        let mut files = Vec::new();
        collect(&repository().join(folder), "rs", &mut files);
        for file in files {
            let text = std::fs::read_to_string(file).unwrap();
            for table in written(&text) {
                if table.split_once('.').is_some_and(|(schema, _)| schemas.contains(&schema)) {
                    writers.entry(table).or_default().insert(name);
                }
            }
        }
    }
    assert!(writers.len() > 5, "the scan finds the tables: {writers:?}");
    let shared: Vec<_> = writers.iter().filter(|(_, crates)| crates.len() > 1).collect();
    assert!(shared.is_empty(), "tables with more than one writing crate: {shared:?}");
}

/// `schema.table` after every verb that writes, in SQL within Rust.
fn written(text: &str) -> BTreeSet<String> {
    let words: Vec<&str> = text
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))
        .filter(|word| !word.is_empty())
        .collect();
    let mut tables = BTreeSet::new();
    for (index, word) in words.iter().enumerate() {
        let at = match *word {
            "INSERT" | "MERGE" if words.get(index + 1) == Some(&"INTO") => index + 2,
            "DELETE" if words.get(index + 1) == Some(&"FROM") => index + 2,
            "UPDATE" | "TRUNCATE" | "COPY" => index + 1,
            _ => continue,
        };
        tables.extend(words.get(at).filter(|name| name.contains('.')).map(|name| (*name).to_owned()));
    }
    tables
}

#[test]
fn the_scan_sees_every_way_of_writing() {
    let sql = r#"query("INSERT INTO sync.poll (a) VALUES (1)"); "UPDATE jobs.run SET x = 1"; "DELETE FROM lake.t;"
        "COPY sync.staged (a, b) FROM STDIN"; "SELECT * FROM published.row FOR UPDATE OF row""#;
    let found: Vec<String> = written(sql).into_iter().collect();
    assert_eq!(found, ["jobs.run", "lake.t", "sync.poll", "sync.staged"]);
}

#[test]
fn statements_name_their_columns() {
    let mut faults = Vec::new();
    for folder in NAMED {
        let mut files = Vec::new();
        collect(&repository().join(folder), "rs", &mut files);
        assert!(files.len() > 10, "the walk finds the sources of {folder}");
        for file in files {
            let text = std::fs::read_to_string(&file).unwrap();
            faults.extend(unnamed_columns(&text).map(|fault| format!("{}: {fault}", file.display())));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// `SELECT *`, `x.*` in a list of columns, and an INSERT without a list of columns, in SQL within Rust.
fn unnamed_columns(text: &str) -> impl Iterator<Item = &str> {
    let pattern =
        r"SELECT \*|\b[a-z_]+\.\*(,| FROM)|RETURNING \*|INSERT INTO [a-z_.]+( AS [a-z]+)?\s+\\?\s*(VALUES|SELECT)\b";
    let pattern = regex::Regex::new(pattern).unwrap();
    pattern.find_iter(text).map(|found| found.as_str()).collect::<Vec<_>>().into_iter()
}

#[test]
fn the_scan_sees_every_way_of_not_naming_columns() {
    let refused = [
        "SELECT * FROM t",
        "SELECT d.*, true FROM t AS d",
        "SELECT d.* FROM t AS d",
        "RETURNING *",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO t AS x SELECT 1",
        "INSERT INTO t \\\n   SELECT 1",
    ];
    for sql in refused {
        assert_eq!(unnamed_columns(sql).count(), 1, "{sql}");
    }
    for sql in ["INSERT INTO t (a) VALUES (1)", "SELECT count(*) FROM t", "INSERT INTO t AS x (a) SELECT a * 2 FROM s"]
    {
        assert_eq!(unnamed_columns(sql).count(), 0, "{sql}");
    }
}

/// A text in the sources of a crate.
pub(crate) struct Literal {
    pub(crate) file: String,
    pub(crate) text: String,
    /// Whether it is the statement of `sqlx::query!` or its kin, or a part of one.
    checked: bool,
}

/// The texts in a crate's sources, without those of its tests.
pub(crate) fn literals_of(folder: &str) -> Vec<Literal> {
    let source = repository().join(folder).join("src");
    let mut files = Vec::new();
    collect(&source, "rs", &mut files);
    files.retain(|file| !file.ends_with("tests.rs") && !file.components().any(|part| part.as_os_str() == "tests"));
    let of = |file: std::path::PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        let (code, _) = text.split_once("\n#[cfg(test)]\nmod tests {").unwrap_or((text.as_str(), ""));
        let file = file.strip_prefix(repository()).unwrap().display().to_string();
        literals(code).into_iter().map(move |(text, checked)| Literal { file: file.clone(), text, checked })
    };
    files.into_iter().flat_map(of).collect()
}

/// Each text in Rust, and whether it is the statement of a macro that checks it.
fn literals(code: &str) -> Vec<(String, bool)> {
    static TEXTS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r##"(?s)//[^\n]*|'(?:\\.|[^'\\])'|r#"(?<raw>.*?)"#|"(?<text>(?:[^"\\]|\\.)*)""##).unwrap()
    });
    static MACRO: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\bquery(?:_[b-z]\w*)?!\(\s*$|\bquery_as!\(\s*\w+,\s*$").unwrap());
    static ESCAPE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"\\(?:\n\s*|(["\\])|.)"#).unwrap());
    let plain = |found: &Captures<'_>| found.get(1).map_or_else(String::new, |it| it.as_str().to_owned());
    let texts = TEXTS.captures_iter(code).filter_map(|found| {
        let text = match (found.name("raw"), found.name("text")) {
            (Some(raw), _) => raw.as_str().to_owned(),
            (None, Some(text)) => ESCAPE.replace_all(text.as_str(), plain).into_owned(),
            (None, None) => return None,
        };
        Some((text, MACRO.is_match(code.split_at(found.get_match().start()).0)))
    });
    texts.collect()
}

/// What is stored of a crate's checked statements: the statement, and what the database said of it.
pub(crate) fn stored(folder: &str) -> BTreeMap<String, Value> {
    let mut files = Vec::new();
    collect(&repository().join(folder).join(".sqlx"), "json", &mut files);
    let of = |file: std::path::PathBuf| {
        let mut data: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        (data["query"].as_str().unwrap().to_owned(), data["describe"].take())
    };
    files.into_iter().map(of).collect()
}

#[test]
fn what_writes_is_checked() {
    let writes =
        Regex::new(r"\b(INSERT INTO|DELETE FROM|MERGE INTO|TRUNCATE|UPDATE [a-z_.]+( AS)?( [a-z]+)? SET)\b").unwrap();
    let mut faults = Vec::new();
    for folder in CHECKED.into_iter().chain(["aggregator/base", "exports", "services/gateway", "services/reporting"]) {
        let unchecked = literals_of(folder).into_iter().filter(|it| !it.checked && writes.is_match(&it.text));
        faults.extend(unchecked.map(|it| format!("{}: {}", it.file, it.text)));
    }
    assert!(faults.is_empty(), "use `sqlx::query!` and `make prepare`:\n{}", faults.join("\n"));
}

#[test]
fn each_checked_statement_has_its_description_and_no_description_is_left_over() {
    for folder in CHECKED {
        let mut checked: BTreeSet<String> =
            literals_of(folder).into_iter().filter(|it| it.checked).map(|it| it.text).collect();
        let stored: BTreeSet<String> = stored(folder).into_keys().collect();
        // A macro such as `query_orders!` puts its own text before the one that it is given.
        let parts = stored.iter().filter(|it| !checked.contains(*it)).filter_map(|whole| {
            let mut parts =
                checked.iter().filter_map(|first| Some([first.clone(), whole.strip_prefix(first)?.to_owned()]));
            parts.find(|[_, rest]| checked.contains(rest)).map(|parts| (whole.clone(), parts))
        });
        let (composed, parts): (Vec<String>, Vec<_>) = parts.unzip();
        for part in parts.into_iter().flatten() {
            checked.remove(&part);
        }
        checked.extend(composed);
        let apart: Vec<_> = checked.symmetric_difference(&stored).collect();
        assert!(!stored.is_empty() && apart.is_empty(), "{folder}: run `make prepare`: {apart:#?}");
    }
}

#[test]
fn the_scan_sees_what_the_compiler_checks() {
    let code = r###"
        // query!("no")
        let quote = '"';
        sqlx::query!("SELECT \
             1", a); sqlx::query_as!(Row, r#"SELECT a AS "a: _""#); query_scalar!(
            "SELECT \"x\""
        ); sqlx::query("SELECT 2"); log("query!(");
    "###;
    let found = literals(code);
    let found: Vec<(&str, bool)> = found.iter().map(|(text, checked)| (text.as_str(), *checked)).collect();
    let expected = [
        ("SELECT 1", true),
        (r#"SELECT a AS "a: _""#, true),
        (r#"SELECT "x""#, true),
        ("SELECT 2", false),
        ("query!(", false),
    ];
    assert_eq!(found, expected);
}
