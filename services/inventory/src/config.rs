//! What the service is told by its environment, under the prefix `INVENTORY_`.

use kit::config::{ConfigError, ServiceConfig, Vars};

/// The configuration of the inventory service: only what every service has.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address, database, token, limits.
    pub service: ServiceConfig,
}

impl Config {
    /// Reads all variables and refuses unknown ones.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(mut vars: Vars) -> Result<Self, ConfigError> {
        let service = ServiceConfig::read(&mut vars)?;
        vars.finish()?;
        Ok(Self { service })
    }
}
