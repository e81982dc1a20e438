//! One report as a response: as JSON, whose envelope has the age of this answer, or as a file from the spool.

use ::exports::{Format, Provenance, Source};
use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::Response,
};
use chrono::SecondsFormat;
use kit::error::ApiError;

use super::{
    accept_encoding::preferred,
    json,
    send::{self, Attachment, ClientRequest},
};
use crate::{
    State,
    answer::{
        Content, ReportRequest,
        encode::file_name,
        rows::{self, Rows},
    },
};

/// How long a response may be kept by whoever receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CachePolicy {
    /// Validated each time: the next poll may change it.
    Revalidate,
    /// A numbered revision: it never changes.
    Immutable,
}

impl CachePolicy {
    /// The `Cache-Control`.
    #[must_use]
    pub const fn header(self) -> &'static str {
        match self {
            Self::Revalidate => "private, no-cache",
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
    client: ClientRequest<'_>,
    format: Format,
    cache: CachePolicy,
    report: &ReportRequest,
) -> Result<Response, ApiError> {
    if format == Format::Json {
        return json::send(state, client, cache, report).await;
    }
    // A part is always one of the plain file: its parts fit together whatever codings a client names later.
    let plain = format.is_compressed() || client.headers.contains_key(header::RANGE);
    let coding = if plain { None } else { preferred(client.headers) };
    let content = Content::Document { format, coding };
    let key = content.key(&report.identity());
    let answers = &state.answers;
    let found = match rows::find(answers, report, &key).await {
        Some(found) => Rows::File(found),
        None => rows::of(answers, report, content, &key).await?,
    };
    let (file, note) = match found {
        Rows::File(found) => found,
        Rows::Memory(made) => rows::build(answers, report, content, &key, made).await?,
    };
    let attachment = Attachment {
        media_type: format.media_type(),
        coding,
        file_name: file_name(&note.provenance, format),
        cache_control: cache.header(),
        modified: note.provenance.generated_at,
        lasting: false,
        save: format != Format::Ndjson,
    };
    let mut response = send::send(&state.downloads, client, &attachment, file)?;
    provenance_headers(response.headers_mut(), &note.provenance)?;
    Ok(response)
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
pub fn provenance_headers(headers: &mut HeaderMap, provenance: &Provenance) -> Result<(), ApiError> {
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
    if let Some(outdated) = &provenance.outdated {
        insert("tributary-outdated", text(&outdated.since.to_rfc3339_opts(SecondsFormat::Micros, true))?);
    }
    Ok(())
}
