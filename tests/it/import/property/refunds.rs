//! Refunds of orders of their own, with goods and without, up to all that was paid.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::file::{Document, Row, Sender, Shape, post};
use super::of_report;
use super::orders::Order;
use crate::shop::Shop;

const ORDERS: usize = 3;
/// Lines of each order, of a product each.
const LINES: usize = 3;
/// Pieces of each line, at 10.00 less 0.10: a discount that divides by them is the same in whatever order they come back.
const PIECES: i64 = 6;
const PAID: i64 = 990;

/// What goes back of a line.
#[derive(Debug, Clone)]
struct Back {
    line: usize,
    pieces: i64,
    /// None: what the pieces had cost.
    cents: Option<i64>,
}

#[derive(Debug, Clone)]
pub(super) struct Refund {
    name: String,
    order: usize,
    /// Minutes after the beginning, when the orders were placed.
    minute: i64,
    lines: Vec<Back>,
}

impl Back {
    /// Something of a line of which pieces and minor units are left, or nothing.
    fn any(random: &mut StdRng, line: usize, (pieces, cents): &mut (i64, i64)) -> Option<Self> {
        let back = random.random_range(0..=(*pieces).min(2).min(*cents / PAID));
        let paid = match back {
            0 if *cents == 0 => return None,
            0 => Some(random.random_range(1..=(*cents).min(2_000))),
            _ if random.random_ratio(1, 2) => None,
            _ => Some(random.random_range(0..=*cents)),
        };
        *pieces -= back;
        *cents -= paid.unwrap_or(back * PAID);
        Some(Self { line, pieces: back, cents: paid })
    }
}

impl Document for Refund {
    const PATH: &'static str = "/ecommerce/api/v1/refunds/import";
    const IMPORTS: &'static str = "/ecommerce/api/v1/imports";
    const SERVICE: &'static str = "ecommerce";
    const DATABASE: &'static str = "ecommerce_db";
    const STORED: &'static str = "SELECT concat_ws(' ', substr(r.reference, length($1) + 2), substr(o.reference, length($1) + 2), r.status, \
         r.imported, r.occurred_at, r.time_zone, r.business_day, r.total_cents, \
         string_agg(concat_ws(':', l.line_no, l.order_line_no, l.quantity, l.discount_cents, l.net_cents), ' ' \
           ORDER BY l.line_no)) \
         FROM refunds r JOIN refund_lines l ON l.refund_id = r.id JOIN orders o ON o.id = r.order_id \
         WHERE r.reference LIKE $1 || '-%' AND NOT r.deleted GROUP BY r.id, o.reference ORDER BY r.reference";
    const CELLS: &'static [&'static str] = &[
        "order_reference",
        "occurred_at",
        "time_zone",
        "line_no",
        "order_line_no",
        "sku",
        "quantity",
        "amount_cents",
        "amount",
    ];

    async fn prepare(shop: &Shop) {
        Order::prepare(shop).await;
    }

    async fn precede(sender: &Sender<'_>) {
        let mut file = "reference,customer_reference,status,payment_status,occurred_at,time_zone,line_no,sku,quantity,\
                        unit_price_cents,discount_cents\n"
            .to_owned();
        for (order, line) in (0..ORDERS).flat_map(|order| (0..LINES).map(move |line| (order, line))) {
            let (name, customer) = (sender.named(&format!("W{order}")), format!("{}-C0", sender.shop.code));
            let (at, sku) = (Shape::PLAIN.moment(0), sender.sku(line));
            let (number, discount) = (line + 1, PIECES * (1_000 - PAID));
            let row = format!(
                "{name},{customer},delivered,paid,{at},America/New_York,{number},{sku},{PIECES},1000,{discount}"
            );
            file.push_str(&(row + "\n"));
        }
        let report = post(sender.shop, Order::PATH, Shape::PLAIN, file).await;
        assert_eq!(of_report(&report)[3], 0, "{report}");
    }

    fn history(random: &mut StdRng) -> Vec<Self> {
        let mut left = [[(PIECES, PIECES * PAID); LINES]; ORDERS];
        let mut refunds = Vec::new();
        for number in 0..8 {
            let (order, first) = (random.random_range(0..ORDERS), random.random_range(0..LINES));
            let lines: Vec<Back> =
                (first..LINES).filter_map(|line| Back::any(random, line, &mut left[order][line])).collect();
            if !lines.is_empty() {
                let minute = random.random_range(0..5_000);
                refunds.push(Self { name: format!("R{number}"), order, minute, lines });
            }
        }
        refunds
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn rows(&self, sender: &Sender<'_>, shape: Shape) -> Vec<Row> {
        let row = |(at, back): (usize, &Back)| {
            let (column, amount) = shape.money("amount_cents", "amount", back.cents.unwrap_or_default());
            let amount = if back.cents.is_some() { amount } else { String::new() };
            vec![
                ("reference", sender.named(&self.name)),
                ("order_reference", sender.named(&format!("W{}", self.order))),
                ("occurred_at", shape.moment(self.minute)),
                ("time_zone", "America/New_York".to_owned()),
                ("line_no", (at + 1).to_string()),
                if shape.by_sku {
                    ("sku", sender.sku(back.line))
                } else {
                    ("order_line_no", (back.line + 1).to_string())
                },
                ("quantity", back.pieces.to_string()),
                (column, amount),
            ]
        };
        self.lines.iter().enumerate().map(row).collect()
    }

    fn correct(&mut self, _: bool) {
        self.minute += 1;
        let back = &mut self.lines[0];
        back.cents = Some(back.cents.map_or(500, |cents| (cents + 1) / 2));
    }
}
