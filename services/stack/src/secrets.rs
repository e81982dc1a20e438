//! Keys, passwords and the gateway's token: made once per data folder, so that none is in the repository.

use std::collections::BTreeMap;
use std::path::Path;

use rand::RngExt;
use serde::{Deserialize, Serialize};

use crate::databases::DATABASES;
use crate::error::{Error, Result};
use crate::layout::{Layout, write_private};

/// Who calls through the gateway, each with a key of its own.
pub const CONSUMERS: [&str; 8] =
    ["storefront", "pos", "backoffice", "aggregator", "analyst", "operator", "service-retail", "service-ecommerce"];

/// The superuser of each cluster; only the stack itself uses it.
pub const SUPERUSER: &str = "postgres";

/// Everything secret about one stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// Value of the header that the gateway adds, by the service that asks for it.
    pub gateway_tokens: BTreeMap<String, String>,
    /// Signs the sessions of the console.
    pub session_secret: String,
    /// `apikey` of each consumer.
    pub keys: BTreeMap<String, String>,
    /// Password of each role, by database and role (`retail_db.retail_owner`).
    pub passwords: BTreeMap<String, BTreeMap<String, String>>,
}

impl Secrets {
    /// Fresh secrets.
    pub fn generate() -> Self {
        let passwords = DATABASES
            .iter()
            .map(|database| {
                let mut roles: BTreeMap<_, _> = database.roles().into_iter().map(|role| (role, secret())).collect();
                roles.insert(SUPERUSER.to_owned(), secret());
                (database.name.to_owned(), roles)
            })
            .collect();
        Self {
            gateway_tokens: tokens(),
            session_secret: secret(),
            keys: CONSUMERS.iter().map(|consumer| ((*consumer).to_owned(), secret())).collect(),
            passwords,
        }
    }

    /// The secrets of a data folder; the first call makes them.
    ///
    /// # Errors
    /// [`Error::BadFile`] when the file was edited into something else, or lacks a name this version needs.
    pub fn load_or_create(layout: &Layout) -> Result<Self> {
        let path = layout.secrets();
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let bad = |reason: String| Error::BadFile { path: path.clone(), reason };
                let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| bad(error.to_string()))?;
                // Earlier versions had one token for all services.
                let earlier = table.remove("gateway_token").is_some();
                if earlier {
                    let tokens = tokens().into_iter().map(|(service, token)| (service, token.into()));
                    table.insert("gateway_tokens".to_owned(), toml::Value::Table(tokens.collect()));
                }
                let secrets: Self = table.try_into().map_err(|error| bad(error.to_string()))?;
                secrets.complete().map_err(|name| bad(format!("has no `{name}`")))?;
                if earlier {
                    secrets.write(&path)?;
                }
                Ok(secrets)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secrets = Self::generate();
                secrets.write(&path)?;
                Ok(secrets)
            }
            Err(error) => Err(Error::io("read", &path)(error)),
        }
    }

    fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self)
            .map_err(|error| Error::BadFile { path: path.to_owned(), reason: error.to_string() })?;
        write_private(path, &text)
    }

    /// The token with which the gateway comes to a service.
    pub fn gateway_token(&self, service: &str) -> &str {
        self.gateway_tokens.get(service).map_or("", String::as_str)
    }

    /// Password of a role.
    pub fn password(&self, database: &str, role: &str) -> &str {
        // `complete` was checked when the file was read.
        self.passwords.get(database).and_then(|roles| roles.get(role)).map_or("", String::as_str)
    }

    /// Key of a consumer.
    pub fn key(&self, consumer: &str) -> &str {
        self.keys.get(consumer).map_or("", String::as_str)
    }

    fn complete(&self) -> Result<(), String> {
        if let Some(missing) = CONSUMERS.iter().find(|name| !self.keys.contains_key(**name)) {
            return Err(format!("keys.{missing}"));
        }
        for database in &DATABASES {
            if self.gateway_token(database.service).is_empty() {
                return Err(format!("gateway_tokens.{}", database.service));
            }
            for role in database.roles().iter().map(String::as_str).chain([SUPERUSER]) {
                if self.password(database.name, role).is_empty() {
                    return Err(format!("passwords.{}.{role}", database.name));
                }
            }
        }
        Ok(())
    }
}

/// A token for each service.
fn tokens() -> BTreeMap<String, String> {
    DATABASES.iter().map(|database| (database.service.to_owned(), secret())).collect()
}

/// 32 letters and digits: 190 bits, and nothing that a URL, YAML or SQL would have to quote.
fn secret() -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = rand::rng();
    (0..32).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_keeps_its_secrets_and_shows_them_to_nobody_else() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("tributary-secrets-{}", std::process::id()));
        let layout = Layout::new(&folder).unwrap();
        layout.create().unwrap();
        let first = Secrets::load_or_create(&layout).unwrap();
        let second = Secrets::load_or_create(&layout).unwrap();
        let mode = std::fs::metadata(layout.secrets()).unwrap().permissions().mode();
        // A file of an earlier version.
        let mut table: toml::Table = std::fs::read_to_string(layout.secrets()).unwrap().parse().unwrap();
        table.remove("gateway_tokens");
        table.insert("gateway_token".to_owned(), "one".into());
        std::fs::write(layout.secrets(), table.to_string()).unwrap();
        let renewed = Secrets::load_or_create(&layout).unwrap();
        let kept = Secrets::load_or_create(&layout).unwrap();
        std::fs::write(layout.secrets(), "gateway_token = 'x'\nsession_secret = 'x'\nkeys = {}\npasswords = {}\n")
            .unwrap();
        let broken = Secrets::load_or_create(&layout).unwrap_err();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(first, second);
        assert_eq!(renewed, kept);
        assert_eq!(renewed.keys, first.keys);
        assert_ne!(renewed.gateway_token("retail"), renewed.gateway_token("inventory"));
        assert_eq!(mode & 0o777, 0o600);
        assert!(broken.to_string().contains("keys.storefront"), "{broken}");
        assert_ne!(first.key("pos"), first.key("operator"));
    }
}
