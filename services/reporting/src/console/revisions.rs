//! What was published of a report: every revision of every day.

use aggregator::{
    publish::{self, Missing, Reason, Revision},
    report::Catalogue,
};
use axum::{
    extract::{Path, State as Of},
    response::Html,
};
use chrono::NaiveDate;
use kit::error::ApiError;
use kit::page::{Limit, Page};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    BASE,
    fault::Fault,
    guard::Visitor,
    layout::{Frame, Room, Tone, older, pill},
    query::Query,
    show,
};
use crate::{State, answer::AnswerError};

/// Revisions on one page.
const LINES: Limit = Limit::of(60);

/// The revisions of a report, the newest day first.
pub(super) async fn page(
    Of(state): Of<State>,
    visitor: Visitor,
    Path(name): Path<String>,
    query: Query,
) -> Result<Html<String>, Fault> {
    let day = self::day(&query)?;
    let before = query.after::<(NaiveDate, i32)>()?;
    let found = publish::revisions(&state.pool, &name, day, before, LINES.fetch()).await.map_err(AnswerError::from)?;
    let catalogue = state.aggregator.reports().catalogue();
    if found.is_empty() && catalogue.get(&name).is_none() {
        return Err(ApiError::not_found(format!("report `{name}`")).into());
    }
    let title = title(&catalogue, &name);
    let Page { items: shown, next } = Page::of(found, LINES, |last| (last.business_day, last.revision));
    let content = html! {
        div.head {
            nav.crumbs aria-label="Where this is" { a href={ (BASE) "/reports" } { "Reports" } a href={ (BASE) "/reports/" (name) } { (title) } }
            h1 { (title) ": revisions" }
            p.lead { "Each is what was published on a date. The database refuses to change one; a late fact makes the next." }
            nav.tabs aria-label="This report" {
                a href={ (BASE) "/reports/" (name) } { "Now" }
                a href={ (BASE) "/reports/" (name) "/revisions" } aria-current="page" { "Published revisions" }
            }
        }
        form.search method="get" {
            span.pair { label for="day" { "Business day" } input #day type="date" name="business_day" value=[day]; }
            button { "Show" }
            @if day.is_some() { a href={ (BASE) "/reports/" (name) "/revisions" } { "All days" } }
        }
        @if shown.is_empty() { p.empty { "Nothing has been published" @if let Some(day) = day { " for " (show::day(day)) } "." } }
        @else {
            div.scroll tabindex="0" role="region" aria-label="Revisions" {
                table {
                    caption.sr { "Revisions of " (title) ", the newest day first" }
                    thead {
                        tr {
                            th scope="col" { "Business day" } th.n scope="col" { "Revision" } th scope="col" { "State" }
                            th scope="col" { "Published" } th.n scope="col" { "Rows" } th scope="col" { "Why" } th scope="col" { "Compare" }
                        }
                    }
                    tbody { @for revision in &shown { (line(&state, &name, revision)) } }
                }
            }
            (older(next.as_deref()))
        }
    };
    Ok(Html(Frame::new(&visitor, Room::Reports, &format!("{title}: revisions")).page(&content).into_string()))
}

/// The day that is asked for.
pub(super) fn day(query: &Query) -> Result<Option<NaiveDate>, ApiError> {
    query.parsed("business_day", "must be a date such as 2026-03-08")
}

/// What people call a report; what was published of one that has left the catalogue goes by its name.
pub(super) fn title<'a>(catalogue: &'a Catalogue, name: &'a str) -> &'a str {
    catalogue.get(name).map_or(name, |report| report.title.as_str())
}

fn line(state: &State, name: &str, revision: &Revision) -> Markup {
    let (day, number) = (revision.business_day, revision.revision);
    html! {
        tr {
            th.short scope="row" { a href={ (BASE) "/reports/" (name) "?business_day=" (day) "&revision=" (number) } { (show::day(day)) } }
            td.n { (number) }
            td { (self::state(revision)) }
            td { (show::moment(revision.published_at, state.config.time_zone)) }
            td.n { (show::integer(revision.row_count)) }
            td {
                (cause(revision.cause.as_ref())) (missing(&revision.missing))
                (outdated(revision, state.config.time_zone))
            }
            td { @if number > 1 { a href={ (BASE) "/reports/" (name) "/diff?business_day=" (day) "&to=" (number) } { "with " (number - 1) } } }
        }
    }
}

/// The state of a revision.
pub(super) fn state(revision: &Revision) -> Markup {
    let tone = if revision.state == publish::State::Final { Tone::Good } else { Tone::Warn };
    html! {
        (pill(tone, revision.state.name()))
        @if revision.outdated.is_some() { " " (pill(Tone::Bad, "outdated")) }
    }
}

/// Since when a revision is outdated, and by what.
fn outdated(revision: &Revision, zone: base::Tz) -> Markup {
    html! {
        @if let Some(outdated) = &revision.outdated {
            p.small { "Outdated since " (show::moment(outdated.since, zone)) " by" }
            (cause(Some(&outdated.by)))
        }
    }
}

/// What a provisional revision lacks.
pub(super) fn missing(missing: &[Missing]) -> Markup {
    let said = missing.iter().map(|it| match (it.reason, &it.dataset) {
        (Reason::Incomplete, _) => format!("{} not complete", it.source),
        (Reason::Quarantined, Some(dataset)) => format!("rows of {dataset} in quarantine"),
        (Reason::Quarantined, None) => format!("rows of {} in quarantine", it.source),
    });
    html! { span.soft { (said.collect::<Vec<_>>().join("; ")) } }
}

/// Which rows made a revision.
pub(super) fn cause(cause: Option<&Value>) -> Markup {
    let Some(Value::Array(parts)) = cause else { return html! {} };
    let number = |part: &Value, name: &str| part[name].as_i64().unwrap_or_default();
    html! {
        ul.causes {
            @for part in parts {
                li {
                    (part["source"].as_str().unwrap_or_default()) ", " (show::words(part["dataset"].as_str().unwrap_or_default()).to_lowercase()) ": "
                    @let said = [("added", number(part, "added")), ("changed", number(part, "changed")), ("removed", number(part, "removed"))];
                    @let said: Vec<String> = said.iter().filter(|(_, rows)| *rows > 0).map(|(what, rows)| format!("{} {what}", show::integer(*rows))).collect();
                    (said.join(", "))
                }
            }
        }
    }
}
