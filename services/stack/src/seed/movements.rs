//! What Inventory remembers of the same history: a movement per line sold or given back, goods in once a week, and
//! the stock that is left. Three documents are sent wrongly on purpose, for the stock reconciliation to find.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc, Weekday};

use super::Plan;
use super::company::{Company, Store, WAREHOUSE};
use super::history::{Document, at, before};
use super::orders::Order;
use super::random::Random;
use super::sales::SOLD_OUT;
use super::table::{Csv, PART};

/// One line of a movement.
#[derive(Debug, Clone)]
pub(super) struct Movement {
    reference: String,
    reason: &'static str,
    sku: String,
    location: String,
    /// Pieces; negative when goods leave.
    quantity: i64,
    at: DateTime<Utc>,
    zone: base::Tz,
}

/// Pieces on hand of a product at a location: SKU, location code, count.
pub(super) type Count = (String, String, i64);

/// What a location sold of a product: days, with pieces that left (or come back: negative).
type Ledger = BTreeMap<(u32, u32), Vec<(NaiveDate, i64)>>;

/// The place of the warehouse among the locations.
const AT_WAREHOUSE: u32 = u32::MAX;

/// All movements, and the stock after them.
pub(super) fn history(
    company: &Company,
    plan: &Plan,
    sold: &[Document],
    ordered: &[Order],
) -> (Vec<Movement>, Vec<Count>) {
    let mut movements = Vec::new();
    let mut ledger = Ledger::new();
    for document in sold {
        let store = &company.stores[document.store as usize];
        let sign = if document.original.is_some() { 1 } else { -1 };
        for line in &document.lines {
            let outflow = ledger.entry((document.store, line.product)).or_default();
            outflow.push((document.day, -sign * line.quantity));
            movements.push(Movement {
                reference: document.reference.clone(),
                reason: if document.original.is_some() { "return" } else { "sale" },
                sku: company.products[line.product as usize].sku.clone(),
                location: store.code.clone(),
                quantity: sign * line.quantity,
                at: document.at,
                zone: store.zone,
            });
        }
    }
    for order in ordered.iter().filter(|order| order.took_stock()) {
        for line in &order.lines {
            let day = order.zone.local(order.placed).date();
            ledger.entry((AT_WAREHOUSE, line.product)).or_default().push((day, line.quantity));
            movements.push(Movement {
                reference: order.reference.clone(),
                reason: "sale",
                sku: company.products[line.product as usize].sku.clone(),
                location: WAREHOUSE.to_owned(),
                quantity: -line.quantity,
                at: order.placed,
                zone: order.zone,
            });
        }
    }
    let stock = goods_in(company, plan, &mut ledger, &mut movements);
    tamper(company, plan, &mut movements);
    // In the order of time, and the lines of one document together.
    movements.sort_by(|a, b| (a.at, &a.reference).cmp(&(b.at, &b.reference)));
    (movements, stock)
}

/// Goods in: the first delivery, and each Monday what was sold in the week before. Returns what is left.
fn goods_in(company: &Company, plan: &Plan, ledger: &mut Ledger, movements: &mut Vec<Movement>) -> Vec<Count> {
    let mut stock = Vec::new();
    for product in &company.products {
        for place in (0..plan.stores).chain([AT_WAREHOUSE]) {
            let store = company.stores.get(place as usize);
            let (code, zone) = store.map_or((WAREHOUSE, company.zone), |store| (store.code.as_str(), store.zone));
            let outflow = ledger.remove(&(place, product.index)).unwrap_or_default();
            let (first, last) = plan.span(zone);
            let sold_out = place == 0 && product.index == SOLD_OUT.0;
            let weeks = if sold_out { BTreeMap::new() } else { weeks(&outflow, last) };
            let opening = opening(plan, product.index, place, &outflow, &weeks, sold_out);
            let mut deliver = |day: NaiveDate, quantity: i64| {
                movements.push(Movement {
                    reference: format!("goods-in-{code}-{}", day.format("%Y%m%d")),
                    reason: "replenishment",
                    sku: product.sku.clone(),
                    location: code.to_owned(),
                    quantity,
                    at: at(zone, day, 6, 0, 0),
                    zone,
                });
            };
            if opening > 0 {
                deliver(before(first, 1), opening);
            }
            for (monday, quantity) in &weeks {
                deliver(*monday, *quantity);
            }
            let left = opening + weeks.values().sum::<i64>() - outflow.iter().map(|(_, pieces)| pieces).sum::<i64>();
            stock.push((product.sku.clone(), code.to_owned(), left));
        }
    }
    stock
}

/// What each Monday brings: the pieces that went in the seven days before it.
fn weeks(outflow: &[(NaiveDate, i64)], last: NaiveDate) -> BTreeMap<NaiveDate, i64> {
    let mut weeks = BTreeMap::new();
    for (day, pieces) in outflow {
        let monday = day.week(Weekday::Mon).last_day().succ_opt().unwrap_or(*day);
        if monday <= last {
            *weeks.entry(monday).or_insert(0) += pieces;
        }
    }
    weeks.retain(|_, pieces| *pieces > 0);
    weeks
}

/// The first delivery: enough that no day ends below zero, and more where the buyer was optimistic.
fn opening(
    plan: &Plan,
    product: u32,
    place: u32,
    outflow: &[(NaiveDate, i64)],
    weeks: &BTreeMap<NaiveDate, i64>,
    sold_out: bool,
) -> i64 {
    if sold_out {
        // Exactly what was sold: the shelf is empty at the end.
        return outflow.iter().map(|(_, pieces)| pieces).sum::<i64>().max(0);
    }
    let mut flow: BTreeMap<NaiveDate, i64> = BTreeMap::new();
    for (day, pieces) in outflow {
        // A piece that comes back in the evening cannot have been sold again in the morning.
        *flow.entry(*day).or_insert(0) -= (*pieces).max(0);
        if let Some(next) = day.succ_opt() {
            *flow.entry(next).or_insert(0) -= (*pieces).min(0);
        }
    }
    for (monday, pieces) in weeks {
        *flow.entry(*monday).or_insert(0) += pieces;
    }
    let lowest = flow.values().scan(0, |level, change| {
        *level += change;
        Some(*level)
    });
    let needed = -lowest.min().unwrap_or(0).min(0);
    let mut random = Random::of(plan.seed, "opening", &[u64::from(product), u64::from(place)]);
    let spare = *random.pick(&[0, 1, 2, 4, 8, 12, 20, 60]);
    needed + i64::from(spare)
}

/// The day on which the books are wrong: the first store's last, so that last night's reconciliation shows it.
fn wrong_day<'a>(company: &'a Company, plan: &Plan) -> Option<(&'a Store, NaiveDate)> {
    let store = company.stores.first()?;
    Some((store, plan.span(store.zone).1))
}

fn wrong_reference(store: &Store, day: NaiveDate, ticket: &str) -> String {
    format!("sale-{}-{}-{ticket}", store.code, day.format("%Y%m%d"))
}

/// A sale that took no stock, one that took one piece too many, and stock taken for a sale that nobody made.
fn tamper(company: &Company, plan: &Plan, movements: &mut Vec<Movement>) {
    let Some((store, day)) = wrong_day(company, plan) else { return };
    let (missing, too_many) = (wrong_reference(store, day, "001"), wrong_reference(store, day, "002"));
    movements.retain(|movement| movement.reference != missing);
    if let Some(movement) = movements.iter_mut().find(|movement| movement.reference == too_many) {
        movement.quantity -= 1;
    }
    if let Some(product) = company.products.first() {
        movements.push(Movement {
            reference: wrong_reference(store, day, "lost"),
            reason: "sale",
            sku: product.sku.clone(),
            location: store.code.clone(),
            quantity: -1,
            at: at(store.zone, day, 12, 0, 0),
            zone: store.zone,
        });
    }
}

/// The references whose books are wrong, and how, for the person who looks at the reconciliation.
pub(super) fn drift(company: &Company, plan: &Plan) -> Vec<String> {
    let Some((store, day)) = wrong_day(company, plan) else { return Vec::new() };
    vec![
        format!("{} took no stock", wrong_reference(store, day, "001")),
        format!("{} took one piece too many", wrong_reference(store, day, "002")),
        format!("{} took stock without a sale", wrong_reference(store, day, "lost")),
    ]
}

/// The movements in parts for one request each; no document is split.
pub(super) fn parts(movements: &[Movement]) -> Vec<&[Movement]> {
    let mut parts = Vec::new();
    let mut rest = movements;
    while rest.len() > PART {
        let (mut cut, last) = (PART, &rest[PART - 1].reference);
        while rest.get(cut).is_some_and(|movement| movement.reference == *last) {
            cut += 1;
        }
        let (part, others) = rest.split_at(cut);
        parts.push(part);
        rest = others;
    }
    if !rest.is_empty() {
        parts.push(rest);
    }
    parts
}

/// Rows of `stock-movements/import`. Lines of one document are adjacent.
pub(super) fn movements_csv(movements: &[Movement]) -> String {
    let mut csv = Csv::new(&["reference", "reason", "sku", "location_code", "quantity", "occurred_at", "time_zone"]);
    for m in movements {
        let (quantity, at) = (m.quantity.to_string(), super::table::instant(m.at));
        csv.row([m.reference.as_str(), m.reason, &m.sku, &m.location, &quantity, &at, m.zone.name()]);
    }
    csv.finish()
}

/// Rows of `stock/import`.
pub(super) fn stock_csv(counts: &[Count]) -> String {
    let mut csv = Csv::new(&["sku", "location_code", "on_hand"]);
    for (sku, location, count) in counts {
        csv.row([sku.as_str(), location.as_str(), &count.to_string()]);
    }
    csv.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{orders, sales};

    fn plan(days: u32, stores: u32) -> Plan {
        let until = NaiveDate::from_ymd_opt(2026, 11, 21);
        Plan { days, stores, products: 40, customers: 50, seed: 7, until }
    }

    #[test]
    fn books_agree_but_for_the_deliberate_drift_and_no_shelf_is_below_empty() {
        let plan = plan(30, 3);
        let company = Company::new(&plan, "America/Toronto".parse().unwrap());
        let (sold, ordered) = (sales::history(&company, &plan), orders::history(&company, &plan));
        let (movements, stock) = history(&company, &plan, &sold, &ordered);

        let mut books: BTreeMap<(String, String), i64> = BTreeMap::new();
        for document in &sold {
            let sign = if document.original.is_some() { 1 } else { -1 };
            for line in &document.lines {
                let sku = company.products[line.product as usize].sku.clone();
                *books.entry((document.reference.clone(), sku)).or_default() += sign * line.quantity;
            }
        }
        for order in ordered.iter().filter(|order| order.took_stock()) {
            for line in &order.lines {
                let sku = company.products[line.product as usize].sku.clone();
                *books.entry((order.reference.clone(), sku)).or_default() -= line.quantity;
            }
        }
        for movement in movements.iter().filter(|movement| movement.reason != "replenishment") {
            *books.entry((movement.reference.clone(), movement.sku.clone())).or_default() -= movement.quantity;
        }
        let mut wrong: Vec<&str> =
            books.iter().filter(|(_, left)| **left != 0).map(|((reference, _), _)| reference.as_str()).collect();
        wrong.dedup();
        assert_eq!(wrong, ["sale-MTL-20261121-001", "sale-MTL-20261121-002", "sale-MTL-20261121-lost"]);

        assert!(stock.iter().all(|(_, _, left)| *left >= 0), "{stock:?}");
        let sold_out = &company.products[SOLD_OUT.0 as usize].sku;
        assert!(stock.iter().any(|(sku, location, left)| sku == sold_out && location == "MTL" && *left == 0));
    }

    #[test]
    fn a_longer_history_and_more_stores_add_documents_and_change_none() {
        let (small, large) = (plan(10, 2), plan(20, 4));
        let company = Company::new(&large, "America/Toronto".parse().unwrap());
        let few = sales::history(&Company::new(&small, "America/Toronto".parse().unwrap()), &small);
        let many = sales::history(&company, &large);
        assert!(few.len() > 100);
        let without_returns = few.iter().filter(|document| document.original.is_none());
        assert!(without_returns.into_iter().all(|document| many.contains(document)));
        let (again, _) = (sales::history(&company, &large), ());
        assert_eq!(many, again);
    }

    #[test]
    fn parts_split_no_document() {
        let plan = plan(60, 4);
        let company = Company::new(&plan, "America/Toronto".parse().unwrap());
        let sold = sales::history(&company, &plan);
        let (movements, _) = history(&company, &plan, &sold, &[]);
        let parts = parts(&movements);
        assert!(parts.len() > 1);
        assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), movements.len());
        for pair in parts.windows(2) {
            assert_ne!(pair[0].last().unwrap().reference, pair[1][0].reference);
        }
    }
}
