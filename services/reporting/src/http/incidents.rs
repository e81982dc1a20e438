//! What is or was wrong, and for how long.

use axum::extract::State as Of;
use chrono::{DateTime, Utc};
use jobs::engine::incident::{self, Incident};
use kit::{
    error::ApiError,
    extract::{Json, Query},
    page::{Cursor, Limit, Page},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{State, answer::AnswerError};

/// Something that is or was wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 3, "kind": "source_stale", "subject": "retail", "summary": "retail is complete only through 2026-11-22T01:00:00Z",
    "facts": {"complete_through": "2026-11-22T01:00:00Z"}, "opened_at": "2026-11-22T02:05:00Z", "closed_at": null,
}))]
pub struct IncidentView {
    /// Its number.
    pub id: i64,
    /// `run_failed`, `source_stale`, `reconciliation_drift`, `quarantine`, `clock`, `outdated`, `damaged_file`, `zone_data`,
    /// `loop_stopped`, `catalogue_lost`, `dataset_held` or `history_rewritten`.
    pub kind: String,
    /// The job, source or report that it is about.
    pub subject: String,
    /// One sentence, as of its beginning.
    pub summary: String,
    /// The same in numbers.
    pub facts: Value,
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// Until when; null while it lasts.
    pub closed_at: Option<DateTime<Utc>>,
}

impl From<Incident> for IncidentView {
    fn from(incident: Incident) -> Self {
        let Incident { id, kind, subject, summary, facts, opened_at, closed_at } = incident;
        Self { id, kind: kind.name().to_owned(), subject, summary, facts, opened_at, closed_at }
    }
}

/// Which incidents are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct IncidentsQuery {
    /// Only those that last.
    #[serde(default)]
    open: bool,
    /// How many, 1 to 500.
    #[serde(default)]
    limit: Limit,
    /// The `next` of the page before.
    after: Option<Cursor>,
}

/// What is or was wrong, the newest first: failed jobs, stale sources, drift, quarantine, damaged files.
#[utoipa::path(get, path = "/jobs/incidents", tag = "jobs", params(IncidentsQuery),
    responses((status = 200, body = Page<IncidentView>)))]
pub async fn list(
    Of(state): Of<State>,
    Query(query): Query<IncidentsQuery>,
) -> Result<Json<Page<IncidentView>>, ApiError> {
    let before = Cursor::key::<i64>(query.after.as_ref())?;
    let found =
        incident::page(&state.pool, query.open, before, query.limit.fetch()).await.map_err(AnswerError::from)?;
    let page = Page::of(found, query.limit, |incident| incident.id);
    Ok(Json(Page { items: page.items.into_iter().map(IncidentView::from).collect(), next: page.next }))
}
