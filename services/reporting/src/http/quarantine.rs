//! Rows that did not fit their declaration: which they are, and reading them again.
//!
//! For operators only: nobody can say what stands in a row that does not fit.

use aggregator::poll::quarantine::{self, Quarantined};
use axum::{extract::State as Of, http::StatusCode};
use chrono::{DateTime, Utc};
use jobs::poll::PollArguments;
use kit::{
    error::ApiError,
    extract::{Json, Path, Query},
    page::{Cursor, Limit, Page},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::jobs::RunView;
use crate::{
    State,
    answer::{self, AnswerError},
};

/// A row in quarantine.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "id": 9, "dataset": "sale_lines", "cursor": null, "row_number": 17, "column": "quantity",
    "reason": "must be a whole number", "key": ["4711", "1"], "header": "sale_id,line_no,quantity",
    "raw": "4711,1,two", "found_at": "2026-11-22T07:59:31Z",
}))]
pub struct QuarantinedView {
    /// Its number, rising.
    pub id: i64,
    /// The dataset.
    pub dataset: String,
    /// Cursor of the page it came in; null for the first page of a whole read.
    pub cursor: Option<String>,
    /// Its place in that page, from 1.
    pub row_number: i64,
    /// The column at fault.
    pub column: String,
    /// Why it does not fit.
    pub reason: String,
    /// The parts of its key, when that much of it fits.
    pub key: Option<Vec<String>>,
    /// The page's header line.
    pub header: String,
    /// The row as it came.
    pub raw: String,
    /// When it came first.
    pub found_at: DateTime<Utc>,
}

impl From<Quarantined> for QuarantinedView {
    fn from(row: Quarantined) -> Self {
        Self {
            id: row.id,
            key: row.key_parts(),
            dataset: row.dataset,
            cursor: row.cursor,
            row_number: row.row_number,
            column: row.column_name,
            reason: row.reason,
            header: row.header,
            raw: row.raw,
            found_at: row.found_at,
        }
    }
}

/// Which rows are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct QuarantineQuery {
    /// Only rows of this dataset.
    dataset: Option<String>,
    /// How many, 1 to 500.
    #[serde(default)]
    limit: Limit,
    /// The `next` of the page before.
    after: Option<Cursor>,
}

/// A source's rows in quarantine, the one that came first at the top.
#[utoipa::path(get, path = "/sources/{name}/quarantine", tag = "sources",
    params(QuarantineQuery, ("name" = String, Path, description = "The source")),
    responses((status = 200, body = Page<QuarantinedView>), (status = 404, description = "There is no such source")))]
pub async fn list(
    Of(state): Of<State>,
    Path(name): Path<String>,
    Query(query): Query<QuarantineQuery>,
) -> Result<Json<Page<QuarantinedView>>, ApiError> {
    state.aggregator.sources().get(&name).map_err(AnswerError::from)?;
    let after = Cursor::key::<i64>(query.after.as_ref())?.unwrap_or(0);
    let rows = quarantine::list(&state.pool, &name, query.dataset.as_deref(), after, query.limit.fetch()).await;
    let page = Page::of(rows.map_err(AnswerError::from)?, query.limit, |row| row.id);
    Ok(Json(Page { items: page.items.into_iter().map(QuarantinedView::from).collect(), next: page.next }))
}

/// A replay takes no arguments.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({}))]
pub struct ReplayRequest {}

/// Poll a source and read the datasets that have rows in quarantine from their start: what fits by now is committed,
/// what still does not stays. The answer is the run.
#[utoipa::path(post, path = "/sources/{name}/quarantine/replay", tag = "sources", request_body = ReplayRequest,
    params(("name" = String, Path, description = "The source")),
    responses((status = 202, body = RunView), (status = 404, description = "There is no such source")))]
pub async fn replay(
    Of(state): Of<State>,
    Path(name): Path<String>,
    Json(ReplayRequest {}): Json<ReplayRequest>,
) -> Result<(StatusCode, Json<RunView>), ApiError> {
    let arguments = PollArguments { replay: true, ..PollArguments::default() };
    let row = answer::jobs::start_poll(&state.aggregator, &state.runner, &name, arguments).await?;
    Ok((StatusCode::ACCEPTED, Json(row.into())))
}
