//! Deleted rows of files that stay: one delete file at a time for each data file.

use sqlx::PgConnection;

use super::{NewDeleteFile, TableChange};
use crate::{LakeError, pending};

/// Fails with [`LakeError::Overtaken`] unless each file is live with just this delete file.
///
/// What was read of a file with another one is not what it holds: to end it now would bring rows back.
pub(super) async fn require(
    tx: &mut PgConnection,
    table_id: i64,
    files: &[i64],
    delete_files: &[Option<i64>],
) -> Result<(), LakeError> {
    let sql = "SELECT count(*) FROM unnest($2::bigint[], $3::bigint[]) AS e (id, delete_file)
               JOIN lake.ducklake_data_file f ON f.data_file_id = e.id AND f.table_id = $1 AND f.end_snapshot IS NULL
               LEFT JOIN lake.ducklake_delete_file d ON d.data_file_id = e.id AND d.end_snapshot IS NULL
               WHERE d.delete_file_id IS NOT DISTINCT FROM e.delete_file";
    let same: i64 = sqlx::query_scalar(sql).bind(table_id).bind(files).bind(delete_files).fetch_one(&mut *tx).await?;
    if same == files.len() as i64 { Ok(()) } else { Err(LakeError::Overtaken) }
}

/// End the delete files of some data files.
pub(super) async fn end(tx: &mut PgConnection, snapshot: i64, files: &[i64]) -> Result<(), LakeError> {
    sqlx::query!(
        "UPDATE lake.ducklake_delete_file SET end_snapshot = $1
         WHERE data_file_id = ANY($2) AND end_snapshot IS NULL",
        snapshot,
        files
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Put a change's new delete files in the place of those that are live.
pub(super) async fn replace(
    tx: &mut PgConnection,
    change: &TableChange,
    snapshot: i64,
    first_id: i64,
) -> Result<(), LakeError> {
    if change.delete.is_empty() {
        return Ok(());
    }
    let files: Vec<i64> = change.delete.iter().map(|it| it.data_file_id).collect();
    let replaced: Vec<Option<i64>> = change.delete.iter().map(|it| it.replaces).collect();
    require(tx, change.table.table_id, &files, &replaced).await?;
    end(tx, snapshot, &files).await?;
    let announced: Vec<&str> = change.delete.iter().map(|it| it.pending.as_str()).collect();
    pending::keep(tx, &announced).await?;
    let of = |pick: fn(&NewDeleteFile) -> i64| change.delete.iter().map(pick).collect::<Vec<i64>>();
    sqlx::query!(
        "INSERT INTO lake.ducklake_delete_file
           (delete_file_id, table_id, begin_snapshot, data_file_id, path, path_is_relative, format,
            delete_count, file_size_bytes, footer_size)
         SELECT id, $1, $2, file, path, true, 'parquet', rows, bytes, footer
         FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[])
           AS t (id, file, path, rows, bytes, footer)",
        change.table.table_id,
        snapshot,
        &(first_id..).take(files.len()).collect::<Vec<i64>>(),
        &files,
        change.delete.iter().map(|it| it.path.as_str()).collect::<Vec<_>>() as _,
        &of(|it| it.count),
        &of(|it| it.bytes),
        &of(|it| it.footer)
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}
