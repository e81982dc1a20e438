//! PostgreSQL clusters made from the system's server programs: one per database, loopback only, `scram-sha-256`.
//!
//! No cluster has a Unix socket: everybody connects over loopback with a password, as in production, and the
//! 107-byte limit of socket paths cannot bite in a deep data folder.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use sqlx::postgres::PgConnectOptions;

use crate::databases::Database;
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::process::Program;
use crate::secrets::{SUPERUSER, Secrets};
use crate::user::{self, User};

/// The oldest server that the migrations and the feed's SQL run on.
const OLDEST: u32 = 15;

/// The server programs and whom they run as; found once per stack.
#[derive(Debug, Clone)]
pub struct Server {
    bin: PathBuf,
    version: u32,
    user: Option<User>,
}

/// One cluster of one database.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// What it holds.
    pub database: Database,
    /// Its data folder.
    pub dir: PathBuf,
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// False only in tests: nothing is synced to disk, so that they do not wait for it.
    pub durable: bool,
}

impl Server {
    /// Finds the newest `postgres` in the places where distributions put it, and on the caller's PATH.
    ///
    /// # Errors
    /// [`Error::MissingProgram`] says what to install.
    pub fn find() -> Result<Self> {
        let mut bins: Vec<PathBuf> = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"]
            .iter()
            .filter_map(|base| std::fs::read_dir(base).ok())
            .flat_map(|entries| entries.flatten().map(|entry| entry.path().join("bin")))
            .chain([PathBuf::from("/usr/pgsql-17/bin"), PathBuf::from("/usr/bin"), PathBuf::from("/usr/local/bin")])
            .filter(|bin| bin.join("postgres").exists() && bin.join("initdb").exists())
            .collect();
        bins.sort();
        let mut servers: Vec<(u32, PathBuf)> =
            bins.into_iter().filter_map(|bin| version(&bin).map(|version| (version, bin))).collect();
        servers.sort();
        match servers.pop() {
            Some((version, bin)) if version >= OLDEST => Ok(Self { bin, version, user: user::for_postgres()? }),
            Some((version, bin)) => Err(missing(&format!("found only version {version} in {}", bin.display()))),
            None => Err(missing("looked in /usr/lib/postgresql/*/bin, /usr/bin and /usr/local/bin")),
        }
    }

    /// One of PostgreSQL's client programs, such as `pg_dump`: this server's own, or else the one on the PATH.
    pub fn tool(&self, name: &str) -> PathBuf {
        let own = self.bin.join(name);
        if own.exists() { own } else { PathBuf::from(name) }
    }

    /// Which server this is, for messages.
    pub fn describe(&self) -> String {
        format!("PostgreSQL {} in {}", self.version, self.bin.display())
    }

    /// The folder of the clusters: `<data>/pg`. Started by root below a folder that PostgreSQL's user may not enter
    /// (such as /root), the clusters live under /var/lib instead, and `<data>/pg` is a link to them.
    pub fn home(&self, layout: &Layout) -> Result<PathBuf> {
        let home = layout.pg();
        if home.exists() {
            return std::fs::canonicalize(&home).map_err(Error::io("open", &home));
        }
        match &self.user {
            Some(user) if !user.can_enter(layout.root()) => {
                let elsewhere = PathBuf::from(format!("/var/lib/tributary/{}", uuid::Uuid::new_v4().simple()));
                std::fs::create_dir_all(&elsewhere).map_err(Error::io("create the folder", &elsewhere))?;
                // A link that leads nowhere is what is left when somebody removed the folder.
                std::fs::remove_file(&home).ok();
                symlink(&elsewhere, &home).map_err(Error::io("link", &home))?;
                Ok(elsewhere)
            }
            _ => {
                std::fs::create_dir(&home).map_err(Error::io("create the folder", &home))?;
                Ok(home)
            }
        }
    }

    /// Creates the cluster's data folder if there is none yet. It appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::Folder`] when it was made by another major version, [`Error::Program`] when `initdb` fails.
    pub fn create(&self, cluster: &Cluster, secrets: &Secrets) -> Result<()> {
        let stamp = cluster.dir.join("PG_VERSION");
        if let Ok(found) = std::fs::read_to_string(&stamp) {
            return self.check_version(cluster, found.trim());
        }
        let draft = cluster.dir.with_extension("new");
        if draft.exists() {
            std::fs::remove_dir_all(&draft).map_err(Error::io("clear", &draft))?;
        }
        std::fs::create_dir(&draft).map_err(Error::io("create the folder", &draft))?;
        std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o700))
            .map_err(Error::io("protect", &draft))?;
        let password = cluster.dir.with_extension("pw");
        crate::layout::write_private(&password, secrets.password(cluster.database.name, SUPERUSER))?;
        if let Some(user) = &self.user {
            for path in [&draft, &password] {
                std::os::unix::fs::chown(path, Some(user.uid), Some(user.gid)).map_err(Error::io("hand over", path))?;
            }
        }
        let made = self.initdb(cluster, &draft, &password);
        std::fs::remove_file(&password).map_err(Error::io("remove", &password))?;
        if let Err(error) = made {
            std::fs::remove_dir_all(&draft).map_err(Error::io("clear", &draft))?;
            return Err(error);
        }
        std::fs::rename(&draft, &cluster.dir).map_err(Error::io("create the folder", &cluster.dir))
    }

    fn initdb(&self, cluster: &Cluster, dir: &Path, password: &Path) -> Result<()> {
        let mut command = Command::new(self.bin.join("initdb"));
        command
            .args(["--username", SUPERUSER, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"])
            .arg("--pgdata")
            .arg(dir)
            .arg("--pwfile")
            .arg(password)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            // Ctrl-C is the stack's to hear: it stops when this is done, and removes nothing half made.
            .process_group(0);
        if !cluster.durable {
            // Small WAL files make a throw-away cluster half the size, and twice as quick to make.
            command.args(["--no-sync", "--wal-segsize", "1"]);
        }
        if let Some(user) = &self.user {
            command.uid(user.uid).gid(user.gid);
        }
        let program = "initdb".to_owned();
        let output = command.output().map_err(Error::io("start", &self.bin.join("initdb")))?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Error::Program { program, status: output.status.to_string(), output: text })
    }

    fn check_version(&self, cluster: &Cluster, found: &str) -> Result<()> {
        let folder = |reason: String| Error::Folder { path: cluster.dir.clone(), reason };
        if found != self.version.to_string() {
            return Err(folder(format!(
                "was made by PostgreSQL {found}, but {} is installed here. Install `postgresql-{found}`, or upgrade \
                 the folder with pg_upgrade, or start with a new --data-dir.",
                self.version
            )));
        }
        let owner = std::fs::metadata(&cluster.dir).map_err(Error::io("open", &cluster.dir))?.uid();
        let wanted = self.user.as_ref().map_or_else(|| rustix::process::geteuid().as_raw(), |user| user.uid);
        if owner != wanted {
            return Err(folder(format!(
                "belongs to user {owner}, but PostgreSQL would run as user {wanted}. Start the stack as the user who \
                 started it first, or name a new --data-dir."
            )));
        }
        Ok(())
    }

    /// The server process of a cluster. SIGINT is PostgreSQL's fast shutdown: sessions end, data is written.
    pub fn program(&self, layout: &Layout, cluster: &Cluster) -> Program {
        let mut program = Program::new(layout, cluster.database.name, &self.bin.join("postgres"));
        program.stop = Signal::INT;
        program.user = self.user.clone();
        program.env =
            vec![("LC_ALL".to_owned(), "C.UTF-8".to_owned()), ("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
        program.args = vec!["-D".to_owned(), cluster.dir.to_string_lossy().into_owned()];
        for setting in cluster.settings() {
            program.args.extend(["-c".to_owned(), setting]);
        }
        program
    }
}

impl Cluster {
    /// Settings given on the command line, so that a cluster made by an older stack has today's.
    fn settings(&self) -> Vec<String> {
        let mut settings = vec![
            format!("port={}", self.port),
            "listen_addresses=127.0.0.1".to_owned(),
            "unix_socket_directories=".to_owned(),
            "password_encryption=scram-sha-256".to_owned(),
            "max_connections=100".to_owned(),
            "shared_buffers=64MB".to_owned(),
            "timezone=UTC".to_owned(),
            "log_timezone=UTC".to_owned(),
            // The detail of a refused row is its values: names and addresses of customers.
            "log_error_verbosity=terse".to_owned(),
            "jit=off".to_owned(),
            // A prepared transaction would hold the feed's horizon back without any session to be seen.
            "max_prepared_transactions=0".to_owned(),
            // So would a session that began a transaction and forgot it.
            "idle_in_transaction_session_timeout=60s".to_owned(),
        ];
        if self.durable {
            settings.push("max_wal_size=2GB".to_owned());
        } else {
            settings.extend(
                [
                    "fsync=off",
                    "synchronous_commit=off",
                    "full_page_writes=off",
                    "wal_level=minimal",
                    "max_wal_senders=0",
                ]
                .map(str::to_owned),
            );
        }
        settings
    }

    /// How to connect to `database` of this cluster as `role`.
    pub fn connect(&self, database: &str, role: &str, secrets: &Secrets) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(role)
            .password(secrets.password(self.database.name, role))
            .database(database)
    }

    /// The same as a URL, for the environment of a service or a person's client.
    pub fn url(&self, role: &str, secrets: &Secrets) -> String {
        let (database, port) = (self.database.name, self.port);
        format!("postgresql://{role}:{}@127.0.0.1:{port}/{database}", secrets.password(database, role))
    }
}

/// Major version of the `postgres` in `bin`, such as 15.
fn version(bin: &Path) -> Option<u32> {
    let output = Command::new(bin.join("postgres")).arg("--version").env_clear().output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(2)?.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn missing(looked: &str) -> Error {
    Error::MissingProgram {
        program: format!("PostgreSQL {OLDEST} or newer"),
        looked: looked.to_owned(),
        install: "Install the server programs: `make setup` does it on Debian and Ubuntu (package `postgresql`); \
                  elsewhere `dnf install postgresql-server` or `brew install postgresql@17`."
            .to_owned(),
    }
}
