//! What this process knows to be committed: a watch channel for those that cache an earlier state.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use tokio::sync::watch;

use super::PollOutcome;

/// How far the lake is known to be complete, by source; and a version that rises with everything that is learned.
#[derive(Debug, Default)]
pub(super) struct Commits {
    version: watch::Sender<u64>,
    through: Mutex<BTreeMap<String, DateTime<Utc>>>,
}

impl Commits {
    /// The version: what was read under another one is the past.
    pub(super) fn version(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// A poll of this process ended; also a failure changes what the source's status says.
    pub(super) fn polled(&self, source: &str, outcome: Option<&PollOutcome>) {
        if let Some(outcome) = outcome {
            self.is_news(source, outcome.complete_through);
        }
        self.version.send_modify(|version| *version += 1);
    }

    /// The database says how far a source is complete, perhaps by a poll of another process.
    pub(super) fn read(&self, source: &str, through: DateTime<Utc>) {
        if self.is_news(source, through) {
            self.version.send_modify(|version| *version += 1);
        }
    }

    fn is_news(&self, source: &str, through: DateTime<Utc>) -> bool {
        let mut known = self.through.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(source.to_owned(), through) != Some(through)
    }
}
