//! The job `export-pack`: published revisions as files, `<exports>/<business day>/<report>-r<revision>.<format>`.
//!
//! Files are written in a folder of this attempt, synced, and moved to their place by a transaction that holds the
//! run's fencing token and the day's lock. One that is recorded is never written over, for a revision never changes; one that
//! is not recorded was left by an attempt that died before its commit, and no receiver was notified of it. One that is
//! recorded and is not on the disk is written again. Into a folder without our mark nothing is written.

mod attempt;
mod file;
mod manifest;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use aggregator::{
    publish::{self, PublishError},
    report::Report,
};
use anyhow::Context as _;
use chrono::NaiveDate;
use exports::Format;
use futures_util::{StreamExt, future::join_all, stream};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

pub(crate) use attempt::remove_abandoned;
pub(crate) use manifest::{Manifest, rewrite};

use attempt::Attempt;

use crate::{
    context::Context,
    engine::{Job, JobError, Run},
    nothing::Nothing,
    publishing::{self, Grains},
};

/// How many reports are encoded at the same time.
const AT_ONCE: usize = 2;

/// What an export pack holds and where it goes: `[export]` of the jobs file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportSettings {
    /// Which reports; all when absent.
    pub reports: Option<Vec<String>>,
    /// Which formats, by their names.
    pub formats: Vec<FormatName>,
    /// Another folder that gets a copy of every pack.
    pub folder: Option<PathBuf>,
    /// A URL that is notified of every pack.
    pub webhook: Option<String>,
}

impl Default for ExportSettings {
    fn default() -> Self {
        let formats = [Format::Csv(exports::CsvProfile::Raw), Format::Parquet, Format::Xlsx];
        Self { reports: None, formats: formats.into_iter().map(FormatName).collect(), folder: None, webhook: None }
    }
}

/// A format as it is named in configuration.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(try_from = "String")]
pub struct FormatName(pub Format);

impl TryFrom<String> for FormatName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let known = || Format::ALL.map(Format::name).join(", ");
        Format::from_name(&name).map(Self).ok_or_else(|| format!("there is no format `{name}`; there are {}", known()))
    }
}

/// What a caller may ask of a run.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// The business day to export; the day before the scheduled one when absent.
    pub business_day: Option<NaiveDate>,
}

/// What was written.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Packed {
    /// Files written by this run.
    pub files: usize,
    /// Bytes of these.
    pub bytes: u64,
    /// Files that were already there.
    pub kept: usize,
    /// Files that could not be written, with the reason.
    pub failed: Vec<String>,
}

/// Writes the pack of one day.
pub struct ExportPack {
    context: Context,
}

impl ExportPack {
    /// The job over a context.
    #[must_use]
    pub fn new(context: &Context, _: Nothing) -> Self {
        Self { context: context.clone() }
    }
}

impl Job for ExportPack {
    const NAME: &'static str = "export-pack";
    type Arguments = Arguments;
    type Outcome = Packed;

    async fn run(&self, arguments: Arguments, run: &Run) -> Result<Packed, JobError> {
        let days = self.context.aggregator.settings().days;
        let day = arguments.business_day.unwrap_or(crate::nightly::day_before(run.scheduled_for, days));
        pack_day(&self.context, day, run).await
    }
}

/// Write the newest revision of each chosen report of a day in each chosen format, where it is not yet there.
///
/// # Errors
/// [`JobError::Lease`] when the run is no longer ours, [`JobError::Failed`] when the folder cannot be written.
pub async fn pack_day(context: &Context, day: NaiveDate, run: &Run) -> Result<Packed, JobError> {
    let attempt = Attempt::begin(&context.exports_dir, run)?;
    let reports = publishing::reports(&context.aggregator, context.export.reports.as_deref(), Grains::All)?;
    let mut parts =
        stream::iter(reports).map(|report| pack_report(context, &attempt, report, day, run)).buffer_unordered(AT_ONCE);
    let mut packed = Packed::default();
    while let Some(part) = parts.next().await {
        let Packed { files, bytes, kept, failed } = part?;
        packed.files += files;
        packed.bytes += bytes;
        packed.kept += kept;
        packed.failed.extend(failed);
    }
    manifest::publish(context, run, day).await?;
    if packed.files > 0 {
        run.log(format!("{day}: {} files of {} bytes exported", packed.files, packed.bytes)).await;
    }
    Ok(packed)
}

async fn pack_report(
    context: &Context,
    attempt: &Attempt,
    report: Arc<Report>,
    day: NaiveDate,
    run: &Run,
) -> Result<Packed, JobError> {
    let db = context.aggregator.db();
    let mut packed = Packed::default();
    let newest = match publish::revision(db, &report.name, day, None).await {
        Ok(newest) => newest.revision,
        Err(PublishError::UnknownRevision { .. }) => return Ok(packed),
        Err(error) => return Err(anyhow::Error::new(error).into()),
    };
    let recorded = file::recorded(db, &context.exports_dir, day, &report.name, newest).await?;
    let mut formats: Vec<Format> = context.export.formats.iter().map(|FormatName(format)| *format).collect();
    formats.retain(|format| !recorded.iter().any(|name| name == format.name()));
    packed.kept = context.export.formats.len() - formats.len();
    if formats.is_empty() {
        return Ok(packed);
    }
    let content = publish::revision_rows(db, &report.name, day, Some(newest)).await.map_err(anyhow::Error::new)?;
    let document = crate::document::of_published(&context.aggregator, content);
    let mut built = Vec::new();
    // Side by side, for much of a file's time is the disk's; they share the rows.
    let files = formats.iter().map(|format| file::build(&attempt.folder, day, newest, *format, &document));
    for (format, file) in formats.iter().zip(join_all(files).await) {
        match file {
            Ok(file) => built.push(file),
            Err(error) => {
                let line = format!("{} r{newest} as {}: {error:#}", report.name, format.name());
                run.log(format!("not exported: {line}")).await;
                packed.failed.push(line);
            }
        }
    }
    packed.files = built.len();
    packed.bytes = built.iter().map(|file| file.bytes).sum();
    file::place(context, run, day, built).await?;
    Ok(packed)
}

/// Whether any file is known.
///
/// # Errors
/// The database failed.
pub async fn has_files(db: &PgPool) -> anyhow::Result<bool> {
    let found = sqlx::query_scalar!(r#"SELECT EXISTS (SELECT FROM exports.file WHERE removed_at IS NULL) AS "found!""#);
    found.fetch_one(db).await.context("the exports tables could not be read")
}

/// The days that were exported once, and of which a report has a newer revision than its files.
pub(crate) async fn unpacked_days(db: &PgPool) -> Result<BTreeSet<NaiveDate>, JobError> {
    let days: Vec<NaiveDate> = sqlx::query_scalar!(
        "SELECT DISTINCT exported.business_day
           FROM (SELECT business_day, report, max(revision) AS revision FROM exports.file GROUP BY 1, 2) AS exported
           JOIN published.revision newer
             ON newer.report = exported.report AND newer.business_day = exported.business_day
            AND newer.revision > exported.revision"
    )
    .fetch_all(db)
    .await
    .context("published and exported revisions could not be compared")?;
    Ok(days.into_iter().collect())
}

/// Packs of one day take turns: what is in its folder and what is recorded change together.
async fn lock_day(connection: &mut PgConnection, day: NaiveDate) -> Result<(), JobError> {
    sqlx::query!("SELECT pg_advisory_xact_lock(hashtextextended('tributary exports ' || $1, 0))", day.to_string())
        .execute(connection)
        .await
        .context("the day could not be locked")?;
    Ok(())
}
