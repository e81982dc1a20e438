//! What changed between two revisions of a day: the totals, the rows, by how much, and why.

use aggregator::publish::{self, Changed, Diff, PublishedColumn};
use axum::{
    extract::{Path, State as Of},
    response::Html,
};
use exports::Column;
use jobs::document;
use kit::error::ApiError;
use maud::{Markup, html};
use polars::prelude::DataFrame;

use super::{
    BASE,
    fault::Fault,
    guard::Visitor,
    layout::{Frame, Room},
    query::Query,
    report::{broken, is_number, text},
    revisions, show,
};
use crate::{State, answer::AnswerError};

/// Rows of each kind that a page shows.
const LINES: usize = 200;

/// The difference of a revision to the one before it, or to the one named.
pub(super) async fn page(
    Of(state): Of<State>,
    visitor: Visitor,
    Path(name): Path<String>,
    query: Query,
) -> Result<Html<String>, Fault> {
    let day = revisions::day(&query)?;
    let day = day.ok_or_else(|| ApiError::bad_parameter("business_day", "business_day is missing"))?;
    let number = |name| query.parsed::<i32>(name, "must be the number of a revision");
    let to = match number("to")? {
        Some(to) => to,
        None => publish::revision(&state.pool, &name, day, None).await.map_err(AnswerError::from)?.revision,
    };
    let from = number("from")?.unwrap_or(to.saturating_sub(1));
    if from < 1 || from >= to {
        return Err(ApiError::bad_parameter("from", format!("revision {from} is not before revision {to}")).into());
    }
    let catalogue = state.aggregator.reports().catalogue();
    let diff = publish::diff(&state.pool, &catalogue, &name, day, from, to).await.map_err(AnswerError::from)?;
    let decimals = diff.to.decimals();
    let titles = |columns: &[PublishedColumn]| document::columns(catalogue.get(&name), columns, decimals);
    let title = revisions::title(&catalogue, &name);
    let shown = Shown { zone: state.config.time_zone, currency: &diff.to.currency, decimals };
    let content = html! {
        div.head {
            nav.crumbs aria-label="Where this is" {
                a href={ (BASE) "/reports" } { "Reports" } a href={ (BASE) "/reports/" (name) } { (title) }
                a href={ (BASE) "/reports/" (name) "/revisions" } { "Revisions" }
            }
            h1 { (title) ": what changed" }
            p.lead {
                strong { (show::day(day)) } ", from "
                a href={ (BASE) "/reports/" (name) "?business_day=" (day) "&revision=" (from) } { "revision " (from) } " to "
                a href={ (BASE) "/reports/" (name) "?business_day=" (day) "&revision=" (to) } { "revision " (to) } ": "
                (show::count(count(diff.changed.differing.len()), "row", "rows")) " changed, "
                (show::integer(count(diff.added.height()))) " added, " (show::integer(count(diff.removed.height()))) " removed, "
                (show::integer(count(diff.unchanged))) " as before."
            }
        }
        (causes(&state, &diff))
        (columns(&diff))
        (shown.totals(&diff, &titles(&diff.columns)))
        (shown.changed(&diff.key, &diff.changed, &titles(&diff.changed.columns), &titles(&diff.changed.by_columns))?)
        (shown.rows("Rows added", &diff.added, &titles(&diff.columns))?)
        (shown.rows("Rows removed", &diff.removed, &titles(&diff.removed_columns))?)
        @if diff.changed.differing.is_empty() && diff.added.height() == 0 && diff.removed.height() == 0 {
            p.empty { "The rows are the same; only the state moved on." }
        }
    };
    Ok(Html(Frame::new(&visitor, Room::Reports, &format!("{title}: what changed")).page(&content).into_string()))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What made each revision on the way.
fn causes(state: &State, diff: &Diff) -> Markup {
    html! {
        section.card {
            h2 { "Why" }
            ol.list {
                @for step in &diff.causes {
                    li {
                        "Revision " (step.revision) ", " (show::moment(step.published_at, state.config.time_zone)) ", " (step.state.name())
                        @if step.cause.is_some() { (revisions::cause(step.cause.as_ref())) }
                        @else { ": no row came; the state moved on." }
                        (revisions::missing(&step.missing))
                    }
                }
            }
        }
    }
}

/// Columns that only one of the two has.
fn columns(diff: &Diff) -> Markup {
    html! {
        @if !diff.columns_added.is_empty() { p.notice.calm { "New columns: " (diff.columns_added.join(", ")) "." } }
        @if !diff.columns_removed.is_empty() { p.notice.calm { "Columns that are gone: " (diff.columns_removed.join(", ")) "." } }
    }
}

/// How values are shown.
struct Shown<'a> {
    zone: base::Tz,
    currency: &'a str,
    decimals: u8,
}

impl Shown<'_> {
    fn totals(&self, diff: &Diff, columns: &[Column]) -> Markup {
        let title =
            |name: &str| columns.iter().find(|it| it.name == name).map_or(name.to_owned(), |it| it.title.clone());
        let money = |minor| show::money(minor, self.decimals);
        let moved: Vec<_> = diff.totals.iter().filter(|total| total.from != total.to).collect();
        html! {
            @if !moved.is_empty() {
                section {
                    h2 #totals { "Totals" }
                    div.scroll tabindex="0" role="region" aria-labelledby="totals" {
                        table {
                            thead { tr { th scope="col" { "Amount" span.unit { " " (self.currency) } } th.n scope="col" { "Before" } th.n scope="col" { "After" } th.n scope="col" { "By" } } }
                            tbody {
                                @for total in moved {
                                    tr {
                                        th scope="row" { (title(&total.column)) }
                                        td.n { (money(total.from)) } td.n { (money(total.to)) }
                                        td.n { (by(&money(total.to.saturating_sub(total.from)))) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    /// One line per value that changed.
    fn changed(
        &self,
        key: &[String],
        changed: &Changed,
        columns: &[Column],
        by_columns: &[Column],
    ) -> Result<Markup, Fault> {
        let mut lines = Vec::new();
        for (row, differing) in changed.differing.iter().enumerate().take(LINES) {
            let named = columns.iter().filter(|column| key.contains(&column.name));
            let name: Vec<String> = named.map(|it| self.cell(&changed.before, it, row)).collect::<Result<_, _>>()?;
            for (at, column) in columns.iter().filter(|column| differing.contains(&column.name)).enumerate() {
                let difference = by_columns.iter().find(|it| it.name == column.name);
                let difference = difference.map(|it| self.cell(&changed.by, it, row)).transpose()?;
                let (before, after) =
                    (self.cell(&changed.before, column, row)?, self.cell(&changed.after, column, row)?);
                lines.push((at == 0, name.join(" · "), &column.title, before, after, difference));
            }
        }
        Ok(html! {
            @if !lines.is_empty() {
                section {
                    h2 #changed { "Rows changed" }
                    @if changed.differing.len() > LINES { p.soft { "The first " (LINES) " of " (changed.differing.len()) "." } }
                    div.scroll tabindex="0" role="region" aria-labelledby="changed" {
                        table {
                            thead { tr { th scope="col" { "Row" } th scope="col" { "Column" } th.n scope="col" { "Before" } th.n scope="col" { "After" } th.n scope="col" { "By" } } }
                            tbody {
                                @for (first, name, title, before, after, difference) in &lines {
                                    tr class=[first.then_some("first")] {
                                        th scope="row" { @if *first { (if name.is_empty() { "The one row" } else { name }) } @else { span.sr { (name) } } }
                                        td { (title) } td.n { (before) } td.n { (after) }
                                        td.n { @if let Some(difference) = difference { (by(difference)) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        })
    }

    fn rows(&self, heading: &str, frame: &DataFrame, columns: &[Column]) -> Result<Markup, Fault> {
        let height = frame.height();
        let mut lines = Vec::new();
        for row in 0..height.min(LINES) {
            lines.push(columns.iter().map(|it| self.cell(frame, it, row)).collect::<Result<Vec<_>, _>>()?);
        }
        Ok(html! {
            @if height > 0 {
                section {
                    h2 { (heading) }
                    @if height > LINES { p.soft { "The first " (LINES) " of " (height) "." } }
                    div.scroll tabindex="0" role="region" aria-label=(heading) {
                        table {
                            thead { tr { @for column in columns { th scope="col" class=[is_number(column.kind).then_some("n")] { (column.title) } } } }
                            tbody {
                                @for line in &lines {
                                    tr { @for (text, column) in line.iter().zip(columns) { td class=[is_number(column.kind).then_some("n")] { (text) } } }
                                }
                            }
                        }
                    }
                }
            }
        })
    }

    fn cell(&self, frame: &DataFrame, column: &Column, row: usize) -> Result<String, Fault> {
        let value = frame.column(&column.name).and_then(|cells| cells.get(row)).map_err(broken)?;
        Ok(text(&value, column, self.zone))
    }
}

/// A difference with its sign.
fn by(difference: &str) -> Markup {
    let down = difference.starts_with('-');
    let zero = !difference.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    html! {
        @if down || zero || difference.is_empty() { span class=[down.then_some("neg")] { (difference) } }
        @else { span.pos { "+" (difference) } }
    }
}
