//! A report that was asked for: resolved before its rows are there, so that a file or a client that has them already
//! spares the computation.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ::exports::Source;
use aggregator::{
    poll,
    publish::{self, Revision},
    report::{self, Bounds, Question},
};
use chrono::NaiveDate;
use futures_util::future::join_all;
use jobs::document::{self, Document};
use kit::error::ApiError;
use tokio::sync::OwnedSemaphorePermit;

use super::error;
use crate::State;

/// How long an answer waits for its sources to be polled.
const PATIENCE: Duration = Duration::from_secs(20);

/// The right to compute or encode; given back when it is dropped.
pub type Slot = OwnedSemaphorePermit;

/// A report that was asked for.
pub struct Asked {
    what: What,
    /// How fresh its sources are, at the moment of the answer or at that of publishing.
    pub sources: Vec<Source>,
}

enum What {
    Computed(Question),
    Published(Box<Revision>),
}

/// Ask a report of the latest snapshot, or of another one.
///
/// # Errors
/// What a client can mend as 4xx, naming the parameter.
pub async fn computed(
    state: &State,
    name: &str,
    parameters: &BTreeMap<String, String>,
    snapshot: Option<i64>,
) -> Result<Asked, ApiError> {
    let question = report::ask(&state.aggregator, name, parameters, snapshot).await.map_err(error::of_report)?;
    let sources = document::sources(&question.sources());
    Ok(Asked { what: What::Computed(question), sources })
}

/// Ask a report of the latest snapshot, after polling those of its sources that are older than `most`. A source that
/// stays older, because it is down or behind itself, is called stale.
///
/// # Errors
/// As [`computed`].
pub async fn fresh(
    state: &State,
    name: &str,
    parameters: &BTreeMap<String, String>,
    most: Duration,
) -> Result<Asked, ApiError> {
    let mut asked = computed(state, name, parameters, None).await?;
    asked.allow_age(most);
    let stale: Vec<String> = asked.sources.iter().filter(|it| it.stale).map(|it| it.name.clone()).collect();
    if !stale.is_empty() {
        let polls = join_all(stale.iter().map(|source| poll::no_older(&state.aggregator, source, most)));
        match tokio::time::timeout(PATIENCE, polls).await {
            Ok(polled) => polled.into_iter().filter_map(Result::err).for_each(|error| {
                tracing::warn!(error = kit::telemetry::chain(&error), "a poll for an answer failed");
            }),
            Err(_) => tracing::info!(seconds = PATIENCE.as_secs(), "an answer waits no longer for its sources"),
        }
        asked = computed(state, name, parameters, None).await?;
        asked.allow_age(most);
    }
    Ok(asked)
}

/// Ask for a published revision; the newest of the day when no number is given.
///
/// # Errors
/// 404 when there is none.
pub async fn published(state: &State, name: &str, day: NaiveDate, revision: Option<i32>) -> Result<Asked, ApiError> {
    let revision = publish::revision(&state.pool, name, day, revision).await.map_err(error::of_publish)?;
    let sources = serde_json::from_value(revision.sources.clone()).unwrap_or_default();
    Ok(Asked { what: What::Published(Box::new(revision)), sources })
}

impl Asked {
    /// Equal for equal rows.
    #[must_use]
    pub fn identity(&self) -> String {
        match &self.what {
            What::Computed(question) => {
                document::identity(question.report(), question.snapshot(), question.parameters())
            }
            What::Published(revision) => document::identity_of_revision(revision),
        }
    }

    /// Call sources stale that are older than the caller allows.
    fn allow_age(&mut self, most: Duration) {
        let most = i64::try_from(most.as_secs()).unwrap_or(i64::MAX);
        for source in &mut self.sources {
            source.stale |= source.age_seconds.is_none_or(|age| age > most);
        }
    }

    /// The rows, if they are at hand.
    pub async fn held(&self, state: &State) -> Option<Document> {
        let document = match &self.what {
            What::Computed(question) => {
                let result = question.held(&state.aggregator).await?;
                document::of_result(&state.aggregator, &result)
            }
            What::Published(revision) => state.revisions.get(&revision.revision_id).await?,
        };
        Some(self.as_of_now(document))
    }

    /// The rows, computed or read now. Call it in a slot: what waits for one should hold no rows.
    ///
    /// # Errors
    /// What computing or reading them meets.
    pub async fn document(&self, state: &State) -> Result<Document, ApiError> {
        let document = match &self.what {
            What::Computed(question) => {
                let result = question.compute(&state.aggregator, Bounds::ON_DEMAND).await.map_err(error::of_report)?;
                document::of_result(&state.aggregator, &result)
            }
            What::Published(revision) => {
                let rows = publish::rows_of(&state.pool, revision.as_ref().clone()).await.map_err(error::of_publish)?;
                let document = document::of_published(&state.aggregator, rows);
                state.revisions.insert(revision.revision_id, document.clone()).await;
                document
            }
        };
        Ok(self.as_of_now(document))
    }

    fn as_of_now(&self, mut document: Document) -> Document {
        document.provenance.sources.clone_from(&self.sources);
        document
    }
}

/// A slot for computing or encoding, as soon as one is free.
///
/// # Errors
/// 503 when none was for as long as a request may take.
pub async fn slot(state: &State) -> Result<Slot, ApiError> {
    let waiting = Arc::clone(&state.slots).acquire_owned();
    let slot = tokio::time::timeout(state.config.service.request_timeout, waiting).await;
    let busy = || ApiError::unavailable("too many reports are being computed or encoded; try again in a few seconds");
    slot.ok().and_then(Result::ok).ok_or_else(busy)
}
