//! Connections whose statements end: each is carried through this process, which sees when its server falls silent.
//!
//! A network forgets a connection without a word, and a read of it waits for ever: sqlx sets neither a limit on an answer
//! nor TCP keepalives. So a pool connects to a socket of this process, and its connections are carried on from there. What
//! was asked and gets not one byte for longer than the pool's limit is given up, and so is what the server, asked on a fresh
//! connection, is no longer at work on: the connection is closed in both directions, its statement fails, and the pool
//! drops it. The limit counts from the last byte, so a long stream that goes on is not broken off.

use std::collections::BTreeMap;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener as StdListener};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use socket2::{SockRef, TcpKeepalive};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::frames::Frames;

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How often the connections are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// After this much silence the server is asked whether it is at work, and as often as this again.
const DOUBT: Duration = Duration::from_secs(10);
/// Linux's own keepalive begins after two hours.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(5)).with_retries(3);
/// How long what was sent may stay without acknowledgement.
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// The socket of one pool, and what is carried from it. Dropping it ends all of it.
#[derive(Debug)]
pub(super) struct Relay {
    /// What the pool connects to.
    pub(super) options: PgConnectOptions,
    carried: Arc<Carried>,
    _stop: DropGuard,
}

#[derive(Debug)]
struct Carried {
    server: PgConnectOptions,
    limit: Duration,
    connections: Mutex<Vec<Arc<Connection>>>,
}

/// One connection.
#[derive(Debug, Default)]
struct Connection {
    /// Since when the server owes the next byte.
    waits_since: Mutex<Option<Instant>>,
    pid: AtomicU32,
    /// The session behind it by the server's own word: no other has the same number and the same beginning.
    session: OnceLock<Session>,
    cut: CancellationToken,
}

/// A session of the server: its number, and when it began by the server's clock.
type Session = (i32, DateTime<Utc>);

impl Relay {
    /// A relay to the server of `server`, in which `limit` bounds the silence of what was asked.
    pub(super) fn start(server: PgConnectOptions, limit: Duration) -> io::Result<Self> {
        // A name in Linux's abstract namespace: no file is left behind.
        let name = format!("tributary-{}", uuid::Uuid::new_v4());
        let address = SocketAddr::from_abstract_name(format!("{name}/.s.PGSQL.{}", server.get_port()))?;
        let listener = StdListener::bind_addr(&address)?;
        listener.set_nonblocking(true)?;
        let listener = UnixListener::from_std(listener)?;
        let options = server.clone().socket(format!("\0{name}"));
        let carried = Arc::new(Carried { server, limit, connections: Mutex::default() });
        let stop = CancellationToken::new();
        let (accepting, watching) = (Arc::clone(&carried), Arc::clone(&carried));
        // Detached: they end with the relay.
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move { accepting.accept(listener).await }));
        // Detached: as above.
        tokio::spawn(stop.clone().run_until_cancelled_owned(async move { watching.watch().await }));
        Ok(Self { options, carried, _stop: stop.drop_guard() })
    }

    /// Learns which session a new connection has. Behind a pooler its number is not the connection's: nothing is asked of it.
    pub(super) async fn learn(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let session: Session =
            sqlx::query_as("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
                .fetch_one(connection)
                .await?;
        for connection in &*self.carried.all() {
            if i64::from(connection.pid.load(Ordering::Relaxed)) == i64::from(session.0) {
                connection.session.get_or_init(|| session);
            }
        }
        Ok(())
    }
}

impl Carried {
    fn all(&self) -> std::sync::MutexGuard<'_, Vec<Arc<Connection>>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn accept(self: Arc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((client, _)) => {
                    let carried = Arc::clone(&self);
                    // Detached: it ends with either side, or when it is cut.
                    tokio::spawn(async move { carried.carry(client).await });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection to the database cannot be carried");
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }

    async fn carry(&self, client: UnixStream) {
        let (host, port) = (self.server.get_host(), self.server.get_port());
        let connected = timeout(CONNECT, TcpStream::connect((host, port))).await;
        let server = match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).and_then(with_limits) {
            Ok(server) => server,
            // The client sees its connection closed and tries again.
            Err(error) => return tracing::debug!(%error, "the database does not take a connection"),
        };
        let connection = Arc::new(Connection::default());
        self.all().push(Arc::clone(&connection));
        tokio::select! {
            () = connection.pass(client, server) => {}
            () = connection.cut.cancelled() => {}
        }
        self.all().retain(|other| !Arc::ptr_eq(other, &connection));
    }

    async fn watch(&self) {
        let mut look = interval(LOOK.min(self.limit / 4));
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut asked = Instant::now();
        loop {
            look.tick().await;
            let silent = self.silent();
            for connection in silent.iter().filter(|it| it.silence() > self.limit) {
                self.give_up(connection, "longer than a statement may take");
            }
            let sessions: BTreeMap<Session, &Arc<Connection>> = silent
                .iter()
                .filter(|it| !it.cut.is_cancelled())
                .filter_map(|it| Some((*it.session.get()?, it)))
                .collect();
            if sessions.is_empty() || asked.elapsed() < DOUBT {
                continue;
            }
            asked = Instant::now();
            let numbers: Vec<i32> = sessions.keys().map(|(pid, _)| *pid).collect();
            match timeout(CONNECT, self.at_work(&numbers)).await {
                Ok(Ok(at_work)) => {
                    for (_, connection) in sessions.iter().filter(|(session, _)| !at_work.contains(session)) {
                        self.give_up(connection, "and the server is not at work on it");
                    }
                }
                // Nothing is known of them: the limit ends them.
                Ok(Err(error)) => tracing::debug!(%error, "the database cannot be asked what it works on"),
                Err(_) => tracing::debug!("the database does not say what it works on"),
            }
        }
    }

    fn silent(&self) -> Vec<Arc<Connection>> {
        let doubt = DOUBT.min(self.limit);
        self.all().iter().filter(|it| it.silence() > doubt).cloned().collect()
    }

    fn give_up(&self, connection: &Connection, why: &str) {
        tracing::warn!(
            purpose = self.server.get_application_name(),
            pid = connection.pid.load(Ordering::Relaxed),
            seconds = connection.silence().as_secs(),
            "a statement was given up: its connection is silent, {why}"
        );
        connection.cut.cancel();
    }

    /// Those of the sessions that are at work, or were until a moment ago, so that their answer may be on its way. One that
    /// waits to be rid of its answer, while nothing arrives here, is not.
    async fn at_work(&self, sessions: &[i32]) -> Result<Vec<Session>, sqlx::Error> {
        let mut fresh = PgConnection::connect_with(&self.server).await?;
        let at_work = sqlx::query_as(
            "SELECT pid, backend_start FROM pg_stat_activity
              WHERE pid = ANY($1)
                AND (   state = 'active' AND wait_event IS DISTINCT FROM 'ClientWrite'
                     OR clock_timestamp() - state_change < make_interval(secs => $2))",
        )
        .bind(sessions)
        .bind(DOUBT.as_secs_f64())
        .fetch_all(&mut fresh)
        .await?;
        fresh.close().await?;
        Ok(at_work)
    }
}

impl Connection {
    fn silence(&self) -> Duration {
        self.waits().map_or(Duration::ZERO, |since| since.elapsed())
    }

    fn waits(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.waits_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Carries bytes until either side ends.
    async fn pass(&self, mut client: UnixStream, mut server: TcpStream) {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = server.split();
        let asking = async {
            let mut buffer = vec![0; 16 * 1024];
            loop {
                let read = from_client.read(&mut buffer).await?;
                if read == 0 {
                    return io::Result::Ok(());
                }
                *self.waits() = Some(Instant::now());
                to_server.write_all(&buffer[..read]).await?;
            }
        };
        let answering = async {
            let (mut buffer, mut frames) = (vec![0; 64 * 1024], Frames::default());
            loop {
                let read = from_server.read(&mut buffer).await?;
                if read == 0 {
                    return io::Result::Ok(());
                }
                frames.pass(&buffer[..read]);
                self.pid.store(frames.pid(), Ordering::Relaxed);
                // While the client takes its time the server owes nothing.
                let was_asked = self.waits().take().is_some();
                to_client.write_all(&buffer[..read]).await?;
                if was_asked && !frames.is_ready() {
                    self.waits().get_or_insert_with(Instant::now);
                }
            }
        };
        let ended = tokio::select! { ended = asking => ended, ended = answering => ended };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection to the database broke");
        }
    }
}

fn with_limits(server: TcpStream) -> io::Result<TcpStream> {
    server.set_nodelay(true)?;
    let socket = SockRef::from(&server);
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &[u8] = b"Z\0\0\0\x05I";
    const ROW: &[u8] = b"D\0\0\0\x04";
    const LIMIT: Duration = Duration::from_millis(400);

    /// A relay, a client of it, and the server's end of its connection.
    async fn relayed() -> (Relay, UnixStream, TcpStream) {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let relay = Relay::start(PgConnectOptions::new().host("127.0.0.1").port(port), LIMIT).unwrap();
        let socket = relay.options.get_socket().unwrap().join(format!(".s.PGSQL.{port}"));
        let (client, accepted) = tokio::join!(UnixStream::connect(socket), server.accept());
        (relay, client.unwrap(), accepted.unwrap().0)
    }

    async fn read(stream: &mut (impl tokio::io::AsyncRead + Unpin), bytes: usize) {
        stream.read_exact(&mut vec![0; bytes]).await.unwrap();
    }

    /// Waits until the relay has seen whether its connection owes an answer.
    async fn owing(relay: &Relay, owing: bool) {
        let seen = async {
            while relay.carried.all().first().is_none_or(|it| it.waits().is_some() != owing) {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), seen).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_asked_of_a_silent_server_ends_and_its_connection_with_it() {
        let (relay, mut client, mut server) = relayed().await;
        let asked = Instant::now();
        client.write_all(b"ask").await.unwrap();
        read(&mut server, 3).await;
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "closed towards the client");
        assert!(asked.elapsed() >= LIMIT, "{:?}", asked.elapsed());
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0, "and towards the server");
        assert!(relay.carried.all().is_empty());
    }

    #[tokio::test]
    async fn a_stream_that_goes_on_is_not_broken_off_and_what_is_idle_owes_nothing() {
        let (relay, mut client, mut server) = relayed().await;
        client.write_all(b"ask").await.unwrap();
        let began = Instant::now();
        let mut tick = interval(LIMIT / 4);
        while began.elapsed() < LIMIT * 3 {
            tick.tick().await;
            server.write_all(ROW).await.unwrap();
            read(&mut client, ROW.len()).await;
        }
        owing(&relay, true).await;
        server.write_all(READY).await.unwrap();
        read(&mut client, READY.len()).await;
        owing(&relay, false).await;
    }
}
