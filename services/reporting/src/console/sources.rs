//! Sources: how fresh each is, how far behind, whether its calls pass, and the rows that did not fit.

use ::jobs::poll::job_name;
use aggregator::{
    poll::quarantine,
    source::{SourceStatus, breaker::BreakerState},
};
use axum::{
    extract::{Path, State as Of},
    response::{Html, Response},
};
use form_urlencoded::Serializer;
use kit::error::ApiError;
use maud::{Markup, html};
use serde_json::json;

use super::{
    BASE,
    fault::Fault,
    guard::{Order, Visitor},
    home::source_state,
    jobs,
    layout::{Frame, Room, Tone, pill, token},
    query::Query,
    show,
};
use crate::{State, answer::AnswerError};

/// Rows in quarantine on one page.
const LINES: i64 = 50;

/// Every source.
pub(super) async fn page(Of(state): Of<State>, visitor: Visitor) -> Result<Html<String>, Fault> {
    let visitor = visitor.who_sees_operations()?;
    let statuses = state.aggregator.sources().status().await.map_err(AnswerError::from)?;
    let content = html! {
        div.head {
            h1 { "Sources" }
            p.lead { "What the services reported, and up to when. Every change before “complete through” is in the figures." }
        }
        div.grid { @for status in &statuses { (card(&state, &visitor, status)) } }
        (rollups(&state).await?)
    };
    Ok(Html(Frame::new(&visitor, Room::Sources, "Sources").page(&content).into_string()))
}

/// What is kept of views, so that reports need not compute it.
async fn rollups(state: &State) -> Result<Markup, Fault> {
    let rollups = state.aggregator.reports().rollups().await.map_err(AnswerError::from)?;
    Ok(html! {
        section {
            h2 #rollups { "Rollups" }
            p.soft { "Rows of views that are kept for days that have ended. What has changed since is computed from the lines until it is kept again." }
            @if !rollups.is_empty() {
                div.scroll tabindex="0" role="region" aria-labelledby="rollups" {
                    table {
                        thead { tr { th scope="col" { "View" } th scope="col" { "Days" } th scope="col" { "Changed since" } th scope="col" { "Rows" } th scope="col" { "Bytes" } th scope="col" { "Read by" } } }
                        tbody {
                            @for it in &rollups {
                                tr {
                                    th scope="row" { (it.title) }
                                    td.n { (show::integer(it.days)) } td.n { (show::integer(it.outdated)) }
                                    td.n { (show::integer(it.rows)) } td.n { (show::integer(it.bytes)) }
                                    td.wide { @for (place, report) in it.reports.iter().enumerate() { @if place > 0 { ", " } a href={ (BASE) "/reports/" (report) } { (report) } } }
                                }
                            }
                        }
                    }
                }
            }
        }
    })
}

fn card(state: &State, visitor: &Visitor, status: &SourceStatus) -> Markup {
    html! {
        section.card {
            div.bar { h2 { a href={ (BASE) "/sources/" (status.name) } { (show::words(&status.name)) } } (source_state(status)) }
            (facts(state, status))
            @if let Some(error) = &status.error { p.notice.bad { (error) } }
            @if visitor.session.role.operates() { (poll_form(visitor, &status.name)) }
        }
    }
}

fn facts(state: &State, status: &SourceStatus) -> Markup {
    let zone = state.config.time_zone;
    html! {
        dl.facts {
            dt { "Complete through" } dd { (show::maybe(status.complete_through, zone)) }
            dt { "Age" } dd { @if let Some(age) = status.age_seconds { (show::span(age)) } @else { "–" } }
            dt { "Last good poll" } dd { (show::maybe(status.last_success, zone)) }
            dt { "Its own lag" } dd { @if let Some(lag) = status.lag_seconds { (show::span(lag)) } @else { "–" } }
            @if let Some(version) = &status.zone_data {
                dt { "Zone data" }
                dd { (version) @if version != base::ZONE_DATA { " " (pill(Tone::Warn, &format!("{} here", base::ZONE_DATA))) } }
            }
            dt { "Calls" } dd { (breaker(status.breaker)) }
            @if status.failures > 0 { dt { "Failed in a row" } dd { (show::integer(status.failures)) } }
            dt { "In quarantine" } dd { (show::count(status.quarantined, "row", "rows")) }
        }
    }
}

fn breaker(state: BreakerState) -> Markup {
    match state {
        BreakerState::Closed => pill(Tone::Good, "pass"),
        BreakerState::HalfOpen => pill(Tone::Warn, "on trial"),
        BreakerState::Open => pill(Tone::Bad, "held back after failures"),
    }
}

fn poll_form(visitor: &Visitor, name: &str) -> Markup {
    html! {
        form method="post" action={ (BASE) "/sources/" (name) "/poll" } {
            (token(visitor)) button aria-label={ "Poll now: " (name) } { "Poll now" }
        }
    }
}

/// One source, with its quarantine.
pub(super) async fn one(
    Of(state): Of<State>,
    visitor: Visitor,
    Path(name): Path<String>,
    query: Query,
) -> Result<Html<String>, Fault> {
    let visitor = visitor.who_sees_operations()?;
    let statuses = state.aggregator.sources().status().await.map_err(AnswerError::from)?;
    let missing = || ApiError::not_found(format!("source `{name}`"));
    let status = statuses.iter().find(|status| status.name == name).ok_or_else(missing)?;
    let after = query.value("after").and_then(|text| text.parse().ok()).unwrap_or(0);
    let title = show::words(&name);
    let kept =
        if visitor.session.role.operates() { kept(&state, &visitor, status, after).await? } else { reserved(status) };
    let content = html! {
        div.head {
            nav.crumbs aria-label="Where this is" { a href={ (BASE) "/sources" } { "Sources" } }
            h1 { (title) " " (source_state(status)) }
            nav.tabs aria-label="This source" { a href={ (BASE) "/jobs/" (job_name(&name)) } { "Its polls" } }
        }
        @if let Some(error) = &status.error { p.notice.bad { (error) } }
        div.two {
            section.card { h2 { "How it is" } (facts(&state, status)) @if visitor.session.role.operates() { (poll_form(&visitor, &name)) } }
            section.card {
                h2 { "Datasets" }
                ul.list {
                    @for dataset in &status.datasets {
                        li {
                            code { (dataset) }
                            @for (absent, since) in status.absent.iter().filter(|(it, _)| it.split('.').next() == Some(dataset)) {
                                " " (pill(Tone::Warn, &format!("{absent} comes with version {since}")))
                            }
                            @if status.held.contains_key(dataset) { " " (pill(Tone::Warn, "held back")) }
                            @if let Some(rows) = status.quarantined_by_dataset.get(dataset) { " " (pill(Tone::Warn, &format!("{} in quarantine", show::integer(*rows)))) }
                        }
                    }
                }
            }
        }
        (kept)
    };
    Ok(Html(Frame::new(&visitor, Room::Sources, &title).page(&content).into_string()))
}

/// Nobody can say what stands in a row that does not fit, so only operators see it.
fn reserved(status: &SourceStatus) -> Markup {
    html! {
        @if status.quarantined > 0 {
            section { h2 { "Quarantine" } p { "Rows that do not fit their declaration are shown to operators." } }
        }
    }
}

async fn kept(state: &State, visitor: &Visitor, status: &SourceStatus, after: i64) -> Result<Markup, Fault> {
    let name = &status.name;
    let mut rows = quarantine::list(&state.pool, name, None, after, LINES + 1).await.map_err(AnswerError::from)?;
    let more = rows.len() > usize::try_from(LINES).unwrap_or_default();
    rows.truncate(usize::try_from(LINES).unwrap_or_default());
    let next = rows.last().filter(|_| more).map(|row| row.id);
    let zone = state.config.time_zone;
    Ok(html! {
        section {
            div.bar {
                h2 #quarantine { "Quarantine" }
                @if status.quarantined > 0 {
                    form method="post" action={ (BASE) "/sources/" (name) "/replay" } { (token(visitor)) button { "Read these datasets again" } }
                }
            }
            @if rows.is_empty() { p.soft { "Every row fits its declaration." } }
            @else {
                div.scroll tabindex="0" role="region" aria-labelledby="quarantine" {
                    table {
                        thead { tr { th scope="col" { "Dataset" } th scope="col" { "Column" } th scope="col" { "Why" } th scope="col" { "Row as it came" } th scope="col" { "Found" } } }
                        tbody {
                            @for row in &rows {
                                tr {
                                    th scope="row" { (row.dataset) } td { code { (row.column_name) } } td.wide { (row.reason) }
                                    td { details { summary { "Row " (row.row_number) } pre { (row.header) "\n" (row.raw) } } }
                                    td { (show::moment(row.found_at, zone)) }
                                }
                            }
                        }
                    }
                }
            }
            @if let Some(next) = next {
                @let query = Serializer::new(String::new()).append_pair("after", &next.to_string()).finish();
                nav.turn aria-label="Pages" { a.button rel="next" href={ "?" (query) } { "More" } }
            }
        }
    })
}

/// Polls a source now.
pub(super) async fn poll(Of(state): Of<State>, Path(name): Path<String>, _order: Order) -> Result<Response, Fault> {
    state.aggregator.sources().get(&name).map_err(AnswerError::from)?;
    jobs::enqueue(&state, &job_name(&name), json!({})).await
}

/// Reads the datasets that have rows in quarantine again, after their declaration was mended.
pub(super) async fn replay(Of(state): Of<State>, Path(name): Path<String>, _order: Order) -> Result<Response, Fault> {
    state.aggregator.sources().get(&name).map_err(AnswerError::from)?;
    jobs::enqueue(&state, &job_name(&name), json!({"replay": true})).await
}
