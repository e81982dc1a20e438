//! Jobs: what is declared, when it comes next, what became of it, and running one now.

use ::jobs::engine::{Declaration, RunRow, history, job::Entry};
use axum::{
    extract::{Path, State as Of},
    response::{Html, IntoResponse, Redirect, Response},
};
use chrono::{DateTime, Utc};
use kit::error::ApiError;
use kit::page::{Limit, Page};
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::{
    BASE,
    fault::Fault,
    guard::{Order, Visitor},
    layout::{Frame, Room, older, token},
    query::Query,
    runs, show,
};
use crate::{
    State,
    answer::{self, AnswerError},
    runs as report_runs,
};

/// Runs on one page.
const LINES: Limit = Limit::of(50);

/// Coming occurrences that are shown.
const COMING: usize = 5;

/// The kind of a field that is chosen or not: a job takes it as a truth value.
const CHOSEN: &str = "checkbox";

/// A field of the form that starts a job.
struct Field {
    name: &'static str,
    title: &'static str,
    required: bool,
    kind: &'static str,
}

/// What a job of a kind may be asked; a field left empty is not sent.
fn fields(kind: &str) -> &'static [Field] {
    const DAY: Field = Field { name: "business_day", title: "Business day", required: false, kind: "date" };
    const FROM: Field = Field { name: "from", title: "First day", required: true, kind: "date" };
    const TO: Field = Field { name: "to", title: "Last day", required: true, kind: "date" };
    const OUTDATED: Field =
        Field { name: "outdated", title: "Also the days before the window", required: false, kind: CHOSEN };
    match kind {
        "nightly" | "export-pack" => &[DAY],
        "backfill" => &[FROM, TO],
        "restate" => &[OUTDATED],
        _ => &[],
    }
}

/// Whether a job is started here: a report's file is asked for at the report, with its parameters.
fn starts_here(kind: &str) -> bool {
    kind != report_runs::NAME
}

/// Every declared job.
pub(super) async fn page(Of(state): Of<State>, visitor: Visitor) -> Result<Html<String>, Fault> {
    let visitor = visitor.who_sees_operations()?;
    let mut lines = Vec::new();
    for entry in state.runner.registry().iter() {
        let last = history::page(&state.pool, &entry.declaration.name, None, 1).await.map_err(AnswerError::from)?;
        lines.push((entry, last.into_iter().next()));
    }
    let operates = visitor.session.role.operates();
    let content = html! {
        div.head {
            h1 { "Jobs" }
            p.lead { "An occurrence is a row: any number of replicas may try, one runs it, and what became of it stays." }
        }
        div.scroll tabindex="0" role="region" aria-label="Jobs" {
            table {
                caption.sr { "Jobs with their next and their latest run" }
                thead {
                    tr {
                        th scope="col" { "Job" } th scope="col" { "When" } th scope="col" { "Next" } th scope="col" { "Latest run" }
                        th scope="col" { "Took" } @if operates { th scope="col" { span.sr { "Run now" } } }
                    }
                }
                tbody { @for (entry, last) in &lines { (line(&state, &visitor, entry, last.as_ref())) } }
            }
        }
    };
    let frame = Frame::new(&visitor, Room::Jobs, "Jobs");
    Ok(Html(frame.page(&content).into_string()))
}

fn line(state: &State, visitor: &Visitor, entry: &Entry, last: Option<&RunRow>) -> Markup {
    let Declaration { name, cadence, .. } = &entry.declaration;
    let zone = state.config.time_zone;
    html! {
        tr {
            th scope="row" { a href={ (BASE) "/jobs/" (name) } { (name) } }
            td { (cadence.to_string()) }
            td { @if let Some(next) = cadence.next_after(Utc::now()) { (show::moment(next, zone)) } @else { span.soft { "on request" } } }
            td {
                @if let Some(run) = last {
                    a href={ (BASE) "/runs/" (run.id) } { (show::moment(run.scheduled_for, zone)) } " " (runs::status(run.status))
                } @else { span.soft { "never" } }
            }
            td { @if let Some(run) = last { (took(run)) } }
            @if visitor.session.role.operates() {
                td.act {
                    @if !starts_here(entry.kind) { span.soft { "from a report" } }
                    @else if fields(entry.kind).iter().any(|field| field.required) {
                        a.button href={ (BASE) "/jobs/" (name) } { "Run …" }
                    } @else {
                        form method="post" action={ (BASE) "/jobs/" (name) "/runs" } {
                            (token(visitor)) button aria-label={ "Run now: " (name) } { "Run now" }
                        }
                    }
                }
            }
        }
    }
}

fn took(run: &RunRow) -> Markup {
    html! { @if let Some((from, to)) = run.started_at.zip(run.finished_at) { (show::took(from, to)) } }
}

/// One job, with its runs.
pub(super) async fn one(
    Of(state): Of<State>,
    visitor: Visitor,
    Path(name): Path<String>,
    query: Query,
) -> Result<Html<String>, Fault> {
    let visitor = visitor.who_sees_operations()?;
    let entry = state.runner.registry().get(&name).map_err(AnswerError::from)?;
    let before = query.after::<(DateTime<Utc>, i64)>()?;
    let rows = history::page(&state.pool, &name, before, LINES.fetch()).await.map_err(AnswerError::from)?;
    let Page { items: rows, next } = Page::of(rows, LINES, |last| (last.scheduled_for, last.id));
    let going = before.is_none() && rows.iter().any(|run| !run.status.has_ended());
    let content = html! {
        div.head {
            nav.crumbs aria-label="Where this is" { a href={ (BASE) "/jobs" } { "Jobs" } }
            h1 { (name) }
        }
        div.two {
            (facts(&state, entry))
            @if visitor.session.role.operates() && starts_here(entry.kind) { (start_form(&visitor, entry)) }
        }
        section #runs data-live[going] {
            h2 { "Runs" }
            @if rows.is_empty() { p.empty { "It has not run yet." } }
            @else { (history_table(&state, &rows)) }
            (older(next.as_deref()))
        }
    };
    let mut frame = Frame::new(&visitor, Room::Jobs, &name);
    frame.again = going.then_some(5);
    Ok(Html(frame.page(&content).into_string()))
}

fn facts(state: &State, entry: &Entry) -> Markup {
    let Declaration { cadence, timeout, attempts, .. } = &entry.declaration;
    let mut coming = Vec::new();
    let mut at = Utc::now();
    while let Some(next) = cadence.next_after(at).filter(|_| coming.len() < COMING) {
        coming.push(next);
        at = next;
    }
    html! {
        section.card {
            h2 { "How it runs" }
            dl.facts {
                dt { "When" } dd { (cadence.to_string()) }
                dt { "At most" } dd { (show::span(i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX))) " per attempt" }
                dt { "Attempts" } dd { (attempts) }
                @if !coming.is_empty() {
                    dt { "Next" }
                    dd { ul.list { @for next in &coming { li { (show::moment(*next, state.config.time_zone)) } } } }
                }
            }
        }
    }
}

fn start_form(visitor: &Visitor, entry: &Entry) -> Markup {
    let name = &entry.declaration.name;
    html! {
        section.card {
            h2 { "Run it now" }
            form.stack method="post" action={ (BASE) "/jobs/" (name) "/runs" } {
                (token(visitor))
                @for field in fields(entry.kind) {
                    div.field {
                        label for={ "f-" (field.name) } {
                            (field.title) @if !field.required && field.kind != CHOSEN { span.soft { " (the last one when empty)" } }
                        }
                        input id={ "f-" (field.name) } type=(field.kind) name=(field.name) required[field.required]
                            value=[(field.kind == CHOSEN).then_some("true")];
                    }
                }
                button.primary { "Run now" }
            }
        }
    }
}

fn history_table(state: &State, rows: &[RunRow]) -> Markup {
    let zone = state.config.time_zone;
    html! {
        div.scroll tabindex="0" role="region" aria-label="Runs" {
            table {
                caption.sr { "Runs, the latest first" }
                thead {
                    tr {
                        th scope="col" { "Occurrence" } th scope="col" { "State" } th scope="col" { "Asked by" }
                        th.n scope="col" { "Attempt" } th scope="col" { "Took" } th scope="col" { "Outcome" }
                    }
                }
                tbody {
                    @for run in rows {
                        tr {
                            th scope="row" { a href={ (BASE) "/runs/" (run.id) } { (show::moment(run.scheduled_for, zone)) } }
                            td { (runs::status(run.status)) }
                            td { (if run.origin == "schedule" { "schedule" } else { "somebody" }) }
                            td.n { (run.attempt) }
                            td { (took(run)) }
                            td.wide { (runs::in_short(run)) }
                        }
                    }
                }
            }
        }
    }
}

/// Puts a run on the list, and shows it.
pub(super) async fn start(Of(state): Of<State>, Path(name): Path<String>, order: Order) -> Result<Response, Fault> {
    let kind = state.runner.registry().get(&name).map_err(AnswerError::from)?.kind;
    let mut arguments = Map::new();
    for (field, value) in order.fields {
        let Some(known) = fields(kind).iter().find(|known| known.name == field) else {
            return Err(ApiError::invalid(field, "this job takes no such field").into());
        };
        match value.trim() {
            "" => continue,
            value if known.kind == CHOSEN => arguments.insert(field, Value::Bool(value == "true")),
            value => arguments.insert(field, Value::String(value.to_owned())),
        };
    }
    enqueue(&state, &name, Value::Object(arguments)).await
}

/// Enqueues a run of a job, and redirects to it.
pub(super) async fn enqueue(state: &State, job: &str, arguments: Value) -> Result<Response, Fault> {
    let run = answer::jobs::start(&state.runner, job, &arguments).await?;
    Ok(Redirect::to(&format!("{BASE}/runs/{}", run.id)).into_response())
}
