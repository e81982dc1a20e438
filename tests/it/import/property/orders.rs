//! Orders of the shop, as far as they came.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::file::{Document, Row, Sender, Shape};
use super::tickets::Line;
use crate::shop::Shop;

const CUSTOMERS: usize = 3;
const STATUSES: [&str; 6] = ["pending", "confirmed", "processing", "shipped", "delivered", "cancelled"];

#[derive(Debug, Clone)]
pub(super) struct Order {
    name: String,
    customer: usize,
    /// Of [`STATUSES`].
    status: usize,
    paid: bool,
    /// Minutes after the beginning.
    minute: i64,
    /// Minutes from one step to the next.
    pace: i64,
    lines: Vec<Line>,
}

impl Order {
    /// When a step was reached, which the first of these statuses did, and those up to the last.
    fn step(&self, shape: Shape, number: i64, statuses: std::ops::RangeInclusive<usize>) -> String {
        let reached = statuses.contains(&self.status);
        if reached { shape.moment(self.minute + number * self.pace) } else { String::new() }
    }
}

impl Document for Order {
    const PATH: &'static str = "/ecommerce/api/v1/orders/import";
    const IMPORTS: &'static str = "/ecommerce/api/v1/imports";
    const SERVICE: &'static str = "ecommerce";
    const DATABASE: &'static str = "ecommerce_db";
    const STORED: &'static str = "SELECT concat_ws(' ', substr(o.reference, length($1) + 2), c.reference, o.status, o.payment_status, \
         o.occurred_at, o.time_zone, o.business_day, o.total_cents, \
         to_json(ARRAY[o.confirmed_at, o.shipped_at, o.delivered_at, o.cancelled_at]), \
         string_agg(concat_ws(':', l.line_no, l.product_id, l.sku, l.product_name, l.category, l.quantity, \
           l.unit_price_cents, l.unit_cost_cents, l.discount_cents, l.net_cents), ' ' ORDER BY l.line_no)) \
         FROM orders o JOIN order_lines l ON l.order_id = o.id JOIN customers c ON c.id = o.customer_id \
         WHERE o.reference LIKE $1 || '-%' AND NOT o.deleted GROUP BY o.id, c.reference ORDER BY o.reference";
    const CELLS: &'static [&'static str] = &[
        "customer_reference",
        "status",
        "payment_status",
        "occurred_at",
        "time_zone",
        "confirmed_at",
        "shipped_at",
        "delivered_at",
        "cancelled_at",
        "line_no",
        "quantity",
        "unit_price_cents",
        "unit_price",
        "unit_cost_cents",
        "unit_cost",
        "discount_cents",
        "discount",
    ];

    async fn prepare(shop: &Shop) {
        let row = |at| format!("{}-C{at},Customer,2026-01-01\n", shop.code);
        let rows: String = (0..CUSTOMERS).map(row).collect();
        let file = format!("reference,name,signup_day\n{rows}");
        let report = shop.backoffice.import("/ecommerce/api/v1/customers/import", file).await;
        assert_eq!(report["refused"], 0, "{report}");
    }

    fn history(random: &mut StdRng) -> Vec<Self> {
        let order = |number| {
            let mut lines: Vec<Line> = (0..random.random_range(1..4)).map(|_| Line::any(random)).collect();
            lines.iter_mut().for_each(|line| line.quantity = line.quantity.abs());
            Self {
                name: format!("O{number}"),
                customer: random.random_range(0..CUSTOMERS),
                status: random.random_range(0..STATUSES.len()),
                paid: random.random_ratio(1, 2),
                minute: random.random_range(0..5_000),
                pace: random.random_range(0..500),
                lines,
            }
        };
        let numbers: Vec<u32> = (0..8).collect();
        numbers.into_iter().map(order).collect()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn rows(&self, sender: &Sender<'_>, shape: Shape) -> Vec<Row> {
        let row = |(at, line): (usize, &Line)| {
            let mut row: Row = vec![
                ("reference", sender.named(&self.name)),
                ("customer_reference", format!("{}-C{}", sender.shop.code, self.customer)),
                ("status", STATUSES[self.status].to_owned()),
                ("payment_status", if self.paid { "paid" } else { "pending" }.to_owned()),
                ("occurred_at", shape.moment(self.minute)),
                ("time_zone", "America/New_York".to_owned()),
                ("confirmed_at", self.step(shape, 1, 1..=4)),
                ("shipped_at", self.step(shape, 2, 3..=4)),
                ("delivered_at", self.step(shape, 3, 4..=4)),
                ("cancelled_at", self.step(shape, 1, 5..=5)),
            ];
            row.extend(line.row(at, sender, shape));
            row
        };
        self.lines.iter().enumerate().map(row).collect()
    }

    fn correct(&mut self, _: bool) {
        self.minute += 1;
        self.status = (self.status + 1) % STATUSES.len();
        self.paid = !self.paid;
        self.lines[0].price += 1;
    }
}
