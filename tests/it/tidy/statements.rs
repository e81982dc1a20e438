//! Statements in the sources: who writes which table, and that columns are named.

use std::collections::{BTreeMap, BTreeSet};

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
