//! Settings from the environment, under the prefix `INVENTORY_`.

use base::Currency;
use kit::config::{ConfigError, ServiceConfig, Vars, currency};

/// The configuration of the inventory service.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address, database, token, limits.
    pub service: ServiceConfig,
    /// The currency of imported amounts.
    pub currency: Currency,
}

impl Config {
    /// Reads all variables and refuses unknown ones.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(mut vars: Vars) -> Result<Self, ConfigError> {
        let service = ServiceConfig::read(&mut vars)?;
        let currency = currency(&mut vars)?;
        vars.finish()?;
        Ok(Self { service, currency })
    }
}
