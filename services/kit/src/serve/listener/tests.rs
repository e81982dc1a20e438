//! Listeners that close while clients connect.

use axum::Router;
use axum::routing::get;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Enough for some of them to close just while a client connects.
const LISTENERS: usize = 100;

/// Clients that connect without pause, each time with a new connection.
const CLIENTS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn accepted_connections_are_answered_and_later_ones_are_refused() {
    join_all((0..LISTENERS).map(|_| tokio::spawn(close_while_clients_connect())))
        .await
        .into_iter()
        .for_each(Result::unwrap);
}

async fn close_while_clients_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (closing, shut) = (CancellationToken::new(), CancellationToken::new());
    let listener = DrainingListener::new(listener, closing.clone(), shut.clone()).unwrap();
    let app = Router::new().route("/", get(async || "answered"));
    let server = axum::serve(listener, app).with_graceful_shutdown(shut.cancelled_owned());
    let server = tokio::spawn(server.into_future());
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(request_until_refused(address, closing.clone()))).collect();
    join_all(clients).await.into_iter().for_each(Result::unwrap);
    server.await.unwrap().unwrap();
}

/// Connects and is answered until the listener is closed, which each client asks for half way.
async fn request_until_refused(address: SocketAddr, closing: CancellationToken) {
    for attempt in 0.. {
        let mut connection = match TcpStream::connect(address).await {
            Ok(connection) => connection,
            Err(refused) => {
                assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
                return;
            }
        };
        let asked = connection.write_all(b"GET / HTTP/1.1\r\nhost: it\r\nconnection: close\r\n\r\n").await;
        let mut answer = String::new();
        let answered = connection.read_to_string(&mut answer).await;
        assert!(answer.ends_with("answered"), "attempt {attempt}: {asked:?}, {answered:?}, {answer:?}");
        if attempt == 10 {
            closing.cancel();
        }
    }
}
