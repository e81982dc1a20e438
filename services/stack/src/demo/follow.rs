//! The reporting service as an operator uses it: ask for a run, follow it to its end.

use std::time::{Duration, Instant};

use chrono::NaiveDate;
use serde_json::Value;

use super::show;
use crate::error::{Error, Result};
use crate::state::State;

/// How long a run may go without any progress before the demo gives up.
const PATIENCE: Duration = Duration::from_secs(300);

/// The pause between two looks at a run.
const LOOK: Duration = Duration::from_millis(250);

/// A client of the reporting API through the gateway.
pub(super) struct Reporting {
    client: reqwest::Client,
    base: String,
    operator: String,
    analyst: String,
}

impl Reporting {
    pub(super) fn new(state: &State) -> Result<Self> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(120))
            .build()
            .map_err(|error| Error::Call { what: "HTTP client".to_owned(), reason: error.to_string() })?;
        let key = |consumer: &str| state.keys.get(consumer).cloned().unwrap_or_default();
        let base = format!("{}/reporting/api/v1", state.gateway);
        Ok(Self { client, base, operator: key("operator"), analyst: key("analyst") })
    }

    /// A POST as operator.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let request = self.client.post(format!("{}{path}", self.base)).header("apikey", &self.operator).json(body);
        send(&format!("POST {path}"), request).await
    }

    /// A published report as a table.
    pub(super) async fn report(&self, name: &str, day: NaiveDate) -> Result<String> {
        let path = format!("/reports/{name}?business_day={day}");
        let request = self.client.get(format!("{}{path}", self.base)).header("apikey", &self.analyst);
        Ok(show::report(&send(&format!("GET {path}"), request).await?))
    }

    /// Follows the run that a POST answered with; fails when the run does.
    pub(super) async fn follow_one(&self, run: &Value, tell: &mut impl FnMut(&str)) -> Result<Value> {
        let job = run["job"].as_str().unwrap_or_default().to_owned();
        let runs = self.follow_all(&job, run, tell).await?;
        Ok(runs.into_iter().next().unwrap_or_default())
    }

    /// Follows every run named in an answer (one run, or a list of them) to its end.
    pub(super) async fn follow_all(
        &self,
        job: &str,
        answer: &Value,
        tell: &mut impl FnMut(&str),
    ) -> Result<Vec<Value>> {
        let mut open: Vec<String> = runs_in(answer).iter().map(|run| id(run)).collect();
        let total = open.len();
        let mut done = Vec::new();
        let mut moved = Instant::now();
        while !open.is_empty() {
            let before = open.len();
            for run in self.runs(job).await? {
                if !open.contains(&id(&run)) {
                    continue;
                }
                match run["status"].as_str().unwrap_or_default() {
                    "failed" => return Err(failure(job, &run)),
                    "succeeded" | "skipped" => {
                        open.retain(|open| *open != id(&run));
                        done.push(run);
                    }
                    _ => {}
                }
            }
            if open.len() < before {
                moved = Instant::now();
                if total > 1 {
                    tell(&format!("demo: {job}: {} of {total} runs done", done.len()));
                }
            }
            if moved.elapsed() > PATIENCE {
                let reason = format!("no run ended in {} s; {} are open", PATIENCE.as_secs(), open.len());
                return Err(Error::Call { what: format!("job {job}"), reason });
            }
            if !open.is_empty() {
                tokio::time::sleep(LOOK).await;
            }
        }
        Ok(done)
    }

    /// All recent runs of a job, over as many pages as a backfill of years needs.
    async fn runs(&self, job: &str) -> Result<Vec<Value>> {
        let path = format!("/jobs/{job}/runs");
        let mut runs = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut request = self.client.get(format!("{}{path}", self.base)).query(&[("limit", "200")]);
            if let Some(after) = &after {
                request = request.query(&[("after", after)]);
            }
            let page = send(&format!("GET {path}"), request.header("apikey", &self.operator)).await?;
            runs.extend(page["items"].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => return Ok(runs),
            }
        }
    }
}

/// The runs in an answer: the answer itself, or its list.
fn runs_in(answer: &Value) -> Vec<Value> {
    let list = ["runs", "items"].iter().find_map(|name| answer[*name].as_array());
    match list {
        Some(runs) => runs.clone(),
        None if answer["id"].is_null() => Vec::new(),
        None => vec![answer.clone()],
    }
}

/// A run's id as text, whether it is a number or a UUID.
fn id(run: &Value) -> String {
    run["id"].as_str().map_or_else(|| run["id"].to_string(), str::to_owned)
}

fn failure(job: &str, run: &Value) -> Error {
    let reason = run["error"].as_str().map_or_else(|| run["error"].to_string(), str::to_owned);
    Error::Call { what: format!("job {job}, run {}", id(run)), reason }
}

async fn send(what: &str, request: reqwest::RequestBuilder) -> Result<Value> {
    let fault = |reason: String| Error::Call { what: what.to_owned(), reason };
    let answer = request.send().await.map_err(|error| fault(error.to_string()))?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| fault(error.to_string()))?;
    if !status.is_success() {
        return Err(fault(format!("{status} {text}")));
    }
    serde_json::from_str(&text).map_err(|error| fault(format!("{error} in {text}")))
}
