//! Computing in this process, for programs that embed the crate. Nothing can be ended here: a computation that is out of
//! time goes on, and keeps its slot.

use std::sync::Arc;
use std::time::Instant;

use futures_util::{FutureExt as _, StreamExt as _, stream};
use lake::References;
use polars::prelude::DataFrame;
use tokio::sync::Semaphore;

use super::compute::compute;
use super::{Asker, Engine, Filed, Filing, Frames, Order, Work};
use crate::metric;
use crate::report::run::ask::Bounds;
use crate::report::run::deep::deep;
use crate::report::run::error::ReportError;

/// Polars uses every core for one statement: more at once would only fight for memory.
const AT_ONCE: usize = 2;

/// The threads of this process.
#[derive(Debug, Clone)]
pub(crate) struct Here {
    slots: Arc<Semaphore>,
    references: Arc<References>,
}

impl Here {
    pub(crate) fn new() -> Self {
        Self { slots: Arc::new(Semaphore::new(AT_ONCE)), references: Arc::default() }
    }

    async fn run(self, work: Arc<Work>, bounds: Bounds) -> Result<DataFrame, ReportError> {
        let asked = Instant::now();
        let slot = tokio::time::timeout(bounds.patience, self.slots.acquire_owned()).await;
        metric::report_turn(asked.elapsed());
        let slot = slot.map_err(|_| ReportError::Busy)?.map_err(|_| ReportError::Stopped)?;
        let (report, began) = (work.shape.report.clone(), Instant::now());
        let computing = deep(move || {
            // Held until the work ends, even when nobody waits for it any more: the cores are busy.
            let _held = slot;
            compute(&work, &self.references)
        });
        let outcome = match tokio::time::timeout(bounds.time, computing).await {
            Ok(done) => done.unwrap_or(Err(ReportError::Stopped)),
            Err(_) => Err(ReportError::TimedOut { report: report.clone(), seconds: bounds.time.as_secs() }),
        };
        metric::report(&report, began.elapsed(), outcome.as_ref().ok().map(DataFrame::height));
        outcome
    }
}

impl Engine for Here {
    fn rows(&self, work: Arc<Work>, _: &Asker, bounds: Bounds) -> Frames {
        stream::once(self.clone().run(work, bounds)).boxed()
    }

    fn file(&self, work: Arc<Work>, asker: &Asker, bounds: Bounds, _: Order) -> Filing {
        let rows = self.rows(work, asker, bounds);
        async { Ok(Filed::Rows(rows)) }.boxed()
    }
}
