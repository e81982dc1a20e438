//! Rules of the tree that a reader can rely on: which crate may know which, where a table is written, how long a
//! file is.

mod documents;
mod imports;
pub(crate) mod statements;

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
    dependencies: BTreeMap<String, BTreeSet<String>>,
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
    let dependencies = members
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
    Graph { dependencies, manifests }
}

#[test]
fn no_crate_knows_one_it_must_not() {
    let graph = graph();
    let workspace: Vec<&str> = graph.dependencies.keys().map(String::as_str).collect();
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
        let known = graph.dependencies.get(from).unwrap_or_else(|| panic!("there is no crate {from}"));
        found.extend(never.iter().filter(|to| known.contains(**to)).map(|to| format!("{from} -> {to}")));
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
fn one_file_alone_takes_leave_to_be_unsafe() {
    let leave = ["unsafe", "code"].join("_");
    let takes = |file: &PathBuf| std::fs::read_to_string(file).unwrap().contains(&leave);
    let found: Vec<PathBuf> = rust_files().into_iter().filter(takes).collect();
    assert_eq!(found, [repository().join("services/reporting/src/allocator.rs")]);
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
