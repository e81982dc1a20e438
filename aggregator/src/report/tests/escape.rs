//! No value of any type gets out of its literal: whatever a caller writes, the rows are those that the value, taken as
//! its type, would choose; or it is refused.

use std::sync::Arc;

use polars::prelude::DataFrame;

use super::company::{compute, frames};
use super::one;
use crate::report::language::catalogue::Catalogue;
use crate::report::run::error::ReportError;

/// What has broken other people's statements, and what is right for one type or another.
const PIECES: [&str; 40] = [
    "'",
    "''",
    "\\",
    "\\'",
    "\"",
    "`",
    "--",
    "/*",
    "*/",
    ";",
    ",",
    "$p",
    "$1",
    "?",
    ":p",
    "{}",
    "%",
    "\n",
    "\t",
    "\u{0}",
    "\u{2019}",
    "＇",
    " OR 1=1",
    " OR TRUE",
    "; DROP TABLE stores",
    " UNION ALL SELECT 1",
    ")",
    "(",
    "E'",
    "x'41'",
    "NULL",
    "true",
    "Alpha",
    "Beta",
    "1",
    "-2",
    "3.5",
    "2026-01-05",
    "today",
    "CAST('1' AS BIGINT)",
];

fn report(declaration: &str, condition: &str) -> Arc<Catalogue> {
    let text = format!(
        "/*---\ntitle = \"T\"\ndescription = \"D\"\nsection = \"Test\"\ngrain = \"day\"\nkey = [\"id\"]\n[params]\np = {{ {declaration} }}\n\
         [columns]\nid = {{ type = \"int64\", title = \"Id\" }}\n---*/\n\
         SELECT s.store_id AS id FROM stores AS s JOIN customers AS c ON c.customer_id = s.store_id WHERE {condition} ORDER BY id\n"
    );
    let catalogue = one(&text);
    assert!(catalogue.broken().is_empty(), "{:?}", catalogue.broken());
    Arc::new(catalogue)
}

fn ids(frame: &DataFrame) -> Vec<i64> {
    frame.column("id").unwrap().i64().unwrap().iter().flatten().collect()
}

/// Stores and customers 1, 2 and 3 side by side, as they stand in `by_hand/company.txt`.
const NAMES: [&str; 3] = ["Alpha", "Beta", "Gamma"];
const SIGNUPS: [&str; 3] = ["2026-01-05", "2026-02-05", "2026-02-06"];

fn chosen(of: impl Fn(usize) -> bool) -> Vec<i64> {
    (0..3).filter(|at| of(*at)).map(|at| i64::try_from(at).unwrap() + 1).collect()
}

/// A declaration, the condition it stands in, values that must be taken, and what a text means if it means anything.
type Case = (&'static str, &'static str, &'static [&'static str], fn(&str) -> Option<Vec<i64>>);

const CASES: [Case; 10] = [
    ("type = \"string\"", "s.name = $p", &["Alpha", "O'Hara", "' OR 1=1 --", ""], |text| {
        (!text.chars().any(char::is_control)).then(|| chosen(|at| NAMES[at] == text))
    }),
    (
        "type = \"choice\", choices = [\"Alpha\", \"' OR 1=1 --\"], default = \"Alpha\"",
        "s.name = $p",
        &["Alpha", "' OR 1=1 --"],
        |text| ["Alpha", "' OR 1=1 --"].contains(&text).then(|| chosen(|at| NAMES[at] == text)),
    ),
    ("type = \"int\"", "s.store_id = $p", &["1", "-2", "3"], |text| {
        let number: i64 = text.parse().ok()?;
        Some(chosen(|at| i64::try_from(at).unwrap() + 1 == number))
    }),
    ("type = \"decimal\"", "s.store_id > -$p", &["1", "-2", "3.5", "-1.5"], |text| {
        let number: f64 = text.parse().ok()?;
        Some(chosen(|at| at as f64 + 1.0 > -number))
    }),
    ("type = \"bool\"", "s.active = $p", &["true", "false"], |text| {
        let wanted: bool = text.parse().ok()?;
        Some(chosen(|_| wanted))
    }),
    ("type = \"date\"", "c.signup_day = $p", &["2026-01-05", "today", "today-33d"], |text| match text {
        "today-33d" => Some(vec![2]),
        text => Some(chosen(|at| SIGNUPS[at] == text.trim())),
    }),
    (
        "type = \"list\", of = \"string\", default = []",
        "s.name IN ($p)",
        &["Alpha\nBeta", "', 'x", "Alpha,Beta", "\\'\nAlpha\n", ""],
        |text| {
            let items: Vec<&str> = text.split('\n').collect();
            Some(chosen(|at| items.contains(&NAMES[at])))
        },
    ),
    ("type = \"list\", of = \"int\", default = []", "s.store_id IN ($p)", &["1\n-2\n3", ""], |text| {
        let items: Vec<&str> = text.split('\n').collect();
        Some(chosen(|at| items == [""] || items.contains(&(at + 1).to_string().as_str())))
    }),
    ("type = \"list\", of = \"decimal\", default = []", "s.store_id * 1.0 IN ($p)", &["1\n-2.5\n3.0", "2"], |text| {
        let items = text.split('\n').filter(|item| !item.is_empty());
        let items = items.map(|item| item.parse::<f64>().ok()).collect::<Option<Vec<_>>>()?;
        Some(chosen(|at| items.is_empty() || items.contains(&(at as f64 + 1.0))))
    }),
    ("type = \"list\", of = \"date\", default = []", "c.signup_day IN ($p)", &["2026-01-05\n2026-02-06"], |text| {
        let items: Vec<&str> = text.split('\n').collect();
        Some(chosen(|at| items == [""] || items.contains(&SIGNUPS[at])))
    }),
];

#[test]
fn no_value_of_any_type_escapes() {
    let frames = frames();
    let mut state = 0x7121_u64;
    let mut any = |sides: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % sides
    };
    for (declaration, condition, sound, meant) in CASES {
        let catalogue = report(declaration, condition);
        // A line for each value of a list.
        let ask = |text: &str| {
            let values: Vec<(&str, &str)> = text.split('\n').map(|value| ("p", value)).collect();
            compute(&catalogue, &frames, "one", &values)
        };
        for text in sound {
            let rows = ask(text).unwrap_or_else(|error| panic!("{declaration}: {text:?}: {error}"));
            assert_eq!(Some(ids(&rows)), meant(text), "{declaration}: {text:?}");
        }
        for _ in 0..150 {
            let text: String = (0..=any(4)).map(|_| PIECES[any(PIECES.len())]).collect();
            match ask(&text) {
                Ok(rows) => assert_eq!(Some(ids(&rows)), meant(&text), "{declaration}: {text:?}"),
                Err(ReportError::Parameter(_)) => {}
                Err(error) => panic!("{declaration}: {text:?}: {error}: {:?}", std::error::Error::source(&error)),
            }
        }
    }
}
