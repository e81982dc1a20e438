//! Taking a report along: a button per format, the line that does the same from a terminal, and the files themselves.

use ::exports::{CsvProfile, DecimalMark, Format};
use axum::{
    extract::{Path, RawQuery, State as Of},
    http::{HeaderMap, HeaderValue, Method},
    response::Response,
};
use form_urlencoded::Serializer;
use jobs::document::Document;
use kit::error::ApiError;
use maud::{Markup, html};

use super::{
    BASE,
    fault::Fault,
    guard::{Scheme, Visitor, forwarded},
    language::decimal_mark,
    report::{Ask, values},
};
use crate::{State, http};

/// What a download holds: just the rows that the page shows, of its snapshot.
pub(super) struct Wanted<'a> {
    report: &'a str,
    /// Names and values of the query, without the format.
    query: Vec<(String, String)>,
    /// Asked for by files only: a line kept in a script should give tomorrow's figures tomorrow.
    snapshot: Option<i64>,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(report: &'a str, ask: &Ask, document: &Document) -> Self {
        let provenance = &document.provenance;
        if let Some((day, _)) = ask.published {
            let mut query = vec![("business_day".to_owned(), day.to_string())];
            query.extend(provenance.revision.map(|revision| ("revision".to_owned(), revision.to_string())));
            return Self { report, query, snapshot: None };
        }
        let pairs = |(name, value): (&String, _)| {
            values(value).into_iter().map(|value| (name.clone(), value)).collect::<Vec<_>>()
        };
        let query = provenance.parameters.iter().flat_map(pairs);
        Self { report, query: query.collect(), snapshot: Some(provenance.snapshot) }
    }

    fn query(&self, format: Format, with_snapshot: bool) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(&self.query);
        if let Some(snapshot) = self.snapshot.filter(|_| with_snapshot) {
            query.append_pair("snapshot", &snapshot.to_string());
        }
        query.append_pair("format", format.name()).finish()
    }
}

/// What people call a format, and what it is for.
fn title(format: Format) -> (&'static str, &'static str) {
    match format {
        Format::Csv(CsvProfile::Raw) => ("CSV", "for programs"),
        Format::Csv(CsvProfile::Spreadsheet(_)) => ("CSV for Excel", "opens right with a double click"),
        Format::Xlsx => ("Excel", "with its provenance on a second sheet"),
        Format::Parquet => ("Parquet", "typed, for DuckDB, pandas and Spark"),
        Format::Arrow => ("Arrow", "for memory"),
        Format::Json => ("JSON", "with its provenance"),
        Format::Ndjson => ("NDJSON", "a row per line"),
    }
}

/// The buttons, in the order in which people ask for them.
const fn offered(mark: DecimalMark) -> [Format; 7] {
    [
        Format::Csv(CsvProfile::Raw),
        Format::Csv(CsvProfile::Spreadsheet(mark)),
        Format::Xlsx,
        Format::Parquet,
        Format::Json,
        Format::Ndjson,
        Format::Arrow,
    ]
}

/// The section of a report's page.
pub(super) fn section(wanted: &Wanted<'_>, headers: &HeaderMap) -> Markup {
    let scheme = Scheme::of(headers).name();
    let host = forwarded(headers, "x-forwarded-host").unwrap_or("localhost");
    let port = forwarded(headers, "x-forwarded-port").filter(|port| !matches!(*port, "80" | "443"));
    let origin = format!("{scheme}://{host}{}", port.map(|port| format!(":{port}")).unwrap_or_default());
    let path = format!("{BASE}/api/v1/reports/{}?{}", wanted.report, wanted.query(Format::Csv(CsvProfile::Raw), false));
    html! {
        section.card {
            h2 { "Take it along" }
            ul.downloads {
                @for format in offered(decimal_mark(headers)) {
                    @let (name, purpose) = title(format);
                    li {
                        a.button href={ (BASE) "/reports/" (wanted.report) "/download?" (wanted.query(format, true)) }
                            title=(purpose) download { (name) }
                    }
                }
            }
            h3 { "From a terminal" }
            div.copy {
                // The script puts the address in which this page was reached; a gateway's own may differ.
                pre tabindex="0" aria-label="Command" { code { "curl -OJ -H \"apikey: $KEY\" '" span data-origin { (origin) } (path) "'" } }
                button.quiet type="button" data-copy hidden { "Copy" }
            }
        }
    }
}

/// A report as a file: the API's own answer.
pub(super) async fn report(
    Of(state): Of<State>,
    visitor: Visitor,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    method: Method,
    mut headers: HeaderMap,
) -> Result<Response, Fault> {
    let consumer = HeaderValue::from_str(&visitor.session.consumer).map_err(ApiError::internal)?;
    headers.insert(http::reports::CONSUMER, consumer);
    Ok(http::reports::get(Of(state), kit::extract::Path(name), RawQuery(query), method, headers).await?)
}

/// An export file: the API's own answer.
pub(super) async fn export(
    Of(state): Of<State>,
    visitor: Visitor,
    Path(id): Path<i64>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    visitor.who_sees_operations()?;
    Ok(http::exports::get(Of(state), kit::extract::Path(id), method, headers).await?)
}
