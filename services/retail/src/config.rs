//! Configuration of retail: the shared variables, and the way to Inventory.

use kit::config::{ConfigError, Currency, ServiceConfig, Vars};
use kit::stock::StockConfig;

/// Everything retail reads from the environment, under the prefix `RETAIL_`.
#[derive(Debug, Clone)]
pub struct Config {
    /// What every service reads.
    pub service: ServiceConfig,
    /// What a service that takes stock reads.
    pub stock: StockConfig,
    /// The currency of imported amounts.
    pub currency: Currency,
}

impl Config {
    /// Reads and checks all variables.
    ///
    /// # Errors
    /// A variable is missing, bad, or unknown; the message names it.
    pub fn read(mut vars: Vars) -> Result<Self, ConfigError> {
        let config = Self {
            service: ServiceConfig::read(&mut vars)?,
            stock: StockConfig::read(&mut vars)?,
            currency: Currency::read(&mut vars)?,
        };
        vars.finish()?;
        Ok(config)
    }
}
