//! The job `export-pack`: published revisions as files, `<exports>/<business day>/<report>-r<revision>.<format>`.
//!
//! A file is written in a folder of this attempt, synced, and linked to its place by a transaction that holds the
//! run's fence and the day's lock. It is never written over another: a revision never changes, so a file of its name
//! that is already there is the same revision, left by an attempt that died before it could say so.

mod file;
mod manifest;

use std::path::Path;

use aggregator::publish::{self, PublishError};
use chrono::NaiveDate;
use exports::Format;
use serde::{Deserialize, Serialize};

use crate::{
    declared::Context,
    engine::{Job, JobError, Run},
    publishing::{self, Grains},
};

/// What an export pack holds, under `with` or `with.export`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportSettings {
    /// Which reports; all when absent.
    pub reports: Option<Vec<String>>,
    /// Which formats, by their names.
    pub formats: Vec<FormatName>,
}

impl Default for ExportSettings {
    fn default() -> Self {
        let formats = [Format::Csv(exports::CsvProfile::Raw), Format::Parquet, Format::Xlsx];
        Self { reports: None, formats: formats.into_iter().map(FormatName).collect() }
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
    settings: ExportSettings,
}

impl ExportPack {
    /// The job over a context.
    #[must_use]
    pub fn new(context: &Context, settings: ExportSettings) -> Self {
        Self { context: context.clone(), settings }
    }
}

impl Job for ExportPack {
    const NAME: &'static str = "export-pack";
    type Arguments = Arguments;
    type Outcome = Packed;

    async fn run(&self, arguments: Arguments, run: &Run) -> Result<Packed, JobError> {
        let zone = self.context.aggregator.settings().time_zone;
        let day = arguments.business_day.unwrap_or(crate::nightly::day_before(run.scheduled_for, zone));
        pack_day(&self.context, &self.settings, day, run).await
    }
}

/// Write the newest revision of each chosen report of a day in each chosen format, where it is not yet there.
///
/// # Errors
/// [`JobError::Fence`] when the run is no longer ours, [`JobError::Failed`] when the folder cannot be written.
pub async fn pack_day(
    context: &Context,
    settings: &ExportSettings,
    day: NaiveDate,
    run: &Run,
) -> Result<Packed, JobError> {
    let aggregator = &context.aggregator;
    let mut packed = Packed::default();
    let attempt = Attempt::new(&context.exports_dir, run)?;
    for report in publishing::reports(aggregator, settings.reports.as_deref(), Grains::All)? {
        let newest = match publish::revision(aggregator.db(), &report.name, day, None).await {
            Ok(newest) => newest.revision,
            Err(PublishError::UnknownRevision { .. }) => continue,
            Err(error) => return Err(anyhow::Error::new(error).into()),
        };
        for FormatName(format) in &settings.formats {
            if file::is_recorded(aggregator.db(), day, &report.name, newest, *format).await? {
                packed.kept += 1;
                continue;
            }
            let written = file::write(aggregator, &attempt.folder, &report.name, day, newest, *format).await;
            match written {
                Ok(built) => {
                    packed.bytes += built.bytes;
                    packed.files += 1;
                    file::place(context, run, built).await?;
                }
                Err(error) => {
                    let line = format!("{} r{newest} as {}: {error:#}", report.name, format.name());
                    run.log(format!("not exported: {line}")).await;
                    packed.failed.push(line);
                }
            }
        }
    }
    manifest::write(context, run, day).await?;
    Ok(packed)
}

/// The folder in which an attempt builds its files; gone when the attempt is over.
struct Attempt {
    folder: std::path::PathBuf,
}

impl Attempt {
    fn new(exports_dir: &Path, run: &Run) -> Result<Self, JobError> {
        let folder = exports_dir.join(format!(".attempt-{}-{}", run.id, run.lease().fence));
        std::fs::create_dir_all(&folder).map_err(|error| {
            anyhow::anyhow!("the exports folder {} cannot be written: {error}", exports_dir.display())
        })?;
        Ok(Self { folder })
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "an attempt's folder could not be removed");
        }
    }
}
