//! Configuration of retail: the shared variables, the way to Inventory, and the clocks of recovery.

use std::time::Duration;

use kit::config::{ConfigError, Secret, ServiceConfig, Vars};

/// Everything retail reads from the environment, under the prefix `RETAIL_`.
#[derive(Debug, Clone)]
pub struct Config {
    /// What every service reads.
    pub service: ServiceConfig,
    /// The gateway's address, such as `http://127.0.0.1:8000`.
    pub gateway_url: String,
    /// This service's key at the gateway.
    pub gateway_key: Secret,
    /// Longest wait for one answer of Inventory.
    pub call_timeout: Duration,
    /// How often recovery looks for what is owed.
    pub recovery_interval: Duration,
    /// The clocks of a document.
    pub limits: Limits,
}

/// How long a document may wait for Inventory.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long recovery leaves a new document to the request that made it.
    pub grace: Duration,
    /// After this long without an answer a pending sale is given up.
    pub pending: Duration,
    /// After this long an unsettled document is listed as stuck.
    pub stuck: Duration,
}

impl Config {
    /// Reads and checks all variables.
    ///
    /// # Errors
    /// A variable is missing, bad, or unknown; the message names it.
    pub fn read(mut vars: Vars) -> Result<Self, ConfigError> {
        let config = Self {
            service: ServiceConfig::read(&mut vars)?,
            gateway_url: vars.required("GATEWAY_URL", "address of the gateway, such as http://127.0.0.1:8000")?,
            gateway_key: vars.required("GATEWAY_KEY", "this service's API key at the gateway")?,
            call_timeout: vars.seconds_or("CALL_TIMEOUT_SECONDS", "3", "longest wait for Inventory, in seconds")?,
            recovery_interval: vars.seconds_or(
                "RECOVERY_INTERVAL_SECONDS",
                "1",
                "time between looks for unsettled documents, in seconds",
            )?,
            limits: Limits {
                grace: vars.seconds_or(
                    "RECOVERY_GRACE_SECONDS",
                    "10",
                    "how long a new document is left to its request, in seconds",
                )?,
                pending: vars.seconds_or(
                    "PENDING_LIMIT_SECONDS",
                    "900",
                    "after this a pending sale is given up, in seconds",
                )?,
                stuck: vars.seconds_or(
                    "STUCK_AFTER_SECONDS",
                    "60",
                    "after this an unsettled document is listed as stuck, in seconds",
                )?,
            },
        };
        vars.finish()?;
        Ok(config)
    }
}
