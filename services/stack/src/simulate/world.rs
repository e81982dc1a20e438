//! What there is to visit: products, stores with a till each, and the places where stock lies.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{As, Ask, Client};
use crate::error::{Error, Result};

/// Products are read up to this many; a larger range is not visited more.
const PRODUCTS: usize = 2_000;

/// What analysts read, where it can be read: a system without the reporting service has no analysts, and one that has
/// not been polled yet has nothing to compute a report from.
const READING: [&str; 4] = [
    "/reporting/api/v1/reports",
    "/reporting/api/v1/sources",
    "/reporting/api/v1/reports/store_performance",
    "/reporting/api/v1/reports/product_performance",
];

/// The company as visitors see it.
pub(super) struct World {
    pub(super) products: Vec<i64>,
    pub(super) tills: Vec<Till>,
    /// The location that online orders are shipped from.
    pub(super) warehouse: Option<i64>,
    /// Paths of the reporting API.
    pub(super) reading: Vec<&'static str>,
}

/// A till in a store.
pub(super) struct Till {
    pub(super) store: i64,
    pub(super) register: i64,
    /// Where the store's stock lies, if Inventory knows.
    pub(super) location: Option<i64>,
}

impl World {
    pub(super) async fn look(client: &Client) -> Result<Self> {
        let products = list(client, "/inventory/api/v1/products").await?;
        let products: Vec<i64> = products.iter().filter(|item| item["active"] == true).filter_map(id).collect();
        let mut locations = BTreeMap::new();
        let mut warehouse = None;
        for location in list(client, "/inventory/api/v1/locations").await? {
            match (location["store_id"].as_i64(), id(&location)) {
                (Some(store), Some(location)) => {
                    locations.insert(store, location);
                }
                (None, found) => warehouse = warehouse.or(found),
                _ => {}
            }
        }
        let mut registers: BTreeMap<i64, i64> = list(client, "/retail/api/v1/registers")
            .await?
            .iter()
            .filter(|register| register["active"] == true)
            .filter_map(|register| Some((register["store_id"].as_i64()?, id(register)?)))
            .collect();
        let mut tills = Vec::new();
        for store in list(client, "/retail/api/v1/stores").await?.iter().filter(|store| store["active"] == true) {
            let Some(store) = id(store) else { continue };
            let register = match registers.remove(&store) {
                Some(register) => register,
                None => open_register(client, store).await?,
            };
            tills.push(Till { store, register, location: locations.get(&store).copied() });
        }
        if products.is_empty() || tills.is_empty() {
            return Err(Error::Call {
                what: "simulate".to_owned(),
                reason: "there are no stores or no products to visit; `stack seed` tells a company's history"
                    .to_owned(),
            });
        }
        let mut reading = Vec::new();
        for path in READING {
            if client.answers(As::Analyst, path).await {
                reading.push(path);
            }
        }
        Ok(Self { products, tills, warehouse, reading })
    }

    pub(super) fn describe(&self) -> String {
        let (products, stores, reports) = (self.products.len(), self.tills.len(), self.reading.len());
        format!("{products} products, {stores} stores, {reports} pages of reports")
    }
}

fn id(item: &Value) -> Option<i64> {
    item["id"].as_i64()
}

async fn open_register(client: &Client, store: i64) -> Result<i64> {
    let body = json!({"store_id": store, "number": 1});
    let opened = call(client, Method::POST, "/retail/api/v1/registers", Some(body)).await?;
    id(&opened).ok_or_else(|| Error::Call { what: "a new register".to_owned(), reason: opened.to_string() })
}

/// Every item of a collection, up to a sensible number.
async fn list(client: &Client, path: &str) -> Result<Vec<Value>> {
    let mut items = Vec::new();
    let mut page = format!("{path}?limit=200");
    loop {
        let answer = call(client, Method::GET, &page, None).await?;
        items.extend(answer["items"].as_array().cloned().unwrap_or_default());
        match answer["next"].as_str() {
            Some(next) if items.len() < PRODUCTS => page = format!("{path}?limit=200&after={next}"),
            _ => return Ok(items),
        }
    }
}

async fn call(client: &Client, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
    let ask = Ask { action: "look around", who: As::Backoffice, method, path, body, key: None, may: &[] };
    let failed = || Error::Call { what: path.to_owned(), reason: "the gateway gave no useful answer".to_owned() };
    client.ask(&ask).await.map(|(_, answer)| answer).ok_or_else(failed)
}
