//! Just enough HTTP to serve the feed, written by hand so that an answer can be broken at any byte.

use std::sync::Arc;
use std::time::Duration;

use chrono::{SecondsFormat, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::model::Refusal;
use super::{Shared, lock};

/// How one answer is broken.
#[derive(Debug, Clone)]
pub enum Fault {
    /// A good answer: lets faults begin later.
    None,
    /// Another status, with a `Retry-After` of so many seconds.
    Status(u16, u64),
    /// The connection closes after so many bytes of the answer.
    CutAt(usize),
    /// The last rows are missing, but the answer ends in good order.
    RowsMissing(usize),
    /// A whole answer with a body that is none.
    Nonsense,
    /// The page's headers announce so many rows.
    Announces(u64),
    /// The page says that more follows where it began.
    Stands,
    /// The page says that more follows where the second page ever asked for began.
    LeadsBack,
    /// Spaces before the body, so many.
    Padded(usize),
    /// One byte at a time, with a pause after each.
    Drip(Duration),
    /// All but the last byte; that one when another request has come.
    HeldUntilAsked,
}

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // A client that went away is what some tests are about.
            connection(stream, &shared).await.ok();
        });
    }
}

async fn connection(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = buffer.windows(4).position(|it| it == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head: Vec<u8> = buffer.drain(..end).collect();
        let request = String::from_utf8_lossy(&head).into_owned();
        let fault = lock(&shared.faults).pop_front().unwrap_or(Fault::None);
        let answer = answer(&request, shared, &fault);
        let mut asked = shared.asked.subscribe();
        match fault {
            Fault::CutAt(bytes) if bytes < answer.len() => {
                stream.write_all(&answer[..bytes]).await?;
                return stream.shutdown().await;
            }
            Fault::Drip(pause) => {
                for byte in answer {
                    stream.write_all(&[byte]).await?;
                    tokio::time::sleep(pause).await;
                }
            }
            Fault::HeldUntilAsked => {
                let (most, last) = answer.split_at(answer.len() - 1);
                stream.write_all(most).await?;
                asked.changed().await.ok();
                stream.write_all(last).await?;
            }
            _ => stream.write_all(&answer).await?,
        }
    }
}

fn answer(request: &str, shared: &Shared, fault: &Fault) -> Vec<u8> {
    let target = request.split(' ').nth(1).unwrap_or_default();
    lock(&shared.requests).push(target.to_owned());
    shared.asked.send_modify(|requests| *requests += 1);
    match fault {
        Fault::Status(status, after) => {
            return respond(*status, &[("retry-after", &after.to_string())], "{\"detail\":\"broken on purpose\"}");
        }
        Fault::Nonsense => return respond(200, &[], "<html>not found, but fine</html>"),
        Fault::None
        | Fault::CutAt(_)
        | Fault::RowsMissing(_)
        | Fault::Announces(_)
        | Fault::Stands
        | Fault::LeadsBack
        | Fault::Padded(_)
        | Fault::Drip(_)
        | Fault::HeldUntilAsked => {}
    }
    let url = reqwest::Url::parse(&format!("http://source{target}")).expect("a request's target");
    let query: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let get = |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let model = lock(&shared.model);
    let (etag, epoch, horizon) = (model.etag(), model.epoch(), model.horizon().to_string());
    let as_of = (Utc::now() + model.clock_ahead).to_rfc3339_opts(SecondsFormat::Micros, true);
    let common = [
        ("etag", etag.as_str()),
        ("tributary-epoch", &epoch),
        ("tributary-horizon", &horizon),
        ("tributary-as-of", &as_of),
    ];
    let Some(dataset) = url.path().strip_prefix("/fourth/api/v1/changes/") else {
        let known =
            request.lines().any(|line| line.to_lowercase().strip_prefix("if-none-match: ") == Some(etag.as_str()));
        let pad = if let Fault::Padded(spaces) = fault { " ".repeat(*spaces) } else { String::new() };
        let head = || format!("{pad}{}", model.head(&as_of));
        return if known { respond(304, &common, "") } else { respond(200, &common, &head()) };
    };
    let columns: Vec<&str> = get("columns").unwrap_or_default().split(',').collect();
    let limit = get("limit").and_then(|it| it.parse().ok()).unwrap_or(100);
    match model.page(dataset, &columns, get("after"), get("head").unwrap_or_default(), limit) {
        Ok(page) => {
            let rows = if let Fault::Announces(rows) = fault { rows.to_string() } else { page.rows.to_string() };
            let mut headers = vec![
                ("content-type", "text/csv"),
                ("tributary-epoch", epoch.as_str()),
                ("tributary-rows", &rows),
                ("tributary-resume", &page.resume),
            ];
            let next = match fault {
                Fault::Stands => get("after").map(str::to_owned),
                Fault::LeadsBack => lock(&shared.requests).iter().find_map(|it| after(it)),
                _ => page.next,
            };
            headers.extend(next.as_deref().map(|it| ("tributary-next", it)));
            let mut body = page.body;
            if let Fault::RowsMissing(lines) = fault {
                let keep = body.lines().count().saturating_sub(*lines).max(1);
                body = body.lines().take(keep).flat_map(|it| [it, "\n"]).collect();
            }
            respond(200, &headers, &body)
        }
        Err(Refusal::UnknownDataset) => respond(404, &[], "{\"detail\":\"no such dataset\"}"),
        Err(Refusal::UnknownColumn) => respond(400, &[], "{\"detail\":\"no such column\"}"),
        Err(Refusal::Epoch) => respond(410, &[], "{\"type\":\"https://example/feed-epoch\"}"),
        Err(Refusal::Shape) => respond(410, &[], "{\"type\":\"https://example/feed-shape\"}"),
    }
}

/// Behind which cursor a request asks on.
fn after(target: &str) -> Option<String> {
    let url = reqwest::Url::parse(&format!("http://source{target}")).ok()?;
    url.query_pairs().find(|(key, _)| key == "after").map(|(_, value)| value.into_owned())
}

fn respond(status: u16, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} .\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if status != 304 {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}
