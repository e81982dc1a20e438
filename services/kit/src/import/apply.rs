//! From staged rows to documents, judged and applied in bounded transactions.

use futures_util::future::join_all;
use sqlx::PgTransaction;
use tokio::sync::Mutex;

use super::column::{Cells, Columns as _};
use super::page::{Page, Pages, StagedRow};
use super::record::{Applying, Document, Kind, Record, Row};
use super::report::{Outcome, RowError};
use super::run::Lease;
use super::{DOCUMENT_ROWS, status};
use crate::db::Fault as DatabaseFault;
use crate::error::ApiError;

/// Pages that are applied side by side. One session of PostgreSQL uses one processor, and applying is mostly its work.
const APPLIERS: usize = 2;
/// Times that a page is tried which others' writes got in the way of.
const TRIES: usize = 5;

/// What the staging table holds.
#[derive(Debug, Default)]
pub(super) struct Staged {
    pub(super) received: u64,
    /// Rows of the staging table: bad ones of several documents are there for each, those of none not at all.
    pub(super) rows: u64,
    pub(super) refused: u64,
    pub(super) complete: bool,
    pub(super) passes: u8,
}

/// Applies all that was staged, and ends the import.
pub(super) async fn apply<K: Kind>(lease: &Lease, import: Applying, kind: K, staged: Staged) -> Result<(), ApiError> {
    let applied = if staged.complete || K::Row::ALONE {
        passes(lease, import, &kind, &staged).await
    } else {
        // What is missing may belong to any document.
        refuse_all(lease, &staged).await
    };
    let state = match &applied {
        Ok(()) if staged.complete || K::Row::ALONE => "finished",
        Ok(()) | Err(_) => "interrupted",
    };
    let detail = match &applied {
        Ok(()) => (!staged.complete).then(|| "the body broke off; send the whole file again".to_owned()),
        Err(error) => Some(error.to_string()),
    };
    let ended = end(lease, state, detail).await;
    if let Ok(report) = status::report(&lease.db, lease.id).await {
        report.count();
    }
    applied.and(ended)
}

async fn passes<K: Kind>(lease: &Lease, import: Applying, kind: &K, staged: &Staged) -> Result<(), ApiError> {
    for pass in 0..K::PASSES {
        // Pass 0 also sees documents whose rows are all bad, which are counted already.
        if staged.passes >> pass & 1 == 0 {
            continue;
        }
        let pages = Mutex::new(Pages::default());
        let appliers = (0..APPLIERS).map(|_| applier(lease, import, kind, pass, &pages));
        join_all(appliers).await.into_iter().collect::<Result<(), _>>()?;
    }
    Ok(())
}

/// Applies page after page, until there is none left; one that fails is the last for the other appliers, too.
async fn applier<K: Kind>(
    lease: &Lease,
    import: Applying,
    kind: &K,
    pass: i16,
    pages: &Mutex<Pages>,
) -> Result<(), ApiError> {
    loop {
        let page = pages.lock().await.next(&lease.db).await?;
        let Some(page) = page else { return Ok(()) };
        let mut tries = 0;
        while let Err(error) = apply_page(lease, import, kind, pass, &page).await {
            tries += 1;
            let again = matches!(&error, ApiError::Database(error) if is_in_the_way(error));
            if !again || tries > TRIES {
                pages.lock().await.end();
                return Err(error);
            }
        }
    }
}

/// Whether others' writes got in the way: a lost race, or a name that was free a moment ago.
fn is_in_the_way(error: &sqlx::Error) -> bool {
    let is_taken = error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation);
    is_taken || DatabaseFault::of(error) == DatabaseFault::Contended
}

/// Applies the documents of one page, each of which stands on no other page.
///
/// Invariant: whatever a page wrote is committed if and only if its rows are counted, and that only while the import
/// applies. Pages lock the documents that they depend on, as all writers do, and the row of the import last: until then
/// they run side by side, and whoever ended the import in between has changed its state.
async fn apply_page<K: Kind>(
    lease: &Lease,
    import: Applying,
    kind: &K,
    pass: i16,
    page: &Page,
) -> Result<(), ApiError> {
    let mut tx = crate::db::begin(&lease.db).await?;
    let mut outcome = Outcome::default();
    match page {
        Page::Rows(rows) => apply_rows(&mut tx, import, kind, pass, rows, &mut outcome).await?,
        Page::Long(first) if first.pass == pass => refuse_long::<K>(&mut tx, first, &mut outcome).await?,
        Page::Long(_) => {}
    }
    lease.record(&mut tx, outcome).await?;
    tx.commit().await?;
    Ok(())
}

async fn apply_rows<K: Kind>(
    tx: &mut PgTransaction<'_>,
    import: Applying,
    kind: &K,
    pass: i16,
    rows: &[StagedRow],
    outcome: &mut Outcome,
) -> Result<(), ApiError> {
    let mut documents = Vec::new();
    for group in rows.chunk_by(|a, b| a.document == b.document) {
        documents.extend(document::<K>(pass, group, outcome)?);
    }
    let documents = known_zones::<K>(tx, documents, outcome).await?;
    if documents.is_empty() {
        return Ok(());
    }
    let before = outcome.rows();
    kind.apply(tx, import, &documents, outcome).await?;
    let rows: usize = documents.iter().map(|document| document.rows.len()).sum();
    if outcome.rows() - before != rows as u64 {
        return Err(ApiError::internal("an import does not account for each of its rows"));
    }
    Ok(())
}

/// Puts a document together, if this is its pass and all its rows are good.
fn document<K: Kind>(
    pass: i16,
    group: &[StagedRow],
    outcome: &mut Outcome,
) -> Result<Option<Document<K::Row>>, ApiError> {
    let good = || group.iter().filter(|row| !row.bad);
    // Rows that do not agree on it are refused in the later one.
    if good().map(|row| row.pass).max() != Some(pass) {
        return Ok(None);
    }
    let read = |row: &StagedRow| match K::Row::read(&mut Cells::new(&row.cells)) {
        Ok(value) => Ok(Row { line: row.line.cast_unsigned(), value }),
        Err(refusal) => Err(ApiError::internal(format!("a staged row cannot be read: {}", refusal.reason))),
    };
    let rows = good().map(read).collect::<Result<Vec<_>, _>>()?;
    let document = Document { rows };
    if let Some(bad) = group.iter().find(|row| row.bad) {
        let reason = format!("the document is refused because of line {}", bad.line);
        outcome.refuse(&document, super::Fault::new(K::Row::KEY[0], reason));
        return Ok(None);
    }
    Ok(Some(document))
}

/// Refuses documents in zones that PostgreSQL does not know: there they have no business day.
async fn known_zones<K: Kind>(
    tx: &mut PgTransaction<'_>,
    documents: Vec<Document<K::Row>>,
    outcome: &mut Outcome,
) -> Result<Vec<Document<K::Row>>, ApiError> {
    let mut zones: Vec<&str> = documents
        .iter()
        .flat_map(|document| &document.rows)
        .filter_map(|row| Some(row.value.zone()?.as_str()))
        .collect();
    zones.sort_unstable();
    zones.dedup();
    if zones.is_empty() {
        return Ok(documents);
    }
    let unknown: Vec<String> =
        sqlx::query_scalar("SELECT zone FROM UNNEST($1::text[]) AS zone WHERE NOT import_zone_known(zone)")
            .bind(&zones)
            .fetch_all(&mut **tx)
            .await?;
    let mut known = Vec::with_capacity(documents.len());
    for document in documents {
        let is_unknown = |row: &&Row<K::Row>| {
            row.value.zone().is_some_and(|zone| unknown.iter().any(|unknown| unknown == zone.as_str()))
        };
        match document.rows.iter().find(is_unknown) {
            None => known.push(document),
            Some(row) => {
                let zone = row.value.zone().map_or("", |zone| zone.as_str());
                let reason = format!(
                    "PostgreSQL's zone data lacks {zone}, an old name; give the present one, such as America/New_York for \
                     US/Eastern, or install the old names (Debian: tzdata-legacy)"
                );
                outcome.refuse(&document, row.fault("time_zone", reason));
            }
        }
    }
    Ok(known)
}

async fn refuse_long<K: Kind>(
    tx: &mut PgTransaction<'_>,
    first: &StagedRow,
    outcome: &mut Outcome,
) -> Result<(), ApiError> {
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM import_rows WHERE document = $1 AND NOT bad")
        .bind(&first.document)
        .fetch_one(&mut **tx)
        .await?;
    outcome.refused += rows.cast_unsigned();
    let reason = format!("the document has more than {DOCUMENT_ROWS} rows");
    outcome.errors.push(RowError { line: first.line.cast_unsigned(), field: Some(K::Row::KEY[0].to_owned()), reason });
    Ok(())
}

/// Of a body that broke off, no document is known to be whole.
async fn refuse_all(lease: &Lease, staged: &Staged) -> Result<(), ApiError> {
    let outcome = Outcome { refused: staged.received - staged.refused, ..Outcome::default() };
    let mut tx = crate::db::begin(&lease.db).await?;
    lease.record(&mut tx, outcome).await?;
    tx.commit().await?;
    Ok(())
}

/// A crash of PostgreSQL empties the staging table, which is unlogged.
pub(super) fn lost() -> ApiError {
    ApiError::unavailable("the database restarted and lost rows of this file; send the file again to finish it")
}

/// Ends the import. One that is to be finished, but of some of whose rows nothing came, is interrupted all the same: a crash of
/// PostgreSQL emptied the staging table. A finished one also ends what the same file left half done before, and where no file
/// is noted, any of its kind.
///
/// # Errors
/// The database's; 503 where rows were lost.
async fn end(lease: &Lease, state: &str, detail: Option<String>) -> Result<(), ApiError> {
    let mut tx = crate::db::begin(&lease.db).await?;
    lease.hold(&mut tx, "applying").await?;
    let whole: bool = sqlx::query_scalar!(
        r#"SELECT received = applied + unchanged + refused AS "whole!" FROM imports WHERE id = $1"#,
        lease.id
    )
    .fetch_one(&mut *tx)
    .await?;
    let lost = (state == "finished" && !whole).then(lost);
    let (state, detail) = match &lost {
        Some(error) => ("interrupted", Some(error.to_string())),
        None => (state, detail),
    };
    sqlx::query!(
        "UPDATE imports i SET state = $2, detail = $3, ended_at = now(), \
         unfinished_since = CASE WHEN $2 = 'interrupted' AND i.applied > 0 THEN i.unfinished_since END WHERE i.id = $1",
        lease.id,
        state,
        detail
    )
    .execute(&mut *tx)
    .await?;
    if state == "finished" {
        sqlx::query!(
            "UPDATE imports SET unfinished_since = NULL FROM imports done WHERE done.id = $1 AND imports.kind = done.kind \
             AND imports.unfinished_since IS NOT NULL AND imports.state = 'interrupted' \
             AND (imports.file IS NULL OR imports.file = done.file)",
            lease.id
        )
        .execute(&mut *tx)
        .await?;
    }
    sqlx::query!("SELECT import_clear()").execute(&mut *tx).await?;
    tx.commit().await?;
    lost.map_or(Ok(()), Err)
}
