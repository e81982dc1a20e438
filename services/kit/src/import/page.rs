//! The staged rows in the order of their documents, page by page.

use sqlx::PgPool;

use super::DOCUMENT_ROWS;
use crate::error::ApiError;

/// Rows that a page has, or a few less, so that no document is on two of them.
const ROWS: usize = 2_500;

/// A row as it waits in the staging table.
#[derive(sqlx::FromRow)]
pub(super) struct StagedRow {
    pub(super) document: String,
    pub(super) line: i64,
    pub(super) pass: i16,
    pub(super) bad: bool,
    pub(super) cells: Vec<u8>,
}

/// Rows that are applied in one transaction.
pub(super) enum Page {
    /// All rows of some documents.
    Rows(Vec<StagedRow>),
    /// The first row of a document that has more than it may have.
    Long(StagedRow),
}

/// Reads the staging table from its beginning.
#[derive(Default)]
pub(super) struct Pages {
    /// The last row that was read.
    document: String,
    line: i64,
    /// Nothing more is read.
    ended: bool,
}

impl Pages {
    /// No page comes any more.
    pub(super) fn end(&mut self) {
        self.ended = true;
    }

    /// The next page; none at the end, nor after an error.
    ///
    /// # Errors
    /// The database's.
    pub(super) async fn next(&mut self, db: &PgPool) -> Result<Option<Page>, ApiError> {
        // Until all of it went well.
        if std::mem::replace(&mut self.ended, true) {
            return Ok(None);
        }
        let mut limit = ROWS;
        let mut rows = self.read(db, limit).await?;
        if rows.len() == limit && rows[0].document == rows[limit - 1].document {
            limit = DOCUMENT_ROWS + 1;
            rows = self.read(db, limit).await?;
        }
        if rows.len() < limit {
            return Ok((!rows.is_empty()).then_some(Page::Rows(rows)));
        }
        self.ended = false;
        // The other rows of the last document come with the next page.
        let last = rows.iter().rposition(|row| row.document != rows[limit - 1].document);
        let Some(last) = last else {
            let first = rows.swap_remove(0);
            (self.document, self.line) = (first.document.clone(), i64::MAX);
            return Ok(Some(Page::Long(first)));
        };
        rows.truncate(last + 1);
        (self.document, self.line) = (rows[last].document.clone(), rows[last].line);
        Ok(Some(Page::Rows(rows)))
    }

    async fn read(&self, db: &PgPool, limit: usize) -> Result<Vec<StagedRow>, ApiError> {
        let mut tx = crate::db::begin(db).await?;
        // The planner knows nothing of a table that was just filled.
        sqlx::query("SELECT set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)")
            .execute(&mut *tx)
            .await?;
        let rows = sqlx::query_as(
            "SELECT document, line, pass, bad, cells FROM import_rows WHERE (document, line) > ($1, $2) \
             ORDER BY document, line LIMIT $3",
        )
        .bind(&self.document)
        .bind(self.line)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(rows)
    }
}
