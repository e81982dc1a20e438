//! A PostgreSQL cluster of one test's own: transaction numbers are a cluster's, and some of these tests restore
//! copies of its folder or stop it in the middle.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgPool};
use tempfile::TempDir;

/// The role that owns the toy's tables, and the one that its service runs as.
pub(crate) const OWNER: &str = "toy_owner";
pub(crate) const SERVICE: &str = "toy";

/// A running cluster; stopped and removed when dropped.
pub(crate) struct Cluster {
    home: TempDir,
    port: u16,
    server: Option<Child>,
}

impl Cluster {
    /// Makes a cluster with the database `toy`, its two roles, and starts it on a free port.
    pub(crate) async fn start() -> Self {
        let home = tempfile::Builder::new().prefix("tributary-feed-").tempdir().expect("a folder");
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port();
        let mut cluster = Self { home, port, server: None };
        cluster.give(cluster.home.path());
        cluster.run(
            "initdb",
            &["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "-D"],
            &cluster.data(),
        );
        cluster.resume().await;
        let admin = cluster.pool("postgres", "postgres", &[]).await;
        for statement in [
            "CREATE ROLE toy_owner LOGIN",
            "CREATE ROLE toy LOGIN",
            "GRANT pg_read_all_stats TO toy",
            "CREATE DATABASE toy OWNER toy_owner",
        ] {
            sqlx::query(statement).execute(&admin).await.expect(statement);
        }
        admin.close().await;
        cluster
    }

    /// Starts the server on the data folder as it is.
    pub(crate) async fn resume(&mut self) {
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data());
        for setting in [
            &format!("port={}", self.port),
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            "fsync=off",
            "max_connections=60",
            "max_prepared_transactions=0",
            "autovacuum_naptime=5s",
        ] {
            command.arg("-c").arg(setting);
        }
        let log = std::fs::File::options().create(true).append(true).open(self.home.path().join("log")).expect("a log");
        command.stderr(log).stdout(Stdio::null());
        self.server = Some(command.spawn().expect("postgres starts"));
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.options("postgres", "postgres").connect().await.is_err() {
            assert!(Instant::now() < deadline, "PostgreSQL does not come up: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops the server as an orderly shutdown does, ending every session.
    pub(crate) fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// Copies the data folder of the stopped server; [`Cluster::restore`] puts it back in place.
    pub(crate) fn copy(&self) -> PathBuf {
        assert!(self.server.is_none(), "a cold copy is made of a stopped server");
        let copy = self.home.path().join("copy");
        self.cp(&self.data(), &copy);
        copy
    }

    pub(crate) fn restore(&self, copy: &Path) {
        assert!(self.server.is_none(), "a cold copy is restored to a stopped server");
        std::fs::remove_dir_all(self.data()).expect("the data folder goes");
        self.cp(copy, &self.data());
    }

    /// Dumps the toy database as SQL.
    pub(crate) fn dump(&self) -> PathBuf {
        let file = self.home.path().join("toy.sql");
        let url = format!("postgres://postgres@127.0.0.1:{}/toy", self.port);
        self.run("pg_dump", &[&url, "-f"], &file);
        file
    }

    /// Loads a dump into this cluster's empty toy database.
    pub(crate) fn load(&self, dump: &Path) {
        let own = self.home.path().join("load.sql");
        std::fs::copy(dump, &own).expect("the dump is copied");
        self.give(&own);
        let url = format!("postgres://postgres@127.0.0.1:{}/toy", self.port);
        self.run("psql", &[&url, "-q", "-v", "ON_ERROR_STOP=1", "-f"], &own);
    }

    pub(crate) fn options(&self, role: &str, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(self.port).username(role).database(database)
    }

    /// A pool of `role`'s sessions, with run-time settings.
    pub(crate) async fn pool(&self, role: &str, database: &str, settings: &[(&str, &str)]) -> PgPool {
        let options = self.options(role, database).options(settings.iter().copied());
        PgPoolOptions::new().max_connections(20).connect_with(options).await.expect("a pool")
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    fn end(&mut self, signal: Signal) {
        let Some(mut server) = self.server.take() else { return };
        let pid = i32::try_from(server.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).ok();
        server.wait().expect("postgres ends");
    }

    fn cp(&self, from: &Path, to: &Path) {
        let mut command = self.command("cp");
        let status = command.arg("-a").arg(from).arg(to).status().expect("cp runs");
        assert!(status.success(), "cp -a {} {}", from.display(), to.display());
    }

    fn run(&self, program: &str, args: &[&str], last: &Path) {
        let output = self.command(program).args(args).arg(last).output().expect(program);
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A command as the user that PostgreSQL may run as: it refuses root.
    fn command(&self, program: &str) -> Command {
        let known = bin().join(program);
        let mut command = Command::new(if known.exists() { known } else { PathBuf::from(program) });
        command.current_dir("/").stdin(Stdio::null());
        if let Some((uid, gid)) = postgres_user() {
            command.uid(uid).gid(gid);
        }
        command
    }

    fn give(&self, path: &Path) {
        if let Some((uid, gid)) = postgres_user() {
            chown(path, Some(uid), Some(gid)).expect("the folder is handed over");
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.end(Signal::QUIT);
    }
}

/// The newest server programs installed.
fn bin() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, bin)| bin.join("postgres").exists())
        .collect();
    found.sort();
    found.pop().map_or_else(|| PathBuf::from("/usr/local/bin"), |(_, bin)| bin)
}

/// The ids of `postgres`, when this is root.
fn postgres_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let line = users.lines().find(|line| line.starts_with("postgres:")).expect("a user called postgres");
    let mut ids = line.split(':').skip(2).map(|id| id.parse().expect("a numeric id"));
    Some((ids.next().expect("a user id"), ids.next().expect("a group id")))
}
