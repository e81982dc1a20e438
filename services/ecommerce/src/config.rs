//! Configuration of ecommerce: the shared variables, the way to Inventory, and the clocks of the shop.

use std::time::Duration;

use base::Currency;
use base::Tz;
use kit::config::{ConfigError, ServiceConfig, Vars, currency};
use kit::stock::StockConfig;

/// Everything ecommerce reads from the environment, under the prefix `ECOMMERCE_`.
#[derive(Debug, Clone)]
pub struct Config {
    /// What every service reads.
    pub service: ServiceConfig,
    /// What a service that takes stock reads.
    pub stock: StockConfig,
    /// The currency of imported amounts.
    pub currency: Currency,
    /// The company's IANA zone: decides the business day of online orders.
    pub time_zone: Tz,
    /// After this long untouched, an open cart counts as abandoned.
    pub cart_idle: Duration,
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
            currency: currency(&mut vars)?,
            time_zone: vars.or("TIME_ZONE", "UTC", "the company's IANA time zone")?,
            cart_idle: vars.seconds_or(
                "CART_IDLE_SECONDS",
                "86400",
                "after this long untouched a cart is abandoned, in seconds",
            )?,
        };
        vars.finish()?;
        Ok(config)
    }
}
