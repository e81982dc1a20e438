//! The local gateway answers as Kong does: `kong.tsv` holds what a real one made of 129 requests.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::harness::{Gate, Upstream, key};

/// Requests whose status differs, with what the local gateway says. No service sees any of them, at either gateway,
/// but for the last, which a service refuses unread.
const EXCEPTIONS: [(&str, u16, &str); 5] = [
    ("raw utf8 path", 400, "hyper refuses what is no URI before there is a path to look up"),
    ("HTTP/2.0 line", 400, "hyper refuses a version that it does not speak"),
    ("HTTP/0.9", 400, "hyper refuses a request without a version"),
    ("TE gzip", 400, "hyper refuses a body whose end cannot be told"),
    ("200 headers", 431, "hyper takes a hundred headers, in the gateway as in the service behind Kong"),
];

#[tokio::test]
async fn each_request_gets_from_the_local_gateway_what_kong_gave_it() {
    let upstream = Upstream::plain().await;
    let gate = Gate::changed(upstream.address, |text| text.replace("key_in_query: false", "key_in_query: true")).await;
    let (mut count, mut wrong) = (0, Vec::new());
    for line in include_str!("kong.tsv").lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.splitn(3, '\t');
        let (name, answer, request) = (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
        let (by, status) = answer.split_once(' ').unwrap();
        let before = upstream.seen().len();
        let found = status_of(&gate, &bytes(request)).await;
        let reached = upstream.seen().len() > before;
        let exception = EXCEPTIONS.iter().find(|(excepted, ..)| *excepted == name);
        let want = match (exception, by) {
            (Some((_, status, _)), _) => (*status, false),
            // This upstream says 200 to everything.
            (None, "service") => (200, true),
            (None, _) => (status.parse().unwrap(), false),
        };
        if (found, reached) != want {
            wrong.push(format!("{name}: {found}, reached: {reached}; Kong: {answer}"));
        }
        count += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(count, 129);
}

/// The status of the first final answer; 0 if the connection closes without one.
async fn status_of(gate: &Gate, request: &[u8]) -> u16 {
    let (reading, mut writing) = TcpStream::connect(gate.address).await.unwrap().into_split();
    let mut lines = BufReader::new(reading).lines();
    let send = async {
        // A refusal may come, and the connection close, before all was sent.
        let _refused = writing.write_all(request).await;
        std::future::pending::<u16>().await
    };
    let receive = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if line.starts_with("HTTP/1.") && !line.ends_with("100 Continue") {
                return line.split(' ').nth(1).unwrap().parse().unwrap();
            }
        }
        0
    };
    tokio::select! { status = receive => status, never = send => never }
}

/// The bytes of a request as `kong.tsv` writes it.
fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('<') {
        out.extend(unescaped(before));
        let (inner, after) = tail.split_once('>').unwrap();
        match inner.rsplit_once('*') {
            Some((text, times)) => out.extend(unescaped(text).repeat(times.parse().unwrap())),
            None => out.extend(key(inner).bytes()),
        }
        rest = after;
    }
    out.extend(unescaped(rest));
    out
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match (byte, (byte == b'\\').then(|| bytes.next().unwrap())) {
            (byte, None) => byte,
            (_, Some(b'r')) => b'\r',
            (_, Some(b'n')) => b'\n',
            (_, Some(b'x')) => {
                let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            (_, Some(other)) => other,
        });
    }
    out
}
