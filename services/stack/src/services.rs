//! The gateway and the four services: which program, which environment, where it answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::databases::DATABASES;
use crate::error::{Error, Result};
use crate::layout::{Layout, write_private};
use crate::ports::Ports;
use crate::postgres::Cluster;
use crate::process::Program;
use crate::secrets::{CONSUMERS, Secrets};

/// The services, in the order in which they start; they stop in the reverse one.
pub const SERVICES: [&str; 4] = ["inventory", "ecommerce", "retail", "reporting"];

/// The company that one stack serves.
#[derive(Debug, Clone)]
pub struct Company {
    /// IANA zone of the head office and of the online shop.
    pub time_zone: String,
    /// ISO code of the one currency.
    pub currency: String,
}

impl Default for Company {
    fn default() -> Self {
        Self { time_zone: "America/Toronto".to_owned(), currency: "CAD".to_owned() }
    }
}

/// What all programs of one stack are made from.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    pub layout: &'a Layout,
    pub ports: &'a Ports,
    pub secrets: &'a Secrets,
    pub clusters: &'a [Cluster],
    pub company: &'a Company,
    /// Folder of the binaries.
    pub bin: &'a Path,
    /// Further variables, by service, which win over the stack's own.
    pub extra: &'a BTreeMap<String, Vec<(String, String)>>,
}

/// The folder of the stack's sibling programs: that of the running executable.
///
/// # Errors
/// [`Error::MissingProgram`] names the first program that has not been built.
pub fn find_programs(bin: &Path) -> Result<()> {
    match SERVICES.iter().chain(&["gateway"]).find(|name| !bin.join(name).is_file()) {
        None => Ok(()),
        Some(name) => Err(Error::MissingProgram {
            program: (*name).to_owned(),
            looked: format!("looked in {}", bin.display()),
            install: "Build everything once: `make build` (or `cargo build --workspace`).".to_owned(),
        }),
    }
}

/// Where this executable lies; tests, whose binary is in `deps/`, name the folder above it.
pub fn own_folder() -> Result<PathBuf> {
    let exe = std::env::current_exe().map_err(Error::io("find", Path::new("the running program")))?;
    let mut folder = exe.parent().unwrap_or(Path::new("/")).to_owned();
    if folder.ends_with("deps") {
        folder.pop();
    }
    Ok(folder)
}

impl Parts<'_> {
    /// URL of a listener on this machine.
    pub fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}", self.ports.of(name))
    }

    /// A service with its whole environment.
    pub fn service(&self, name: &str) -> Program {
        let mut program = Program::new(self.layout, name, &self.bin.join(name));
        if name == "reporting" {
            program.args.push("serve".to_owned());
        }
        let mut env = self.common(name);
        env.extend(self.own(name));
        env.extend(self.extra.get(name).into_iter().flatten().cloned());
        program.env = env.into_iter().collect();
        program
    }

    /// The settings of every service.
    fn common(&self, name: &str) -> BTreeMap<String, String> {
        let prefix = name.to_uppercase();
        let mut env = BTreeMap::new();
        env.insert(format!("{prefix}_LISTEN"), format!("127.0.0.1:{}", self.ports.of(name)));
        env.insert(format!("{prefix}_GATEWAY_TOKEN"), self.secrets.gateway_token(name).to_owned());
        // There is no other replica whom the gateway should find meanwhile.
        env.insert(format!("{prefix}_SHUTDOWN_DELAY_SECONDS"), "1".to_owned());
        if let Some(cluster) = self.clusters.iter().find(|cluster| cluster.database.service == name) {
            env.insert(format!("{prefix}_DATABASE_URL"), cluster.url(name, self.secrets));
            env.insert(format!("{prefix}_CURRENCY"), self.company.currency.clone());
            env.insert(format!("{prefix}_OWNER_URL"), cluster.url(&cluster.database.owner(), self.secrets));
        }
        env
    }

    /// The settings of this service alone.
    fn own(&self, name: &str) -> BTreeMap<String, String> {
        let calls = |prefix: &str, consumer: &str| {
            [
                (format!("{prefix}_GATEWAY_URL"), self.url("gateway")),
                (format!("{prefix}_GATEWAY_KEY"), self.secrets.key(consumer).to_owned()),
            ]
        };
        let path = |path: PathBuf| path.to_string_lossy().into_owned();
        let mut env = BTreeMap::new();
        match name {
            "ecommerce" => {
                env.extend(calls("ECOMMERCE", "service-ecommerce"));
                env.insert("ECOMMERCE_TIME_ZONE".to_owned(), self.company.time_zone.clone());
            }
            "retail" => env.extend(calls("RETAIL", "service-retail")),
            "reporting" => {
                env.extend(calls("REPORTING", "aggregator"));
                env.insert("REPORTING_SESSION_SECRET".to_owned(), self.secrets.session_secret.clone());
                env.insert("REPORTING_TIME_ZONE".to_owned(), self.company.time_zone.clone());
                env.insert("REPORTING_LAKE_DIR".to_owned(), path(self.layout.lake()));
                env.insert("REPORTING_EXPORTS_DIR".to_owned(), path(self.layout.exports()));
                env.insert("REPORTING_SPOOL_DIR".to_owned(), path(self.layout.spool()));
                env.insert("REPORTING_CATALOGUE_DIR".to_owned(), path(self.layout.catalogue()));
                env.insert("REPORTING_SOURCES_DIR".to_owned(), path(self.layout.catalogue().join("sources")));
            }
            _ => {}
        }
        env
    }

    /// The gateway; writes its configuration first.
    pub fn gateway(&self) -> Result<Program> {
        let config = self.layout.kong();
        write_private(&config, &render_kong(&self.kong_names())?)?;
        let mut program = Program::new(self.layout, "gateway", &self.bin.join("gateway"));
        program.env = vec![
            ("GATEWAY_CONFIG".to_owned(), config.to_string_lossy().into_owned()),
            ("GATEWAY_LISTEN".to_owned(), format!("127.0.0.1:{}", self.ports.of("gateway"))),
            ("GATEWAY_ADMIN_LISTEN".to_owned(), format!("127.0.0.1:{}", self.ports.of("admin"))),
        ];
        program.env.extend(self.extra.get("gateway").into_iter().flatten().cloned());
        Ok(program)
    }

    /// The values that `kong.yml` leaves open, by name.
    fn kong_names(&self) -> BTreeMap<String, String> {
        let mut names = BTreeMap::new();
        for consumer in CONSUMERS {
            names.insert(kong_key_name(consumer), self.secrets.key(consumer).to_owned());
        }
        for database in &DATABASES {
            let target = format!("127.0.0.1:{}", self.ports.of(database.service));
            let service = database.service.to_uppercase();
            let token = self.secrets.gateway_token(database.service).to_owned();
            names.insert(format!("TRIBUTARY_GATEWAY_TOKEN_{service}"), token);
            names.insert(format!("TRIBUTARY_TARGET_{service}"), target);
        }
        names
    }
}

/// The name by which `kong.yml` asks for a consumer's key.
pub fn kong_key_name(consumer: &str) -> String {
    format!("TRIBUTARY_KEY_{}", consumer.to_uppercase().replace('-', "_"))
}

/// `kong.yml` with every name replaced.
///
/// # Errors
/// [`Error::Gateway`] names what is missing.
pub fn render_kong(names: &BTreeMap<String, String>) -> Result<String> {
    crate::render::render(gateway::TEMPLATE, names).map_err(|error| Error::Gateway(error.to_string()))
}
