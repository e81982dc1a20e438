//! The gateway as the back office uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::state::State;

/// An import endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Import {
    Products,
    Stores,
    Customers,
    Sales,
    Orders,
    Refunds,
    Movements,
    Stock,
}

impl Import {
    fn path(self) -> &'static str {
        match self {
            Self::Products => "/inventory/api/v1/products/import",
            Self::Stores => "/retail/api/v1/stores/import",
            Self::Customers => "/ecommerce/api/v1/customers/import",
            Self::Sales => "/retail/api/v1/sales/import",
            Self::Orders => "/ecommerce/api/v1/orders/import",
            Self::Refunds => "/ecommerce/api/v1/refunds/import",
            Self::Movements => "/inventory/api/v1/stock-movements/import",
            Self::Stock => "/inventory/api/v1/stock/import",
        }
    }
}

/// What an import answers.
#[derive(Debug, Deserialize)]
struct Outcome {
    received: u64,
    applied: u64,
    unchanged: u64,
    refused: u64,
    #[serde(default)]
    errors: Vec<Value>,
}

/// A client with the back office's key.
pub(super) struct Api {
    client: reqwest::Client,
    gateway: String,
    key: String,
}

impl Api {
    pub(super) fn new(state: &State) -> Result<Self> {
        // An import of a part takes seconds; a minute without an answer is a fault.
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(300)).build();
        let client =
            client.map_err(|error| Error::Call { what: "HTTP client".to_owned(), reason: error.to_string() })?;
        let key = state.keys.get("backoffice").cloned().unwrap_or_default();
        Ok(Self { client, gateway: state.gateway.clone(), key })
    }

    /// Sends one file. A refused row is a fault of this program or of the service, and ends the seeding.
    pub(super) async fn import(&self, import: Import, csv: String, tell: &mut impl FnMut(&str)) -> Result<()> {
        let path = import.path();
        let what = format!("POST {path}");
        let request = self.client.post(self.url(path)).header("content-type", "text/csv").body(csv);
        let outcome: Outcome = serde_json::from_value(self.send(&what, request).await?)
            .map_err(|error| Error::Call { what: what.clone(), reason: error.to_string() })?;
        if outcome.refused > 0 {
            let first = outcome.errors.first().map(Value::to_string).unwrap_or_default();
            return Err(Error::Call { what, reason: format!("{} rows refused, the first: {first}", outcome.refused) });
        }
        let name = path.trim_end_matches("/import").rsplit('/').next().unwrap_or(path);
        let Outcome { received, applied, unchanged, .. } = outcome;
        tell(&format!("seed: {name}: {received} rows, {applied} applied, {unchanged} known already"));
        Ok(())
    }

    /// Creates one thing; one that is there already is as good.
    pub(super) async fn create(&self, path: &str, body: &Value) -> Result<()> {
        let what = format!("POST {path}");
        let answer = self.request(self.client.post(self.url(path)).json(body), &what).await?;
        match answer.status() {
            StatusCode::CONFLICT => Ok(()),
            status if status.is_success() => Ok(()),
            _ => Err(refusal(what, answer).await),
        }
    }

    /// `id` by another column, over every page of a collection.
    pub(super) async fn ids(&self, path: &str, by: &str) -> Result<BTreeMap<String, i64>> {
        let items = self.items(path).await?;
        let pairs = items.iter().filter_map(|item| Some((item[by].as_str()?.to_owned(), item["id"].as_i64()?)));
        Ok(pairs.collect())
    }

    /// Product and location of every count.
    pub(super) async fn counted(&self) -> Result<BTreeSet<(i64, i64)>> {
        let items = self.items("/inventory/api/v1/stock").await?;
        let pairs = items.iter().filter_map(|item| Some((item["product_id"].as_i64()?, item["location_id"].as_i64()?)));
        Ok(pairs.collect())
    }

    /// Every page of a collection.
    async fn items(&self, path: &str) -> Result<Vec<Value>> {
        let what = format!("GET {path}");
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut request = self.client.get(self.url(path)).query(&[("limit", "200")]);
            if let Some(after) = &after {
                request = request.query(&[("after", after)]);
            }
            let mut page = self.send(&what, request).await?;
            if let Some(found) = page["items"].as_array_mut() {
                items.append(found);
            }
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => return Ok(items),
            }
        }
    }

    async fn send(&self, what: &str, request: reqwest::RequestBuilder) -> Result<Value> {
        let answer = self.request(request, what).await?;
        if !answer.status().is_success() {
            return Err(refusal(what.to_owned(), answer).await);
        }
        answer.json().await.map_err(|error| Error::Call { what: what.to_owned(), reason: error.to_string() })
    }

    async fn request(&self, request: reqwest::RequestBuilder, what: &str) -> Result<reqwest::Response> {
        request
            .header("apikey", &self.key)
            .send()
            .await
            .map_err(|error| Error::Call { what: what.to_owned(), reason: error.to_string() })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.gateway)
    }
}

async fn refusal(what: String, answer: reqwest::Response) -> Error {
    let status = answer.status();
    let body = answer.text().await.unwrap_or_default();
    Error::Call { what, reason: format!("{status} {body}") }
}
