//! A body that was cut, at whichever byte, is never taken for a page.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::cluster::{Cluster, OWNER};
use super::reader::Reader;
use super::toy::{DATASETS, TOKEN, Toy, migrate};

#[tokio::test]
async fn a_body_cut_at_any_byte_is_never_taken_for_a_page() {
    let cluster = Cluster::start().await;
    migrate(&cluster).await;
    let toy = Toy::serve(&cluster, &DATASETS).await;
    let writing = cluster.pool(OWNER, "toy", &[]).await;
    sqlx::query(
        "WITH doc AS (INSERT INTO docs (status) SELECT 'completed' FROM generate_series(1, 6) RETURNING id)
         INSERT INTO doc_lines SELECT id, E'quoted\n\"code\"', id * 100, NULL FROM doc",
    )
    .execute(&writing)
    .await
    .expect("documents");
    let whole = raw(toy.address).await;
    let body = whole.windows(4).position(|four| four == b"\r\n\r\n").expect("a body") + 4;
    let (head, chunked) = whole.split_at(body);
    assert!(String::from_utf8_lossy(head).to_lowercase().contains("transfer-encoding: chunked"));
    let text = unchunk(chunked);

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut reader = Reader::new(toy.address, 100);
    reader.turn_to(listener.local_addr().expect("an address"));
    // The connection breaks after any number of bytes.
    for cut in 0..=whole.len() {
        let page = answered(&listener, &whole[..cut], &reader).await;
        assert_eq!(page, cut == whole.len(), "cut after {cut} of {} bytes", whole.len());
    }
    // Something on the way ends the body properly, and too early. Without its last newline it is still all there.
    let status = String::from_utf8_lossy(head).replace("transfer-encoding: chunked\r\n", "");
    let status = status.trim_end().to_owned();
    for cut in 0..text.len() {
        let mut sent = format!("{status}\r\ncontent-length: {cut}\r\n\r\n").into_bytes();
        sent.extend_from_slice(&text[..cut]);
        let page = answered(&listener, &sent, &reader).await;
        assert_eq!(page, cut == text.len() - 1, "ended after {cut} of {} bytes", text.len());
    }
}

/// Answers the reader's next request with `bytes`, and tells whether it took them for a page.
async fn answered(listener: &TcpListener, bytes: &[u8], reader: &Reader) -> bool {
    let serve = async {
        let (mut peer, _) = listener.accept().await.expect("a reader");
        let mut request = [0; 4096];
        let read = peer.read(&mut request).await.expect("a request");
        assert!(read > 0, "an empty request");
        peer.write_all(bytes).await.expect("an answer");
        peer.shutdown().await.ok();
    };
    let ((), page) = tokio::join!(serve, reader.page("doc_lines", "x", None));
    page.is_ok()
}

/// A page's bytes as they come over the wire.
async fn raw(address: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = format!(
        "GET /api/v1/changes/doc_lines HTTP/1.1\r\nhost: toy\r\naccept: text/csv\r\nconnection: close\r\nx-gateway-token: {TOKEN}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("a request");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("an answer");
    bytes
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n").expect("a chunk's length");
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).expect("text"), 16).expect("a length");
        if length == 0 {
            return text;
        }
        text.extend_from_slice(&bytes[end + 2..end + 2 + length]);
        bytes = &bytes[end + 2 + length + 2..];
    }
}
