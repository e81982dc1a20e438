//! `POST /stores/import`: stores of a retailer who arrives with history; the natural key is the code.

use axum::extract::State;
use kit::error::ApiError;
use kit::extract::Json;
use kit::import::{Batch, Import, Outcome, Record, Report};
use kit::text::{Code, Text, Zone};
use serde::Deserialize;

use crate::App;

/// One store.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoreRow {
    code: Code,
    name: Text,
    city: Text,
    time_zone: Zone,
}

impl Record for StoreRow {
    const REQUIRED: &'static [&'static str] = &["code", "name", "city", "time_zone"];
}

/// Import stores.
///
/// CSV or NDJSON with `code`, `name`, `city`, `time_zone`. A known code is updated, so it is safe to repeat.
#[utoipa::path(post, path = "/stores/import", tag = "stores", request_body(content((String = "text/csv"), (String = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report)))]
pub(super) async fn import_stores(
    State(app): State<App>,
    mut import: Import<StoreRow>,
) -> Result<Json<Report>, ApiError> {
    while let Some(batch) = import.next().await {
        let outcome = write(&app, batch).await?;
        import.record(outcome);
    }
    Ok(Json(import.finish()))
}

async fn write(app: &App, mut batch: Batch<StoreRow>) -> Result<Outcome, ApiError> {
    let repeated = batch.keep_last(|store| store.code.clone());
    fn column<'a>(batch: &'a Batch<StoreRow>, value: impl Fn(&'a StoreRow) -> &'a str) -> Vec<&'a str> {
        batch.rows.iter().map(|row| value(&row.value)).collect()
    }
    let changed = sqlx::query(
        "INSERT INTO stores AS s (code, name, city, time_zone) \
         SELECT r.code, r.name, r.city, r.time_zone \
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[]) AS r (code, name, city, time_zone) \
         ON CONFLICT (code) DO UPDATE SET name = excluded.name, city = excluded.city, time_zone = excluded.time_zone \
         WHERE (s.name, s.city, s.time_zone) IS DISTINCT FROM (excluded.name, excluded.city, excluded.time_zone)",
    )
    .bind(column(&batch, |store| store.code.as_str()))
    .bind(column(&batch, |store| store.name.as_str()))
    .bind(column(&batch, |store| store.city.as_str()))
    .bind(column(&batch, |store| store.time_zone.as_str()))
    .execute(&app.db)
    .await?;
    let applied = changed.rows_affected();
    Ok(Outcome { applied, unchanged: batch.rows.len() as u64 - applied + repeated, refused: Vec::new() })
}
