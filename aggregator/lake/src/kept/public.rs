//! What strangers read: each kept view stands under its own name in the lake, as a view of DuckLake with its whole SELECT, so
//! that whoever asks it is answered from the datasets of the snapshot that they read.

use sqlx::FromRow;
use uuid::Uuid;

use super::KeptView;
use crate::{Lake, LakeError, commit, table};

#[derive(FromRow)]
struct Public {
    view_id: i64,
    view_name: String,
    sql: String,
    is_ours: bool,
}

impl Lake {
    /// Make the public views those of a catalogue; the answer is how many were made, changed or dropped. A view that somebody
    /// else made stays, unless its name is needed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn publish_views(&self, views: &[KeptView]) -> Result<u64, LakeError> {
        let mut tx = base::begin(self.db()).await?;
        let mut head = commit::lock(&mut tx).await?;
        let sql =
            "SELECT view_id, view_name, sql, EXISTS (SELECT FROM sync.kept_view WHERE view = view_name) AS is_ours
                   FROM lake.ducklake_view WHERE end_snapshot IS NULL ORDER BY view_id";
        let public: Vec<Public> = sqlx::query_as(sql).fetch_all(&mut *tx).await?;
        let is_same = |public: &Public, view: &KeptView| public.view_name == view.name && public.sql == view.select;
        let mut changes = 0;
        let is_named = |old: &Public| views.iter().any(|view| view.name == old.view_name);
        let stays = |old: &Public| views.iter().any(|view| is_same(old, view)) || !(old.is_ours || is_named(old));
        for old in public.iter().filter(|old| !stays(old)) {
            let token = format!("dropped_view:{}", old.view_id);
            let snapshot =
                commit::snapshot_of_schema(&mut tx, &head, head.next_catalog_id, head.next_file_id, &token).await?;
            sqlx::query!(
                "UPDATE lake.ducklake_view SET end_snapshot = $1 WHERE view_id = $2 AND end_snapshot IS NULL",
                snapshot,
                old.view_id
            )
            .execute(&mut *tx)
            .await?;
            head = commit::lock(&mut tx).await?;
            changes += 1;
        }
        for view in views.iter().filter(|view| !public.iter().any(|old| is_same(old, view))) {
            let view_id = head.next_catalog_id;
            let token = format!("created_view:\"main\".\"{}\"", view.name);
            let snapshot = commit::snapshot_of_schema(&mut tx, &head, view_id + 1, head.next_file_id, &token).await?;
            sqlx::query!(
                "INSERT INTO lake.ducklake_view
                   (view_id, view_uuid, begin_snapshot, schema_id, view_name, dialect, sql, column_aliases)
                 VALUES ($1, $2, $3, $4, $5, 'duckdb', $6, '')",
                view_id,
                Uuid::now_v7(),
                snapshot,
                table::MAIN,
                &view.name,
                &view.select
            )
            .execute(&mut *tx)
            .await?;
            head = commit::lock(&mut tx).await?;
            changes += 1;
        }
        tx.commit().await?;
        Ok(changes)
    }
}
