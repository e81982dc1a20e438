//! Imports run one way: from who asks to what is asked, and never back.

use std::collections::BTreeSet;
use std::path::Path;

use system_tests::binaries::repository;

use super::collect;

/// The rooms of a crate from the first, which knows none of the others, to the last; and the files beside them.
struct House {
    crate_folder: &'static str,
    /// Each with what it never names.
    rooms: &'static [(&'static str, &'static [&'static str])],
    /// A file and the path that it names all the same.
    allowed: &'static [(&'static str, &'static str)],
}

const HOUSES: [House; 2] = [
    House {
        crate_folder: "services/reporting/src",
        rooms: &[
            (
                "answer",
                &["axum", "crate::http", "crate::console", "crate::cli", "crate::runs", "crate::State", "kit::error"],
            ),
            ("console", &["crate::http"]),
            ("cli", &["crate::http", "axum"]),
            ("runs", &["crate::http", "crate::State", "axum"]),
        ],
        // A download in the console is the API's own response: ranges, conditions and pace are not written twice.
        allowed: &[("console/download.rs", "crate::http")],
    },
    House {
        crate_folder: "aggregator/src",
        rooms: &[
            ("settings", BACK_FROM_SETTINGS),
            ("metric", BACK_FROM_SETTINGS),
            ("source", &["crate::Aggregator", "crate::Error", "crate::poll", "crate::report", "crate::publish"]),
            ("poll", &["crate::Aggregator", "crate::Error", "crate::report", "crate::publish"]),
            ("report/language", BACK_FROM_LANGUAGE),
            ("report", &["crate::Aggregator", "crate::Error", "crate::poll", "crate::publish"]),
            ("publish", &["crate::Aggregator", "crate::Error", "crate::poll"]),
        ],
        allowed: &[],
    },
];

const BACK_FROM_SETTINGS: &[&str] =
    &["crate::Aggregator", "crate::Error", "crate::source", "crate::poll", "crate::report", "crate::publish"];
const BACK_FROM_LANGUAGE: &[&str] = &["sqlx", "tokio", "moka", "crate::source", "crate::report::run", "crate::metric"];

#[test]
fn who_asks_knows_what_is_asked_and_not_the_other_way_round() {
    let faults: Vec<String> = HOUSES.iter().flat_map(|house| back(&repository(), house)).collect();
    assert!(faults.is_empty(), "imports that run back:\n{}", faults.join("\n"));
}

#[test]
fn an_import_that_runs_back_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let src = folder.path().join("aggregator/src");
    std::fs::create_dir_all(src.join("poll")).unwrap();
    for (file, text) in [
        ("poll.rs", "use crate::source::Sources;\n"),
        ("poll/commit.rs", "fn f() { crate::report::moved_on() }\n"),
        ("poll/merge.rs", "use super::super::publish::Gate;\nuse super::Poller;\n"),
        ("publish.rs", "use crate::report::Report;\nuse crate::{Aggregator, metric};\n"),
        ("source.rs", "#[cfg(test)]\nmod tests {\n    use crate::report::Report;\n}\n"),
        ("poll_tests.rs", "use crate::report::Report;\n"),
    ] {
        std::fs::write(src.join(file), text).unwrap();
    }
    let found = back(folder.path(), &HOUSES[1]);
    let expected = [
        "poll/commit.rs -> crate::report::moved_on",
        "poll/merge.rs -> crate::publish::Gate",
        "publish.rs -> crate::Aggregator",
    ];
    assert_eq!(found, expected);
}

/// The imports of a crate that run back; what only tests name is theirs.
fn back(root: &Path, house: &House) -> Vec<String> {
    let src = root.join(house.crate_folder);
    let mut faults = Vec::new();
    for (room, forbidden) in house.rooms {
        let mut files = vec![src.join(room).with_extension("rs")];
        collect(&src.join(room), "rs", &mut files);
        files.sort();
        for file in files {
            let Ok(text) = std::fs::read_to_string(&file) else { continue };
            let name = file.strip_prefix(&src).unwrap().to_str().unwrap();
            if name.contains("tests") {
                continue;
            }
            let text = text.split_once("\n#[cfg(test)]\nmod tests {").map_or(text.as_str(), |(text, _)| text);
            let text = text.strip_prefix("#[cfg(test)]\nmod tests {").map_or(text, |_| "");
            for path in paths(text).iter().map(|path| from_the_root(name, path)) {
                let is_below = |of: &&&str| path == **of || path.starts_with(&format!("{of}::"));
                if let Some(of) = forbidden.iter().find(is_below)
                    && !house.allowed.contains(&(name, of))
                {
                    faults.push(format!("{name} -> {path}"));
                }
            }
        }
    }
    faults
}

/// The path with its `super::` looked up, as it reads in a file of that name.
fn from_the_root(file: &str, path: &str) -> String {
    let mut module: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    let mut rest = path;
    while let Some(above) = rest.strip_prefix("super::") {
        module.pop();
        rest = above;
    }
    if rest == path { path.to_owned() } else { [&["crate"], module.as_slice(), &[rest]].concat().join("::") }
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
