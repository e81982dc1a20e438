//! Keys, passwords and the gateway's token: made once per data folder, so that none is in the repository.

use std::collections::BTreeMap;

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
    /// Value of the header that the gateway adds and the services ask for.
    pub gateway_token: String,
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
            gateway_token: secret(),
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
                let secrets: Self = toml::from_str(&text).map_err(|error| bad(error.to_string()))?;
                secrets.complete().map_err(|name| bad(format!("has no `{name}`")))?;
                Ok(secrets)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let secrets = Self::generate();
                let text = toml::to_string(&secrets)
                    .map_err(|error| Error::BadFile { path: path.clone(), reason: error.to_string() })?;
                write_private(&path, &text)?;
                Ok(secrets)
            }
            Err(error) => Err(Error::io("read", &path)(error)),
        }
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
            for role in database.roles().iter().map(String::as_str).chain([SUPERUSER]) {
                if self.password(database.name, role).is_empty() {
                    return Err(format!("passwords.{}.{role}", database.name));
                }
            }
        }
        Ok(())
    }
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
        std::fs::write(layout.secrets(), "gateway_token = 'x'\nsession_secret = 'x'\nkeys = {}\npasswords = {}\n")
            .unwrap();
        let broken = Secrets::load_or_create(&layout).unwrap_err();
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(first, second);
        assert_eq!(mode & 0o777, 0o600);
        assert!(broken.to_string().contains("keys.storefront"), "{broken}");
        assert_ne!(first.key("pos"), first.key("operator"));
    }
}
