//! `stack seed`: the deterministic history of a demo company, told through the import endpoints of the gateway.
//!
//! The same plan makes the same documents, and each day of each store depends on nothing but the seed, the store and
//! the date: a longer history, or more stores, adds documents and changes none. Every import is safe to repeat.

mod api;
mod company;
mod history;
mod movements;
mod orders;
pub(crate) mod random;
mod sales;
mod table;

use std::time::Instant;

use chrono::{Days, NaiveDate, Utc};

use self::api::{Api, Import};
use self::company::Company;
use self::history::Document;
use crate::error::{Error, Result};
use crate::state::State;

/// How much history to tell.
#[derive(Debug, Clone)]
pub struct Plan {
    pub days: u32,
    pub stores: u32,
    pub products: u32,
    pub customers: u32,
    /// Another number tells another history.
    pub seed: u64,
    /// The last business day; `None` is yesterday in each zone, so that last night's reports are full.
    pub until: Option<NaiveDate>,
}

impl Default for Plan {
    fn default() -> Self {
        Self { days: 90, stores: 6, products: 120, customers: 600, seed: 2026, until: None }
    }
}

impl Plan {
    /// First and last business day in `zone`.
    fn span(&self, zone: chrono_tz::Tz) -> (NaiveDate, NaiveDate) {
        let last = self.until.unwrap_or_else(|| Utc::now().with_timezone(&zone).date_naive() - Days::new(1));
        (last - Days::new(u64::from(self.days.saturating_sub(1))), last)
    }
}

/// Tells the history to a running system.
///
/// # Errors
/// [`Error::Call`] when a part of the system refuses or does not answer; what was told stays, and a repeat completes it.
pub async fn run(state: &State, plan: &Plan, tell: &mut impl FnMut(&str)) -> Result<()> {
    let begun = Instant::now();
    let zone =
        state.time_zone.parse().map_err(|_| Error::Usage(format!("{} is not an IANA time zone", state.time_zone)))?;
    let api = Api::new(state)?;
    let company = Company::new(plan, zone);

    tell("seed: products, stores, locations and customers");
    api.import(Import::Products, company.products_csv(), tell).await?;
    api.import(Import::Stores, company.stores_csv(), tell).await?;
    let store_ids = api.ids("/retail/api/v1/stores", "code").await?;
    for location in company.locations(&store_ids)? {
        api.create("/inventory/api/v1/locations", &location).await?;
    }
    api.import(Import::Customers, company.customers_csv(), tell).await?;
    let product_ids = api.ids("/inventory/api/v1/products", "sku").await?;

    tell("seed: working out the history");
    let sold = sales::history(&company, plan);
    let ordered = orders::history(&company, plan);
    let (movements, stock) = movements::history(&company, plan, &sold, &ordered);

    let (originals, returns): (Vec<&Document>, Vec<&Document>) =
        sold.iter().partition(|document| document.original.is_none());
    let ordered_refs: Vec<&orders::Order> = ordered.iter().collect();
    // Returns come after the sales that they give back.
    for part in originals.chunks(table::PART).chain(returns.chunks(table::PART)) {
        api.import(Import::Sales, table::sales_csv(&company, part, &product_ids)?, tell).await?;
    }
    for part in ordered_refs.chunks(table::PART) {
        api.import(Import::Orders, table::orders_csv(&company, part, &product_ids)?, tell).await?;
    }
    for part in movements::parts(&movements) {
        api.import(Import::Movements, movements::movements_csv(part), tell).await?;
    }
    api.import(Import::Stock, movements::stock_csv(&stock), tell).await?;
    for drift in movements::drift(&company, plan) {
        tell(&format!("seed: deliberate drift for the stock reconciliation to find: {drift}"));
    }
    tell(&format!(
        "seed: {} sales and returns, {} orders, {} movements in {:.1} s",
        sold.len(),
        ordered.len(),
        movements.len(),
        begun.elapsed().as_secs_f32()
    ));
    Ok(())
}
