//! PgBouncer before a database: session mode works with every setting of ours, the other modes are refused at the start.

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use kit::config::{ServiceConfig, Vars};
use kit::db::{self, DbError};
use system_tests::{Stack, eventually};
use tokio::net::{TcpListener, TcpStream};

/// A running PgBouncer.
struct Pooler {
    process: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// Before `retail_db` of a stack, in a mode, with more lines of its configuration.
    async fn start(stack: &Stack, mode: &str, more: &str) -> Self {
        let url = stack.url("retail_db", "retail");
        let (login, rest) = url.strip_prefix("postgresql://").unwrap().split_once('@').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let ((host, port), (user, password)) = (server.split_once(':').unwrap(), login.split_once(':').unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (users, settings) = (folder.path().join("users"), folder.path().join("settings"));
        std::fs::write(&users, format!("\"{user}\" \"{password}\"\n")).unwrap();
        let text = format!(
            "[databases]\n* = host={host} port={port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {}\n\
             unix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = {mode}\n{more}\n",
            address.port(),
            users.display()
        );
        std::fs::write(&settings, text).unwrap();
        let mut command = Command::new("pgbouncer");
        if rustix::process::getuid().is_root() {
            // It refuses to run as root.
            for path in [folder.path(), &users, &settings] {
                assert!(Command::new("chown").arg("postgres").arg(path).status().unwrap().success());
            }
            command = Command::new("runuser");
            command.args(["-u", "postgres", "--", "pgbouncer"]);
        }
        drop(listener);
        let process = command.arg("--quiet").arg(&settings).spawn().expect("PgBouncer (tools/setup.sh)");
        eventually("PgBouncer", async || TcpStream::connect(address).await.is_ok()).await;
        Self { process, url: format!("postgresql://{login}@{address}/{database}"), _folder: folder }
    }

    /// What a service's start comes to.
    async fn connect(&self) -> Result<sqlx::PgPool, DbError> {
        let vars =
            [("X_LISTEN", "127.0.0.1:0"), ("X_DATABASE_URL", &self.url), ("X_GATEWAY_TOKEN", "0123456789abcdef")];
        db::connect(&ServiceConfig::read(&mut Vars::from_map("X_", vars)).unwrap(), "pooled").await
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // It ends on SIGTERM, and so does what runs it as another user.
        let pid = rustix::process::Pid::from_child(&self.process);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).ok();
        self.process.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn session_mode_has_our_settings_and_the_other_modes_are_refused() {
    const DROPS: &str = "ignore_startup_parameters = options,extra_float_digits";
    let mut stack = Stack::builder().only(&["retail"]).start().await;
    for mode in ["transaction", "statement"] {
        let pooler = Pooler::start(&stack, mode, DROPS).await;
        let refused = pooler.connect().await.expect_err(mode);
        assert!(matches!(refused, DbError::Pooled { .. }), "{mode}: {refused:?}");
        assert!(refused.to_string().contains("session mode"), "{refused}");
    }
    let pooler = Pooler::start(&stack, "session", "").await;
    let asked = Instant::now();
    let refused = pooler.connect().await.expect_err("it refuses what a session asks for");
    assert!(asked.elapsed() < Duration::from_secs(10), "nothing to wait for: {refused}");
    drop(pooler);

    let pooler = Pooler::start(&stack, "session", DROPS).await;
    let pool = pooler.connect().await.unwrap();
    for (setting, value) in [
        ("statement_timeout", "10s"),
        ("idle_in_transaction_session_timeout", "15s"),
        ("TimeZone", "UTC"),
        ("tcp_keepalives_idle", "10"),
        ("tcp_user_timeout", "20000"),
    ] {
        let found: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&pool).await.unwrap();
        assert_eq!(found, value, "{setting}");
    }
    stack.restart_with("retail", &[("RETAIL_DATABASE_URL", &pooler.url)]).await;
    stack.api("backoffice").get("/retail/api/v1/stores").await.expect(200);
}
