//! What changed between two revisions of a day: rows added, removed and changed, by how much, and why.

use std::collections::BTreeMap;

use aggregator::publish::{self, Changed, Diff, PublishedColumn, Restated};
use axum::extract::State as Of;
use chrono::NaiveDate;
use jobs::document;
use kit::{
    error::ApiError,
    extract::{Json, Path, Query},
    page::Limit,
};
use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::{IntoParams, ToSchema};

use super::revisions::RevisionView;
use crate::{State, answer::AnswerError};

/// One row, its values by column.
type Row = BTreeMap<String, Box<RawValue>>;

/// Which two revisions are compared.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DiffQuery {
    /// The day.
    business_day: NaiveDate,
    /// The earlier revision; the one before `to` when absent.
    from: Option<i32>,
    /// The later revision; the newest when absent.
    to: Option<i32>,
    /// The most rows that are listed of each kind, 1 to 500; the counts are always of all.
    #[serde(default)]
    limit: Limit,
}

/// The difference between two revisions of a day.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "report": "store_performance", "business_day": "2026-11-21", "currency": "EUR",
    "from": {"revision": 1, "state": "final"}, "to": {"revision": 2, "state": "final"},
    "key": ["store_id"], "counts": {"added": 0, "removed": 0, "changed": 1, "unchanged": 11},
    "totals": [{"column": "net_revenue", "from": 1234.5, "to": 1199.5, "by": -35.0}],
    "added": [], "removed": [],
    "changed": [{"key": {"store_id": 3},
                 "changes": [{"column": "net_revenue", "from": 120.0, "to": 85.0, "by": -35.0}]}],
    "truncated": false,
}))]
pub struct DiffView {
    /// The report.
    pub report: String,
    /// The day.
    pub business_day: NaiveDate,
    /// Currency of every amount.
    pub currency: String,
    /// The earlier revision.
    pub from: RevisionView,
    /// The later revision.
    pub to: RevisionView,
    /// Each revision after `from`, up to `to`: its state, what it lacks, and the rows that made it.
    #[schema(value_type = Vec<Object>)]
    pub causes: Vec<Restated>,
    /// The columns of the key; none when whole rows were compared.
    pub key: Vec<String>,
    /// The columns of `to`: name, type and title.
    #[schema(value_type = Vec<Object>)]
    pub columns: Vec<::exports::Column>,
    /// Columns that `from` does not have in this type.
    pub columns_added: Vec<String>,
    /// Columns that `to` does not have in this type.
    pub columns_removed: Vec<String>,
    /// How many rows differ.
    pub counts: Counts,
    /// What each money column came to.
    #[schema(value_type = Vec<Object>)]
    pub totals: Vec<Change>,
    /// Rows that only `to` has.
    #[schema(value_type = Vec<Object>)]
    pub added: Vec<Row>,
    /// Rows that only `from` has.
    #[schema(value_type = Vec<Object>)]
    pub removed: Vec<Row>,
    /// Rows of the same key whose values differ.
    pub changed: Vec<ChangedRow>,
    /// Whether rows were left out of the three lists because of `limit`.
    pub truncated: bool,
}

/// How many rows.
#[derive(Debug, Serialize, ToSchema)]
pub struct Counts {
    /// Only in `to`.
    pub added: usize,
    /// Only in `from`.
    pub removed: usize,
    /// In both, with other values.
    pub changed: usize,
    /// In both, and equal.
    pub unchanged: usize,
}

/// A row that changed.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedRow {
    /// The values of the key.
    #[schema(value_type = Object)]
    pub key: Row,
    /// What changed.
    #[schema(value_type = Vec<Object>)]
    pub changes: Vec<Change>,
}

/// A value that changed.
#[derive(Debug, Serialize)]
pub struct Change {
    column: String,
    from: Box<RawValue>,
    to: Box<RawValue>,
    /// `to` less `from`; null where they are no numbers.
    by: Option<Box<RawValue>>,
}

/// What changed between two revisions of a day, by how much, and why.
#[utoipa::path(get, path = "/reports/{name}/revisions/diff", tag = "reports",
    params(DiffQuery, ("name" = String, Path, description = "The report")),
    responses((status = 200, body = DiffView), (status = 400, description = "`from` is not before `to`"),
              (status = 404, description = "There is no such revision, or none before it")))]
pub async fn get(
    Of(state): Of<State>,
    Path(name): Path<String>,
    Query(query): Query<DiffQuery>,
) -> Result<Json<DiffView>, ApiError> {
    let DiffQuery { business_day, from, to, limit } = query;
    let to = match to {
        Some(to) => to,
        None => publish::revision(&state.pool, &name, business_day, None).await.map_err(AnswerError::from)?.revision,
    };
    if to < 1 {
        return Err(ApiError::bad_parameter("to", "revisions are numbered from 1".to_owned()));
    }
    let from = from.unwrap_or(to - 1);
    if from >= to {
        return Err(ApiError::bad_parameter("from", format!("revision {from} is not before revision {to}")));
    }
    let catalogue = state.aggregator.reports().catalogue();
    let diff = publish::diff(&state.pool, &catalogue, &name, business_day, from, to).await;
    let diff = diff.map_err(AnswerError::from)?;
    let decimals = diff.to.decimals();
    let titles = move |columns: &[PublishedColumn]| document::columns(catalogue.get(&name), columns, decimals);
    let shown = tokio::task::spawn_blocking(move || view(diff, limit.rows(), titles));
    Ok(Json(shown.await.map_err(ApiError::internal)?.map_err(ApiError::internal)?))
}

fn view(
    diff: Diff,
    limit: usize,
    titles: impl Fn(&[PublishedColumn]) -> Vec<::exports::Column>,
) -> anyhow::Result<DiffView> {
    let counts = Counts {
        added: diff.added.height(),
        removed: diff.removed.height(),
        changed: diff.changed.differing.len(),
        unchanged: diff.unchanged,
    };
    let totals = diff.totals.iter().map(|total| {
        let amount = |minor: i64| RawValue::from_string(::exports::money(minor, diff.to.decimals()));
        let by = amount(total.to.saturating_sub(total.from))?;
        Ok(Change { column: total.column.clone(), from: amount(total.from)?, to: amount(total.to)?, by: Some(by) })
    });
    let rows = |columns: &[PublishedColumn], frame: &DataFrame| rows(&titles(columns), &frame.head(Some(limit)));
    Ok(DiffView {
        truncated: [counts.added, counts.removed, counts.changed].iter().any(|count| *count > limit),
        totals: totals.collect::<Result<_, serde_json::Error>>()?,
        added: rows(&diff.columns, &diff.added)?,
        removed: rows(&diff.removed_columns, &diff.removed)?,
        changed: changed(&diff.key, &diff.changed, rows)?,
        columns: titles(&diff.columns),
        counts,
        report: diff.to.report.clone(),
        business_day: diff.to.business_day,
        currency: diff.to.currency.clone(),
        from: diff.from.into(),
        to: diff.to.into(),
        causes: diff.causes,
        key: diff.key,
        columns_added: diff.columns_added,
        columns_removed: diff.columns_removed,
    })
}

/// Rows as every JSON answer shows them.
fn rows(columns: &[::exports::Column], frame: &DataFrame) -> anyhow::Result<Vec<Row>> {
    let mut encoded = Vec::new();
    ::exports::json::encode_rows(columns, frame.clone(), &mut encoded)?;
    Ok(serde_json::from_slice(&encoded)?)
}

fn changed(
    key: &[String],
    changed: &Changed,
    rows: impl Fn(&[PublishedColumn], &DataFrame) -> anyhow::Result<Vec<Row>>,
) -> anyhow::Result<Vec<ChangedRow>> {
    let null = to_raw_value(&())?;
    let before = rows(&changed.columns, &changed.before)?;
    let after = rows(&changed.columns, &changed.after)?;
    let by = rows(&changed.by_columns, &changed.by)?;
    let value = |row: &Row, name: &str| row.get(name).unwrap_or(&null).clone();
    let rows = before.iter().zip(&after).zip(&by).zip(&changed.differing).map(|(((before, after), by), differing)| {
        ChangedRow {
            key: key.iter().map(|name| (name.clone(), value(after, name))).collect(),
            changes: differing
                .iter()
                .map(|name| Change {
                    column: name.clone(),
                    from: value(before, name),
                    to: value(after, name),
                    by: by.get(name).cloned(),
                })
                .collect(),
        }
    });
    Ok(rows.collect())
}
