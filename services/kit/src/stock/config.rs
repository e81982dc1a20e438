//! The address and key for calls to Inventory, and the time limits of documents that wait for an answer.

use std::time::Duration;

use crate::config::{ConfigError, Secret, Vars};

/// What a service that takes stock reads from the environment, beside [`crate::config::ServiceConfig`].
#[derive(Debug, Clone)]
pub struct StockConfig {
    /// The gateway's address, such as `http://127.0.0.1:8000`.
    pub gateway_url: String,
    /// This service's key at the gateway.
    pub gateway_key: Secret,
    /// Longest wait for one answer of Inventory.
    pub call_timeout: Duration,
    /// How often recovery looks for messages that are due.
    pub recovery_interval: Duration,
    /// The time limits of a document.
    pub limits: Limits,
}

/// How long a document may wait for Inventory.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How long recovery leaves a new document to the request that made it.
    pub grace: Duration,
    /// After this long without an answer a pending document is given up.
    pub pending: Duration,
    /// After this long a document with an undelivered message is listed as stuck.
    pub stuck: Duration,
}

impl StockConfig {
    /// Reads the variables; the caller reads its own and then calls [`Vars::finish`].
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(vars: &mut Vars) -> Result<Self, ConfigError> {
        Ok(Self {
            gateway_url: vars.required("GATEWAY_URL", "address of the gateway, such as http://127.0.0.1:8000")?,
            gateway_key: vars.required("GATEWAY_KEY", "this service's API key at the gateway")?,
            call_timeout: vars.seconds_or("CALL_TIMEOUT_SECONDS", "3", "longest wait for Inventory, in seconds")?,
            recovery_interval: vars.seconds_or(
                "RECOVERY_INTERVAL_SECONDS",
                "1",
                "time between looks for undelivered stock messages, in seconds",
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
                    "after this a pending document is given up, in seconds",
                )?,
                stuck: vars.seconds_or(
                    "STUCK_AFTER_SECONDS",
                    "60",
                    "after this a document with an undelivered stock message is listed as stuck, in seconds",
                )?,
            },
        })
    }
}
