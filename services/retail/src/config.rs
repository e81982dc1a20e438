//! Configuration of retail: the shared variables, and the way to Inventory.

use base::Currency;
use chrono::TimeDelta;
use kit::config::{ConfigError, ServiceConfig, Vars, currency};
use kit::stock::StockConfig;

/// Everything retail reads from the environment, under the prefix `RETAIL_`.
#[derive(Debug, Clone)]
pub struct Config {
    /// What every service reads.
    pub service: ServiceConfig,
    /// What a service that takes stock reads.
    pub stock: StockConfig,
    /// How far back a till that was offline may send its sales.
    pub offline: TimeDelta,
    /// The currency of imported amounts.
    pub currency: Currency,
}

impl Config {
    /// Reads and checks all variables.
    ///
    /// # Errors
    /// A variable is missing, bad, or unknown; the message names it.
    pub fn read(mut vars: Vars) -> Result<Self, ConfigError> {
        let days: u16 =
            vars.or("OFFLINE_DAYS", "30", "how far back a till that was offline may tell its sales, in days")?;
        let config = Self {
            service: ServiceConfig::read(&mut vars)?,
            stock: StockConfig::read(&mut vars)?,
            currency: currency(&mut vars)?,
            offline: TimeDelta::days(days.into()),
        };
        vars.finish()?;
        Ok(config)
    }
}
