//! A whole system for one test (or shared by several), on free ports and in its own folder.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Output;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use stack::ports::Choice;
use stack::{Options, System};

use crate::api::Api;
use crate::binaries;
use crate::template;
use crate::warden::Folder;

/// A running system. It ends with this value, with a panic, and also when the test process is killed.
#[derive(Debug)]
pub struct Stack {
    // The order of the fields is that of the drop: processes first, then their folder.
    system: System,
    folder: Folder,
    durable: bool,
}

/// How a test wants its system.
#[derive(Debug, Default)]
pub struct Builder {
    extra: BTreeMap<String, Vec<(String, String)>>,
    company: stack::services::Company,
    services: Option<Vec<&'static str>>,
    durable: bool,
    on_disk: bool,
    installed: bool,
}

impl Builder {
    /// Gives a service (or `gateway`) one more variable.
    pub fn env(mut self, service: &str, name: &str, value: &str) -> Self {
        self.extra.entry(service.to_owned()).or_default().push((name.to_owned(), value.to_owned()));
        self
    }

    /// Moves the head office and the online shop to another IANA zone.
    pub fn time_zone(mut self, zone: &str) -> Self {
        self.company.time_zone = zone.to_owned();
        self
    }

    /// Lets the company count in another currency of ISO 4217.
    pub fn currency(mut self, code: &str) -> Self {
        self.company.currency = code.to_owned();
        self
    }

    /// Starts only these services (with the gateway and all databases): quicker, for tests of a part.
    pub fn only(mut self, services: &[&'static str]) -> Self {
        self.services = Some(services.to_vec());
        self
    }

    /// Lets the databases wait for their write-ahead log, so that what was committed survives a `kill -9`.
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Keeps the system's folder on disk, for a lake that is measured, or too large for memory.
    pub fn on_disk(mut self) -> Self {
        self.on_disk = true;
        self
    }

    /// Makes the databases as `stack up` does, durable and on disk, for what is measured of them: the tests' copied ones
    /// have a write-ahead log in files of one megabyte.
    pub fn as_installed(mut self) -> Self {
        self.installed = true;
        self.durable()
    }

    /// Starts databases, gateway and services, and waits until all are ready.
    pub async fn start(self) -> Stack {
        let durable = self.durable;
        let (folder, options) = self.place().await;
        binaries::check(&options.services);
        let system = System::start(options, |_| ()).await.unwrap_or_else(|error| panic!("{}", error.report()));
        Stack { system, folder, durable }
    }

    /// Starts the four databases with their roles, and nothing else.
    pub async fn start_databases(self) -> Stack {
        let durable = self.durable;
        let (folder, options) = self.place().await;
        let system =
            System::start_databases(options, |_| ()).await.unwrap_or_else(|error| panic!("{}", error.report()));
        Stack { system, folder, durable }
    }

    async fn place(self) -> (Folder, Options) {
        let folder = if self.on_disk || self.durable { Folder::new() } else { Folder::in_memory() };
        if !self.installed {
            template::fill(folder.path()).await;
        }
        let mut options = Options::new(folder.path(), Choice::Auto);
        options.bin = Some(binaries::folder());
        options.durable = self.durable;
        options.extra = self.extra;
        options.company = self.company;
        if let Some(services) = self.services {
            options.services = services;
        }
        (folder, options)
    }
}

impl Stack {
    /// A whole system with no data.
    pub async fn start() -> Self {
        Builder::default().start().await
    }

    /// For variables and zones of the test's own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// One system for all tests of this process that only add data of their own and break nothing.
    pub async fn shared() -> &'static Self {
        static SHARED: tokio::sync::OnceCell<Stack> = tokio::sync::OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// A client of the gateway as `consumer` (`pos`, `backoffice`, `operator` …).
    pub fn api(&self, consumer: &str) -> Api {
        let key = self.system.secrets().key(consumer);
        assert!(!key.is_empty(), "{consumer} is no consumer");
        Api::new(&self.gateway(), &[("apikey", key)])
    }

    /// A client of one service on the private side, with the header that the gateway adds.
    pub fn direct(&self, service: &str) -> Api {
        let token = self.gateway_token(service);
        Api::new(&self.system.parts().url(service), &[("x-gateway-token", token)])
    }

    /// Where a service listens, and the header line that lets the gateway's own requests in.
    pub fn upstream(&self, service: &str) -> (SocketAddr, String) {
        let url = self.system.parts().url(service);
        let address = url.trim_start_matches("http://").parse().expect("an address");
        (address, format!("x-gateway-token: {}\r\n", self.gateway_token(service)))
    }

    /// The token with which the gateway comes to a service.
    pub fn gateway_token(&self, service: &str) -> &str {
        self.system.secrets().gateway_token(service)
    }

    /// URL of the gateway.
    pub fn gateway(&self) -> String {
        self.system.parts().url("gateway")
    }

    /// What `stack status --json` would say.
    pub fn state(&self) -> stack::state::State {
        self.system.state()
    }

    /// The library's own view of the system.
    pub fn system(&mut self) -> &mut System {
        &mut self.system
    }

    /// The data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// URL of a database as one of its roles.
    pub fn url(&self, database: &str, role: &str) -> String {
        let cluster = self.system.cluster(database).expect("a database of the stack");
        cluster.url(role, self.system.secrets())
    }

    /// Connections to a database as its owner.
    pub async fn pool(&self, database: &str) -> PgPool {
        let owner = self.system.cluster(database).expect("a database of the stack").database.owner();
        self.pool_as(database, &owner).await
    }

    /// Connections to a database as `role`.
    pub async fn pool_as(&self, database: &str, role: &str) -> PgPool {
        let url = self.url(database, role);
        PgPoolOptions::new().max_connections(4).connect(&url).await.expect("the database answers")
    }

    /// Ends a member (a service, `gateway` or a database) as `kill -9` does.
    ///
    /// # Panics
    /// For a database that is not [`Builder::durable`]: it may forget what it answered for, and a test of what
    /// survives would be a test of that setting.
    pub fn kill(&mut self, member: &str) {
        assert!(self.durable || !member.ends_with("_db"), "{member} would forget what it committed");
        self.system.process(member).expect("a member of the stack").kill();
    }

    /// Stops a member in good order.
    pub async fn stop(&mut self, member: &str) {
        let process = self.system.process(member).expect("a member of the stack");
        process.stop(std::time::Duration::from_secs(30)).await;
    }

    /// Starts a member that was ended, and waits until it is ready.
    pub async fn restart(&mut self, member: &'static str) {
        self.system.released(member).await;
        self.system.launch(member).unwrap_or_else(|error| panic!("{}", error.report()));
        self.system.wait_ready(member).await.unwrap_or_else(|error| panic!("{}", error.report()));
    }

    /// Stops a service, gives it these variables, and starts it again.
    pub async fn restart_with(&mut self, member: &'static str, variables: &[(&str, &str)]) {
        self.stop(member).await;
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.system.set_extra(member, variables);
        self.restart(member).await;
    }

    /// Everything a member has written to its log.
    pub fn log(&self, member: &str) -> String {
        std::fs::read_to_string(self.system.layout().log(member)).unwrap_or_default()
    }

    /// The variables that a service's server has.
    pub fn environment(&self, service: &str) -> Vec<(String, String)> {
        self.system.parts().service(service).env
    }

    /// Runs the command line of a service (`reporting`) with the environment that its server has.
    pub async fn cli(&self, service: &str, args: &[&str]) -> Output {
        tokio::process::Command::new(binaries::program(service))
            .args(args)
            .env_clear()
            .envs(self.environment(service))
            .output()
            .await
            .expect("the program starts")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            show_logs(&self.system);
        }
    }
}

/// A failed test shows what the processes said last; the folder with their logs goes away.
#[expect(clippy::print_stderr, reason = "the captured output of a failing test is where its reader looks")]
fn show_logs(system: &System) {
    for name in
        ["inventory", "ecommerce", "retail", "reporting", "gateway", "inventory_db", "ecommerce_db", "retail_db"]
    {
        let log = system.layout().log(name);
        if log.exists() {
            eprintln!("--- the end of {name}'s log\n{}", stack::process::tail(&log));
        }
    }
}
