//! `manifest.json` of a day: every file with its rows, bytes, digest and provenance.
//!
//! It is made from the table of files and replaced as a whole, under the day's lock. The transaction that puts it in
//! its place also notes the pack for delivery, so that no pack is forgotten by a crash in between.

use std::{fs::File, io::Write};

use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use serde_json::Value;
use sqlx::PgConnection;

use super::lock_day;
use crate::{
    context::Context,
    deliver,
    engine::{JobError, Run},
};

/// The files of a day.
#[derive(Debug, Serialize)]
pub(crate) struct Manifest {
    pub(crate) business_day: NaiveDate,
    pub(crate) files: Vec<Entry>,
}

/// One file.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    /// Its number at the API: `GET /exports/{id}`.
    pub(crate) id: i64,
    /// Its name within the day's folder.
    pub(crate) file: String,
    report: String,
    revision: i32,
    format: String,
    rows: i64,
    bytes: i64,
    pub(crate) sha256: String,
    created_at: DateTime<Utc>,
    provenance: Value,
}

impl Manifest {
    /// What is offered of a day.
    pub(crate) async fn of(connection: &mut PgConnection, business_day: NaiveDate) -> Result<Self, JobError> {
        let files = sqlx::query_as!(
            Entry,
            r#"SELECT id, split_part(path, '/', 2) AS "file!", report, revision, format, rows, bytes, sha256, created_at,
                    provenance
               FROM exports.file WHERE business_day = $1 AND removed_at IS NULL
              ORDER BY report, revision, format"#,
            business_day
        )
        .fetch_all(connection)
        .await
        .context("the exports tables could not be read")?;
        Ok(Self { business_day, files })
    }

    /// As it stands in the file.
    pub(crate) fn text(&self) -> Result<Vec<u8>, JobError> {
        Ok(serde_json::to_vec_pretty(self).context("the manifest could not be written")?)
    }
}

/// Write the manifest of a day and note its pack for delivery, if the run is still ours. A day without files gets none.
pub(super) async fn publish(context: &Context, run: &Run, day: NaiveDate) -> Result<(), JobError> {
    let mut tx = run.begin().await?;
    if let Some(text) = write(&mut tx, context, run, day).await? {
        deliver::note(&mut tx, &context.export, day, &base::sha256_hex(&text)).await?;
    }
    tx.commit().await.context("the exports tables could not be written")?;
    Ok(())
}

/// Write the manifest of a day anew because files have left it, if the run is still ours.
pub(crate) async fn rewrite(context: &Context, run: &Run, day: NaiveDate) -> Result<(), JobError> {
    let mut tx = run.begin().await?;
    write(&mut tx, context, run, day).await?;
    tx.commit().await.context("the day's lock could not be released")?;
    Ok(())
}

async fn write(
    connection: &mut PgConnection,
    context: &Context,
    run: &Run,
    day: NaiveDate,
) -> Result<Option<Vec<u8>>, JobError> {
    lock_day(connection, day).await?;
    let manifest = Manifest::of(connection, day).await?;
    if manifest.files.is_empty() {
        return Ok(None);
    }
    let folder = context.exports_dir.join(day.to_string());
    let text = manifest.text()?;
    let part = folder.join(format!(".manifest-{}-{}", run.id, run.lease().token));
    let mut file = File::create(&part).context("the manifest could not be written")?;
    file.write_all(&text).and_then(|()| file.sync_all()).context("the manifest could not be written")?;
    std::fs::rename(&part, folder.join("manifest.json")).context("the manifest could not be put in its place")?;
    Ok(Some(text))
}
