//! The catalogue: every report, by section, with a search.

use std::collections::BTreeMap;

use aggregator::{
    report::{ChartKind, Grain, Report},
    source::SourceStatus,
};
use axum::{extract::State as Of, response::Html};
use maud::{Markup, html};

use super::{
    BASE,
    fault::Fault,
    guard::Visitor,
    layout::{Frame, Room, Tone, pill},
    query::Query,
    show,
};
use crate::{State, answer::AnswerError};

/// The order of the shipped sections; others follow by name.
const SECTIONS: [&str; 5] = ["Sales", "Products", "Stock", "Customers", "Operations"];

/// Every report whose words hold all of those asked for.
pub(super) async fn page(Of(state): Of<State>, visitor: Visitor, query: Query) -> Result<Html<String>, Fault> {
    let wanted = query.value("q").unwrap_or_default();
    let statuses = state.aggregator.sources().status().await.map_err(AnswerError::from)?;
    let catalogue = state.aggregator.reports().catalogue();
    let mut sections: BTreeMap<(usize, &str), Vec<&Report>> = BTreeMap::new();
    let mut found = 0;
    for report in catalogue.reports().filter(|report| holds(report, wanted)) {
        let place = SECTIONS.iter().position(|section| *section == report.section).unwrap_or(SECTIONS.len());
        sections.entry((place, &report.section)).or_default().push(report);
        found += 1;
    }
    let broken: Vec<String> = catalogue.broken().values().flatten().map(ToString::to_string).collect();
    let content = html! {
        div.head {
            h1 { "Reports" }
            p.lead { "Computed on demand from the latest snapshot, and published every night as revisions that never change." }
        }
        form.search role="search" method="get" action={ (BASE) "/reports" } {
            label.sr for="q" { "Search the reports" }
            input #q type="search" name="q" value=(wanted) placeholder="Search: revenue, stock, customers …" data-filter autocomplete="off";
            button { "Search" }
            p.soft data-found role="status" { (show::count(found, "report", "reports")) }
        }
        @for message in broken { p.notice.bad { (message) } }
        @for ((_, section), reports) in &sections {
            section.shelf aria-labelledby=(section.to_lowercase()) {
                h2 #(section.to_lowercase()) { (section) }
                ul.cards { @for report in reports { (card(report, &statuses)) } }
            }
        }
        @if found == 0 {
            p.empty { "No report speaks of “" (wanted) "”. " a href={ (BASE) "/reports" } { "Show all" } }
        }
    };
    Ok(Html(Frame::new(&visitor, Room::Reports, "Reports").page(&content).into_string()))
}

fn card(report: &Report, statuses: &[SourceStatus]) -> Markup {
    let reads = |status: &&SourceStatus| status.datasets.iter().any(|dataset| report.datasets.contains(dataset));
    let stale: Vec<&str> =
        statuses.iter().filter(reads).filter(|status| status.stale).map(|status| status.name.as_str()).collect();
    html! {
        li.card data-words=(words(report)) {
            h3 { a href={ (BASE) "/reports/" (report.name) } { (report.title) } }
            p { (report.description) }
            p.meta.soft {
                (shape(report)) " · " (when(report))
                @if !stale.is_empty() { " " (pill(Tone::Warn, &format!("{} stale", stale.join(", ")))) }
            }
        }
    }
}

/// What the search looks through.
fn words(report: &Report) -> String {
    let columns: Vec<&str> = report.columns.iter().map(|column| column.title.as_str()).collect();
    format!("{} {} {} {} {}", report.name, report.title, report.description, report.section, columns.join(" "))
        .to_lowercase()
}

fn holds(report: &Report, wanted: &str) -> bool {
    let words = words(report);
    wanted.to_lowercase().split_whitespace().all(|word| words.contains(word))
}

fn shape(report: &Report) -> &'static str {
    match report.chart.as_ref().map(|chart| chart.kind) {
        Some(ChartKind::Bar) => "Bars",
        Some(ChartKind::Line) => "Line",
        Some(ChartKind::Pie) => "Shares",
        Some(ChartKind::Heatmap) => "Heat map",
        Some(ChartKind::Number) => "Figures",
        None => "Table",
    }
}

fn when(report: &Report) -> &'static str {
    match (&report.publish, report.grain) {
        (None, _) => "on demand",
        (Some(_), Grain::Day) => "published for every day",
        (Some(_), Grain::Snapshot) => "published every night",
    }
}
