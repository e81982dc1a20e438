//! One whole system: started in order, looked after, stopped in order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::try_join_all;

use crate::databases::DATABASES;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::ports::{Choice, Ports};
use crate::postgres::{Cluster, Server};
use crate::process::Process;
use crate::secrets::Secrets;
use crate::services::{Company, Parts, SERVICES, find_programs, own_folder};
use crate::state::{Daemon, Member, Service, State};
use crate::{leftover, ready, roles};

/// How a system is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// The data folder.
    pub data: PathBuf,
    pub ports: Choice,
    pub company: Company,
    /// Folder of the binaries; `None` is where this executable lies.
    pub bin: Option<PathBuf>,
    /// False only in tests: the databases sync nothing to disk.
    pub durable: bool,
    /// Further variables, by service name (or `gateway`).
    pub extra: BTreeMap<String, Vec<(String, String)>>,
    /// The services to start: all of [`SERVICES`], but for tests that need a part of the system.
    pub services: Vec<&'static str>,
}

impl Options {
    /// A durable system in `data`.
    pub fn new(data: &Path, ports: Choice) -> Self {
        Self {
            data: data.to_owned(),
            ports,
            company: Company::default(),
            bin: None,
            durable: true,
            extra: BTreeMap::new(),
            services: SERVICES.to_vec(),
        }
    }
}

/// A running system. Dropping it ends every process at once; [`System::stop`] does it in order.
#[derive(Debug)]
pub struct System {
    layout: Layout,
    ports: Ports,
    secrets: Secrets,
    company: Company,
    server: Server,
    clusters: Vec<Cluster>,
    bin: PathBuf,
    extra: BTreeMap<String, Vec<(String, String)>>,
    services: Vec<&'static str>,
    client: reqwest::Client,
    /// In the order of their start: databases, services, gateway.
    pub(crate) members: Vec<Slot>,
}

/// A member's place: what runs there now, and its record.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) name: &'static str,
    pub(crate) process: Option<Process>,
    pub(crate) watch: crate::supervise::Watch,
}

/// Time in which a process may end in good order: services drain requests, databases write their buffers.
const GRACE: Duration = Duration::from_secs(30);

impl System {
    /// Starts everything and waits until each part is ready. `tell` gets the progress, a line at a time.
    ///
    /// # Errors
    /// Whatever is missing, busy or broken; nothing is left running then.
    pub async fn start(options: Options, tell: impl FnMut(&str)) -> Result<Self> {
        let mut system = Self::prepare(options)?;
        find_programs(&system.bin)?;
        system.bring_up(tell).await?;
        Ok(system)
    }

    /// Starts the databases alone: to restore a backup into, and for tests of one part.
    ///
    /// # Errors
    /// As [`System::start`].
    pub async fn start_databases(options: Options, mut tell: impl FnMut(&str)) -> Result<Self> {
        let mut system = Self::prepare(options)?;
        system.bring_up_databases(&mut tell).await?;
        Ok(system)
    }

    fn prepare(options: Options) -> Result<Self> {
        let server = Server::find()?;
        let bin = match &options.bin {
            Some(bin) => bin.clone(),
            None => own_folder()?,
        };
        let layout = Layout::new(&options.data)?;
        layout.create()?;
        let ports = Ports::choose(options.ports)?;
        let secrets = Secrets::load_or_create(&layout)?;
        let home = server.home(&layout)?;
        let clusters = DATABASES
            .iter()
            .map(|database| Cluster {
                database: *database,
                dir: home.join(database.name),
                port: ports.of(database.name),
                durable: options.durable,
            })
            .collect();
        let client = reqwest::Client::builder()
            .no_proxy()
            .build()
            .map_err(|error| Error::Call { what: "HTTP client".to_owned(), reason: error.to_string() })?;
        let Options { company, extra, services, .. } = options;
        Ok(Self {
            layout,
            ports,
            secrets,
            company,
            server,
            clusters,
            bin,
            extra,
            services,
            client,
            members: Vec::new(),
        })
    }

    async fn bring_up(&mut self, mut tell: impl FnMut(&str)) -> Result<()> {
        self.bring_up_databases(&mut tell).await?;
        tell("starting the services and the gateway");
        for name in self.services.clone() {
            self.launch(name)?;
        }
        for name in self.services.clone() {
            self.wait_ready(name).await?;
            tell(&format!("{name} is ready on {}", self.parts().url(name)));
        }
        // Last: a service that is down at the gateway's first look is passed over until the next one.
        self.launch("gateway")?;
        self.wait_ready("gateway").await?;
        tell(&format!("gateway is ready on {}", self.parts().url("gateway")));
        Ok(())
    }

    async fn bring_up_databases(&mut self, tell: &mut impl FnMut(&str)) -> Result<()> {
        tell("starting four PostgreSQL clusters");
        if let Some(home) = self.clusters.first().and_then(|cluster| cluster.dir.parent())
            && home != self.layout.pg()
        {
            tell(&format!("their data lies in {}: PostgreSQL's user may not enter the data folder", home.display()));
        }
        std::thread::scope(|scope| {
            let jobs: Vec<_> = self
                .clusters
                .iter()
                .map(|cluster| scope.spawn(|| self.server.create(cluster, &self.secrets)))
                .collect();
            // A panic in `create` is a bug of ours; it is passed on.
            jobs.into_iter().try_for_each(|job| job.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        for database in &DATABASES {
            self.released(database.name).await;
            self.launch(database.name)?;
        }
        for database in &DATABASES {
            self.wait_ready(database.name).await?;
        }
        try_join_all(self.clusters.iter().map(|cluster| roles::provision(cluster, &self.secrets))).await?;
        for cluster in &self.clusters {
            tell(&format!("{} is ready on 127.0.0.1:{}", cluster.database.name, cluster.port));
        }
        Ok(())
    }

    /// Starts a member, or starts it again. It is not waited for.
    pub fn launch(&mut self, name: &'static str) -> Result<()> {
        let program = match self.clusters.iter().find(|cluster| cluster.database.name == name) {
            Some(cluster) => self.server.program(&self.layout, cluster),
            None if name == "gateway" => self.parts().gateway()?,
            None => self.parts().service(name),
        };
        let process = program.spawn()?;
        match self.members.iter_mut().find(|slot| slot.name == name) {
            Some(slot) => slot.process = Some(process),
            None => self.members.push(Slot { name, process: Some(process), watch: crate::supervise::Watch::default() }),
        }
        Ok(())
    }

    /// Waits until what is left of a killed database's server has ended, as far as it is a database.
    pub async fn released(&self, name: &str) {
        if let Ok(cluster) = self.cluster(name) {
            leftover::wait_until_released(&cluster.dir).await;
        }
    }

    /// Waits until a member does its work: a service also for the gateway to send requests on to it.
    ///
    /// # Errors
    /// [`Error::Ended`] or [`Error::NotReady`], with the end of its log.
    pub async fn wait_ready(&mut self, name: &str) -> Result<()> {
        let (admin, client) = (self.parts().url("admin"), self.client.clone());
        if let Some(cluster) = self.clusters.iter().find(|cluster| cluster.database.name == name).cloned() {
            let secrets = self.secrets.clone();
            return ready::cluster(self.started(name)?, &cluster, &secrets).await;
        }
        if name == "gateway" {
            let services = self.services.clone();
            let gateway = self.started(name)?;
            for service in services {
                ready::upstream(gateway, &client, &admin, service).await?;
            }
            return Ok(());
        }
        let url = format!("{}/health/ready", self.parts().url(name));
        ready::http(self.started(name)?, &client, &url).await?;
        match self.process("gateway").map(|gateway| (gateway.ended().is_none(), gateway)) {
            Some((true, gateway)) => ready::upstream(gateway, &client, &admin, name).await,
            _ => Ok(()),
        }
    }

    fn started(&mut self, name: &str) -> Result<&mut Process> {
        self.process(name).ok_or_else(|| Error::Usage(format!("{name} was not started")))
    }

    /// Stops everything: services first, so that what is under way can still reach gateway and databases.
    /// Returns the names of those that had to be killed.
    pub async fn stop(mut self) -> Vec<&'static str> {
        let mut killed = Vec::new();
        let order = SERVICES.into_iter().rev().chain(["gateway"]).chain(DATABASES.iter().map(|database| database.name));
        for name in order {
            if let Some(process) = self.process(name)
                && !process.stop(GRACE).await
            {
                killed.push(name);
            }
        }
        killed
    }

    /// The process of a member, if it has been started.
    pub fn process(&mut self, name: &str) -> Option<&mut Process> {
        self.members.iter_mut().find(|slot| slot.name == name).and_then(|slot| slot.process.as_mut())
    }

    /// The cluster of a database.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that is none.
    pub fn cluster(&self, database: &str) -> Result<&Cluster> {
        self.clusters
            .iter()
            .find(|cluster| cluster.database.name == database)
            .ok_or_else(|| Error::Usage(format!("there is no database {database}")))
    }

    /// The data folder.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The secrets of the data folder.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The ports in use.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// What the programs are made from.
    pub fn parts(&self) -> Parts<'_> {
        Parts {
            layout: &self.layout,
            ports: &self.ports,
            secrets: &self.secrets,
            clusters: &self.clusters,
            company: &self.company,
            bin: &self.bin,
            extra: &self.extra,
        }
    }

    /// Changes the variables that a service gets from its next start on.
    pub fn set_extra(&mut self, service: &str, variables: Vec<(String, String)>) {
        self.extra.insert(service.to_owned(), variables);
    }

    /// What `stack status --json` shows.
    pub fn state(&self) -> State {
        let parts = self.parts();
        let pid_of = |slot: &Slot| slot.process.as_ref().map(Process::id);
        let readers = self.clusters.iter().flat_map(|cluster| {
            cluster
                .database
                .readers
                .iter()
                .map(|reader| (reader.role.to_owned(), cluster.url(reader.role, &self.secrets)))
        });
        let me = std::process::id();
        State {
            gateway: parts.url("gateway"),
            admin: parts.url("admin"),
            keys: self.secrets.keys.clone(),
            databases: self
                .clusters
                .iter()
                .map(|cluster| {
                    (cluster.database.name.to_owned(), cluster.url(&cluster.database.owner(), &self.secrets))
                })
                .collect(),
            readers: readers.collect(),
            services: self
                .members
                .iter()
                .filter(|slot| SERVICES.contains(&slot.name))
                .filter_map(|slot| {
                    Some((slot.name.to_owned(), Service { pid: pid_of(slot)?, url: parts.url(slot.name) }))
                })
                .collect(),
            lake: self.layout.lake(),
            exports: self.layout.exports(),
            time_zone: self.company.time_zone.clone(),
            environment: self
                .services
                .iter()
                .map(|name| ((*name).to_owned(), parts.service(name).env.into_iter().collect()))
                .collect(),
            stack: Daemon { pid: me, started: crate::process::start_time(me).unwrap_or_default() },
            processes: self
                .members
                .iter()
                .map(|slot| {
                    let member =
                        Member { pid: pid_of(slot), port: self.ports.of(slot.name), restarts: slot.watch.restarts() };
                    (slot.name.to_owned(), member)
                })
                .collect(),
        }
    }
}
