//! How documents become files, in every accepted shape.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use reqwest::Method;
use serde_json::{Map, Value, json};
use system_tests::wait_until;

use crate::shop::{PATIENCE, Shop};

/// One row: column and value; the first names the document.
pub(super) type Row = Vec<(&'static str, String)>;

/// What stands in a file as a number, where the file is NDJSON.
const WHOLE: [&str; 11] = [
    "register_number",
    "line_no",
    "order_line_no",
    "quantity",
    "product_id",
    "on_hand",
    "unit_price_cents",
    "unit_cost_cents",
    "discount_cents",
    "ticket_discount_cents",
    "amount_cents",
];

/// A kind of document.
pub(super) trait Document: Clone {
    const PATH: &'static str;
    const IMPORTS: &'static str;
    const SERVICE: &'static str;
    const DATABASE: &'static str;
    /// All that is stored under the prefix `$1`, a text for each row of [`Document::stored_rows`].
    const STORED: &'static str;
    /// Columns of which a changed cell is named when it is refused.
    const CELLS: &'static [&'static str];

    /// What must be there before the first document.
    async fn prepare(_: &Shop) {}
    /// What must be there before a sender's first document.
    async fn precede(_: &Sender<'_>) {}
    fn history(random: &mut StdRng) -> Vec<Self>;
    fn name(&self) -> &str;
    /// The document that this one depends on.
    fn original(&self) -> Option<&str> {
        None
    }
    fn rows(&self, sender: &Sender<'_>, shape: Shape) -> Vec<Row>;
    fn stored_rows(&self) -> usize {
        1
    }
    /// Changes something of it that may be changed by itself, also where a return names it.
    fn correct(&mut self, is_returned: bool);
}

/// How a file is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) ndjson: bool,
    /// Amounts in major units.
    pub(super) major: bool,
    /// Products by their SKU alone.
    pub(super) by_sku: bool,
    /// Local time without offset.
    pub(super) local: bool,
}

impl Shape {
    pub(super) const PLAIN: Self = Self { ndjson: false, major: false, by_sku: false, local: false };

    pub(super) fn any(random: &mut StdRng) -> Self {
        let mut bit = || random.random_ratio(1, 2);
        Self { ndjson: bit(), major: bit(), by_sku: bit(), local: bit() }
    }

    pub(super) fn money(self, minor: &'static str, major: &'static str, cents: i64) -> (&'static str, String) {
        let sign = if cents < 0 { "-" } else { "" };
        if self.major {
            (major, format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100))
        } else {
            (minor, cents.to_string())
        }
    }

    /// So many minutes after the beginning, in New York, which is five hours behind in these days.
    pub(super) fn moment(self, minute: i64) -> String {
        let begin = chrono::NaiveDate::from_ymd_opt(2026, 1, 10).unwrap().and_hms_opt(8, 0, 0).unwrap();
        let at = (begin + chrono::TimeDelta::minutes(minute)).format("%Y-%m-%dT%H:%M:%S");
        if self.local { at.to_string() } else { format!("{at}-05:00") }
    }
}

/// A company, and the names that a case gives to its documents.
pub(super) struct Sender<'a> {
    pub(super) shop: &'a Shop,
    pub(super) prefix: String,
}

impl Sender<'_> {
    pub(super) fn named(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    pub(super) fn sku(&self, product: usize) -> String {
        format!("{}-{product}", self.shop.code)
    }
}

/// Writes rows as text, its columns in any order.
pub(super) fn text(rows: &[Row], shape: Shape, random: &mut StdRng) -> String {
    let mut order: Vec<usize> = (0..rows[0].len()).collect();
    order.shuffle(random);
    let line = |row: &Row| {
        if shape.ndjson {
            let member = |at: &usize| {
                let (name, value) = &row[*at];
                let value = if WHOLE.contains(name) { json!(value.parse::<i64>().ok()) } else { json!(value) };
                ((*name).to_owned(), value)
            };
            Value::Object(order.iter().map(member).collect::<Map<_, _>>()).to_string()
        } else {
            order.iter().map(|at| row[*at].1.clone()).collect::<Vec<_>>().join(",")
        }
    };
    let mut lines: Vec<String> = rows.iter().map(line).collect();
    if !shape.ndjson {
        lines.insert(0, order.iter().map(|at| rows[0][*at].0).collect::<Vec<_>>().join(","));
    }
    lines.join("\n")
}

/// Writes rows as a file and sends it.
pub(super) async fn send<D: Document>(
    sender: &Sender<'_>,
    rows: &[Row],
    shape: Shape,
    query: &str,
    random: &mut StdRng,
) -> Value {
    post(sender.shop, &format!("{}{query}", D::PATH), shape, text(rows, shape, random)).await
}

/// Sends a file; waits where another import runs.
pub(super) async fn post(shop: &Shop, path: &str, shape: Shape, body: String) -> Value {
    let kind = if shape.ndjson { "application/x-ndjson" } else { "text/csv" };
    wait_until("its turn to import", PATIENCE, async || {
        let call = shop.backoffice.call(Method::POST, path).header("content-type", kind);
        let reply = call.body(body.clone()).send().await;
        (reply.status != 409).then(|| reply.expect(200).json())
    })
    .await
}
