//! One report as an answer: as JSON, whose envelope tells the age of this answer, or as a file from the spool.

use std::io::Write;

use ::exports::{Format, Provenance, Source};
use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    response::Response,
};
use chrono::SecondsFormat;
use jobs::document::Document;
use kit::error::ApiError;

use super::{
    asked::Asked,
    json,
    rows::{self, Rows, key},
};
use crate::{
    State,
    download::{self, Attachment, Coding},
};

/// How long an answer may be kept by whoever receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// Asked again each time: the next poll may change it.
    Asked,
    /// A numbered revision: it never changes.
    Immutable,
}

impl Kept {
    /// The `Cache-Control`.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Asked => "private, no-cache",
            Self::Immutable => "private, max-age=31536000, immutable",
        }
    }
}

/// Send a report in a format.
///
/// # Errors
/// 400 when the format cannot hold the rows, 503 when the spool cannot be written, or all slots or downloads are taken.
pub async fn send(
    state: &State,
    method: &Method,
    request: &HeaderMap,
    format: Format,
    kept: Kept,
    asked: &Asked,
) -> Result<Response, ApiError> {
    if format == Format::Json {
        return json::send(state, method, request, kept, asked).await;
    }
    // A part is always one of the plain file: its parts fit together whatever codings a client names later.
    let coding =
        if format.is_compressed() || request.contains_key(header::RANGE) { None } else { Coding::preferred(request) };
    let key = key(format.name(), coding, &asked.identity());
    let found = match rows::find(state, asked, &key).await {
        Some(found) => Rows::File(found),
        None => rows::of(state, asked, &key).await?,
    };
    let (whole, note) = match found {
        Rows::File(found) => found,
        Rows::Memory(made) => {
            rows::build(state, asked, &key, made, move |document, out| write(format, coding, document, out)).await?
        }
    };
    let attachment = Attachment {
        media_type: format.media_type(),
        coding,
        file_name: file_name(&note.provenance, format),
        cache_control: kept.header(),
        modified: note.provenance.generated_at,
        lasting: false,
        save: format != Format::Ndjson,
    };
    let mut response = download::send(&state.downloads, method, request, &attachment, whole)?;
    tell(response.headers_mut(), &note.provenance)?;
    Ok(response)
}

/// Encode a document in a format and, where one is wanted, in a coding.
///
/// # Errors
/// What the encoder or the writer meets.
pub fn write(
    format: Format,
    coding: Option<Coding>,
    document: &Document,
    out: &mut (dyn Write + Send),
) -> ::exports::Result<()> {
    let Document { provenance, columns, .. } = document;
    let rows = [Ok(document.frame().clone())];
    let Some(coding) = coding else { return ::exports::write(format, provenance, columns, rows, out).map(drop) };
    let mut coded = coding.writer(out);
    ::exports::write(format, provenance, columns, rows, &mut coded)?;
    coded.finish().map_err(::exports::Error::Write)
}

/// Report, days and revision: what a person wants to read in a folder of downloads.
#[must_use]
pub fn file_name(provenance: &Provenance, format: Format) -> String {
    let parameter = |name: &str| provenance.parameters.get(name).and_then(serde_json::Value::as_str);
    let mut name = provenance.report.clone();
    for part in ["from", "to"].into_iter().filter_map(parameter) {
        if !name.ends_with(part) {
            name.push('-');
            name.push_str(part);
        }
    }
    match provenance.revision {
        Some(revision) => name.push_str(&format!("-r{revision}")),
        None => name.push_str(&format!("-s{}", provenance.snapshot)),
    }
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    format!("{safe}.{}", format.extension())
}

/// The header that tells whether a source is older than it should be.
pub const STALE: &str = "tributary-stale";

/// Its value.
#[must_use]
pub fn stale(sources: &[Source]) -> HeaderValue {
    HeaderValue::from_static(if sources.iter().any(|source| source.stale) { "true" } else { "false" })
}

/// The provenance in headers, for every format.
///
/// # Errors
/// 500 when one cannot be written.
pub fn tell(headers: &mut HeaderMap, provenance: &Provenance) -> Result<(), ApiError> {
    let mut insert = |name: &'static str, value: HeaderValue| headers.insert(HeaderName::from_static(name), value);
    let text = |text: &str| HeaderValue::from_str(text).map_err(ApiError::internal);
    insert("tributary-report", text(&provenance.report)?);
    insert("tributary-snapshot", provenance.snapshot.into());
    insert(STALE, stale(&provenance.sources));
    insert("tributary-currency", text(&provenance.currency)?);
    insert("tributary-generated-at", text(&provenance.generated_at.to_rfc3339_opts(SecondsFormat::Micros, true))?);
    if let Some(rows) = provenance.row_count {
        insert("tributary-rows", rows.into());
    }
    if let Some(revision) = provenance.revision {
        insert("tributary-revision", revision.into());
    }
    if let Some(state) = &provenance.state {
        insert("tributary-state", text(state)?);
    }
    Ok(())
}
