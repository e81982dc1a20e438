//! What the service answers under `/api/v1`.

pub mod answer;
pub mod diff;
pub mod error;
pub mod exports;
pub mod jobs;
pub mod quarantine;
mod query;
pub mod reports;
pub mod revisions;
pub mod sources;

use utoipa_axum::{router::OpenApiRouter, routes};

use crate::State;

/// Ordinary routes, bounded in time.
pub fn routes(state: State) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(reports::list))
        .routes(routes!(revisions::list))
        .routes(routes!(diff::get))
        .routes(routes!(sources::list))
        .routes(routes!(sources::poll))
        .routes(routes!(quarantine::list))
        .routes(routes!(quarantine::replay))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::runs, jobs::start))
        .routes(routes!(jobs::backfill))
        .routes(routes!(jobs::run))
        .routes(routes!(jobs::cancel))
        .routes(routes!(exports::list))
        .with_state(state)
}

/// Routes that compute or send files and keep their own bounds.
pub fn streams(state: State) -> OpenApiRouter {
    OpenApiRouter::new().routes(routes!(reports::get)).routes(routes!(exports::get)).with_state(state)
}
