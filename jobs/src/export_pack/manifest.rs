//! `manifest.json` of a day: every file with its rows, bytes, digest and provenance.
//!
//! It is made from the table of files and replaced as a whole, under a lock of the day, so that it never names less
//! than an earlier one did.

use std::{fs::File, io::Write};

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;

use crate::{
    declared::Context,
    engine::{JobError, Run},
};

#[derive(Serialize)]
struct Manifest {
    business_day: NaiveDate,
    files: Vec<Entry>,
}

#[derive(Serialize, sqlx::FromRow)]
struct Entry {
    file: String,
    report: String,
    revision: i32,
    format: String,
    rows: i64,
    bytes: i64,
    sha256: String,
    created_at: DateTime<Utc>,
    provenance: Value,
}

/// Write the manifest of a day, if the run is still ours. A day without files gets none.
pub(super) async fn write(context: &Context, run: &Run, day: NaiveDate) -> Result<(), JobError> {
    let mut tx = context.aggregator.db().begin().await.context("the exports tables could not be read")?;
    run.lease().check(&mut tx).await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('tributary exports manifest ' || $1, 0))")
        .bind(day.to_string())
        .execute(&mut *tx)
        .await
        .context("the day could not be locked")?;
    let files: Vec<Entry> = sqlx::query_as(
        "SELECT split_part(path, '/', 2) AS file, report, revision, format, rows, bytes, sha256, created_at, provenance
           FROM exports.file WHERE business_day = $1 AND removed_at IS NULL
          ORDER BY report, revision, format",
    )
    .bind(day)
    .fetch_all(&mut *tx)
    .await
    .context("the exports tables could not be read")?;
    if !files.is_empty() {
        let folder = context.exports_dir.join(day.to_string());
        let text = serde_json::to_vec_pretty(&Manifest { business_day: day, files }).context("no manifest")?;
        let part = folder.join(format!(".manifest-{}-{}", run.id, run.lease().fence));
        let mut file = File::create(&part).context("the manifest could not be written")?;
        file.write_all(&text).and_then(|()| file.sync_all()).context("the manifest could not be written")?;
        std::fs::rename(&part, folder.join("manifest.json")).context("the manifest could not be put in its place")?;
    }
    tx.commit().await.context("the day's lock could not be released")?;
    Ok(())
}
