//! The job `report`: compute one report while nobody waits, with wider bounds, and leave its file in the spool.
//!
//! A run is a row of the jobs engine: it survives a restart, and the next process takes it up again. Its file lies in
//! this replica's spool for a day, unless the spool needs the room: then it is computed again on request.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use aggregator::{
    Aggregator,
    report::{Asker, Given},
};
use chrono::{DateTime, Utc};
use exports::Format;
use jobs::{
    document,
    engine::{Cadence, Declaration, Job, JobError, Overlap, Run},
};
use serde::{Deserialize, Serialize};

use crate::answer::{AnswerError, Content, Spool, rows};

/// The job's name, and its kind.
pub const NAME: &str = "report";

/// How long a result may be fetched.
const KEPT: Duration = Duration::from_secs(86_400);

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

/// How the job is run: on request, one at a time, for each may take as long as it may.
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
            .map_err(|error| failure(error.into()))?
            .by(Asker::Run);
        run.progress(0, 100, "computing").await;
        let parameters = question.parameters().clone();
        let content = Content::Document { format, coding: None };
        let key = content.key(&document::identity(question.report(), question.snapshot(), &parameters));
        let made = rows::file(&self.aggregator, &self.spool, &question, content, &key).await;
        let (file, note) = made.map_err(failure)?;
        Ok(Outcome {
            parameters,
            snapshot: question.snapshot(),
            rows: note.provenance.row_count.unwrap_or_default(),
            bytes: file.length,
            sha256: base::hex(&file.sha256),
            file: key,
            expires_at: Utc::now() + KEPT,
        })
    }
}

/// A failure that no further attempt mends, but another request does, is a refusal.
fn failure(error: AnswerError) -> JobError {
    if error.is_final() { JobError::Refused(error.to_string()) } else { JobError::Failed(error.into()) }
}
