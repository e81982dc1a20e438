//! The page of one report: its parameters, its chart, its rows, where they come from, and how to take them along.

mod ask;
mod chart;
mod figures;
mod heat;
mod provenance;
mod table;

use std::sync::Arc;

use aggregator::report::{self, Asker, ChartKind, Report};
use axum::{
    extract::{Path, RawQuery, State as Of},
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse, Response},
};
use jobs::document::Document;
use kit::error::ApiError;
use maud::{Markup, html};

use super::{
    BASE,
    download::{self, Wanted},
    fault::Fault,
    form,
    guard::Visitor,
    layout::{Frame, Room, Tone, pill, sentence},
    show,
};
use crate::{
    State,
    answer::{AnswerError, ReportRequest},
};
pub(super) use ask::Ask;
use ask::ROWS;
pub(super) use figures::tiles;
pub(super) use provenance::values;
pub(super) use table::{is_number, text};

/// One report, computed now or as it was published.
pub(super) async fn page(
    Of(state): Of<State>,
    visitor: Visitor,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    let ask = Ask::read(query.as_deref().unwrap_or_default())?;
    let catalogue = state.aggregator.reports().catalogue();
    let report = catalogue.get(&name).map(Arc::clone);
    let asker = Asker::consumer(Some(&visitor.session.consumer));
    let document = document(&state, &name, &ask, asker).await;
    let (document, refused) = match (document, report.is_some()) {
        (Ok(document), _) => (Some(document), None),
        // A refusal is shown beside its field, and what was entered stays.
        (
            Err(error @ (AnswerError::Parameter { .. } | AnswerError::Request { .. } | AnswerError::TooLarge { .. })),
            true,
        ) => (None, Some(ApiError::from(error))),
        (Err(error), _) => return Err(error.into()),
    };
    let title = document.as_ref().map(|document| document.provenance.title.clone());
    let title = title.or_else(|| report.as_ref().map(|report| report.title.clone())).unwrap_or(name.clone());
    let view = View { state: &state, name: &name, report: report.as_deref(), ask: &ask };
    let body = view.body(document, refused.as_ref(), &headers).await?;
    let mut frame = Frame::new(&visitor, Room::Reports, &title);
    frame.charts = body.charts;
    let status = if refused.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok((status, Html(frame.page(&body.content).into_string())).into_response())
}

/// The rows, from what is at hand or made now.
async fn document(state: &State, name: &str, ask: &Ask, asker: Asker) -> Result<Document, AnswerError> {
    let answers = &state.answers;
    let request = match ask.published {
        Some((day, revision)) => ReportRequest::published(answers, name, day, revision).await?,
        None => ReportRequest::computed(answers, name, &ask.parameters, ask.snapshot).await?,
    };
    if let Some(cached) = request.cached(answers).await {
        return Ok(cached);
    }
    request.by(asker).document(answers).await
}

/// What is shown of which report.
struct View<'a> {
    state: &'a State,
    name: &'a str,
    /// `None` for a report that has left the catalogue; what was published of it stays readable.
    report: Option<&'a Report>,
    ask: &'a Ask,
}

/// The content of a page, and whether the chart library draws in it.
struct Body {
    content: Markup,
    charts: bool,
}

impl View<'_> {
    async fn body(
        &self,
        document: Option<Document>,
        refused: Option<&ApiError>,
        headers: &HeaderMap,
    ) -> Result<Body, Fault> {
        let drawn = match &document {
            Some(document) => self.drawn(document)?,
            None => Drawn::default(),
        };
        let charts = drawn.library;
        let rows = match &document {
            Some(document) => Some(table::rows(self, document).await?),
            None => None,
        };
        let resolved = document.as_ref().map(|document| &document.provenance.parameters);
        let content = html! {
            (self.heading(document.as_ref()))
            @if let Some(document) = &document { (self.notices(document)) }
            @if self.ask.published.is_none() && let Some(report) = self.report {
                (form::parameters(self.state, report, self.ask, resolved, refused.map(ApiError::problem).as_ref()))
            }
            (drawn.markup)
            @if let Some(rows) = rows { (rows) }
            @if let Some(document) = &document {
                div.two {
                    (download::section(&Wanted::of(self.name, self.ask, document), headers))
                    (provenance::section(self.state, document))
                }
            }
            @if let Some(report) = self.report { (definitions(report, self.state.config.currency)) }
        };
        Ok(Body { content, charts })
    }

    fn heading(&self, document: Option<&Document>) -> Markup {
        let title = document.map(|it| it.provenance.title.as_str()).or(self.report.map(|report| report.title.as_str()));
        let published = self.report.is_none_or(|report| report.publish.is_some());
        html! {
            div.head {
                nav.crumbs aria-label="Where this is" {
                    a href={ (BASE) "/reports" } { "Reports" }
                    @if let Some(report) = self.report {
                        a href={ (BASE) "/reports#" (report.section.to_lowercase()) } { (report.section) }
                    }
                }
                h1 { (title.unwrap_or(self.name)) }
                @if let Some(report) = self.report { p.lead { (report.description) } }
                @if published {
                    nav.tabs aria-label="This report" {
                        a href={ (BASE) "/reports/" (self.name) } aria-current=[self.ask.published.is_none().then_some("page")] { "Now" }
                        @if let Some((day, _)) = self.ask.published {
                            a href="" aria-current="page" { "As published for " (show::day(day)) }
                        }
                        a href={ (BASE) "/reports/" (self.name) "/revisions" } { "Published revisions" }
                    }
                }
            }
        }
    }

    /// What a reader must know before believing a figure.
    fn notices(&self, document: &Document) -> Markup {
        let provenance = &document.provenance;
        let zone = self.state.config.time_zone;
        html! {
            @if let Some((day, _)) = self.ask.published {
                p.notice.calm {
                    @let revision = provenance.revision.unwrap_or_default();
                    @let is_final = provenance.state.as_deref() == Some("final");
                    (pill(if is_final { Tone::Good } else { Tone::Warn }, provenance.state.as_deref().unwrap_or("published")))
                    " Revision " (revision) " of " (show::day(day)) ", computed " (show::moment(provenance.generated_at, zone))
                    ". It never changes."
                    @if revision > 1 {
                        " " a href={ (BASE) "/reports/" (self.name) "/diff?business_day=" (day) "&to=" (revision) } { "What changed" }
                    }
                }
                @if let Some(outdated) = &provenance.outdated {
                    p.notice.warn role="status" {
                        strong { "Outdated. " } "Since " (show::moment(outdated.since, zone))
                        " rows have come for this day that these figures do not hold. "
                        a href={ (BASE) "/reports/" (self.name) "/revisions?business_day=" (day) } { "Which" }
                    }
                }
            } @else {
                @for source in provenance.sources.iter().filter(|source| source.stale) {
                    p.notice.warn role="status" {
                        strong { (show::words(&source.name)) " is stale. " }
                        @match source.complete_through {
                            Some(through) => {
                                "Its data are complete through " (show::moment(through, zone)) ", "
                                (show::span(source.age_seconds.unwrap_or_default())) " ago: what happened since is not in these figures."
                            }
                            None => "It was never polled: nothing of it is in these figures.",
                        }
                    }
                }
                @for source in provenance.sources.iter().filter(|source| !source.absent.is_empty()) {
                    p.notice.warn role="status" {
                        strong { (show::words(&source.name)) " is of an earlier version. " }
                        "It does not offer " (source.absent.join(", ")) ", which these figures would read."
                    }
                }
            }
        }
    }

    fn drawn(&self, document: &Document) -> Result<Drawn, Fault> {
        let Some(report) = self.report else { return Ok(Drawn::default()) };
        let Some(chart) = &report.chart else { return Ok(Drawn::default()) };
        let has = |name: &str| document.columns.iter().any(|column| column.name == name);
        // An old revision may lack a column that today's chart needs.
        if !has(&chart.x) || !has(&chart.y) || chart.series.as_ref().is_some_and(|series| !has(series)) {
            return Ok(Drawn::default());
        }
        Ok(match chart.kind {
            ChartKind::Number => Drawn { markup: figures::tiles(self.state, report, document)?, library: false },
            ChartKind::Heatmap => Drawn { markup: heat::map(self, chart, document)?, library: false },
            ChartKind::Bar | ChartKind::Line | ChartKind::Pie => chart::figure(self, chart, document)?,
        })
    }
}

/// The chart of a report.
#[derive(Default)]
struct Drawn {
    markup: Markup,
    library: bool,
}

/// A failure of the frame, which nobody can mend by asking otherwise.
pub(super) fn broken(error: polars::prelude::PolarsError) -> Fault {
    Fault::Api(ApiError::internal(error))
}

/// How the measures are defined.
fn definitions(report: &Report, currency: base::Currency) -> Markup {
    let noted: Vec<_> = report.columns.iter().filter(|column| column.note.is_some()).collect();
    html! {
        @if !noted.is_empty() {
            section.definitions {
                h2 { "What the columns mean" }
                dl {
                    @for column in noted {
                        dt {
                            (column.title)
                            @if let Some(unit) = &column.unit { span.unit { " " (unit) } }
                            @else if column.kind == report::ColumnType::Money { span.unit { " " (currency.code()) } }
                        }
                        dd { (sentence(column.note.as_deref().unwrap_or_default())) }
                    }
                }
            }
        }
    }
}

/// How many rows of a document stand on which page.
fn pages(height: usize) -> usize {
    height.div_ceil(ROWS).max(1)
}
