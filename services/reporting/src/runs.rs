//! The job `report`: compute one report while nobody waits, with wider bounds, and leave its file in the spool.
//!
//! A run is a row of the jobs engine: it survives a restart, and the next process takes it up again. Its file lies in
//! this replica's spool for a day, unless the spool needs the room: then it is computed again on request.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aggregator::{
    Aggregator,
    report::{Bounds, Given},
};
use chrono::{DateTime, Utc};
use exports::Format;
use jobs::{
    document::{self, Document},
    engine::{Cadence, Declaration, Job, JobError, Overlap, Run},
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::answer::{
    AnswerError, Spool, Whole,
    rows::{Note, key},
};

/// The job's name, and its kind.
pub const NAME: &str = "report";

/// How long a result may be fetched.
const KEPT: Duration = Duration::from_secs(86_400);

/// Rows between two looks at whether the run was cancelled.
const STEP: usize = 50_000;

/// What is computed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// The report.
    pub report: String,
    /// Its parameters, as text.
    #[serde(default)]
    pub parameters: Given,
    /// The format's name.
    pub format: String,
    /// Another snapshot than the latest.
    #[serde(default)]
    pub snapshot: Option<i64>,
}

/// What was computed.
#[derive(Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The resolved parameters.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// The snapshot that was read.
    pub snapshot: i64,
    /// Rows.
    pub rows: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The file's name in the spool.
    pub file: String,
    /// Until when it may be fetched.
    pub expires_at: DateTime<Utc>,
}

/// Computes reports into the spool.
pub struct ReportRun {
    /// The reports.
    pub aggregator: Arc<Aggregator>,
    /// Where the files go.
    pub spool: Spool,
}

/// How the job is run: on request, one at a time, for each holds its whole result in memory.
#[must_use]
pub fn declaration() -> Declaration {
    Declaration {
        overlap: Overlap::Queue,
        timeout: Duration::from_secs(3_600),
        attempts: 2,
        backoff: Duration::from_secs(5),
        ..Declaration::new(NAME, Cadence::OnRequest)
    }
}

impl Job for ReportRun {
    const NAME: &'static str = NAME;
    type Arguments = Arguments;
    type Outcome = Outcome;

    async fn run(&self, arguments: Arguments, run: &Run) -> Result<Outcome, JobError> {
        let Arguments { report, parameters, format, snapshot } = arguments;
        let format = Format::from_name(&format).ok_or_else(|| JobError::Refused(format!("no format `{format}`")))?;
        let question = self
            .aggregator
            .reports()
            .ask(&report, &parameters, snapshot)
            .await
            .map_err(|error| failure(error.into()))?;
        run.progress(0, 100, "computing").await;
        let result = self
            .aggregator
            .reports()
            .compute(&question, Bounds::IN_BACKGROUND)
            .await
            .map_err(|error| failure(error.into()))?;
        let document = document::of_result(&self.aggregator, &result);
        let rows = document.frame().height();
        let key = key(format.name(), None, &document::identity(&result.report, result.snapshot, &result.parameters));
        let whole = self.encode(run, format, key.clone(), document).await?;
        Ok(Outcome {
            parameters: result.parameters.clone(),
            snapshot: result.snapshot,
            rows: rows as u64,
            bytes: whole.length,
            sha256: base::hex(&whole.sha256),
            file: key,
            expires_at: Utc::now() + KEPT,
        })
    }
}

impl ReportRun {
    /// Encode a document into the spool.
    async fn encode(&self, run: &Run, format: Format, key: String, document: Document) -> Result<Whole, JobError> {
        let (done, total) = (Arc::new(AtomicUsize::new(0)), document.frame().height());
        // Cancelled when this future ends, however it does: a run that nobody wants any more writes no further.
        let gone = CancellationToken::new();
        let _gone = gone.clone().drop_guard();
        let (spool, counted) = (self.spool.clone(), Arc::clone(&done));
        let mut building = tokio::task::spawn_blocking(move || {
            let (_, note) = Note::of(&document)?;
            let steps = (0..total).step_by(STEP).map(|first| {
                if gone.is_cancelled() {
                    return Err(exports::Error::Rows("the run was cancelled".into()));
                }
                counted.store(first, Ordering::Relaxed);
                Ok(document.frame().slice(i64::try_from(first).unwrap_or(i64::MAX), STEP))
            });
            spool.build(&key, &note, |out| {
                exports::write(format, &document.provenance, &document.columns, steps, out).map(drop)
            })
        });
        let mut tick = tokio::time::interval(Duration::from_millis(500));
        let built = loop {
            tokio::select! {
                built = &mut building => break built,
                _ = tick.tick() => {
                    // The first half of the way was computing.
                    let share = 50 + done.load(Ordering::Relaxed) * 50 / total.max(1);
                    run.progress(share, 100, "encoding").await;
                }
            }
        };
        built.map_err(anyhow::Error::new)?.map_err(|error| failure(error.into()))
    }
}

/// A failure that no further attempt mends, but another request does, is a refusal.
fn failure(error: AnswerError) -> JobError {
    if error.is_final() { JobError::Refused(error.to_string()) } else { JobError::Failed(error.into()) }
}
