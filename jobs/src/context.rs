//! What every shipped job works with.

use std::{path::PathBuf, sync::Arc, time::Duration};

use aggregator::{Aggregator, publish::Gate};
use base::Span;

use crate::{engine::JobError, export_pack::ExportSettings, webhook::Webhook};

/// What is opened once per process, and what the head of the jobs file says for all jobs.
#[derive(Debug, Clone)]
pub struct Context {
    /// The lake, the reports and what is published.
    pub aggregator: Arc<Aggregator>,
    /// Folder of the export packs.
    pub exports_dir: PathBuf,
    /// Folder in which downloads are built.
    pub spool_dir: PathBuf,
    /// Tells other systems.
    pub webhook: Webhook,
    /// Where alerts are sent when the jobs file names no address.
    pub alert_url: Option<String>,
    pub(crate) grace: Duration,
    pub(crate) export: ExportSettings,
}

impl Context {
    /// A context with the defaults of the jobs file.
    #[must_use]
    pub fn new(aggregator: Arc<Aggregator>, exports_dir: PathBuf, spool_dir: PathBuf, webhook: Webhook) -> Self {
        let (grace, export) = (Span::minutes(15).0, ExportSettings::default());
        Self { aggregator, exports_dir, spool_dir, webhook, alert_url: None, grace, export }
    }

    /// The gate for what is published now.
    pub(crate) async fn gate(&self) -> Result<Gate, JobError> {
        Ok(Gate::read(self.aggregator.reports(), self.grace).await.map_err(anyhow::Error::new)?)
    }
}
