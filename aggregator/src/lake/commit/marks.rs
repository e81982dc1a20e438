//! Marks on rows of files that stay: one delete file at a time for each data file.

use sqlx::PgConnection;

use super::{CommitError, NewDeletes, TableChange};

/// Finds [`CommitError::Overtaken`] unless each file is live and its rows are marked by just this delete file.
///
/// What was read of a file with other marks is not what it holds: to end it now would bring rows back.
pub(super) async fn require(
    tx: &mut PgConnection,
    table_id: i64,
    files: &[i64],
    marks: &[Option<i64>],
) -> Result<(), CommitError> {
    let sql = "SELECT count(*) FROM unnest($2::bigint[], $3::bigint[]) AS e (id, marks)
               JOIN lake.ducklake_data_file f ON f.data_file_id = e.id AND f.table_id = $1 AND f.end_snapshot IS NULL
               LEFT JOIN lake.ducklake_delete_file d ON d.data_file_id = e.id AND d.end_snapshot IS NULL
               WHERE d.delete_file_id IS NOT DISTINCT FROM e.marks";
    let same: i64 = sqlx::query_scalar(sql).bind(table_id).bind(files).bind(marks).fetch_one(&mut *tx).await?;
    if same == files.len() as i64 { Ok(()) } else { Err(CommitError::Overtaken) }
}

/// End the marks of some data files.
pub(super) async fn end(tx: &mut PgConnection, snapshot: i64, files: &[i64]) -> Result<(), CommitError> {
    let sql = "UPDATE lake.ducklake_delete_file SET end_snapshot = $1
               WHERE data_file_id = ANY($2) AND end_snapshot IS NULL";
    sqlx::query(sql).bind(snapshot).bind(files).execute(&mut *tx).await?;
    Ok(())
}

/// Put a change's new marks in the place of those that are there.
pub(super) async fn mark(
    tx: &mut PgConnection,
    change: &TableChange,
    snapshot: i64,
    first_id: i64,
) -> Result<(), CommitError> {
    if change.mark.is_empty() {
        return Ok(());
    }
    let files: Vec<i64> = change.mark.iter().map(|it| it.data_file_id).collect();
    let replaced: Vec<Option<i64>> = change.mark.iter().map(|it| it.replaces).collect();
    require(tx, change.table.table_id, &files, &replaced).await?;
    end(tx, snapshot, &files).await?;
    let pending: Vec<&str> = change.mark.iter().map(|it| it.pending.as_str()).collect();
    super::no_longer_pending(tx, &pending).await?;
    let sql = "INSERT INTO lake.ducklake_delete_file
                 (delete_file_id, table_id, begin_snapshot, data_file_id, path, path_is_relative, format,
                  delete_count, file_size_bytes, footer_size)
               SELECT id, $1, $2, file, path, true, 'parquet', rows, bytes, footer
               FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[])
                 AS t (id, file, path, rows, bytes, footer)";
    let of = |pick: fn(&NewDeletes) -> i64| change.mark.iter().map(pick).collect::<Vec<i64>>();
    sqlx::query(sql)
        .bind(change.table.table_id)
        .bind(snapshot)
        .bind((first_id..).take(files.len()).collect::<Vec<i64>>())
        .bind(&files)
        .bind(change.mark.iter().map(|it| it.path.as_str()).collect::<Vec<_>>())
        .bind(of(|it| it.count))
        .bind(of(|it| it.bytes))
        .bind(of(|it| it.footer))
        .execute(&mut *tx)
        .await?;
    Ok(())
}
