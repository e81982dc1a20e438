//! The descriptions of the shipped reports: complete enough to write the SQL by them, and true.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use polars::prelude::{DataType, IntoLazy as _, col, lit};
use sqlparser::ast::{Expr, OrderByExpr, OrderByKind, visit_expressions};

use super::by_hand::COMPUTED;
use super::company::{Frames, catalogue, compute, frames};
use crate::report::language::compile::Report;
use crate::report::language::header::Grain;

/// The texts of a reference set that tell things apart, or that figures follow from; all others are names.
const IDENTITIES: [&str; 4] = ["code", "sku", "kind", "time_zone"];

fn order(report: &Report) -> &[OrderByExpr] {
    match report.query.order_by.as_ref().map(|order| &order.kind) {
        Some(OrderByKind::Expressions(by)) => by,
        _ => &[],
    }
}

/// The columns that a term of ORDER BY names.
fn named(term: &OrderByExpr) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let visited = visit_expressions(&term.expr, |expression| {
        if let Expr::Identifier(name) = expression {
            names.insert(name.value.clone());
        }
        ControlFlow::<()>::Continue(())
    });
    assert!(visited.is_continue());
    names
}

#[test]
fn each_column_is_described() {
    let catalogue = catalogue();
    let columns = catalogue.reports().flat_map(|report| report.columns.iter().map(|column| (&report.name, column)));
    let silent: Vec<_> =
        columns.filter(|(_, it)| it.note.is_none()).map(|(name, it)| format!("{name}.{}", it.name)).collect();
    assert!(silent.is_empty(), "no note: {silent:?}");
}

#[test]
fn each_description_tells_which_rows_there_are_in_which_order_and_what_becomes_of_ties() {
    let catalogue = catalogue();
    let mut faults = Vec::new();
    for report in catalogue.reports() {
        let (name, description) = (&report.name, &report.description);
        if report.key.is_empty() {
            assert!(description.contains("One row"), "{name}: {description}");
            continue;
        }
        let title = |column: &str| report.columns.iter().find(|it| it.name == column).map(|it| it.title.to_lowercase());
        let (Some((rows, order_text)), terms) = (description.split_once("Order: "), order(report)) else {
            faults.push(format!("{name}: no \"Order: \" in \"{description}\""));
            continue;
        };
        if !rows.contains("A row for each") {
            faults.push(format!("{name}: does not tell which rows there are"));
        }
        // What tells ties apart may stand at the first column itself, such as a place.
        let first = named(&terms[0]).into_iter().find_map(|it| report.columns.iter().find(|column| column.name == it));
        let order_text =
            format!("{order_text} {}", first.and_then(|it| it.note.as_deref()).unwrap_or_default()).to_lowercase();
        let mut rest = order_text.as_str();
        for term in terms {
            for title in named(term).iter().filter_map(|column| title(column)) {
                let Some((_, after)) = rest.split_once(&title) else {
                    faults.push(format!("{name}: \"{title}\" does not come next in \"{order_text}\""));
                    continue;
                };
                rest = after;
                let descends = term.options.asc == Some(false);
                if descends != rest.starts_with(", most first") {
                    faults.push(format!("{name}: \"{title}\" descends: {descends}; the text is \"{order_text}\""));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_an_empty_cell_means_is_described_where_there_are_any() {
    let catalogue = catalogue();
    let mut silent = BTreeSet::new();
    let mut described = BTreeSet::new();
    for case in COMPUTED.iter() {
        for column in &catalogue.get(case.report).unwrap().columns {
            if case.computed.column(&column.name).unwrap().null_count() > 0 {
                let tells = column.note.as_deref().is_some_and(|note| note.to_lowercase().contains("empty"));
                let side = if tells { &mut described } else { &mut silent };
                side.insert(format!("{}.{}", case.report, column.name));
            }
        }
    }
    assert!(silent.is_empty(), "an empty cell, and nothing said of it: {silent:?}");
    assert!(described.len() > 20, "{described:?}");
}

/// The frames with other names in all reference sets.
fn renamed(frames: &Frames) -> Frames {
    let mut renamed = frames.clone();
    for (name, frame) in &mut renamed {
        // A cart's status is no name.
        if name == "carts" || frame.schema().contains("business_day") {
            continue;
        }
        let is_name = |column: &str, kind: &DataType| *kind == DataType::String && !IDENTITIES.contains(&column);
        let names: Vec<_> =
            frame.schema().iter().filter(|(name, kind)| is_name(name, kind)).map(|it| it.0.clone()).collect();
        let others = names.into_iter().map(|name| (lit("another ") + col(name.clone())).alias(name));
        *frame = frame.clone().lazy().with_columns(others.collect::<Vec<_>>()).collect().unwrap();
    }
    renamed
}

#[test]
fn names_of_references_are_labels_and_no_part_of_a_days_figures() {
    let (catalogue, frames) = (catalogue(), frames());
    let renamed = renamed(&frames);
    let always = [("from", "2023-01-01"), ("to", "2026-12-31")];
    let facts = |dataset: &String| frames[dataset].schema().contains("business_day");
    let (mut named, mut marked) = (BTreeSet::new(), BTreeSet::new());
    for report in catalogue.reports().filter(|it| it.grain == Grain::Day && !it.datasets.iter().all(facts)) {
        let run = |frames| compute(&catalogue, frames, &report.name, &always).unwrap();
        let (then, now) = (run(&frames), run(&renamed));
        assert_eq!(then.height(), now.height(), "{}", report.name);
        for column in &report.columns {
            let name = format!("{}.{}", report.name, column.name);
            if !then.column(&column.name).unwrap().equals_missing(now.column(&column.name).unwrap()) {
                named.insert(name.clone());
            }
            if column.label {
                marked.insert(name);
            }
        }
    }
    assert_eq!(marked, named, "`label = true` marks what a reference names, and nothing else");
    assert!(marked.contains("store_performance.store_name"), "{marked:?}");
}
