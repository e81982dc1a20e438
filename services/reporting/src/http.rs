//! The routes under `/api/v1`, and how answers leave over HTTP.
//!
//! A file per resource; beside them [`respond`] and [`json`] (a report as a response), [`send`] (a file, with
//! [`conditional`] requests and [`range`]s), [`pace`] and [`in_flight`] (what slow clients may hold), [`response_cache`],
//! and [`error`] (the status of each failure).

pub mod accept_encoding;
pub mod conditional;
pub mod diff;
pub mod error;
pub mod exports;
pub mod in_flight;
pub mod incidents;
pub mod jobs;
pub mod json;
pub mod me;
pub mod pace;
pub mod quarantine;
pub mod range;
pub mod reports;
pub mod respond;
pub mod response_cache;
pub mod revisions;
pub mod rollups;
pub mod runs;
pub mod send;
pub mod sources;

use axum::http::{Extensions, HeaderMap, StatusCode, Version, header};
use tower_http::compression::{
    CompressionLayer,
    predicate::{Predicate as _, SizeAbove},
};

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::State;

/// Ordinary routes, bounded in time.
pub fn routes(state: State) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(me::get))
        .routes(routes!(reports::list))
        .routes(routes!(revisions::list))
        .routes(routes!(diff::get))
        .routes(routes!(rollups::list))
        .routes(routes!(sources::list))
        .routes(routes!(sources::poll))
        .routes(routes!(quarantine::list))
        .routes(routes!(quarantine::replay))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::runs, jobs::start))
        .routes(routes!(jobs::backfill))
        .routes(routes!(jobs::run))
        .routes(routes!(incidents::list))
        .routes(routes!(jobs::cancel))
        .routes(routes!(exports::list))
        .routes(routes!(runs::start))
        .routes(routes!(runs::run))
        .routes(routes!(runs::cancel))
        .layer(CompressionLayer::new().compress_when(SizeAbove::new(1_024).and(is_json)))
        .with_state(state)
}

/// Routes that compute or send files and keep their own bounds.
pub fn streams(state: State) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(reports::get))
        .routes(routes!(exports::get))
        .routes(routes!(runs::result))
        .with_state(state)
}

/// Lists are compressed on their way out. Reports have their own ways: their bodies are large.
fn is_json(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|it| it.as_bytes().starts_with(b"application/json"))
}
