//! `stack seed`: the deterministic history of a demo company, sent through the import endpoints of the gateway.
//!
//! The same plan makes the same documents, and each day of each store depends on nothing but the seed, the store and
//! the date: a longer history, or more stores, adds documents and changes none. Every import is safe to repeat.

mod api;
mod company;
mod history;
mod movements;
mod note;
mod orders;
pub(crate) mod random;
mod sales;
mod table;

use std::time::Instant;

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use self::api::{Api, Import};
use self::company::Company;
use self::history::Document;
use self::note::{Note, Seeded};
use crate::error::{Error, Result};
use crate::state::State;

/// How much history to seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub days: u32,
    pub stores: u32,
    pub products: u32,
    pub customers: u32,
    /// Another number makes another history.
    pub seed: u64,
    /// The last business day; `None` is the newest that is over at every store.
    pub until: Option<NaiveDate>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { days: 90, stores: 6, products: 120, customers: 600, seed: 2026, until: None }
    }
}

impl Plan {
    /// First and last business day in `zone`.
    fn span(&self, zone: base::Tz) -> (NaiveDate, NaiveDate) {
        let last = self.until.unwrap_or_else(|| zone.today() - Days::new(1));
        (last - Days::new(u64::from(self.days.saturating_sub(1))), last)
    }
}

/// Sends the history to a running system; returns it with its last day. A history that was sent completely is left as it
/// is: what happened since is no part of it.
///
/// # Errors
/// [`Error::Usage`] when the system holds another history. [`Error::Call`] when a part of the system refuses or does not
/// answer; what was sent stays, and a repeat completes it.
pub async fn run(state: &State, plan: &Plan, tell: &mut impl FnMut(&str)) -> Result<Plan> {
    let begun = Instant::now();
    let zone =
        state.time_zone.parse().map_err(|_| Error::Usage(format!("{} is not an IANA time zone", state.time_zone)))?;
    let company = Company::new(plan, zone);
    let zones = company.stores.iter().map(|store| store.zone).chain([zone]);
    let note = Note::of(state);
    let Seeded { plan, complete } = note.begin(plan, zones)?;
    if complete {
        let last = plan.until.map_or_else(String::new, |last| format!(" up to {last}"));
        tell(&format!("seed: {} days of history{last} are there already; nothing is sent", plan.days));
        return Ok(plan);
    }
    let api = Api::new(state)?;
    history_of(&api, &company, &plan, tell).await?;
    note.write(&Seeded { plan: plan.clone(), complete: true })?;
    tell(&format!("seed: everything took {:.1} s", begun.elapsed().as_secs_f32()));
    Ok(plan)
}

async fn history_of(api: &Api, company: &Company, plan: &Plan, tell: &mut impl FnMut(&str)) -> Result<()> {
    tell("seed: products, stores, locations and customers");
    api.import(Import::Products, company.products_csv(), tell).await?;
    api.import(Import::Stores, company.stores_csv(), tell).await?;
    let store_ids = api.ids("/retail/api/v1/stores", "code").await?;
    for location in company.locations(&store_ids)? {
        api.create("/inventory/api/v1/locations", &location).await?;
    }
    let location_ids = api.ids("/inventory/api/v1/locations", "code").await?;
    api.import(Import::Customers, company.customers_csv(), tell).await?;
    let product_ids = api.ids("/inventory/api/v1/products", "sku").await?;

    tell("seed: working out the history");
    let sold = sales::history(company, plan);
    let ordered = orders::history(company, plan);
    let (movements, stock) = movements::history(company, plan, &sold, &ordered);

    let (originals, returns): (Vec<&Document>, Vec<&Document>) =
        sold.iter().partition(|document| document.original.is_none());
    let ordered_refs: Vec<&orders::Order> = ordered.iter().collect();
    // Returns come after the sales that they give back.
    for part in originals.chunks(table::PART).chain(returns.chunks(table::PART)) {
        api.import(Import::Sales, table::sales_csv(company, part, &product_ids)?, tell).await?;
    }
    for part in ordered_refs.chunks(table::PART) {
        api.import(Import::Orders, table::orders_csv(company, part, &product_ids)?, tell).await?;
    }
    api.import(Import::Refunds, table::refunds_csv(&ordered), tell).await?;
    for part in movements::parts(&movements) {
        api.import(Import::Movements, movements::movements_csv(part), tell).await?;
    }
    // Where stock was counted before, it has moved since: another count would undo what was sold.
    let counted = api.counted().await?;
    let (known, open): (Vec<_>, Vec<_>) = stock.into_iter().partition(|(sku, location, _)| {
        let key = product_ids.get(sku).copied().zip(location_ids.get(location).copied());
        key.is_some_and(|key| counted.contains(&key))
    });
    if !known.is_empty() {
        tell(&format!("seed: stock: {} places have been counted before and stay as they are", known.len()));
    }
    if !open.is_empty() {
        api.import(Import::Stock, movements::stock_csv(&open), tell).await?;
    }
    for drift in movements::drift(company, plan) {
        tell(&format!("seed: deliberate drift for the stock reconciliation to find: {drift}"));
    }
    tell(&format!("seed: {} sales and returns, {} orders, {} movements", sold.len(), ordered.len(), movements.len()));
    Ok(())
}
