//! One file of an export pack: built, hashed, synced, and put in its place once.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use aggregator::{Aggregator, publish};
use anyhow::Context as _;
use chrono::NaiveDate;
use exports::{Format, Provenance};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

use crate::{
    declared::Context,
    document::{self, Document},
    engine::{JobError, Run},
};

/// A whole file in its attempt's folder.
pub(super) struct Built {
    path: PathBuf,
    day: NaiveDate,
    report: String,
    revision: i32,
    format: Format,
    provenance: Provenance,
    rows: u64,
    pub(super) bytes: u64,
    sha256: String,
}

impl Built {
    /// The name under which outsiders find it.
    fn name(&self) -> String {
        format!("{}-r{}.{}", self.report, self.revision, self.format.extension())
    }
}

/// Whether a file of this revision and format is already known.
pub(super) async fn is_recorded(
    pool: &PgPool,
    day: NaiveDate,
    report: &str,
    revision: i32,
    format: Format,
) -> Result<bool, JobError> {
    let known: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM exports.file
                         WHERE business_day = $1 AND report = $2 AND revision = $3 AND format = $4)",
    )
    .bind(day)
    .bind(report)
    .bind(revision)
    .bind(format.name())
    .fetch_one(pool)
    .await
    .context("the exports tables could not be read")?;
    Ok(known)
}

/// Encode one revision into the attempt's folder.
pub(super) async fn write(
    aggregator: &Arc<Aggregator>,
    folder: &Path,
    report: &str,
    day: NaiveDate,
    revision: i32,
    format: Format,
) -> anyhow::Result<Built> {
    let content = publish::revision_rows(aggregator.db(), report, day, Some(revision)).await?;
    let Document { provenance, columns, computed } = document::of_published(aggregator, content);
    let path = folder.join(format!("{report}-r{revision}.{}", format.extension()));
    let report = report.to_owned();
    let encode = move || -> anyhow::Result<Built> {
        let file = File::create(&path).context("the file could not be made")?;
        let mut out = Hashing { out: BufWriter::with_capacity(1 << 16, file), digest: Sha256::new() };
        let written = exports::write(format, &provenance, &columns, [Ok(computed.frame.clone())], &mut out)?;
        let digest = out.digest;
        let file = out.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all().context("the file could not be synced")?;
        let sha256 = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Built { path, day, report, revision, format, provenance, rows: written.rows, bytes: written.bytes, sha256 })
    };
    tokio::task::spawn_blocking(encode).await?
}

/// Put a built file in its place and record it, if the run is still ours.
pub(super) async fn place(context: &Context, run: &Run, mut built: Built) -> Result<(), JobError> {
    let folder = context.exports_dir.join(built.day.to_string());
    std::fs::create_dir_all(&folder).context("the day's folder could not be made")?;
    let target = folder.join(built.name());
    let mut tx = context.aggregator.db().begin().await.context("the exports tables could not be written")?;
    run.lease().check(&mut tx).await?;
    match std::fs::hard_link(&built.path, &target) {
        Ok(()) => File::open(&folder).and_then(|folder| folder.sync_all()).context("the folder could not be synced")?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => adopt(&mut built, &target)?,
        Err(error) => return Err(anyhow::Error::new(error).context("the file could not be put in its place").into()),
    }
    sqlx::query(
        "INSERT INTO exports.file
                (business_day, report, revision, format, path, rows, bytes, sha256, provenance, run_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT ON CONSTRAINT file_revision_key DO NOTHING",
    )
    .bind(built.day)
    .bind(&built.report)
    .bind(built.revision)
    .bind(built.format.name())
    .bind(format!("{}/{}", built.day, built.name()))
    .bind(i64::try_from(built.rows).unwrap_or(i64::MAX))
    .bind(i64::try_from(built.bytes).unwrap_or(i64::MAX))
    .bind(&built.sha256)
    .bind(serde_json::to_value(&built.provenance).context("the provenance could not be written")?)
    .bind(run.id)
    .execute(&mut *tx)
    .await
    .context("the exports tables could not be written")?;
    tx.commit().await.context("the exports tables could not be written")?;
    Ok(())
}

/// Take over a file that an attempt put in place before it died: its own bytes count, not ours.
fn adopt(built: &mut Built, target: &Path) -> Result<(), JobError> {
    let mut file = File::open(target).context("the file in place could not be read")?;
    let mut hashing = Hashing { out: io::sink(), digest: Sha256::new() };
    built.bytes = io::copy(&mut file, &mut hashing).context("the file in place could not be read")?;
    built.sha256 = hashing.digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(())
}

struct Hashing<W> {
    out: W,
    digest: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.out.write(buffer)?;
        self.digest.update(buffer.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
