//! Export files: what each night wrote, to be taken along.

use axum::{
    extract::{self, State as Of},
    http::Uri,
    response::Html,
};
use form_urlencoded::Serializer;
use kit::{error::ApiError, page::Cursor};
use maud::{Markup, html};

use super::{
    BASE,
    fault::Fault,
    guard::Visitor,
    layout::{Frame, Room},
    query::Query,
    show,
};
use crate::{
    State,
    answer::files::{self, ExportFile, FilesQuery},
};

/// The files, the newest day first.
pub(super) async fn page(Of(state): Of<State>, visitor: Visitor, query: Query) -> Result<Html<String>, Fault> {
    let visitor = visitor.who_sees_operations()?;
    let value = |wanted: &str| query.value(wanted);
    let asked = Serializer::new(String::new()).extend_pairs(query.pairs()).finish();
    let uri = Uri::try_from(format!("/?{asked}")).map_err(ApiError::internal)?;
    let wanted = extract::Query::<FilesQuery>::try_from_uri(&uri);
    let wanted = wanted.map_err(|refused| ApiError::BadRequest { field: None, detail: refused.body_text() })?;
    let before = Cursor::key(wanted.0.after.as_ref())?;
    let page = files::page(&state.pool, wanted.0, before).await?;
    let next = page.next.as_ref().map(|next| {
        let rest = query.pairs().filter(|(name, _)| *name != "after");
        Serializer::new(String::new()).extend_pairs(rest).append_pair("after", next).finish()
    });
    let content = html! {
        div.head {
            h1 { "Exports" }
            p.lead { "The files of each night’s pack. A published file never changes; its digest tells that it is whole." }
        }
        form.search method="get" action={ (BASE) "/exports" } {
            span.pair { label for="day" { "Business day" } input #day type="date" name="business_day" value=[value("business_day")]; }
            span.pair {
                label for="report" { "Report" }
                input #report type="text" name="report" value=[value("report")] placeholder="all" autocomplete="off";
            }
            span.pair {
                label for="format" { "Format" }
                select #format name="format" {
                    option value="" { "all" }
                    @for format in ::exports::Format::ALL {
                        option value=(format.name()) selected[value("format") == Some(format.name())] { (format.name()) }
                    }
                }
            }
            button { "Show" }
            @if !asked.is_empty() { a href={ (BASE) "/exports" } { "All files" } }
        }
        @if page.items.is_empty() { p.empty { "There are no such files." } }
        @else { (table(&state, &page.items)) }
        @if let Some(next) = next { nav.turn aria-label="Pages" { a.button rel="next" href={ "?" (next) } { "Older" } } }
    };
    Ok(Html(Frame::new(&visitor, Room::Exports, "Exports").page(&content).into_string()))
}

fn table(state: &State, files: &[ExportFile]) -> Markup {
    let zone = state.config.time_zone;
    html! {
        div.scroll tabindex="0" role="region" aria-label="Export files" {
            table {
                caption.sr { "Export files, the newest day first" }
                thead {
                    tr {
                        th scope="col" { "Business day" } th scope="col" { "File" } th.n scope="col" { "Revision" }
                        th.n scope="col" { "Rows" } th.n scope="col" { "Size" } th scope="col" { "Written" } th scope="col" { "SHA-256" }
                    }
                }
                tbody {
                    @for file in files {
                        tr {
                            td.short { (show::day(file.business_day)) }
                            th scope="row" { a href={ (BASE) "/exports/" (file.id) } download { (file.report) "." (file.format) } }
                            td.n { (file.revision) }
                            td.n { (show::integer(file.rows)) }
                            td.n { (show::bytes(file.bytes)) }
                            td { (show::moment(file.created_at, zone)) }
                            td { code title=(file.sha256) { (file.sha256.get(..12).unwrap_or_default()) "…" } }
                        }
                    }
                }
            }
        }
    }
}
