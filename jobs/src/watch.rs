//! The job `watch`: find what is beyond its limit, and notify of it, once when it begins and once when it ends.
//!
//! What is wrong is an incident, a row that there is one of per kind and subject while it lasts: however often and by
//! however many replicas it is found, there is one notification. The message is a row too, written with the incident; it is sent
//! until the receiver has taken it, under a key that is the same for every attempt. Failed runs become incidents in the
//! transaction that ends them; this job notifies of those as of its own findings.

mod limits;
mod notify;
mod pasts;

use std::{collections::BTreeMap, time::Duration};

use anyhow::Context as _;
use serde::Serialize;

pub use limits::{AlertSettings, Drift};

use crate::{
    context::Context,
    engine::{
        Job, JobError, Run,
        incident::{self, Kind},
    },
    nothing::Nothing,
};

/// What a process finds wrong with itself it confirms every few seconds; after this long without, it has ended or is well again.
const CONFIRMED: Duration = Duration::from_secs(60);

/// The job.
pub struct Watch {
    context: Context,
    settings: AlertSettings,
    /// Where the failures of single jobs are sent, by job.
    urls: BTreeMap<String, String>,
}

impl Watch {
    /// The job over a context; `urls` are the addresses that single jobs declare for their failures.
    #[must_use]
    pub fn new(context: &Context, settings: AlertSettings, urls: BTreeMap<String, String>, _: Nothing) -> Self {
        Self { context: context.clone(), settings, urls }
    }
}

/// What the run came to.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// Incidents that began.
    pub opened: usize,
    /// Incidents that are over.
    pub closed: u64,
    /// Messages that their receiver took.
    #[serde(rename = "told")]
    pub notified: usize,
    /// Messages that it did not take, with the reason; they are sent again.
    #[serde(rename = "not_told")]
    pub undelivered: Vec<String>,
}

impl Job for Watch {
    const NAME: &'static str = "watch";
    type Arguments = Nothing;
    type Outcome = Outcome;

    async fn run(&self, _: Nothing, run: &Run) -> Result<Outcome, JobError> {
        let mut outcome = Outcome::default();
        let seen = limits::look(&self.context.aggregator, &self.settings, run).await?;
        let mut tx = run.begin().await?;
        for (kind, findings) in &seen {
            for finding in findings {
                if incident::open(&mut tx, finding).await.context("the incident could not be written")? {
                    outcome.opened += 1;
                }
            }
            let lasting: Vec<String> = findings.iter().map(|finding| finding.subject.clone()).collect();
            let closed = incident::close_others(&mut tx, *kind, &lasting).await;
            outcome.closed += closed.context("the incident could not be written")?;
        }
        for kind in [Kind::LoopStopped, Kind::CatalogueLost] {
            let closed = incident::close_unconfirmed(&mut tx, kind, CONFIRMED).await;
            outcome.closed += closed.context("the incident could not be written")?;
        }
        tx.commit().await.context("the jobs tables could not be written")?;
        self.notify(run, &mut outcome).await?;
        Ok(outcome)
    }

    fn is_quiet(outcome: &Outcome) -> bool {
        outcome.opened == 0 && outcome.closed == 0 && outcome.notified == 0 && outcome.undelivered.is_empty()
    }
}
