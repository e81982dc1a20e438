//! One run of a job, as it goes and after it has ended: progress, outcome, attempts, log.

use ::jobs::engine::{
    RunRow, RunStatus,
    history::{self, AttemptRow, LogLine},
};
use axum::{
    extract::{Path, State as Of},
    response::{Html, IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use serde_json::Value;

use super::{
    BASE,
    fault::Fault,
    guard::{Order, Visitor},
    layout::{Frame, Room, Tone, pill, token},
    show,
};
use crate::{State, answer::AnswerError};

/// A run with all that is kept of it.
pub(super) async fn page(Of(state): Of<State>, visitor: Visitor, Path(id): Path<i64>) -> Result<Html<String>, Fault> {
    let visitor = visitor.who_sees_operations()?;
    let run = history::get(&state.pool, id).await.map_err(AnswerError::from)?;
    let attempts = history::attempts(&state.pool, id).await.map_err(AnswerError::from)?;
    let lines = history::log_lines(&state.pool, id).await.map_err(AnswerError::from)?;
    let going = !run.status.has_ended();
    let title = format!("{}, run {id}", run.job);
    let content = html! {
        div.head {
            nav.crumbs aria-label="Where this is" { a href={ (BASE) "/jobs" } { "Jobs" } a href={ (BASE) "/jobs/" (run.job) } { (run.job) } }
            h1 { (run.job) span.soft { " run " (id) } }
        }
        // A screen reader announces the status of the run, and not its whole log again with each line.
        p.sr role="status" data-said {}
        div #run data-live[going] {
            (summary(&state, &run))
            div.two {
                (facts(&state, &run))
                (outcome(&run))
            }
            (attempts_table(&state, &attempts))
            (log(&state, &lines))
        }
        @if going && visitor.session.role.operates() {
            form method="post" action={ (BASE) "/runs/" (id) "/cancel" } { (token(&visitor)) button.danger { "Cancel this run" } }
        }
    };
    let mut frame = Frame::new(&visitor, Room::Jobs, &title);
    frame.again = going.then_some(3);
    Ok(Html(frame.page(&content).into_string()))
}

/// The state of a run, in its own word.
pub(super) fn status(status: RunStatus) -> Markup {
    let tone = match status {
        RunStatus::Succeeded => Tone::Good,
        RunStatus::Failed => Tone::Bad,
        RunStatus::Running => Tone::Busy,
        RunStatus::Waiting => Tone::Warn,
        RunStatus::Queued | RunStatus::Skipped | RunStatus::Cancelled => Tone::Calm,
    };
    pill(tone, status.name())
}

fn summary(state: &State, run: &RunRow) -> Markup {
    html! {
        p.lead {
            (status(run.status)) " "
            @match (run.started_at, run.finished_at) {
                (Some(from), Some(to)) => { "in " (show::took(from, to)) ", " (show::moment(to, state.config.time_zone)) }
                (Some(from), None) => { "since " (show::moment(from, state.config.time_zone)) }
                (None, Some(to)) => (show::moment(to, state.config.time_zone)),
                (None, None) => "not begun yet",
            }
        }
        @if let Some(progress) = &run.progress {
            @let (done, total) = (progress["done"].as_u64().unwrap_or_default(), progress["total"].as_u64().unwrap_or_default());
            @if total > 0 && !run.status.has_ended() {
                label.progress { span { (done) " of " (total) " " span.soft { (progress["at"].as_str().unwrap_or_default()) } } progress max=(total) value=(done) {} }
            }
        }
        @if let Some(error) = &run.error { p.notice.bad { (error) } }
        @if let Some(note) = &run.note { p.notice.calm { (note) } }
    }
}

fn facts(state: &State, run: &RunRow) -> Markup {
    let zone = state.config.time_zone;
    html! {
        section.card {
            h2 { "What was asked" }
            dl.facts {
                dt { "Occurrence" } dd { (show::moment(run.scheduled_for, zone)) }
                dt { "Asked by" } dd { (if run.origin == "schedule" { "the schedule" } else { "somebody" }) }
                dt { "Attempts" } dd { (run.attempt) }
                @for (name, value) in members(&run.arguments) { dt { (show::words(name)) } dd { (plain(value)) } }
            }
        }
    }
}

fn outcome(run: &RunRow) -> Markup {
    let Some(outcome) = &run.outcome else { return html! {} };
    html! {
        section.card {
            h2 { "What came of it" }
            dl.facts { @for (name, value) in members(outcome) { dt { (show::words(name)) } dd { (plain(value)) } } }
        }
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// A value of an outcome as people read it.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        Value::Number(number) => number.as_i64().map_or_else(|| number.to_string(), show::integer),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| format!("{} {}", show::words(name).to_lowercase(), plain(value)))
            .collect::<Vec<_>>()
            .join(", "),
    }
}

/// An outcome, or a failure, in a line.
pub(super) fn in_short(run: &RunRow) -> Markup {
    const NUMBERS: usize = 4;
    html! {
        @if let Some(error) = &run.error { span.error { (error) } }
        @else if let Some(note) = &run.note { span.soft { (note) } }
        @else if let Some(outcome) = &run.outcome {
            @let numbers = members(outcome).filter(|(_, value)| value.as_i64().is_some_and(|number| number != 0));
            @let said: Vec<String> = numbers.take(NUMBERS).map(|(name, value)| format!("{} {}", show::words(name).to_lowercase(), plain(value))).collect();
            span.soft { @if said.is_empty() { "nothing new" } @else { (said.join(", ")) } }
        }
    }
}

fn attempts_table(state: &State, attempts: &[AttemptRow]) -> Markup {
    let zone = state.config.time_zone;
    html! {
        @if attempts.len() > 1 {
            section {
                h2 #attempts { "Attempts" }
                div.scroll tabindex="0" role="region" aria-labelledby="attempts" {
                    table {
                        thead { tr { th.n scope="col" { "Attempt" } th scope="col" { "Replica" } th scope="col" { "Began" } th scope="col" { "Ended" } th scope="col" { "How" } } }
                        tbody {
                            @for attempt in attempts {
                                tr {
                                    td.n { (attempt.attempt) } td { (attempt.owner) } td { (show::moment(attempt.started_at, zone)) }
                                    td { @if let Some(ended) = attempt.ended_at { (show::moment(ended, zone)) } }
                                    td.wide { (attempt.ending.as_deref().unwrap_or("going on")) @if let Some(reason) = &attempt.reason { ": " (reason) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn log(state: &State, lines: &[LogLine]) -> Markup {
    let zone = state.config.time_zone;
    html! {
        section {
            h2 { "Log" }
            @if lines.is_empty() { p.soft { "It has said nothing." } }
            @else {
                ol.log tabindex="0" aria-label="Log lines" {
                    @for line in lines { li { time datetime=(line.at.to_rfc3339()) { (line.at.with_timezone(&zone).format("%H:%M:%S").to_string()) } " " (line.line) } }
                }
            }
        }
    }
}

/// Cancels a run.
pub(super) async fn cancel(Of(state): Of<State>, Path(id): Path<i64>, _order: Order) -> Result<Response, Fault> {
    history::cancel(&state.pool, id).await.map_err(AnswerError::from)?;
    Ok(Redirect::to(&format!("{BASE}/runs/{id}")).into_response())
}
