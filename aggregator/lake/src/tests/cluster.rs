//! One PostgreSQL for all tests of this process, and a migrated database for each.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool};
use tokio::sync::OnceCell;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// Runs the server until the test process ends, which closes its end of the pipe; then nothing is left of it.
const SERVE: &str = r#""$1" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c max_connections=200 2> "$2/log" &
cat; kill -QUIT $!; wait; rm -rf "$2""#;

struct Cluster {
    home: PathBuf,
    databases: AtomicU32,
    _open: ChildStdin,
}

/// A pool on a database that is migrated and else empty.
pub(super) async fn database() -> PgPool {
    let cluster = CLUSTER.get_or_init(Cluster::start).await;
    let name = format!("lake_{}", cluster.databases.fetch_add(1, Ordering::Relaxed));
    let mut admin = cluster.connect("postgres").await.unwrap();
    let create = format!("CREATE DATABASE {name} TEMPLATE migrated");
    sqlx::query(AssertSqlSafe(create)).execute(&mut admin).await.unwrap();
    PgPoolOptions::new().max_connections(10).connect_with(cluster.options(&name)).await.unwrap()
}

impl Cluster {
    async fn start() -> Self {
        let user = postgres_user();
        let home = tempfile::Builder::new().prefix("tributary-lake-").tempdir().unwrap().keep();
        if let Some((uid, gid)) = user {
            chown(&home, Some(uid), Some(gid)).unwrap();
        }
        let command = |program: &Path| {
            let mut command = Command::new(program);
            command.current_dir("/").stdout(Stdio::null());
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
            command
        };
        let made = command(&bin().join("initdb"))
            .args(["--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync", "-D"])
            .arg(home.join("data"))
            .status();
        assert!(made.unwrap().success(), "initdb");
        let serve = command(Path::new("/bin/sh"))
            .args(["-c", SERVE, "sh"])
            .arg(bin().join("postgres"))
            .arg(&home)
            .stdin(Stdio::piped())
            .spawn();
        let cluster = Self { home, databases: AtomicU32::new(0), _open: serve.unwrap().stdin.unwrap() };
        cluster.migrate().await;
        cluster
    }

    /// Makes the database that the others are copied from.
    async fn migrate(&self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut admin = loop {
            match self.connect("postgres").await {
                Ok(admin) => break admin,
                Err(error) => assert!(Instant::now() < deadline, "PostgreSQL does not come up: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        sqlx::query("CREATE DATABASE migrated").execute(&mut admin).await.unwrap();
        let mut migrated = self.connect("migrated").await.unwrap();
        sqlx::migrate!("../../migrations/reporting").run(&mut migrated).await.unwrap();
        migrated.close().await.unwrap();
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass().socket(&self.home).username("postgres").database(database)
    }

    async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        self.options(database).connect().await
    }
}

/// The newest server programs installed.
fn bin() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = versions.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    versions.max().map_or_else(|| "/usr/local/bin".into(), |newest| format!("/usr/lib/postgresql/{newest}/bin").into())
}

/// The ids of `postgres`, when this is root: PostgreSQL refuses to run as root.
fn postgres_user() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with("postgres:")).unwrap();
    let mut ids = line.split(':').skip(2).map(|id| id.parse().unwrap());
    Some((ids.next()?, ids.next()?))
}
