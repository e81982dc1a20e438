//! What was published of a report: its revisions.

use aggregator::publish::{self, Missing};
use axum::extract::State as Of;
use chrono::{DateTime, NaiveDate, Utc};
use kit::{
    error::ApiError,
    extract::{Json, Path, Query},
    page::{Cursor, Limit, Page},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{State, answer::AnswerError};

/// One published revision.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "business_day": "2026-11-21", "revision": 1, "state": "final", "published_at": "2026-11-22T02:30:40Z",
    "row_count": 12, "digest": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "missing": [], "cause": null, "snapshot": 42, "outdated": null,
}))]
pub struct RevisionView {
    /// The day it speaks of.
    pub business_day: NaiveDate,
    /// Its number, from 1 within the day.
    pub revision: i32,
    /// `final` or `provisional`.
    pub state: String,
    /// When it was published.
    pub published_at: DateTime<Utc>,
    /// Rows.
    pub row_count: i64,
    /// SHA-256 over content, state and what is missing.
    pub digest: String,
    /// What kept it from being final.
    #[schema(value_type = Vec<Object>)]
    pub missing: Vec<Missing>,
    /// Of a day's second and later revisions: the rows that came since the one before, by source and dataset.
    pub cause: Option<serde_json::Value>,
    /// The lake's snapshot it was computed from.
    pub snapshot: i64,
    /// `since` when rows have come that it does not hold, too late for its day to be published again by itself, and
    /// `by` which, as in `cause`; null when none have.
    #[schema(value_type = Option<Object>)]
    pub outdated: Option<publish::Outdated>,
}

impl From<publish::Revision> for RevisionView {
    fn from(revision: publish::Revision) -> Self {
        Self {
            business_day: revision.business_day,
            revision: revision.revision,
            state: revision.state.name().to_owned(),
            published_at: revision.published_at,
            row_count: revision.row_count,
            digest: revision.digest,
            missing: revision.missing,
            cause: revision.cause,
            snapshot: revision.snapshot,
            outdated: revision.outdated.map(|outdated| outdated.0),
        }
    }
}

/// Which revisions are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RevisionsQuery {
    /// Only this day.
    business_day: Option<NaiveDate>,
    /// Only this number; needs the day.
    revision: Option<i32>,
    /// How many, 1 to 500.
    #[serde(default)]
    limit: Limit,
    /// The `next` of the page before.
    after: Option<Cursor>,
}

/// The revisions of a report, the newest day and revision first. Their rows: `GET /reports/{name}?business_day=`.
#[utoipa::path(get, path = "/reports/{name}/revisions", tag = "reports",
    params(RevisionsQuery, ("name" = String, Path, description = "The report")),
    responses((status = 200, body = Page<RevisionView>), (status = 404, description = "There is no such report")))]
pub async fn list(
    Of(state): Of<State>,
    Path(name): Path<String>,
    Query(query): Query<RevisionsQuery>,
) -> Result<Json<Page<RevisionView>>, ApiError> {
    let RevisionsQuery { business_day, revision, limit, after } = query;
    let before = Cursor::key::<(NaiveDate, i32)>(after.as_ref())?;
    if let Some(number) = revision {
        let day = business_day.ok_or_else(|| {
            ApiError::bad_parameter("revision", "a revision belongs to a `business_day`: name it too")
        })?;
        let found = publish::revision(&state.pool, &name, day, Some(number)).await.map_err(AnswerError::from)?;
        return Ok(Json(Page { items: vec![found.into()], next: None }));
    }
    let found = publish::revisions(&state.pool, &name, business_day, before, limit.fetch()).await;
    let found = found.map_err(AnswerError::from)?;
    // A report that left the catalogue still shows what was published of it.
    if found.is_empty() && state.aggregator.reports().catalogue().get(&name).is_none() {
        return Err(ApiError::not_found(format!("report `{name}`; GET /reports lists them")));
    }
    let page = Page::of(found, limit, |it| (it.business_day, it.revision));
    Ok(Json(Page { items: page.items.into_iter().map(RevisionView::from).collect(), next: page.next }))
}
