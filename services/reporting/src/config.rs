//! Settings of the reporting service: `REPORTING_*`.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use base::{BusinessDays, Currency, DayStart, Tz};
use kit::config::{ConfigError, Secret, ServiceConfig, Token, Vars};

use crate::memory;

/// The prefix of every variable.
pub const PREFIX: &str = "REPORTING_";

/// Configuration of the reporting service and of its command line.
#[derive(Debug, Clone)]
pub struct Config {
    /// The settings of every service.
    pub service: ServiceConfig,
    /// Base URL of the gateway, through which sources are polled.
    pub gateway_url: String,
    /// The aggregator's key there.
    pub gateway_key: Secret,
    /// Signs the console's sessions: whoever knows it can sign in as anybody.
    pub session_secret: Token,
    /// The company's time zone: what "yesterday" and a business day online mean.
    pub time_zone: Tz,
    /// From when on the clock it is the next business day.
    pub day_starts: DayStart,
    /// ISO 4217 code of every amount.
    pub currency: Currency,
    /// Folder of the lake's files.
    pub lake_dir: PathBuf,
    /// Folder of the export packs.
    pub exports_dir: PathBuf,
    /// Folder in which downloads are built before they are sent.
    pub spool_dir: PathBuf,
    /// Most bytes that spooled downloads may take together.
    pub spool_bytes: u64,
    /// Folder with further source declarations.
    pub sources_dir: Option<PathBuf>,
    /// Folder with further `reports/` and `views/`.
    pub catalogue_dir: Option<PathBuf>,
    /// By how much the clocks of process, database and sources may differ before a figure is final.
    pub clock_tolerance: Duration,
    /// File that declares the jobs; the shipped one when absent.
    pub jobs_file: Option<PathBuf>,
    /// Whether this process runs scheduled jobs.
    pub scheduler: bool,
    /// Length of a run's lease; another replica takes over after this much silence.
    pub lease: Duration,
    /// Bytes of memory that a process which computes may take.
    pub compute_memory: NonZeroU64,
    /// Most downloads built at a time.
    pub compute_slots: NonZeroUsize,
    /// Most downloads on their way to clients at a time; more are answered with 503.
    pub downloads: NonZeroUsize,
    /// How long a client may take nothing of its download before it is broken off.
    pub send_timeout: Duration,
    /// Name of this replica in run rows.
    pub replica: String,
    /// Where alerts are sent when the jobs file names no address.
    pub alert_url: Option<String>,
    /// Secret that signs what is sent to webhooks.
    pub webhook_secret: Option<Token>,
}

impl Config {
    /// Read every variable and refuse unknown ones.
    ///
    /// # Errors
    /// [`ConfigError`] names the variable.
    pub fn read(mut vars: Vars) -> Result<Self, ConfigError> {
        let config = Self {
            service: ServiceConfig::read(&mut vars)?,
            gateway_url: vars.required("GATEWAY_URL", "base URL of the gateway, such as http://127.0.0.1:8000")?,
            gateway_key: vars.required("GATEWAY_KEY", "the aggregator's key at the gateway")?,
            session_secret: vars.required("SESSION_SECRET", "signs the console's sessions, at least 16 characters")?,
            time_zone: vars.or("TIME_ZONE", "UTC", "the company's IANA time zone")?,
            day_starts: vars.or("DAY_STARTS", "00:00", "when the business day starts on the clock, 00:00 to 12:00")?,
            currency: kit::config::currency(&mut vars)?,
            lake_dir: vars.required("LAKE_DIR", "folder of the lake's Parquet files")?,
            exports_dir: vars.required("EXPORTS_DIR", "folder of the export packs")?,
            spool_dir: vars.required("SPOOL_DIR", "folder in which downloads are built")?,
            spool_bytes: vars.or("SPOOL_BYTES", "10000000000", "most bytes of spooled downloads")?,
            sources_dir: vars.optional("SOURCES_DIR", "folder with further source declarations (*.toml)")?,
            catalogue_dir: vars.optional("CATALOGUE_DIR", "folder with further reports/*.sql and views/*.sql")?,
            clock_tolerance: vars.seconds_or(
                "CLOCK_TOLERANCE_SECONDS",
                "120",
                "how far the clocks of process, database and sources may differ, in seconds",
            )?,
            jobs_file: vars.optional("JOBS", "TOML file that declares the jobs")?,
            scheduler: vars.or("SCHEDULER", "true", "whether this process runs scheduled jobs: true or false")?,
            lease: vars.seconds_or("LEASE_SECONDS", "30", "silence after which a run is taken over, in seconds")?,
            compute_memory: vars
                .optional("COMPUTE_MEMORY", "most bytes of memory that a process which computes reports may take")?
                .unwrap_or_else(memory::of_worker),
            compute_slots: vars.or("COMPUTE_SLOTS", "4", "most downloads built at a time")?,
            downloads: vars.or("DOWNLOADS", "256", "most downloads on their way to clients at a time")?,
            send_timeout: vars.seconds_or(
                "SEND_TIMEOUT_SECONDS",
                "60",
                "how long a client may take nothing of its download, in seconds",
            )?,
            replica: vars.optional("REPLICA", "name of this replica in run rows")?.unwrap_or_else(default_replica),
            alert_url: vars
                .optional("ALERT_URL", "address that alerts are sent to, such as http://relay:8080/alerts")?,
            webhook_secret: vars
                .optional("WEBHOOK_SECRET", "secret of 16 characters or more that signs what is sent to webhooks")?,
        };
        vars.finish()?;
        Ok(config)
    }

    /// How the company counts its days.
    #[must_use]
    pub fn days(&self) -> BusinessDays {
        BusinessDays { zone: self.time_zone, start: self.day_starts }
    }
}

fn default_replica() -> String {
    format!("pid {}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: [(&str, &str); 10] = [
        ("REPORTING_LISTEN", "127.0.0.1:0"),
        ("REPORTING_DATABASE_URL", "postgres://u:p@h/d"),
        ("REPORTING_GATEWAY_TOKEN", "0123456789abcdef"),
        ("REPORTING_GATEWAY_URL", "http://127.0.0.1:8000"),
        ("REPORTING_GATEWAY_KEY", "aggregator-key"),
        ("REPORTING_SESSION_SECRET", "fedcba9876543210"),
        ("REPORTING_TIME_ZONE", "America/Toronto"),
        ("REPORTING_LAKE_DIR", "/tmp/lake"),
        ("REPORTING_EXPORTS_DIR", "/tmp/exports"),
        ("REPORTING_SPOOL_DIR", "/tmp/spool"),
    ];

    fn read(more: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::read(Vars::from_map(PREFIX, SET.iter().chain(more).copied()))
    }

    #[test]
    fn what_is_set_is_read() {
        let config = read(&[("REPORTING_CURRENCY", "CAD")]).unwrap();
        assert_eq!(config.time_zone.name(), "America/Toronto");
        assert_eq!(config.currency.code(), "CAD");
        assert!(config.scheduler);
    }

    #[test]
    fn faults_name_the_variable() {
        for (name, value) in [
            ("REPORTING_TIME_ZONE", "Mars/Olympus"),
            ("REPORTING_CURRENCY", "dollars"),
            ("REPORTING_CURRENCY", "ZZZ"),
            ("REPORTING_COMPUTE_SLOTS", "0"),
            ("REPORTING_COMPUTE_MEMORY", "2 GB"),
            ("REPORTING_DOWNLOADS", "many"),
            ("REPORTING_SESSION_SECRET", "short"),
            ("REPORTING_LAKEDIR", "/x"),
        ] {
            let message = read(&[(name, value)]).unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
    }
}
