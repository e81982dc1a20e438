//! Rules of the tree that a reader can rely on: which crate may know which, where a table is written, how long a
//! file is.

mod documents;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use system_tests::binaries::repository;

/// The crates that own a business database.
const TRANSACTIONAL: [&str; 3] = ["inventory", "ecommerce", "retail"];
/// The crates below `services/`, which the libraries of the reporting side never know.
const SERVICES: [&str; 7] = ["kit", "inventory", "ecommerce", "retail", "reporting", "gateway", "stack"];
/// Lines of a Rust file, at most.
const LONGEST: usize = 400;

/// What each workspace crate needs to run, directly and through others; and the crates of the workspace.
struct Graph {
    reach: BTreeMap<String, BTreeSet<String>>,
    manifests: BTreeMap<String, PathBuf>,
}

fn graph() -> Graph {
    let host = Command::new("rustc").args(["--print", "host-tuple"]).output().unwrap();
    let host = String::from_utf8(host.stdout).unwrap();
    // Of other systems' crates a machine that has built nothing for them holds no copy.
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--filter-platform", host.trim()])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();

    let names: BTreeMap<String, String> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(&package["id"]), text(&package["name"])))
        .collect();
    // Test-only needs are left out: they are in no program.
    let edges: BTreeMap<String, Vec<String>> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            let needs = node["deps"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|dep| dep["dep_kinds"].as_array().unwrap().iter().any(|kind| kind["kind"].is_null()));
            (text(&node["id"]), needs.map(|dep| text(&dep["pkg"])).collect())
        })
        .collect();
    let members: Vec<String> = metadata["workspace_members"].as_array().unwrap().iter().map(text).collect();
    let reach = members
        .iter()
        .map(|member| {
            let mut seen = BTreeSet::new();
            let mut open = edges[member].clone();
            while let Some(id) = open.pop() {
                if seen.insert(id.clone()) {
                    open.extend(edges[&id].iter().cloned());
                }
            }
            (names[member].clone(), seen.iter().map(|id| names[id].clone()).collect())
        })
        .collect();
    let manifests = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| members.contains(&text(&package["id"])))
        .map(|package| (text(&package["name"]), PathBuf::from(text(&package["manifest_path"]))))
        .collect();
    Graph { reach, manifests }
}

#[test]
fn no_crate_knows_one_it_must_not() {
    let graph = graph();
    let workspace: Vec<&str> = graph.reach.keys().map(String::as_str).collect();
    let mut forbidden: Vec<(&str, Vec<&str>)> = Vec::new();
    for service in TRANSACTIONAL {
        let mut never = vec!["aggregator", "jobs", "exports", "polars", "reporting", "gateway", "stack"];
        never.extend(TRANSACTIONAL.iter().filter(|other| **other != service));
        forbidden.push((service, never));
    }
    for library in ["lake", "aggregator", "jobs", "exports"] {
        forbidden.push((library, SERVICES.into_iter().chain(["axum"]).collect()));
    }
    // The one crate that all may use; it uses none of them.
    let others = workspace.iter().copied().filter(|member| *member != "base");
    forbidden.push(("base", others.chain(["axum", "reqwest", "polars"]).collect()));
    forbidden.push(("kit", vec!["aggregator", "jobs", "exports", "polars"]));
    // Knows where rows lie, and neither where they come from nor what is computed of them.
    forbidden.push(("lake", vec!["aggregator", "jobs", "exports"]));
    forbidden.push(("aggregator", vec!["jobs", "exports"]));
    forbidden.push(("exports", workspace.iter().copied().chain(["sqlx", "axum"]).collect()));
    forbidden.extend(workspace.iter().map(|member| (*member, vec!["system-tests"])));

    let mut found = Vec::new();
    for (from, never) in forbidden {
        let reach = graph.reach.get(from).unwrap_or_else(|| panic!("there is no crate {from}"));
        found.extend(never.iter().filter(|to| reach.contains(**to)).map(|to| format!("{from} -> {to}")));
    }
    assert!(found.is_empty(), "edges that must not exist: {found:?}");
}

#[test]
fn manifests_share_lints_and_features() {
    for (name, manifest) in graph().manifests {
        let table: toml::Table = std::fs::read_to_string(&manifest).unwrap().parse().unwrap();
        // They would switch features on for `cargo test` alone, and polars would be built twice.
        assert!(!table.contains_key("dev-dependencies"), "{name}: put them under [dependencies] of system-tests");
        let needs = table.get("dependencies").and_then(toml::Value::as_table);
        if name == "exports" {
            // polars itself may know an HTTP client; exports calls none.
            assert!(needs.is_none_or(|needs| !needs.contains_key("reqwest")), "exports turns frames to bytes, no more");
        }
        let kept = table.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(kept, Some(true), "{name}: `[lints] workspace = true` is missing");
    }
}

#[test]
fn files_are_short_named_after_their_module_and_say_what_they_are() {
    let mut faults = Vec::new();
    for file in rust_files() {
        let text = std::fs::read_to_string(&file).unwrap();
        let lines = text.lines().count();
        if lines > LONGEST {
            faults.push(format!("{}: {lines} lines, at most {LONGEST}", file.display()));
        }
        if file.ends_with("mod.rs") {
            faults.push(format!("{}: a module's file bears its name", file.display()));
        }
        if !text.starts_with("//!") {
            faults.push(format!("{}: begins without a `//!` that says what it is", file.display()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn in_reporting_who_asks_knows_the_answer_and_not_the_other_way_round() {
    let src = repository().join("services/reporting/src");
    let rooms: [(&str, &[&str]); 4] = [
        (
            "answer",
            &["axum", "crate::http", "crate::console", "crate::cli", "crate::runs", "crate::State", "kit::error"],
        ),
        ("console", &["crate::http"]),
        ("cli", &["crate::http", "axum"]),
        ("runs", &["crate::http", "crate::State", "axum"]),
    ];
    // A download in the console is the API's own response: ranges, conditions and pace are not written twice.
    let allowed = [("console/download.rs", "crate::http")];
    let mut faults = Vec::new();
    for (room, forbidden) in rooms {
        let mut files = vec![src.join(room).with_extension("rs")];
        collect(&src.join(room), "rs", &mut files);
        for file in files {
            let name = file.strip_prefix(&src).unwrap().to_str().unwrap();
            for path in paths(&std::fs::read_to_string(&file).unwrap()) {
                let is_below = |of: &&&str| path == **of || path.starts_with(&format!("{of}::"));
                if let Some(of) = forbidden.iter().find(is_below)
                    && !allowed.contains(&(name, of))
                {
                    faults.push(format!("{name} -> {path}"));
                }
            }
        }
    }
    assert!(faults.is_empty(), "imports that run back:\n{}", faults.join("\n"));
}

/// The paths that Rust names: in `use`, flattened, and in code.
fn paths(text: &str) -> BTreeSet<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .fold(String::new(), |all, line| all + line + "\n");
    let mut found = BTreeSet::new();
    for tree in code.split("use ").skip(1).filter_map(|rest| rest.split_once(';')).map(|(tree, _)| tree) {
        let tree: String = tree.chars().filter(|c| !c.is_whitespace()).collect();
        let mut prefixes = vec![String::new()];
        let mut part = String::new();
        for c in tree.chars().chain([',']) {
            match c {
                '{' => prefixes.push(prefixes.last().unwrap().clone() + &std::mem::take(&mut part)),
                ',' | '}' => {
                    if !part.is_empty() {
                        found.insert(prefixes.last().unwrap().clone() + &std::mem::take(&mut part));
                    }
                    if c == '}' && prefixes.len() > 1 {
                        prefixes.pop();
                    }
                }
                _ => part.push(c),
            }
        }
    }
    let words = code.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')));
    found.extend(words.filter(|word| word.contains("::")).map(|word| word.trim_matches(':').to_owned()));
    found
}

#[test]
fn the_scan_sees_every_way_of_importing() {
    let text = "use crate::{\n    State,\n    http::{self, send::PIECE},\n};\n// use axum::Router;\nlet x = crate::cli::run();";
    let found = paths(text);
    for path in ["crate::State", "crate::http::self", "crate::http::send::PIECE", "crate::cli::run"] {
        assert!(found.contains(path), "{path} in {found:?}");
    }
    assert!(!found.iter().any(|path| path.starts_with("axum")), "{found:?}");
}

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
    for folder in TRANSACTIONAL.map(|service| format!("services/{service}/src")) {
        let mut files = Vec::new();
        collect(&repository().join(folder), "rs", &mut files);
        assert!(files.len() > 10, "the walk finds the sources");
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

#[test]
fn tasks_have_an_owner_or_a_reason() {
    let mut faults = Vec::new();
    let inner = |file: &Path| file.starts_with(repository().join("tests")) || file.ends_with("tests.rs");
    for file in rust_files().into_iter().filter(|file| !inner(file)) {
        let text = std::fs::read_to_string(&file).unwrap();
        // A file's tests stand at its end.
        let (text, _) = text.split_once("\n#[cfg(test)]\nmod tests {").unwrap_or((text.as_str(), ""));
        faults.extend(dropped_handles(text).into_iter().map(|line| format!("{}:{line}", file.display())));
    }
    assert!(faults.is_empty(), "a task without an owner needs a comment `// Detached: why it ends`: {faults:#?}");
}

/// Lines of `tokio::spawn` whose handle is dropped, and no comment above them says why the task ends.
fn dropped_handles(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().collect();
    let dropped = |at: usize| {
        let line = lines[at].trim_start();
        let starts = ["tokio::spawn(", "let _ = tokio::spawn(", "drop(tokio::spawn("];
        if !starts.iter().any(|start| line.starts_with(start)) {
            return false;
        }
        let indent = lines[at].len() - line.len();
        let closes = |line: &&&str| line.len() - line.trim_start().len() <= indent && !line.trim().is_empty();
        let last = if line.ends_with(';') { Some(&lines[at]) } else { lines[at + 1..].iter().find(closes) };
        let kept = last.is_none_or(|last| last.contains(".await") || !last.ends_with(';'));
        let mut above = lines[..at].iter().rev().take_while(|line| line.trim_start().starts_with("//"));
        !kept && !above.any(|line| line.trim_start().starts_with("// Detached: "))
    };
    (0..lines.len()).filter(|at| dropped(*at)).map(|at| at + 1).collect()
}

#[test]
fn the_scan_sees_dropped_handles() {
    for source in ["tokio::spawn(run());", "tokio::spawn(async {\n    run();\n});", "let _ = tokio::spawn(run());"] {
        assert_eq!(dropped_handles(source), [1], "{source}");
    }
    for source in [
        "let task = tokio::spawn(run());",
        "tokio::spawn(run()).await",
        "tokio::spawn(async {\n    run();\n})\n.await?",
        "// Detached: it ends with the process.\ntokio::spawn(run());",
    ] {
        assert_eq!(dropped_handles(source), Vec::<usize>::new(), "{source}");
    }
}

fn rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for folder in ["services", "aggregator", "jobs", "exports", "tests"] {
        collect(&repository().join(folder), "rs", &mut files);
    }
    assert!(files.len() > 50, "the walk finds the sources");
    files
}

fn collect(folder: &Path, extension: &str, files: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            collect(&path, extension, files);
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
}
