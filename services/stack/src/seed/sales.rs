//! Sales at the tills, and the returns of some of them.

use chrono::{Days, NaiveDate};

use super::Plan;
use super::company::{Company, Store};
use super::history::{Document, basket, before, busy, days, moment, number};
use super::random::Random;

/// Tickets of a store of usual size on a usual day.
const TICKETS: u32 = 16;

/// The product of which the first store has run out, and for how many days at the end of the history.
pub(super) const SOLD_OUT: (u32, u64) = (1, 6);

/// Every sale of every store, and every return, in the order of their days.
pub(super) fn history(company: &Company, plan: &Plan) -> Vec<Document> {
    let mut documents = Vec::new();
    for store in &company.stores {
        let (first, last) = plan.span(store.zone);
        for day in days(first, last) {
            one_day(company, plan, store, day, last, &mut documents);
        }
    }
    documents
}

fn one_day(
    company: &Company,
    plan: &Plan,
    store: &Store,
    day: NaiveDate,
    last: NaiveDate,
    documents: &mut Vec<Document>,
) {
    let mut random = Random::of(plan.seed, "sales", &[u64::from(store.index), number(day)]);
    let (product, for_days) = SOLD_OUT;
    let is_sold_out = store.index == 0 && product < plan.products && day > before(last, for_days);
    let sold_out = is_sold_out.then_some(product);
    let tickets = (TICKETS * store.size * busy(day, false) / 10_000 * random.between(85, 115) / 100).max(2);
    for ticket in 1..=tickets {
        let lines = basket(&mut random, company, day, sold_out);
        if lines.is_empty() {
            continue;
        }
        let at = moment(&mut random, store.zone, day);
        let reference = format!("sale-{}-{}-{ticket:03}", store.code, day.format("%Y%m%d"));
        let sale = Document {
            reference,
            original: None,
            store: store.index,
            register: random.between(1, 1 + store.size / 60),
            day,
            at,
            lines,
        };
        let given_back = random.chance(4).then(|| give_back(&mut random, store, &sale)).flatten();
        documents.push(sale);
        documents.extend(given_back.filter(|document| document.day <= last));
    }
}

/// A return of one line of a sale, one to fourteen days later.
fn give_back(random: &mut Random, store: &Store, sale: &Document) -> Option<Document> {
    let day = sale.day.checked_add_days(Days::new(u64::from(random.between(1, 14))))?;
    let line = random.pick(&sale.lines).clone();
    Some(Document {
        reference: sale.reference.replacen("sale-", "return-", 1),
        original: Some(sale.reference.clone()),
        store: store.index,
        register: sale.register,
        day,
        at: moment(random, store.zone, day),
        lines: vec![line],
    })
}
