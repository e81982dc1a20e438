//! `POST /stores/import`: stores of a retailer who arrives with history; the natural key is the code.

use std::collections::{HashMap, HashSet};

use axum::extract::{Request, State};
use axum::response::Response;
use chrono::NaiveDate;
use kit::error::ApiError;
use kit::import::{Applying, Document, Fault, Given, Kind, Options, Outcome, Record, Report, Row};
use kit::text::{Code, Text, Zone};
use sqlx::PgTransaction;

use crate::App;

kit::columns! {
    /// One store.
    pub(crate) struct StoreRow {
        /// Unique; begins the receipt numbers.
        code: Code = "NYC-01",
        /// Name for people.
        name: Text = "Fifth Avenue",
        /// City.
        city: Text = "New York",
        /// IANA zone that decides business days; a change holds for documents that come after.
        time_zone: Zone = "America/New_York",
        /// Local date of its first day; empty clears it.
        opened_on: Given<NaiveDate> = "2019-03-01",
        /// Local date of its last day, not before the first; empty clears it.
        closed_on: Given<NaiveDate> = "2026-06-30",
        /// Whether it takes new documents; a new store does unless it says otherwise.
        active: Option<bool> = "true",
    }
}

impl Record for StoreRow {
    const KEY: &'static [&'static str] = &["code"];
    const ALONE: bool = true;

    fn zone(&self) -> Option<&Zone> {
        Some(&self.time_zone)
    }
}

/// The import of stores.
struct Stores;

impl Kind for Stores {
    type Row = StoreRow;
    const NAME: &'static str = "stores";

    async fn apply(
        &self,
        tx: &mut PgTransaction<'_>,
        _: Applying,
        documents: &[Document<StoreRow>],
        outcome: &mut Outcome,
    ) -> Result<(), ApiError> {
        let days = days(tx, documents).await?;
        let mut rows: Vec<&Row<StoreRow>> = Vec::with_capacity(documents.len());
        let mut good = Vec::with_capacity(documents.len());
        for document in documents {
            let row = document.last();
            let (opened, closed) = days.get(row.value.code.as_str()).copied().unwrap_or_default();
            let opened = if row.value.opened_on.is_said() { row.value.opened_on.value().copied() } else { opened };
            let closed = if row.value.closed_on.is_said() { row.value.closed_on.value().copied() } else { closed };
            if opened.zip(closed).is_some_and(|(opened, closed)| closed < opened) {
                outcome.refuse(
                    document,
                    Fault { line: Some(row.line), ..Fault::new("closed_on", "is before the store opened") },
                );
                continue;
            }
            rows.push(row);
            good.push(document);
        }
        let changed = upsert(tx, &rows).await?;
        for document in good {
            outcome.last(document, changed.contains(document.head().code.as_str()));
        }
        Ok(())
    }
}

/// First and last day of the known stores, which are locked until the end of the transaction.
async fn days(
    tx: &mut PgTransaction<'_>,
    documents: &[Document<StoreRow>],
) -> Result<HashMap<String, (Option<NaiveDate>, Option<NaiveDate>)>, ApiError> {
    let codes: Vec<&str> = documents.iter().map(|document| document.head().code.as_str()).collect();
    let days: Vec<(String, Option<NaiveDate>, Option<NaiveDate>)> = sqlx::query_as(
        "SELECT code, opened_on, closed_on FROM stores WHERE code = ANY($1) ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(codes)
    .fetch_all(&mut **tx)
    .await?;
    Ok(days.into_iter().map(|(code, opened, closed)| (code, (opened, closed))).collect())
}

/// Writes the stores; answers the codes of those that changed.
async fn upsert(tx: &mut PgTransaction<'_>, rows: &[&Row<StoreRow>]) -> Result<HashSet<String>, ApiError> {
    fn column<'a, T>(rows: &[&'a Row<StoreRow>], value: impl Fn(&'a StoreRow) -> T) -> Vec<T> {
        rows.iter().map(|row| value(&row.value)).collect()
    }
    let changed: Vec<String> = sqlx::query_scalar!(
        "INSERT INTO stores AS s (code, name, city, time_zone, active, opened_on, closed_on) \
         SELECT r.code, r.name, r.city, r.time_zone, coalesce(r.active, o.active, true), \
         CASE WHEN r.says_opened THEN r.opened_on ELSE o.opened_on END, \
         CASE WHEN r.says_closed THEN r.closed_on ELSE o.closed_on END \
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::bool[], $6::bool[], $7::date[], $8::bool[], $9::date[]) \
         AS r (code, name, city, time_zone, active, says_opened, opened_on, says_closed, closed_on) \
         LEFT JOIN stores o ON o.code = r.code ORDER BY r.code \
         ON CONFLICT (code) DO UPDATE SET name = excluded.name, city = excluded.city, time_zone = excluded.time_zone, \
         active = excluded.active, opened_on = excluded.opened_on, closed_on = excluded.closed_on \
         WHERE (s.name, s.city, s.time_zone, s.active, s.opened_on, s.closed_on) IS DISTINCT FROM \
         (excluded.name, excluded.city, excluded.time_zone, excluded.active, excluded.opened_on, excluded.closed_on) \
         RETURNING code",
        column(rows, |store| store.code.as_str()) as _,
        column(rows, |store| store.name.as_str()) as _,
        column(rows, |store| store.city.as_str()) as _,
        column(rows, |store| store.time_zone.as_str()) as _,
        column(rows, |store| store.active) as _,
        &column(rows, |store| store.opened_on.is_said()),
        column(rows, |store| store.opened_on.value().copied()) as _,
        &column(rows, |store| store.closed_on.is_said()),
        column(rows, |store| store.closed_on.value().copied()) as _
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(changed.into_iter().collect())
}

/// Import stores.
///
/// CSV or NDJSON. A known code is updated, and columns that the file lacks stay as they are, so it is safe to repeat.
#[utoipa::path(post, path = "/stores/import", tag = "stores",
    request_body(content((String = "text/csv"), (StoreRow = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report),
        (status = 202, description = "A large file, which is being applied; `Location` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`: another import runs")))]
pub(super) async fn import_stores(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    app.imports.run(request, Options::default(), Stores).await
}
