//! Movements of stock that are history: documents of one reason, of which lines of one product are added up.

use std::collections::BTreeSet;

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::PRODUCTS;
use super::file::{Document, Row, Sender, Shape};

#[derive(Debug, Clone)]
pub(super) struct Movement {
    name: String,
    reason: &'static str,
    /// Minutes after the beginning.
    minute: i64,
    /// Product and pieces.
    lines: Vec<(usize, i64)>,
}

impl Document for Movement {
    const PATH: &'static str = "/inventory/api/v1/stock-movements/import";
    const IMPORTS: &'static str = "/inventory/api/v1/imports";
    const SERVICE: &'static str = "inventory";
    const DATABASE: &'static str = "inventory_db";
    const STORED: &'static str = "SELECT concat_ws(' ', substr(m.reference, length($1) + 2), p.sku, m.location_id, m.quantity, m.reason, \
         m.occurred_at, m.time_zone, m.imported, d.outcome, d.reason) \
         FROM stock_movements m JOIN products p ON p.id = m.product_id JOIN movement_documents d ON d.reference = m.reference \
         WHERE m.reference LIKE $1 || '-%' AND NOT m.deleted AND NOT d.withdrawn ORDER BY m.reference, p.sku";
    const CELLS: &'static [&'static str] = &["reason", "sku", "location_code", "quantity", "occurred_at", "time_zone"];

    fn history(random: &mut StdRng) -> Vec<Self> {
        let document = |number| {
            let (reason, sign) =
                [("sale", -1), ("return", 1), ("replenishment", 1), ("adjustment", -1)][random.random_range(0..4)];
            let line = |_| (random.random_range(0..PRODUCTS), sign * random.random_range(1..50));
            let lines: Vec<_> = (0..5).map(line).collect();
            let some = random.random_range(1..=lines.len());
            let minute = random.random_range(0..5_000);
            Self { name: format!("M{number}"), reason, minute, lines: lines.into_iter().take(some).collect() }
        };
        let numbers: Vec<u32> = (0..8).collect();
        numbers.into_iter().map(document).collect()
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn rows(&self, sender: &Sender<'_>, shape: Shape) -> Vec<Row> {
        let row = |(product, quantity): &(usize, i64)| {
            vec![
                ("reference", sender.named(&self.name)),
                ("reason", self.reason.to_owned()),
                ("sku", sender.sku(*product)),
                ("location_code", sender.shop.code.clone()),
                ("quantity", quantity.to_string()),
                ("occurred_at", shape.moment(self.minute)),
                ("time_zone", "America/New_York".to_owned()),
            ]
        };
        self.lines.iter().map(row).collect()
    }

    fn stored_rows(&self) -> usize {
        self.lines.iter().map(|(product, _)| product).collect::<BTreeSet<_>>().len()
    }

    fn correct(&mut self, _: bool) {
        self.minute += 1;
        self.lines[0].1 *= 2;
    }
}
