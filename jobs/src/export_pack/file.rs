//! One file of an export pack: built, hashed, synced, and put in its place once.

use std::{
    fs::File,
    io::{self, BufWriter},
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use chrono::NaiveDate;
use exports::{Format, Provenance};
use sqlx::PgPool;

use super::lock_day;
use crate::{
    context::Context,
    document::Document,
    engine::{JobError, Run},
    hashing::Hashing,
};

/// A whole file in its attempt's folder.
pub(super) struct Built {
    path: PathBuf,
    /// The name under which outsiders find it.
    name: String,
    revision: i32,
    format: Format,
    provenance: Provenance,
    rows: u64,
    pub(super) bytes: u64,
    sha256: String,
}

/// The formats in which a revision was exported before, and is still on the disk unless it was taken away again.
pub(super) async fn recorded(
    db: &PgPool,
    exports_dir: &Path,
    day: NaiveDate,
    report: &str,
    revision: i32,
) -> Result<Vec<String>, JobError> {
    let known = sqlx::query!(
        r#"SELECT format, path, bytes, removed_at IS NOT NULL AS "removed!" FROM exports.file
            WHERE business_day = $1 AND report = $2 AND revision = $3"#,
        day,
        report,
        revision
    )
    .fetch_all(db)
    .await
    .context("the exports tables could not be read")?;
    let is_whole = |path: &str, bytes: i64| {
        std::fs::metadata(exports_dir.join(path)).is_ok_and(|it| i64::try_from(it.len()) == Ok(bytes))
    };
    Ok(known.into_iter().filter(|it| it.removed || is_whole(&it.path, it.bytes)).map(|it| it.format).collect())
}

/// Encode one revision into the attempt's folder.
pub(super) async fn build(
    folder: &Path,
    day: NaiveDate,
    revision: i32,
    format: Format,
    document: &Document,
) -> anyhow::Result<Built> {
    let Document { provenance, columns, computed } = document.clone();
    let name = format!("{}-r{revision}.{}", provenance.report, format.distinct_extension());
    let path = folder.join(format!("{day}-{name}"));
    let encode = move || -> anyhow::Result<Built> {
        let file = File::create(&path).context("the file could not be made")?;
        let mut out = Hashing::new(BufWriter::with_capacity(1 << 16, file));
        let written = exports::write(format, &provenance, &columns, [Ok(computed.frame.clone())], &mut out)?;
        let (out, sha256) = out.finish();
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all().context("the file could not be synced")?;
        Ok(Built { path, name, revision, format, provenance, rows: written.rows, bytes: written.bytes, sha256 })
    };
    tokio::task::spawn_blocking(encode).await?
}

/// Put built files in their place and record them, if the run is still ours.
pub(super) async fn place(context: &Context, run: &Run, day: NaiveDate, built: Vec<Built>) -> Result<(), JobError> {
    let folder = context.exports_dir.join(day.to_string());
    std::fs::create_dir_all(&folder).context("the day's folder could not be made")?;
    let mut tx = run.begin().await?;
    lock_day(&mut tx, day).await?;
    for file in &built {
        let recorded = sqlx::query!(
            "INSERT INTO exports.file
                    (business_day, report, revision, format, path, rows, bytes, sha256, provenance, run_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT ON CONSTRAINT file_revision_key DO UPDATE
                SET path = excluded.path, rows = excluded.rows, bytes = excluded.bytes, sha256 = excluded.sha256,
                    provenance = excluded.provenance, run_id = excluded.run_id
              WHERE $11",
            day,
            &file.provenance.report,
            file.revision,
            file.format.name(),
            format!("{day}/{}", file.name),
            i64::try_from(file.rows).unwrap_or(i64::MAX),
            i64::try_from(file.bytes).unwrap_or(i64::MAX),
            &file.sha256,
            serde_json::to_value(&file.provenance).context("the provenance could not be written")?,
            run.id,
            // Recorded before and not on the disk, or it would not have been built: it is written again.
            !folder.join(&file.name).exists()
        )
        .execute(&mut *tx)
        .await
        .context("the exports tables could not be written")?;
        // Recorded by another run meanwhile: its file stands.
        if recorded.rows_affected() == 1 {
            std::fs::rename(&file.path, folder.join(&file.name)).context("the file could not be put in its place")?;
        }
    }
    // The names are on disk before the rows that tell of them are.
    File::open(&folder).and_then(|folder| folder.sync_all()).context("the folder could not be synced")?;
    tx.commit().await.context("the exports tables could not be written")?;
    Ok(())
}
