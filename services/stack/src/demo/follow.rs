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

    /// Follows the run that a POST answered with to its end, telling how far it is.
    ///
    /// # Errors
    /// When the run fails, or makes no progress for a long time.
    pub(super) async fn follow(&self, run: &Value, tell: &mut impl FnMut(&str)) -> Result<Value> {
        let path = format!("/jobs/runs/{}", id(run));
        let mut moved = Instant::now();
        let mut seen = Value::Null;
        loop {
            let request = self.client.get(format!("{}{path}", self.base)).header("apikey", &self.operator);
            let run = send(&format!("GET {path}"), request).await?;
            match run["status"].as_str().unwrap_or_default() {
                "succeeded" => return Ok(run),
                "failed" | "skipped" | "cancelled" => return Err(failure(&run)),
                _ => {}
            }
            let progress = &run["progress"];
            if *progress != seen {
                moved = Instant::now();
                seen = progress.clone();
                if let (Some(done), Some(total)) = (progress["done"].as_u64(), progress["total"].as_u64())
                    && (done % 10 == 0 || done == total)
                {
                    tell(&format!("demo: {}: {done} of {total} {}", show::text(&run["job"]), at(progress)));
                }
            }
            if moved.elapsed() > PATIENCE {
                let reason = format!("no progress in {} s: {run}", PATIENCE.as_secs());
                return Err(Error::Call { what: format!("run {}", id(&run)), reason });
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What a run is at, such as the day it publishes.
fn at(progress: &Value) -> &str {
    progress["at"].as_str().unwrap_or_default()
}

/// A run's id as text, whether it is a number or a UUID.
fn id(run: &Value) -> String {
    show::text(&run["id"])
}

fn failure(run: &Value) -> Error {
    let reason = format!("{}: {}", show::text(&run["status"]), show::text(&run["error"]));
    Error::Call { what: format!("job {}, run {}", show::text(&run["job"]), id(run)), reason }
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
