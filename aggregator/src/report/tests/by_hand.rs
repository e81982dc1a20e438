//! Every shipped report over the small company, against figures that were worked out by hand.
//!
//! `by_hand/company.txt` is the company. Each other file is a case of the report of its name (`name-more.txt` another
//! one): the parameters, how the figures come about, and after an empty line what must come out: a table, or a line per
//! column of a single row.
//! Money has two places and fractions at most four; a dash is NULL.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use include_dir::{Dir, File, include_dir};
use polars::prelude::{AnyValue, DataFrame};

use super::company::{catalogue, compute, frames, words};
use crate::report::language::header::ColumnType;

static CASES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/src/report/tests/by_hand");

/// A case that was worked out by hand, and what was computed for it.
pub(super) struct Case {
    file: &'static str,
    pub(super) report: &'static str,
    expected: Vec<Vec<&'static str>>,
    pub(super) computed: DataFrame,
}

/// Every case, computed once for all tests that look at it.
pub(super) static COMPUTED: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let (catalogue, frames) = (catalogue(), frames());
    let files = CASES.files().map(|file| (file.path().file_stem().unwrap().to_str().unwrap(), file));
    let case = |(name, file): (&'static str, &'static File<'_>)| {
        let (head, expected) = file.contents_utf8().unwrap().split_once("\n\n").unwrap();
        let report = name.split_once('-').map_or(name, |(report, _)| report);
        let parameters = head.lines().next().unwrap().split(' ').filter_map(|word| word.split_once('='));
        let computed = match compute(&catalogue, &frames, report, &parameters.collect::<Vec<_>>()) {
            Ok(frame) => frame,
            Err(error) => panic!("{report}: {error} {:?}", std::error::Error::source(&error)),
        };
        Case { file: name, report, expected: expected.trim().lines().map(words).collect(), computed }
    };
    files.filter(|(name, _)| *name != "company").map(case).collect()
});

#[test]
fn every_report_gives_what_was_computed_by_hand() {
    let catalogue = catalogue();
    let known: BTreeSet<&str> = catalogue.reports().map(|report| report.name.as_str()).collect();
    let mut described = BTreeSet::new();
    let mut wrong = Vec::new();
    for Case { file, report, expected, computed } in COMPUTED.iter() {
        described.insert(*report);
        let kinds: Vec<ColumnType> = catalogue.get(report).unwrap().columns.iter().map(|column| column.kind).collect();
        let mut table = table(computed, &kinds);
        if expected[0].len() == 2 && expected[0][0] == table[0][0] {
            table = (0..table[0].len()).map(|at| table.iter().map(|row| row[at].clone()).collect()).collect();
        }
        if table != *expected {
            let words: Vec<String> = table.iter().map(|row| row.join("  ")).collect();
            wrong.push(format!("{file}\n{}", words.join("\n")));
        }
    }
    assert!(wrong.is_empty(), "{} differ; computed was\n{}", wrong.len(), wrong.join("\n\n"));
    let untold: Vec<_> = known.difference(&described).collect();
    assert!(untold.is_empty(), "no case in by_hand/ for {untold:?}");
}

/// The frame in the words of a case.
fn table(frame: &DataFrame, kinds: &[ColumnType]) -> Vec<Vec<String>> {
    let names = frame.get_column_names().into_iter().map(ToString::to_string).collect();
    let row = |number: usize| {
        let columns = frame.columns().iter().zip(kinds);
        columns.map(|(column, kind)| word(&column.get(number).unwrap(), *kind)).collect()
    };
    std::iter::once(names).chain((0..frame.height()).map(row)).collect()
}

fn word(value: &AnyValue<'_>, kind: ColumnType) -> String {
    match (value, kind) {
        (AnyValue::Null, _) => "-".to_owned(),
        (AnyValue::Int64(cents), ColumnType::Money) => {
            let sign = if *cents < 0 { "-" } else { "" };
            format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
        }
        (AnyValue::Float64(number), _) => {
            let text = format!("{number:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        (value, _) => match value.str_value().as_ref() {
            "" => "\"\"".to_owned(),
            text => text.to_owned(),
        },
    }
}
