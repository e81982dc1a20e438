//! The tables of kept rows: made when a view first has any, dropped when no catalogue has had it for a while.

use std::sync::Arc;

use chrono::TimeDelta;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{KeptView, SCHEMA};
use crate::table::{self, ABOVE, Place};
use crate::{Lake, LakeError, Table, commit};

/// How long the rows of a view are there that no catalogue has any more: a version that is replaced may still want them.
const UNWANTED: TimeDelta = TimeDelta::days(1);

impl Lake {
    /// The table of a view's kept rows, made where there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn table_to_keep(&self, view: &KeptView) -> Result<Arc<Table>, LakeError> {
        let mut tx = base::begin(self.db()).await?;
        let mut head = commit::lock(&mut tx).await?;
        if let Some(table) = self.kept_table(head.snapshot_id, view).await? {
            sqlx::query!("UPDATE sync.kept_view SET wanted_at = clock_timestamp() WHERE table_id = $1", table.table_id)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
            return Ok(Arc::new(table));
        }
        let sql = "SELECT schema_id FROM lake.ducklake_schema WHERE schema_name = $1 AND end_snapshot IS NULL";
        let schema: Option<i64> = sqlx::query_scalar(sql).bind(SCHEMA).fetch_optional(&mut *tx).await?;
        let schema_id = match schema {
            Some(schema_id) => schema_id,
            None => {
                let made = create_schema(&mut tx, &head).await?;
                head = commit::lock(&mut tx).await?;
                made
            }
        };
        let place = Place { schema_id, schema: SCHEMA, path: view.path() };
        let ids = table::create(&mut tx, &head, &view.definition(), &place).await?;
        sqlx::query!(
            "INSERT INTO sync.kept_view (table_id, digest, view, inputs) VALUES ($1, $2, $3, $4)",
            ids.table_id,
            &view.digest,
            &view.name,
            &view.inputs
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Arc::new(self.as_table(view, ids)))
    }

    /// Drop the tables of views that no catalogue has had for a day; snapshots from before have them still.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn drop_unwanted(&self) -> Result<u64, LakeError> {
        let mut tx = base::begin(self.db()).await?;
        let head = commit::lock(&mut tx).await?;
        let sql = "SELECT table_id FROM sync.kept_view JOIN lake.ducklake_table t USING (table_id)
                   WHERE t.end_snapshot IS NULL AND wanted_at < clock_timestamp() - make_interval(secs => $1)
                   ORDER BY table_id";
        let unwanted: Vec<i64> =
            sqlx::query_scalar(sql).bind(UNWANTED.num_seconds() as f64).fetch_all(&mut *tx).await?;
        if !unwanted.is_empty() {
            drop_tables(&mut tx, &head, &unwanted).await?;
        }
        tx.commit().await?;
        Ok(unwanted.len() as u64)
    }
}

/// Makes the schema; its tables' folders lie where those of all others do.
async fn create_schema(tx: &mut PgConnection, head: &commit::Head) -> Result<i64, LakeError> {
    let schema_id = head.next_catalog_id;
    let token = format!("created_schema:\"{SCHEMA}\"");
    let snapshot = commit::snapshot_of_schema(tx, head, schema_id + 1, head.next_file_id, &token).await?;
    sqlx::query!(
        "INSERT INTO lake.ducklake_schema
           (schema_id, schema_uuid, begin_snapshot, schema_name, path, path_is_relative)
         VALUES ($1, $2, $3, $4, $5, true)",
        schema_id,
        Uuid::now_v7(),
        snapshot,
        SCHEMA,
        format!("{ABOVE}/")
    )
    .execute(&mut *tx)
    .await?;
    Ok(schema_id)
}

/// Drops tables of kept rows with their files. What describes a table's columns stays: earlier snapshots are read by it.
async fn drop_tables(tx: &mut PgConnection, head: &commit::Head, ids: &[i64]) -> Result<(), LakeError> {
    let token = ids.iter().map(|id| format!("dropped_table:{id}")).collect::<Vec<_>>().join(",");
    let (catalog_id, file_id) = (head.next_catalog_id, head.next_file_id);
    let snapshot = commit::snapshot_of_schema(tx, head, catalog_id, file_id, &token).await?;
    sqlx::query!("UPDATE lake.ducklake_table SET end_snapshot = $1 WHERE table_id = ANY ($2)", snapshot, ids)
        .execute(&mut *tx)
        .await?;
    sqlx::query!(
        "UPDATE lake.ducklake_data_file SET end_snapshot = $1 WHERE table_id = ANY ($2) AND end_snapshot IS NULL",
        snapshot,
        ids
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE sync.kept_day SET end_snapshot = $1 WHERE table_id = ANY ($2) AND end_snapshot IS NULL",
        snapshot,
        ids
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}
