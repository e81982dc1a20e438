//! The rows as a table: sorted by a link, a page at a time, headed wherever one scrolls.

use aggregator::report::Report;
use exports::{Column, Kind};
use jobs::document::Document;
use kit::error::ApiError;
use maud::{Markup, html};
use polars::prelude::{DataFrame, SortMultipleOptions};

use super::{Ask, ROWS, View, broken, pages};
use crate::console::{fault::Fault, show};

/// The table of a document, in the order and from the page that is asked for.
pub(super) async fn rows(view: &View<'_>, document: &Document) -> Result<Markup, Fault> {
    let known = |name: &str| document.columns.iter().any(|column| column.name == name);
    if let Some((column, _)) = view.ask.sort.as_ref().filter(|(column, _)| !known(column)) {
        return Err(ApiError::bad_parameter("_sort", format!("there is no column `{column}`")).into());
    }
    let height = document.frame().height();
    let page = view.ask.page.min(pages(height));
    let first = (page - 1) * ROWS;
    let (frame, sort) = (document.frame().clone(), view.ask.sort.clone());
    let cut = tokio::task::spawn_blocking(move || cut(&frame, sort, first)).await.map_err(ApiError::internal)?;
    let shown = cut.map_err(broken)?;
    let sheet = Sheet {
        columns: &document.columns,
        units: document.columns.iter().map(|column| unit(view.report, column, &document.provenance.currency)).collect(),
        zone: view.state.config.time_zone,
    };
    Ok(html! {
        section.rows {
            div.bar {
                h2 #rows { "Rows" }
                p.soft {
                    @if height > ROWS { (show::integer(first as i64 + 1)) " to " (show::integer((first + shown.height()) as i64)) " of " }
                    (show::count(height as i64, "row", "rows"))
                }
                @if height > ROWS { (turning(view, page, pages(height))) }
            }
            div.scroll tabindex="0" role="region" aria-labelledby="rows" {
                table {
                    caption.sr { (document.provenance.title) ", " (show::count(height as i64, "row", "rows")) }
                    (sheet.head(view.ask, view.name))
                    tbody {
                        @for row in 0..shown.height() { (sheet.row(&shown, row)?) }
                        @if height == 0 {
                            tr.none { td colspan=(document.columns.len()) { "No rows for these parameters." } }
                        }
                    }
                }
            }
        }
    })
}

fn cut(frame: &DataFrame, sort: Option<(String, bool)>, first: usize) -> polars::prelude::PolarsResult<DataFrame> {
    let first = i64::try_from(first).unwrap_or(i64::MAX);
    match sort {
        None => Ok(frame.slice(first, ROWS)),
        Some((column, down)) => {
            let order = SortMultipleOptions::default().with_order_descending(down).with_nulls_last(true);
            // Equal values keep the report's order.
            Ok(frame.sort([column.as_str()], order.with_maintain_order(true))?.slice(first, ROWS))
        }
    }
}

/// The unit of a column: its own, or the currency.
pub(super) fn unit(report: Option<&Report>, column: &Column, currency: &str) -> Option<String> {
    let declared = report.and_then(|report| report.columns.iter().find(|it| it.name == column.name)?.unit.clone());
    // A count of pieces needs no unit.
    let declared = declared.filter(|unit| !column.title.eq_ignore_ascii_case(unit));
    declared.or_else(|| matches!(column.kind, Kind::Money { .. }).then(|| currency.to_owned()))
}

/// What the cells of a table are.
struct Sheet<'a> {
    columns: &'a [Column],
    units: Vec<Option<String>>,
    zone: base::Tz,
}

impl Sheet<'_> {
    fn head(&self, ask: &Ask, name: &str) -> Markup {
        html! {
            thead {
                tr {
                    @for (column, unit) in self.columns.iter().zip(&self.units) {
                        @let sorted = ask.sort.as_ref().filter(|(by, _)| *by == column.name).map(|(_, down)| *down);
                        @let direction = match sorted { Some(true) => Some("descending"), Some(false) => Some("ascending"), None => None };
                        // Figures are looked through from the top, names from their beginning.
                        @let down = sorted.map_or(is_number(column.kind), |down| !down);
                        th scope="col" class=[is_number(column.kind).then_some("n")] aria-sort=[direction] {
                            a href={ (ask.sorted(name, &column.name, down)) "#rows" } {
                                (column.title)
                                @if let Some(unit) = unit { span.unit { " " (unit) } }
                            }
                        }
                    }
                }
            }
        }
    }

    fn row(&self, frame: &DataFrame, row: usize) -> Result<Markup, Fault> {
        let mut cells = Vec::with_capacity(self.columns.len());
        for column in self.columns {
            let value = frame.column(&column.name).and_then(|cells| cells.get(row)).map_err(broken)?;
            cells.push((column, text(&value, column, self.zone)));
        }
        Ok(html! {
            tr {
                @for (at, (column, text)) in cells.iter().enumerate() {
                    @if at == 0 && column.kind == Kind::String {
                        th scope="row" class=[short(text)] { (text) }
                    } @else if is_number(column.kind) {
                        td class=(if text.starts_with('-') { "n neg" } else { "n" }) { (text) }
                    } @else {
                        td class=[short(text)] { (text) }
                    }
                }
            }
        })
    }
}

/// A text that stays on one line.
fn short(text: &str) -> Option<&'static str> {
    const LONGEST: usize = 32;
    (text.chars().count() <= LONGEST).then_some("short")
}

/// A value as text. A number that only names something is not grouped.
pub(in crate::console) fn text(value: &polars::prelude::AnyValue<'_>, column: &Column, zone: base::Tz) -> String {
    let text = show::cell(value, column.kind, zone);
    if is_name(column) { text.replace(',', "") } else { text }
}

/// Whether the numbers of a column are names: product 1204 is not one thousand two hundred and four.
fn is_name(column: &Column) -> bool {
    let whole = matches!(column.kind, Kind::Int32 | Kind::Int64);
    whole && (column.name.ends_with("_id") || column.name == "year" || column.title.ends_with("no."))
}

pub(in crate::console) fn is_number(kind: Kind) -> bool {
    matches!(kind, Kind::Int32 | Kind::Int64 | Kind::Float | Kind::Money { .. })
}

fn turning(view: &View<'_>, page: usize, last: usize) -> Markup {
    let to = |name: &str, target: usize, rel: Option<&str>| {
        let open = target >= 1 && target <= last && target != page;
        html! {
            @if open {
                a.button href={ (view.ask.turned(view.name, target)) "#rows" } rel=[rel] { (name) }
            } @else {
                span.button.off aria-hidden="true" { (name) }
            }
        }
    };
    html! {
        nav.turn aria-label="Pages of rows" {
            (to("First", 1, None))
            (to("Previous", page - 1, Some("prev")))
            span { "Page " (page) " of " (last) }
            (to("Next", page + 1, Some("next")))
            (to("Last", last, None))
        }
    }
}
