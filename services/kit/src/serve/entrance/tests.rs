//! Doors that are shut in front of a crowd.

use axum::Router;
use axum::routing::get;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Enough for a few of them to be shut just while somebody comes in.
const DOORS: usize = 100;

/// Who come in without pause, each time by a connection of its own.
const GUESTS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_has_come_in_is_answered_and_nobody_else_comes_in() {
    join_all((0..DOORS).map(|_| tokio::spawn(shut_in_front_of_guests()))).await.into_iter().for_each(Result::unwrap);
}

async fn shut_in_front_of_guests() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (closing, shut) = (CancellationToken::new(), CancellationToken::new());
    let entrance = Entrance::new(listener, closing.clone(), shut.clone()).unwrap();
    let app = Router::new().route("/", get(async || "come in"));
    let server = axum::serve(entrance, app).with_graceful_shutdown(shut.cancelled_owned());
    let server = tokio::spawn(server.into_future());
    let guests: Vec<_> = (0..GUESTS).map(|_| tokio::spawn(come_in_until_shut(address, closing.clone()))).collect();
    join_all(guests).await.into_iter().for_each(Result::unwrap);
    server.await.unwrap().unwrap();
}

/// Comes in and is answered until the door is shut, which one of the guests asks for half way.
async fn come_in_until_shut(address: SocketAddr, closing: CancellationToken) {
    for visit in 0.. {
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
        assert!(answer.ends_with("come in"), "visit {visit}: {asked:?}, {answered:?}, {answer:?}");
        if visit == 10 {
            closing.cancel();
        }
    }
}
