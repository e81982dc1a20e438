//! A reader that follows the protocol to the letter and keeps its copy in memory.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;

use super::toy::TOKEN;

/// A row without its `deleted`, as texts; `None` is NULL.
pub(crate) type Row = Vec<Option<String>>;
/// A dataset's rows by key.
pub(crate) type Copy = BTreeMap<Vec<String>, Row>;

/// Why an answer is not a page.
#[derive(Debug)]
#[expect(dead_code, reason = "the fields are for whoever reads a failed test")]
pub(crate) enum NotAPage {
    /// It did not come, or broke off.
    Broken(reqwest::Error),
    /// It came to a proper end without holding what its headers promise.
    Short { rows: usize, promised: usize },
    /// It is CSV that does not read.
    Malformed(csv::Error),
    /// A row ends otherwise than rows do.
    Torn,
    /// A refusal: status and problem type.
    Refused(u16, String),
}

/// One page, checked.
pub(crate) struct Page {
    pub(crate) rows: Vec<Row>,
    pub(crate) next: Option<String>,
    pub(crate) resume: String,
}

/// What a poll came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// 304.
    Unchanged,
    /// Rows, as many as were delivered in all datasets.
    Rows(usize),
}

/// The reader's state between polls.
pub(crate) struct Reader {
    client: Client,
    pub(crate) base: String,
    /// Datasets and how many key columns each has.
    datasets: Vec<(String, usize)>,
    etag: Option<String>,
    pub(crate) cursors: BTreeMap<String, String>,
    pub(crate) copies: BTreeMap<String, Copy>,
    /// Complete through this moment.
    pub(crate) as_of: DateTime<Utc>,
    pub(crate) horizon: u64,
    /// Rows per page.
    pub(crate) limit: usize,
    /// How often everything was read again.
    pub(crate) started_over: usize,
}

impl Reader {
    pub(crate) fn new(address: SocketAddr, limit: usize) -> Self {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().expect("a client");
        Self {
            client,
            base: format!("http://{address}/api/v1"),
            datasets: vec![("doc_lines".to_owned(), 2), ("items".to_owned(), 1)],
            etag: None,
            cursors: BTreeMap::new(),
            copies: BTreeMap::new(),
            as_of: DateTime::UNIX_EPOCH,
            horizon: 0,
            limit,
            started_over: 0,
        }
    }

    /// Points the reader at another address of what it takes for the same service.
    pub(crate) fn turn_to(&mut self, address: SocketAddr) {
        self.base = format!("http://{address}/api/v1");
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<Response, reqwest::Error> {
        let mut call = self.client.get(format!("{}{path}", self.base)).header("x-gateway-token", TOKEN);
        for (name, value) in headers {
            call = call.header(*name, *value);
        }
        call.send().await
    }

    /// One poll. `between` runs before every page, for writers that write just then.
    pub(crate) async fn poll(&mut self, mut between: impl AsyncFnMut()) -> Polled {
        let etag = self.etag.clone();
        let headers: Vec<(&str, &str)> = etag.iter().map(|tag| ("if-none-match", tag.as_str())).collect();
        let head = self.get("/changes", &headers).await.expect("a head");
        let header = |name: &str| head.headers().get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
        let as_of = DateTime::parse_from_rfc3339(&header("tributary-as-of").expect("as_of")).expect("a time").to_utc();
        let horizon: u64 = header("tributary-horizon").expect("a horizon").parse().expect("a number");
        let etag = header("etag").expect("an etag");
        if head.status() == StatusCode::NOT_MODIFIED {
            (self.as_of, self.horizon) = (as_of, horizon);
            return Polled::Unchanged;
        }
        assert_eq!(head.status(), StatusCode::OK, "{:?}", head.text().await);
        let head: Value = head.json().await.expect("a head is JSON");
        let token = head["head"].as_str().expect("a head token").to_owned();

        let mut delivered = 0;
        let (mut copies, mut cursors) = (self.copies.clone(), self.cursors.clone());
        for (dataset, keys) in &self.datasets {
            let mut after = cursors.get(dataset).cloned();
            loop {
                between().await;
                match self.page(dataset, &token, after.as_deref()).await {
                    Ok(page) => {
                        delivered += page.rows.len();
                        apply(copies.entry(dataset.clone()).or_default(), page.rows, *keys);
                        match page.next {
                            Some(next) => after = Some(next),
                            None => {
                                cursors.insert(dataset.clone(), page.resume);
                                break;
                            }
                        }
                    }
                    Err(NotAPage::Refused(410, kind)) if kind.ends_with("/feed-epoch") => {
                        self.start_over();
                        return Box::pin(self.poll(between)).await;
                    }
                    Err(NotAPage::Refused(410, kind)) if kind.ends_with("/feed-shape") => {
                        copies.remove(dataset);
                        after = None;
                    }
                    Err(error) => panic!("{dataset}: {error:?}"),
                }
            }
        }
        (self.copies, self.cursors, self.etag) = (copies, cursors, Some(etag));
        (self.as_of, self.horizon) = (as_of, horizon);
        Polled::Rows(delivered)
    }

    /// Asks for a page and takes it for one only if it is whole.
    pub(crate) async fn page(&self, dataset: &str, head: &str, after: Option<&str>) -> Result<Page, NotAPage> {
        let mut path = format!("/changes/{dataset}?limit={}&head={head}", self.limit);
        if let Some(after) = after {
            path.push_str(&format!("&after={after}"));
        }
        let answer = self.get(&path, &[("accept", "text/csv")]).await.map_err(NotAPage::Broken)?;
        take(answer).await
    }

    fn start_over(&mut self) {
        self.copies.clear();
        self.cursors.clear();
        self.etag = None;
        self.started_over += 1;
    }
}

/// Reads an answer to its end and holds it against its headers.
pub(crate) async fn take(answer: Response) -> Result<Page, NotAPage> {
    let status = answer.status();
    let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    if status != StatusCode::OK {
        let problem: Value = answer.json().await.unwrap_or_default();
        return Err(NotAPage::Refused(status.as_u16(), problem["type"].as_str().unwrap_or_default().to_owned()));
    }
    let promised: usize = header("tributary-rows").and_then(|rows| rows.parse().ok()).ok_or(NotAPage::Torn)?;
    let (next, resume) = (header("tributary-next"), header("tributary-resume").ok_or(NotAPage::Torn)?);
    let body = answer.bytes().await.map_err(NotAPage::Broken)?;
    let mut csv = csv::ReaderBuilder::new().from_reader(body.as_ref());
    csv.headers().map_err(NotAPage::Malformed)?;
    let rows = csv
        .records()
        .map(|row| Ok(row?.iter().map(|text| (text != r"\N").then(|| text.to_owned())).collect()))
        .collect::<Result<Vec<Row>, csv::Error>>()
        .map_err(NotAPage::Malformed)?;
    if rows.iter().any(|row| !matches!(row.last().and_then(Option::as_deref), Some("true" | "false"))) {
        return Err(NotAPage::Torn);
    }
    if rows.len() != promised {
        return Err(NotAPage::Short { rows: rows.len(), promised });
    }
    Ok(Page { rows, next, resume })
}

fn apply(copy: &mut Copy, rows: Vec<Row>, keys: usize) {
    for mut row in rows {
        let deleted = row.pop().flatten().expect("every row says whether it is deleted");
        let key: Vec<String> = row.iter().take(keys).map(|value| value.clone().expect("no key is NULL")).collect();
        match deleted.as_str() {
            "true" => copy.remove(&key),
            "false" => copy.insert(key, row),
            other => panic!("deleted is {other:?}"),
        };
    }
}
