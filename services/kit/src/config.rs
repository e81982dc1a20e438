//! Configuration from the environment: one prefix per binary, read once, unknown names refused.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use base::Currency;

/// Why a configuration is refused; every message names the variable.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A variable without a default is absent or empty.
    #[error("{name} is not set: {doc}")]
    Missing { name: String, doc: &'static str },
    /// A value that does not parse.
    #[error("{name} is not valid: {reason} ({doc})")]
    Invalid { name: String, reason: String, doc: &'static str },
    /// A variable with our prefix that nobody reads: most often a misspelt name.
    #[error("{name} is not a variable of this program; it knows {known}")]
    Unknown { name: String, known: String },
}

/// One variable a program reads, for `--help` and for checks of deployment files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The whole name, prefix included.
    pub name: String,
    /// What it means, with its unit.
    pub doc: &'static str,
    /// The text used when it is absent.
    pub default: Option<&'static str>,
    /// Whether the program refuses to start without it.
    pub required: bool,
}

/// The variables of one prefix, taken one by one; [`Vars::finish`] refuses what is left over.
#[derive(Debug)]
pub struct Vars {
    prefix: String,
    values: BTreeMap<String, String>,
    known: Vec<Known>,
}

impl Vars {
    /// Takes every variable of the process environment that begins with `prefix`, for example `INVENTORY_`.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub fn from_env(prefix: &str) -> Self {
        // `vars_os`, because one variable of some other program that is not UTF-8 would make `vars` panic.
        let pairs = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
        Self::from_map(prefix, pairs)
    }

    /// The same from given pairs (whole names), for tests.
    pub fn from_map<K: Into<String>, V: Into<String>>(prefix: &str, pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let values = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .filter(|(name, _)| name.starts_with(prefix))
            .collect();
        Self { prefix: prefix.to_owned(), values, known: Vec::new() }
    }

    /// A variable that must be set. `name` is without the prefix.
    ///
    /// # Errors
    /// Absent, empty, or not a `T`.
    pub fn required<T: FromStr<Err: fmt::Display>>(&mut self, name: &str, doc: &'static str) -> Result<T, ConfigError> {
        match self.take(name, doc, None, true)? {
            Some(value) => Ok(value),
            None => Err(ConfigError::Missing { name: format!("{}{name}", self.prefix), doc }),
        }
    }

    /// A variable that may be absent; an empty one counts as absent, because compose files pass those on.
    ///
    /// # Errors
    /// Not a `T`.
    pub fn optional<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &str,
        doc: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        self.take(name, doc, None, false)
    }

    /// A variable with a default, given as the text a person would write.
    ///
    /// # Errors
    /// Not a `T`.
    pub fn or<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &str,
        default: &'static str,
        doc: &'static str,
    ) -> Result<T, ConfigError> {
        match self.take(name, doc, Some(default), false)? {
            Some(value) => Ok(value),
            None => self.parse(name, default, doc),
        }
    }

    /// [`Vars::or`] for a duration written as whole seconds.
    ///
    /// # Errors
    /// Not a whole number of seconds, or zero.
    pub fn seconds_or(
        &mut self,
        name: &str,
        default: &'static str,
        doc: &'static str,
    ) -> Result<Duration, ConfigError> {
        let seconds: NonZeroU32 = self.or(name, default, doc)?;
        Ok(Duration::from_secs(seconds.get().into()))
    }

    /// Takes the value of `old` for `new`, unless `new` is set too, and returns the warning for the log. To be called
    /// before `new` is read; the old name is accepted for one version.
    pub fn renamed(&mut self, old: &str, new: &str) -> Option<String> {
        let (old, new) = (format!("{}{old}", self.prefix), format!("{}{new}", self.prefix));
        let value = self.values.remove(&old)?;
        let warning = format!("{old} is deprecated and will be refused by the next version; set {new} instead");
        let current = self.values.entry(new).or_default();
        if current.trim().is_empty() {
            *current = value;
        }
        Some(warning)
    }

    /// The variables asked for so far.
    pub fn known(&self) -> &[Known] {
        &self.known
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// A variable with the prefix was set that nobody asked for.
    pub fn finish(self) -> Result<(), ConfigError> {
        let unknown = self.values.into_keys().find(|name| !self.known.iter().any(|known| known.name == *name));
        match unknown {
            None => Ok(()),
            Some(name) => {
                let known = self.known.iter().map(|known| known.name.as_str()).collect::<Vec<_>>().join(", ");
                Err(ConfigError::Unknown { name, known })
            }
        }
    }

    fn take<T: FromStr<Err: fmt::Display>>(
        &mut self,
        name: &str,
        doc: &'static str,
        default: Option<&'static str>,
        required: bool,
    ) -> Result<Option<T>, ConfigError> {
        let full = format!("{}{name}", self.prefix);
        let value = self.values.get(&full).filter(|value| !value.trim().is_empty()).cloned();
        self.known.push(Known { name: full, doc, default, required });
        value.map(|value| self.parse(name, value.trim(), doc)).transpose()
    }

    fn parse<T: FromStr<Err: fmt::Display>>(
        &self,
        name: &str,
        value: &str,
        doc: &'static str,
    ) -> Result<T, ConfigError> {
        // The value itself stays out of the message: it may be a secret.
        value.parse().map_err(|error: T::Err| ConfigError::Invalid {
            name: format!("{}{name}", self.prefix),
            reason: error.to_string(),
            doc,
        })
    }
}

/// Text that must not reach a log: its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A [`Secret`] of at least 16 characters: what may guard an API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token(Secret);

impl Token {
    /// The text itself.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl FromStr for Token {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() < 16 {
            return Err("it must have at least 16 characters");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it must be printable ASCII without spaces, for it travels in a header");
        }
        Ok(Self(Secret(text.to_owned())))
    }
}

/// The variable `CURRENCY`: what a service's amounts are in.
///
/// # Errors
/// ISO 4217 does not know it.
pub fn currency(vars: &mut Vars) -> Result<Currency, ConfigError> {
    vars.or("CURRENCY", "EUR", "ISO 4217 code of the company's currency")
}

/// What every service needs, whatever it serves.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The database, as the role that serves requests.
    pub database_url: Secret,
    /// The database, as the role that owns the schema and migrates it; the serving role when absent.
    pub owner_url: Option<Secret>,
    /// The value of `X-Gateway-Token` that proves a request came through the gateway.
    pub gateway_token: Token,
    /// Filter of the log, in the syntax of `tracing`'s `EnvFilter`.
    pub log: String,
    /// Most connections to the database.
    pub pool_size: NonZeroU32,
    /// Longest time one request may take; bulk imports and feeds have their own.
    pub request_timeout: Duration,
    /// Graceful shutdown delay: how long a stopping service still takes requests while its health checks answer 503.
    /// Longer than the gateway's checks need to send the next requests to another replica.
    pub shutdown_delay: Duration,
    /// Longest time that open requests are given to end at shutdown, the shutdown delay included.
    pub drain: Duration,
    /// Warnings about variables that were set under their old name; [`crate::serve::serve`] logs them.
    pub deprecated: Vec<String>,
}

impl ServiceConfig {
    /// Reads the shared variables; the caller reads its own and then calls [`Vars::finish`].
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn read(vars: &mut Vars) -> Result<Self, ConfigError> {
        let deprecated = vars.renamed("FAREWELL_SECONDS", "SHUTDOWN_DELAY_SECONDS").into_iter().collect();
        Ok(Self {
            listen: vars.required("LISTEN", "address and port to listen on, such as 127.0.0.1:8081")?,
            database_url: vars.required("DATABASE_URL", "postgres:// URL of the role that serves requests")?,
            owner_url: vars
                .optional("OWNER_URL", "postgres:// URL of the role that migrates; default: DATABASE_URL")?,
            gateway_token: vars.required("GATEWAY_TOKEN", "value of X-Gateway-Token that the gateway adds")?,
            log: vars.or("LOG", "info", "log filter, such as info or kit=debug,info")?,
            pool_size: vars.or("POOL_SIZE", "10", "most database connections")?,
            request_timeout: vars.seconds_or("REQUEST_TIMEOUT_SECONDS", "10", "longest request, in seconds")?,
            shutdown_delay: vars.seconds_or(
                "SHUTDOWN_DELAY_SECONDS",
                "3",
                "how long a stopping service still takes requests, in seconds: longer than health checks need to notice",
            )?,
            drain: vars.seconds_or("DRAIN_SECONDS", "20", "longest wait for open requests at shutdown, in seconds")?,
            deprecated,
        })
    }

    /// The URL to migrate with.
    pub fn migration_url(&self) -> &Secret {
        self.owner_url.as_ref().unwrap_or(&self.database_url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: [(&str, &str); 3] = [
        ("SHOP_LISTEN", "127.0.0.1:0"),
        ("SHOP_DATABASE_URL", "postgres://u:hunter2@h/d"),
        ("SHOP_GATEWAY_TOKEN", "0123456789abcdef"),
    ];

    fn read(more: &[(&str, &str)]) -> Result<ServiceConfig, ConfigError> {
        let mut vars = Vars::from_map("SHOP_", SET.iter().chain(more).copied());
        let config = ServiceConfig::read(&mut vars)?;
        vars.finish()?;
        Ok(config)
    }

    #[test]
    fn defaults_fill_what_is_absent_or_empty() {
        let config = read(&[("SHOP_POOL_SIZE", ""), ("OTHER_X", "1")]).unwrap();
        assert_eq!(config.pool_size.get(), 10);
        assert_eq!(config.request_timeout, Duration::from_secs(10));
        assert_eq!(config.migration_url().expose(), "postgres://u:hunter2@h/d");
    }

    #[test]
    fn every_fault_names_the_variable_and_no_secret() {
        let faults = [
            (("SHOP_POOL_SIZE", "0"), "SHOP_POOL_SIZE is not valid"),
            (("SHOP_LISTEN", ""), "SHOP_LISTEN is not set"),
            (("SHOP_GATEWAY_TOKEN", "short"), "SHOP_GATEWAY_TOKEN is not valid"),
            (("SHOP_DRAIN", "3"), "SHOP_DRAIN is not a variable of this program; it knows SHOP_LISTEN, "),
        ];
        for (set, expected) in faults {
            let message = read(&[set]).unwrap_err().to_string();
            assert!(message.starts_with(expected), "{message}");
            assert!(!message.contains("short"), "{message}");
        }
    }

    #[test]
    fn an_old_name_is_accepted_with_a_warning() {
        let config = read(&[("SHOP_FAREWELL_SECONDS", "7")]).unwrap();
        assert_eq!(config.shutdown_delay, Duration::from_secs(7));
        assert!(config.deprecated[0].contains("SHOP_FAREWELL_SECONDS is deprecated"), "{:?}", config.deprecated);
        assert!(config.deprecated[0].ends_with("set SHOP_SHUTDOWN_DELAY_SECONDS instead"), "{:?}", config.deprecated);

        let both = read(&[("SHOP_FAREWELL_SECONDS", "7"), ("SHOP_SHUTDOWN_DELAY_SECONDS", "5")]).unwrap();
        assert_eq!(both.shutdown_delay, Duration::from_secs(5));
        assert_eq!(both.deprecated.len(), 1);
        assert!(read(&[("SHOP_SHUTDOWN_DELAY_SECONDS", "5")]).unwrap().deprecated.is_empty());
        let fault = read(&[("SHOP_FAREWELL_SECONDS", "0")]).unwrap_err().to_string();
        assert!(fault.starts_with("SHOP_SHUTDOWN_DELAY_SECONDS is not valid"), "{fault}");
    }

    #[test]
    fn a_config_can_be_logged() {
        assert!(!format!("{:?}", read(&[]).unwrap()).contains("hunter2"));
    }
}
