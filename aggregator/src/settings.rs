//! Settings of the aggregator.

use std::path::PathBuf;
use std::time::Duration;

use base::{BusinessDays, Currency};

/// Where things are, and in which days and currency the company counts.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Base URL of the gateway, such as `http://127.0.0.1:8000`.
    pub gateway_url: String,
    /// The aggregator's key at the gateway, sent as `apikey`.
    pub gateway_key: String,
    /// Folder of the lake's files, DuckDB's `DATA_PATH`.
    pub lake_dir: PathBuf,
    /// How the company counts its days.
    pub days: BusinessDays,
    /// The company's currency.
    pub currency: Currency,
    /// Folder with further source declarations; one of the same file name replaces a shipped one.
    pub sources_dir: Option<PathBuf>,
    /// Folder with further `reports/` and `views/`.
    pub catalogue_dir: Option<PathBuf>,
    /// By how much the clocks of this process, of the reporting database and of a source may differ before no figure
    /// that depends on them is final.
    pub clock_tolerance: Duration,
}
