//! Orders of the online shop: old ones delivered, recent ones on their way, some cancelled, a few refunded in part.

use chrono::{DateTime, Duration, NaiveDate, Utc};

use super::Plan;
use super::company::Company;
use super::history::{Line, basket, busy, days, moment, number};
use super::random::Random;

/// Orders of a usual day.
const ORDERS: u32 = 14;

/// An order with the moments of its steps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) reference: String,
    /// Index of the customer.
    pub(super) customer: u32,
    pub(super) status: &'static str,
    pub(super) payment: &'static str,
    pub(super) zone: base::Tz,
    pub(super) placed: DateTime<Utc>,
    pub(super) confirmed: Option<DateTime<Utc>>,
    pub(super) shipped: Option<DateTime<Utc>>,
    pub(super) delivered: Option<DateTime<Utc>>,
    pub(super) cancelled: Option<DateTime<Utc>>,
    /// When a fifth of its first line was paid back: something was damaged, and stayed with the customer.
    pub(super) refunded: Option<DateTime<Utc>>,
    pub(super) lines: Vec<Line>,
}

impl Order {
    /// What is paid back where it is refunded, in cents.
    pub(super) fn allowance(&self) -> i64 {
        self.lines.first().map_or(0, |line| (line.quantity * line.price - line.discount) / 5)
    }

    /// Whether the warehouse has given the goods.
    pub(super) fn took_stock(&self) -> bool {
        !matches!(self.status, "pending" | "cancelled")
    }
}

/// Every order, in the order of their days.
pub(super) fn history(company: &Company, plan: &Plan) -> Vec<Order> {
    if company.customers.is_empty() {
        return Vec::new();
    }
    let (first, last) = plan.span(company.zone);
    days(first, last).flat_map(|day| one_day(company, plan, day, last)).collect()
}

fn one_day(company: &Company, plan: &Plan, day: NaiveDate, last: NaiveDate) -> Vec<Order> {
    let mut random = Random::of(plan.seed, "orders", &[number(day)]);
    let count = (ORDERS * busy(day, true) / 100 * random.between(80, 120) / 100).max(1);
    (1..=count)
        .filter_map(|n| {
            let lines = basket(&mut random, company, day, None);
            let customer = random.popular(plan.customers);
            let placed = moment(&mut random, company.zone, day);
            let reference = format!("order-{}-{n:03}", day.format("%Y%m%d"));
            let order = Order {
                reference,
                customer,
                status: "pending",
                payment: "pending",
                zone: company.zone,
                placed,
                confirmed: None,
                shipped: None,
                delivered: None,
                cancelled: None,
                refunded: None,
                lines,
            };
            let age = u32::try_from((last - day).num_days()).unwrap_or_default();
            let mut order = (!order.lines.is_empty()).then(|| advance(&mut random, order, age))?;
            order.refunded = refunded(&mut Random::of(plan.seed, "refunds", &[number(day), n.into()]), &order, last);
            Some(order)
        })
        .collect()
}

/// Where an order stands when it is `age` days old at the end of the history.
fn advance(random: &mut Random, mut order: Order, age: u32) -> Order {
    let after = |random: &mut Random, from: DateTime<Utc>, hours: (u32, u32)| {
        from + Duration::minutes(i64::from(random.between(hours.0 * 60, hours.1 * 60)))
    };
    let fate = random.between(0, 99);
    if fate < 6 {
        order.status = "cancelled";
        order.payment = *random.pick(&["refunded", "failed", "failed"]);
        order.cancelled = Some(after(random, order.placed, (1, 3)));
        return order;
    }
    // The last evening's orders may not have been looked at yet.
    if age == 0 && fate < 40 {
        return order;
    }
    order.payment = "paid";
    let confirmed = after(random, order.placed, (0, 2));
    order.confirmed = Some(confirmed);
    let steps = match age {
        0 => random.between(0, 1),
        1 => random.between(1, 2),
        2..=4 => random.between(2, 3),
        _ => 3,
    };
    order.status = ["confirmed", "processing", "shipped", "delivered"][steps as usize];
    // Whole days are far enough apart that no step is later than the history's end.
    if steps >= 2 {
        let shipped = after(random, confirmed, (2, 12));
        order.shipped = Some(shipped);
        if steps >= 3 {
            order.delivered = Some(after(random, shipped, (12, 30)));
        }
    }
    order
}

/// One delivered order in 25 is refunded in part some days later.
fn refunded(random: &mut Random, order: &Order, last: NaiveDate) -> Option<DateTime<Utc>> {
    let at = order.delivered? + Duration::hours(random.between(20, 90).into());
    (random.between(0, 24) == 0 && order.allowance() > 0 && order.zone.local(at).date() <= last).then_some(at)
}
