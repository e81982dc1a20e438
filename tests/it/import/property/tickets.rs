//! Tickets of a till: sales, exchanges, coupons, discounts on the ticket, returns with and without receipt.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::PRODUCTS;
use super::file::{Document, Row, Sender, Shape};

#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) product: usize,
    pub(super) quantity: i64,
    pub(super) price: i64,
    pub(super) discount: i64,
}

impl Line {
    pub(super) fn any(random: &mut StdRng) -> Self {
        let (quantity, price) = (random.random_range(1..5), random.random_range(0..3_000));
        let discount = if random.random_ratio(1, 3) { random.random_range(0..=quantity * price) } else { 0 };
        Self { product: random.random_range(0..PRODUCTS), quantity, price, discount }
    }

    /// The columns that lines of tickets and of orders have alike.
    pub(super) fn row(&self, at: usize, sender: &Sender<'_>, shape: Shape) -> Row {
        let mut row: Row = vec![
            ("line_no", (at + 1).to_string()),
            ("sku", sender.sku(self.product)),
            ("quantity", self.quantity.to_string()),
            shape.money("unit_price_cents", "unit_price", self.price),
            shape.money("unit_cost_cents", "unit_cost", self.price.max(0) / 2),
            shape.money("discount_cents", "discount", self.discount),
        ];
        if !shape.by_sku {
            row.push(("product_id", sender.shop.products[self.product].to_string()));
        }
        row
    }
}

#[derive(Debug, Clone)]
pub(super) struct Ticket {
    name: String,
    kind: &'static str,
    register: u32,
    /// Minutes after the beginning.
    minute: i64,
    original: Option<String>,
    ticket_discount: i64,
    lines: Vec<Line>,
}

impl Document for Ticket {
    const PATH: &'static str = "/retail/api/v1/sales/import";
    const IMPORTS: &'static str = "/retail/api/v1/imports";
    const SERVICE: &'static str = "retail";
    const DATABASE: &'static str = "retail_db";
    const STORED: &'static str = "SELECT concat_ws(' ', substr(s.reference, length($1) + 2), s.kind, s.status, r.number, s.occurred_at, \
         s.time_zone, s.business_day, s.total_cents, coalesce(substr(o.reference, length($1) + 2), '-'), \
         string_agg(concat_ws(':', l.line_no, l.product_id, l.sku, l.product_name, l.category, l.quantity, \
           l.unit_price_cents, l.unit_cost_cents, l.discount_cents, l.net_cents), ' ' ORDER BY l.line_no)) \
         FROM sales s JOIN sale_lines l ON l.sale_id = s.id JOIN registers r ON r.id = s.register_id \
         LEFT JOIN sales o ON o.id = s.original_sale_id AND NOT o.deleted \
         WHERE s.reference LIKE $1 || '-%' AND NOT s.deleted GROUP BY s.id, r.number, o.reference ORDER BY s.reference";
    const CELLS: &'static [&'static str] = &[
        "kind",
        "store_code",
        "register_number",
        "occurred_at",
        "original_reference",
        "ticket_discount_cents",
        "ticket_discount",
        "line_no",
        "quantity",
        "unit_price_cents",
        "unit_price",
        "unit_cost_cents",
        "unit_cost",
        "discount_cents",
        "discount",
    ];

    fn history(random: &mut StdRng) -> Vec<Self> {
        let mut documents = Vec::new();
        for number in 0..random.random_range(3..12) {
            let mut lines: Vec<Line> = (0..random.random_range(1..4)).map(|_| Line::any(random)).collect();
            let net = |lines: &[Line]| lines.iter().map(|it| it.quantity * it.price - it.discount).sum::<i64>();
            let ticket_discount = if random.random_ratio(1, 4) { random.random_range(0..=net(&lines)) } else { 0 };
            if random.random_ratio(1, 4) {
                lines.push(Line { quantity: -1, discount: 0, ..Line::any(random) });
            }
            if random.random_ratio(1, 4) {
                lines.push(Line { quantity: 1, price: -random.random_range(1..500), discount: 0, ..Line::any(random) });
            }
            let kind = if random.random_ratio(1, 8) { "return" } else { "sale" };
            if kind == "return" {
                lines.retain(|it| it.quantity > 0 && it.price >= 0);
                lines.iter_mut().for_each(|it| it.quantity = -it.quantity);
            }
            let (register, minute) = (random.random_range(1..3), random.random_range(0..5_000));
            let name = format!("D{number}");
            documents.push(Self { name, kind, register, minute, original: None, ticket_discount, lines });
        }
        for at in 0..documents.len() {
            let sale = documents[at].clone();
            let sold = &sale.lines[0];
            let once = sale.lines.iter().filter(|it| it.product == sold.product).count() == 1;
            if sale.kind == "sale" && once && sale.ticket_discount == 0 && random.random_ratio(1, 2) {
                let price = (sold.quantity * sold.price - sold.discount) / sold.quantity;
                let quantity = -random.random_range(1..=sold.quantity);
                documents.push(Self {
                    name: format!("R-{}", sale.name),
                    kind: "return",
                    minute: sale.minute + random.random_range(0..100),
                    original: Some(sale.name.clone()),
                    lines: vec![Line { quantity, price, discount: 0, ..sold.clone() }],
                    ..sale
                });
            }
        }
        documents
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn original(&self) -> Option<&str> {
        self.original.as_deref()
    }

    fn rows(&self, sender: &Sender<'_>, shape: Shape) -> Vec<Row> {
        let row = |(at, line): (usize, &Line)| {
            let original = self.original.as_ref().map(|it| sender.named(it)).unwrap_or_default();
            let mut row: Row = vec![
                ("reference", sender.named(&self.name)),
                ("kind", self.kind.to_owned()),
                ("store_code", sender.shop.code.clone()),
                ("register_number", self.register.to_string()),
                ("occurred_at", shape.moment(self.minute)),
                ("original_reference", original),
                shape.money("ticket_discount_cents", "ticket_discount", self.ticket_discount),
            ];
            row.extend(line.row(at, sender, shape));
            row
        };
        self.lines.iter().enumerate().map(row).collect()
    }

    fn correct(&mut self, is_returned: bool) {
        self.register += 1;
        if !is_returned {
            self.minute += 1;
        }
        if self.original.is_none() {
            self.lines[0].price += 1;
        }
    }
}
