//! What the service answers, whoever asks: HTTP, the console, the command line and report runs call these functions.
//! Nothing here knows a status code, a page or a terminal.
//!
//! Reading order: [`query`] (what a caller names), [`request`] (which report on which snapshot), [`rows`] (its rows, from
//! memory, from the spool or made now), [`encode`] and [`spool`] (its file), [`error`] (how each of them fails).

pub mod encode;
pub mod error;
pub mod files;
pub mod jobs;
pub mod query;
pub mod request;
pub mod rows;
pub mod spool;

use std::{sync::Arc, time::Duration};

use ::jobs::document::Document;
use aggregator::{Aggregator, report::Shared};
use moka::future::Cache;
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub use encode::{Coding, Content, write_file};
pub use error::AnswerError;
pub use query::ReportQuery;
pub use request::ReportRequest;
pub use spool::{OpenFile, Spool, SpoolError};

/// Kibibytes of published rows that are kept.
const PUBLISHED: u64 = 64 * 1024;

/// The right to compute or encode; given back when it is dropped.
pub type Slot = OwnedSemaphorePermit;

/// What answers are made with.
pub struct Answers {
    /// Connections of requests.
    pub pool: PgPool,
    /// The lake, the reports and what is published.
    pub aggregator: Arc<Aggregator>,
    /// Where files are built.
    pub spool: Spool,
    /// Published revisions that were read lately, by `revision_id`: they never change.
    revisions: Cache<i64, Document>,
    /// What is being computed, by the name of its file in the spool.
    making: Shared<String, Arc<rows::Output>>,
    slots: Arc<Semaphore>,
    slot_timeout: Duration,
}

impl Answers {
    /// Answers of which at most `slots` are computed or encoded at a time; one waits `slot_timeout` for its turn.
    #[must_use]
    pub fn new(pool: PgPool, aggregator: Arc<Aggregator>, spool: Spool, slots: usize, slot_timeout: Duration) -> Self {
        let revisions = Cache::builder()
            .max_capacity(PUBLISHED)
            // Encoded rows take about as much again as the frame.
            .weigher(|_, document: &Document| {
                u32::try_from(document.frame().estimated_size() / 512 + 1).unwrap_or(u32::MAX)
            })
            .build();
        let (making, slots) = (Shared::default(), Arc::new(Semaphore::new(slots)));
        Self { pool, aggregator, spool, revisions, making, slots, slot_timeout }
    }

    /// A slot for computing or encoding, as soon as one is free.
    ///
    /// # Errors
    /// [`AnswerError::Busy`] when none was for as long as a request may take.
    pub async fn slot(&self) -> Result<Slot, AnswerError> {
        let waiting = Arc::clone(&self.slots).acquire_owned();
        let slot = tokio::time::timeout(self.slot_timeout, waiting).await;
        slot.ok().and_then(Result::ok).ok_or_else(|| AnswerError::Busy {
            detail: "too many reports are being computed or encoded; try again in a few seconds".to_owned(),
        })
    }
}
