//! The demo company: a Canadian chain of shops for the house and the open air, with an online shop.

use std::collections::BTreeMap;

use base::Tz;
use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use super::Plan;
use super::random::Random;
use super::table::Csv;
use crate::error::{Error, Result};

/// The one warehouse, from which online orders are shipped.
pub(super) const WAREHOUSE: &str = "WH-MAIN";

/// City and time zone of the stores, in order; a chain with more stores opens a second one in each city.
const CITIES: [(&str, &str, &str); 8] = [
    ("MTL", "Montréal", "America/Toronto"),
    ("VAN", "Vancouver", "America/Vancouver"),
    ("TOR", "Toronto", "America/Toronto"),
    ("HAL", "Halifax", "America/Halifax"),
    ("CGY", "Calgary", "America/Edmonton"),
    ("QUE", "Québec", "America/Toronto"),
    ("WPG", "Winnipeg", "America/Winnipeg"),
    ("STJ", "St. John's", "America/St_Johns"),
];

/// Category, its things, and the range of their prices in cents.
const CATEGORIES: [(&str, [&str; 4], (u32, u32)); 8] = [
    ("Kitchen", ["Frying pan", "Kettle", "Chef's knife", "Mixing bowl"], (1_299, 12_999)),
    ("Coffee & Tea", ["Espresso beans", "Green tea", "Moka pot", "Travel mug"], (699, 5_499)),
    ("Outdoor", ["Tent", "Sleeping bag", "Headlamp", "Camp stove"], (1_999, 34_999)),
    ("Garden", ["Secateurs", "Watering can", "Planter", "Seed box"], (499, 7_999)),
    ("Toys", ["Building blocks", "Puzzle", "Kite", "Board game"], (899, 8_999)),
    ("Stationery", ["Notebook", "Fountain pen", "Ink", "Desk lamp"], (299, 6_499)),
    ("Bath", ["Towel", "Soap, 4 pieces", "Bath mat", "Shower curtain"], (399, 4_999)),
    ("Lighting", ["Table lamp", "LED bulb", "String lights", "Floor lamp"], (599, 18_999)),
];

/// A shop.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub(super) index: u32,
    pub(super) code: String,
    pub(super) name: String,
    pub(super) city: &'static str,
    pub(super) zone: Tz,
    /// Size against the usual, in percent.
    pub(super) size: u32,
}

/// Something to sell. Money in cents.
#[derive(Debug, Clone)]
pub(super) struct Product {
    pub(super) index: u32,
    pub(super) sku: String,
    pub(super) name: String,
    pub(super) category: &'static str,
    pub(super) price: i64,
    pub(super) cost: i64,
    pub(super) reorder_point: i64,
    pub(super) active: bool,
}

/// Somebody who shops online.
#[derive(Debug, Clone)]
pub(super) struct Customer {
    pub(super) reference: String,
    pub(super) name: String,
    pub(super) city: &'static str,
    pub(super) signup: NaiveDate,
}

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct Company {
    pub(super) zone: Tz,
    pub(super) stores: Vec<Store>,
    pub(super) products: Vec<Product>,
    pub(super) customers: Vec<Customer>,
}

impl Company {
    pub(super) fn new(plan: &Plan, zone: Tz) -> Self {
        let (_, last) = plan.span(zone);
        Self {
            zone,
            stores: (0..plan.stores).map(store).collect(),
            products: (0..plan.products).map(|index| product(plan.seed, index)).collect(),
            customers: (0..plan.customers).map(|index| customer(plan.seed, index, last)).collect(),
        }
    }

    pub(super) fn products_csv(&self) -> String {
        let mut csv =
            Csv::new(&["sku", "name", "category", "unit_price_cents", "unit_cost_cents", "reorder_point", "active"]);
        for p in &self.products {
            let (price, cost, reorder) = (p.price.to_string(), p.cost.to_string(), p.reorder_point.to_string());
            csv.row([
                p.sku.as_str(),
                &p.name,
                p.category,
                &price,
                &cost,
                &reorder,
                if p.active { "true" } else { "false" },
            ]);
        }
        csv.finish()
    }

    pub(super) fn stores_csv(&self) -> String {
        let mut csv = Csv::new(&["code", "name", "city", "time_zone"]);
        for store in &self.stores {
            csv.row([store.code.as_str(), &store.name, store.city, store.zone.name()]);
        }
        csv.finish()
    }

    pub(super) fn customers_csv(&self) -> String {
        let mut csv = Csv::new(&["reference", "name", "email", "phone", "city", "country", "signup_day"]);
        for customer in &self.customers {
            let email = format!("{}@example.com", customer.reference);
            let signup = customer.signup.to_string();
            csv.row([customer.reference.as_str(), &customer.name, &email, "", customer.city, "CA", &signup]);
        }
        csv.finish()
    }

    /// The warehouse and a location per store, as bodies for `POST locations`.
    pub(super) fn locations(&self, store_ids: &BTreeMap<String, i64>) -> Result<Vec<Value>> {
        let mut bodies = vec![json!({"code": WAREHOUSE, "name": "Main warehouse", "kind": "warehouse"})];
        for store in &self.stores {
            let id = store_ids.get(&store.code).ok_or_else(|| Error::Call {
                what: "seed".to_owned(),
                reason: format!("store {} was imported but is not listed", store.code),
            })?;
            bodies.push(json!({"code": store.code, "name": store.name, "kind": "store", "store_id": id}));
        }
        Ok(bodies)
    }
}

fn store(index: u32) -> Store {
    let (code, city, zone) = CITIES[index as usize % CITIES.len()];
    let round = index as usize / CITIES.len();
    let (code, name) = match round {
        0 => (code.to_owned(), format!("{city} Centre")),
        _ => (format!("{code}-{}", round + 1), format!("{city} {}", round + 1)),
    };
    // The first stores are the large ones; the smallest is a third of the largest.
    let size = 150 - (index % 8) * 14;
    Store { index, code, name, city, zone: zone.parse().unwrap_or(Tz::UTC), size }
}

fn product(seed: u64, index: u32) -> Product {
    let mut random = Random::of(seed, "product", &[u64::from(index)]);
    let (category, things, (low, high)) = CATEGORIES[index as usize % CATEGORIES.len()];
    let thing = things[index as usize / CATEGORIES.len() % things.len()];
    let series = index as usize / (CATEGORIES.len() * things.len());
    let name = if series == 0 { thing.to_owned() } else { format!("{thing} no. {}", series + 1) };
    // Prices end in 9 cents, as in shops; the cost is 45 to 75 % of the price.
    let price = i64::from(random.between(low, high) / 10 * 10 + 9);
    let cost = price * i64::from(random.between(45, 75)) / 100;
    let reorder_point = i64::from(random.between(4, 18));
    // One in forty has been taken out of the range; it still has history.
    let active = index % 40 != 39;
    Product { index, sku: format!("SKU-{:05}", index + 1), name, category, price, cost, reorder_point, active }
}

fn customer(seed: u64, index: u32, last: NaiveDate) -> Customer {
    const FIRST: [&str; 12] =
        ["Amélie", "Noah", "Léa", "Liam", "Chloé", "Olivia", "William", "Zoé", "Ethan", "Maya", "Lucas", "Priya"];
    const FAMILY: [&str; 12] = [
        "Tremblay", "Smith", "Gagnon", "Singh", "Roy", "Nguyen", "Côté", "Brown", "Bouchard", "Li", "Gauthier",
        "O'Neil",
    ];
    let mut random = Random::of(seed, "customer", &[u64::from(index)]);
    let name = format!("{} {}", random.pick(&FIRST), random.pick(&FAMILY));
    let (_, city, _) = *random.pick(&CITIES);
    Customer {
        reference: format!("customer-{:06}", index + 1),
        name,
        city,
        // Counted from a fixed day where possible, so that a later run of the same plan changes nobody; some of them
        // within the last year, which is as far as reports look back.
        signup: NaiveDate::from_ymd_opt(2024, 1, 1)
            .map_or(last, |first| first + Days::new(u64::from(random.between(0, 960))))
            .min(last),
    }
}
