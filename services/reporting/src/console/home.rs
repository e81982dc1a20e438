//! The first page: last night at a glance. What was published, how fresh the data are, what failed, what drifted.

mod night;

use std::collections::BTreeSet;

use aggregator::{
    publish::{self, OutdatedRevision, Revision},
    report::{ChartKind, Report},
    source::SourceStatus,
};
use axum::{extract::State as Of, response::Html};
use chrono::NaiveDate;
use jobs::{document, engine::RunRow};
use maud::{Markup, html};

use super::{
    BASE,
    fault::Fault,
    guard::Visitor,
    layout::{Frame, Room, Tone, pill, token},
    show,
};
use crate::{State, answer::AnswerError};
use night::{Finding, Night};

/// Last night at a glance.
pub(super) async fn page(Of(state): Of<State>, visitor: Visitor) -> Result<Html<String>, Fault> {
    let sources =
        async { state.aggregator.sources().status().await.map_err(|error| Fault::from(AnswerError::from(error))) };
    let (night, sources) = tokio::try_join!(Night::read(&state), sources)?;
    let operations = visitor.session.role.sees_operations();
    let content = html! {
        div.head {
            h1 { "Last night" }
            (headline(&state, &night))
        }
        (outdated(&visitor, &night))
        (figures(&state, &night).await?)
        div.grid.pairs {
            (freshness(&state, &sources, operations))
            (findings(&night))
            @if operations { (failures(&state, &night.failed)) }
            (restated(&state, &night))
        }
        (published(&state, &night))
    };
    Ok(Html(Frame::new(&visitor, Room::Home, "Last night").page(&content).into_string()))
}

fn headline(state: &State, night: &Night) -> Markup {
    let Some(day) = night.day else {
        return html! {
            p.lead { "Nothing has been published yet. The nightly run publishes each business day once its data are complete." }
        };
    };
    let (all, expected) = (night.current.len(), night.expected);
    let provisional = night.current.iter().filter(|revision| revision.state == publish::State::Provisional).count();
    let last = night.current.iter().map(|revision| revision.published_at).max();
    html! {
        p.lead {
            strong { (show::day(day)) } " "
            @if provisional == 0 { (pill(Tone::Good, "final")) } @else { (pill(Tone::Warn, "provisional")) }
            " " (all) " of " (show::count(count(expected), "report", "reports")) " published"
            @if let Some(last) = last { ", last at " (show::moment(last, state.config.time_zone)) }
            @if provisional > 0 { "; " (provisional) " still waiting for data" }
            "."
        }
        @if night.due != day {
            p.notice.warn role="status" { "Nothing has been published for " (show::day(night.due)) " yet: this is the last day there is." }
        } @else if all < expected {
            p.notice.warn role="status" { (show::count(count(expected - all), "report is", "reports are")) " missing: " (night.missing().join(", ")) "." }
        }
    }
}

/// What late rows have made outdated, and a button that publishes it again.
fn outdated(visitor: &Visitor, night: &Night) -> Markup {
    let days: BTreeSet<NaiveDate> = night.outdated.iter().map(|it| it.business_day).collect();
    let Some((first, last)) = days.first().zip(days.last()) else { return html! {} };
    html! {
        div.notice.warn role="status" {
            p {
                strong { (show::count(count(night.outdated.len()), "published figure is", "published figures are")) " outdated. " }
                "Rows have come for " (show::day(*first)) @if first != last { " to " (show::day(*last)) }
                " after those days could be published again by themselves."
            }
            details {
                summary { "Which" }
                ul.list {
                    @for OutdatedRevision { report, business_day, .. } in &night.outdated {
                        li {
                            a href={ (BASE) "/reports/" (report) "/revisions?business_day=" (business_day) } { (night.title(report)) }
                            " " span.soft { (show::day(*business_day)) }
                        }
                    }
                }
            }
            @if visitor.session.role.operates() {
                form method="post" action={ (BASE) "/jobs/restate/runs" } {
                    (token(visitor)) input type="hidden" name="outdated" value="true";
                    button { "Publish them again" }
                }
            }
        }
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The figures of the report that is made of figures, as published.
async fn figures(state: &State, night: &Night) -> Result<Markup, Fault> {
    let catalogue = state.aggregator.reports().catalogue();
    let is_figures = |report: &Report| report.chart.as_ref().is_some_and(|chart| chart.kind == ChartKind::Number);
    let Some(report) = catalogue.reports().find(|report| is_figures(report) && report.publish.is_some()) else {
        return Ok(html! {});
    };
    let Some(revision) = night.of(&report.name) else { return Ok(html! {}) };
    let rows = publish::revision_rows(&state.pool, &report.name, revision.business_day, Some(revision.revision));
    let document = document::of_published(&state.aggregator, rows.await.map_err(AnswerError::from)?);
    let tiles = super::report::tiles(state, report, &document)?;
    Ok(html! {
        section aria-labelledby="figures" {
            div.bar {
                h2 #figures { (report.title) }
                a href={ (BASE) "/reports/" (report.name) "?business_day=" (revision.business_day) } { "Revision " (revision.revision) }
            }
            (tiles)
        }
    })
}

fn freshness(state: &State, sources: &[SourceStatus], operations: bool) -> Markup {
    let zone = state.config.time_zone;
    html! {
        section.card {
            h2 { "Sources" }
            table.plain {
                caption.sr { "Freshness of each source" }
                thead.sr { tr { th scope="col" { "Source" } th scope="col" { "Complete through" } th scope="col" { "State" } } }
                tbody {
                    @for source in sources {
                        tr {
                            th scope="row" {
                                @if operations { a href={ (BASE) "/sources/" (source.name) } { (show::words(&source.name)) } }
                                @else { (show::words(&source.name)) }
                            }
                            td { (show::maybe(source.complete_through, zone)) }
                            td { (source_state(source)) }
                        }
                    }
                }
            }
        }
    }
}

/// How a source is, in one word.
pub(super) fn source_state(source: &SourceStatus) -> Markup {
    if source.quarantined > 0 {
        return pill(Tone::Warn, &format!("{} in quarantine", show::integer(source.quarantined)));
    }
    match (source.stale, source.failures) {
        (true, _) => pill(Tone::Bad, "stale"),
        (false, 1..) => pill(Tone::Warn, "failing"),
        (false, _) => pill(Tone::Good, "fresh"),
    }
}

fn findings(night: &Night) -> Markup {
    html! {
        section.card {
            h2 { "Checks" }
            @if night.findings.is_empty() { p.soft { "No check has been published for this day." } }
            @else {
                table.plain {
                    caption.sr { "What the checks of the day found" }
                    thead.sr { tr { th scope="col" { "Check" } th scope="col" { "Found" } } }
                    tbody {
                        @for Finding { report, title, day, found } in &night.findings {
                            tr {
                                th scope="row" { a href={ (BASE) "/reports/" (report) "?business_day=" (day) } { (title) } }
                                td {
                                    @if *found == 0 { (pill(Tone::Good, "agrees")) }
                                    @else { (pill(Tone::Bad, &format!("{} found", show::integer(count(*found))))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn failures(state: &State, failed: &[RunRow]) -> Markup {
    html! {
        section.card {
            h2 { "Failed since yesterday" }
            @if failed.is_empty() { p { (pill(Tone::Good, "nothing")) " Every run ended well." } }
            @else {
                ul.list {
                    @for run in failed {
                        li {
                            a href={ (BASE) "/runs/" (run.id) } { (run.job) } " "
                            span.soft { (show::maybe(run.finished_at, state.config.time_zone)) }
                            @if let Some(error) = &run.error { p.small.error { (error) } }
                        }
                    }
                }
            }
        }
    }
}

fn restated(state: &State, night: &Night) -> Markup {
    html! {
        section.card {
            h2 { "Restated in the last two days" }
            @if night.restated.is_empty() { p.soft { "No published figure has been superseded." } }
            @else {
                ul.list {
                    @for revision in &night.restated {
                        li {
                            a href={ (BASE) "/reports/" (revision.report) "/diff?business_day=" (revision.business_day) "&to=" (revision.revision) } {
                                (night.title(&revision.report))
                            }
                            " " span.soft {
                                (show::day(revision.business_day)) ", revision " (revision.revision) ", "
                                (show::moment(revision.published_at, state.config.time_zone))
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Every report of the day, with its revision and state.
fn published(state: &State, night: &Night) -> Markup {
    let zone = state.config.time_zone;
    let provisional = night.current.iter().any(|revision| revision.state == publish::State::Provisional);
    html! {
        @if !night.current.is_empty() {
            section {
                h2 #published { "Published for the day" }
                div.scroll tabindex="0" role="region" aria-labelledby="published" {
                    table {
                        thead {
                            tr {
                                th scope="col" { "Report" } th scope="col" { "State" } th.n scope="col" { "Revision" }
                                th.n scope="col" { "Rows" } th scope="col" { "Published" } @if provisional { th scope="col" { "Missing" } }
                            }
                        }
                        tbody { @for revision in &night.current { (line(night, revision, zone, provisional)) } }
                    }
                }
            }
        }
    }
}

fn line(night: &Night, revision: &Revision, zone: base::Tz, provisional: bool) -> Markup {
    let day: NaiveDate = revision.business_day;
    html! {
        tr {
            th scope="row" { a href={ (BASE) "/reports/" (revision.report) "?business_day=" (day) } { (night.title(&revision.report)) } }
            td { (super::revisions::state(revision)) }
            td.n { (revision.revision) }
            td.n { (show::integer(revision.row_count)) }
            td { (show::moment(revision.published_at, zone)) }
            @if provisional { td { (super::revisions::missing(&revision.missing)) } }
        }
    }
}
