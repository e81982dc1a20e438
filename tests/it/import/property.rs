//! A generated history is the same however it is told: in any order of rows, any split into files, any of the accepted
//! shapes. Told again it changes nothing; told with one cell changed it is refused by that cell, or corrected; withdrawn,
//! it is as if it had never come.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::{Map, Value, json};
use system_tests::{campaign, seed, wait_until};

use super::counts;
use crate::shop::{PATIENCE, Shop, shared_services};

const PRODUCTS: usize = 4;

#[derive(Debug, Clone)]
struct Line {
    product: usize,
    quantity: i64,
    price: i64,
    discount: i64,
}

#[derive(Debug, Clone)]
struct Document {
    name: String,
    kind: &'static str,
    register: u32,
    /// Minutes after the beginning.
    minute: i64,
    original: Option<String>,
    ticket_discount: i64,
    lines: Vec<Line>,
}

/// How a file is written.
#[derive(Debug, Clone, Copy)]
struct Shape {
    ndjson: bool,
    major: bool,
    by_sku: bool,
    local: bool,
}

/// One row: column and value.
type Row = Vec<(&'static str, String)>;

fn line(random: &mut StdRng) -> Line {
    let (quantity, price) = (random.random_range(1..5), random.random_range(0..3_000));
    let discount = if random.random_ratio(1, 3) { random.random_range(0..=quantity * price) } else { 0 };
    Line { product: random.random_range(0..PRODUCTS), quantity, price, discount }
}

/// Tickets, exchanges, coupons, discounts on the ticket, returns with and without receipt.
fn history(random: &mut StdRng) -> Vec<Document> {
    let mut documents = Vec::new();
    for number in 0..random.random_range(3..12) {
        let mut lines: Vec<Line> = (0..random.random_range(1..4)).map(|_| line(random)).collect();
        let net = |lines: &[Line]| lines.iter().map(|it| it.quantity * it.price - it.discount).sum::<i64>();
        let ticket_discount = if random.random_ratio(1, 4) { random.random_range(0..=net(&lines)) } else { 0 };
        if random.random_ratio(1, 4) {
            lines.push(Line { quantity: -1, discount: 0, ..line(random) });
        }
        let kind = if random.random_ratio(1, 8) { "return" } else { "sale" };
        if kind == "return" {
            lines.retain(|it| it.quantity > 0);
            lines.iter_mut().for_each(|it| it.quantity = -it.quantity);
        }
        let (register, minute) = (random.random_range(1..3), random.random_range(0..5_000));
        let name = format!("D{number}");
        documents.push(Document { name, kind, register, minute, original: None, ticket_discount, lines });
    }
    for at in 0..documents.len() {
        let sale = documents[at].clone();
        let sold = &sale.lines[0];
        let once = sale.lines.iter().filter(|it| it.product == sold.product).count() == 1;
        if sale.kind == "sale" && once && sale.ticket_discount == 0 && random.random_ratio(1, 2) {
            let price = (sold.quantity * sold.price - sold.discount) / sold.quantity;
            let quantity = -random.random_range(1..=sold.quantity);
            documents.push(Document {
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

/// A company's till, and the names that a case gives to its documents.
struct Teller<'a> {
    shop: &'a Shop,
    prefix: String,
}

impl Teller<'_> {
    fn rows(&self, document: &Document, shape: Shape) -> Vec<Row> {
        let begin = chrono::NaiveDate::from_ymd_opt(2026, 1, 10).unwrap().and_hms_opt(8, 0, 0).unwrap();
        let at = (begin + chrono::TimeDelta::minutes(document.minute)).format("%Y-%m-%dT%H:%M:%S");
        // New York is five hours behind in these days.
        let moment = if shape.local { at.to_string() } else { format!("{at}-05:00") };
        let amount = |cents: i64| {
            let sign = if cents < 0 { "-" } else { "" };
            format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
        };
        let money = |minor, major, cents: i64| {
            if shape.major { (major, amount(cents)) } else { (minor, cents.to_string()) }
        };
        let told = |(at, line): (usize, &Line)| {
            let mut row: Row = vec![
                ("reference", format!("{}-{}", self.prefix, document.name)),
                ("kind", document.kind.to_owned()),
                ("store_code", self.shop.code.clone()),
                ("register_number", document.register.to_string()),
                ("occurred_at", moment.clone()),
                (
                    "original_reference",
                    document.original.as_ref().map(|it| format!("{}-{it}", self.prefix)).unwrap_or_default(),
                ),
                ("line_no", (at + 1).to_string()),
                ("sku", format!("{}-{}", self.shop.code, line.product)),
                ("quantity", line.quantity.to_string()),
                money("unit_price_cents", "unit_price", line.price),
                money("unit_cost_cents", "unit_cost", line.price / 2),
                money("discount_cents", "discount", line.discount),
                money("ticket_discount_cents", "ticket_discount", document.ticket_discount),
            ];
            if !shape.by_sku {
                row.push(("product_id", self.shop.products[line.product].to_string()));
            }
            row
        };
        document.lines.iter().enumerate().map(told).collect()
    }

    /// Writes rows as a file, its columns in any order, and sends it.
    async fn send(&self, rows: &[Row], shape: Shape, replace: bool, random: &mut StdRng) -> Value {
        let mut order: Vec<usize> = (0..rows[0].len()).collect();
        order.shuffle(random);
        let whole = [
            "register_number",
            "line_no",
            "quantity",
            "product_id",
            "unit_price_cents",
            "unit_cost_cents",
            "discount_cents",
            "ticket_discount_cents",
        ];
        let line = |row: &Row| {
            if shape.ndjson {
                let member = |at: &usize| {
                    let (name, value) = &row[*at];
                    let number = whole.contains(name).then(|| value.parse::<i64>().ok()).flatten();
                    ((*name).to_owned(), number.map_or(json!(value), |number| json!(number)))
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
        let kind = if shape.ndjson { "application/x-ndjson" } else { "text/csv" };
        let query = if replace { "?on_difference=replace" } else { "" };
        let path = format!("/retail/api/v1/sales/import{query}");
        let call = self.shop.backoffice.call(Method::POST, &path).header("content-type", kind);
        call.body(lines.join("\n")).send().await.expect(200).json()
    }

    /// Tells documents plainly: one file in order.
    async fn tell_plainly(&self, documents: &[Document], random: &mut StdRng) {
        let shape = Shape { ndjson: false, major: false, by_sku: false, local: false };
        let rows: Vec<Row> = documents.iter().flat_map(|document| self.rows(document, shape)).collect();
        let report = self.send(&rows, shape, false, random).await;
        assert_eq!(counts(&report)[1], i64::try_from(rows.len()).unwrap(), "{report}");
    }

    /// All that is stored under the prefix, without what differs by nature.
    async fn stored(&self, pool: &sqlx::PgPool) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT concat_ws(' ', substr(s.reference, length($1) + 2), s.kind, s.status, r.number, s.occurred_at, s.time_zone, \
             s.business_day, s.total_cents, substr(o.reference, length($1) + 2), \
             string_agg(concat_ws(':', l.line_no, l.product_id, l.sku, l.product_name, l.category, l.quantity, \
               l.unit_price_cents, l.unit_cost_cents, l.discount_cents, l.net_cents), ' ' ORDER BY l.line_no)) \
             FROM sales s JOIN sale_lines l ON l.sale_id = s.id JOIN registers r ON r.id = s.register_id \
             LEFT JOIN sales o ON o.id = s.original_sale_id AND NOT o.deleted \
             WHERE s.reference LIKE $1 || '-%' AND NOT s.deleted GROUP BY s.id, r.number, o.reference ORDER BY s.reference",
        )
        .bind(&self.prefix)
        .fetch_all(pool)
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn a_history_is_the_same_however_it_is_told() {
    let stack = shared_services().await;
    let shop = Shop::open(stack, PRODUCTS, 0).await;
    let pool = stack.pool("retail_db").await;
    let mut random = StdRng::seed_from_u64(seed());
    for case in 0..campaign(6, 2_000) {
        let teller = |name: &str| Teller { shop: &shop, prefix: format!("{}-{case}{name}", shop.code) };
        let documents = history(&mut random);
        let (plain, told) = (teller("p"), teller("t"));
        plain.tell_plainly(&documents, &mut random).await;
        let expected = plain.stored(&pool).await;
        assert_eq!(expected.len(), documents.len());

        // Any split into files, a return not before its sale; any order of rows.
        let files = random.random_range(1..4);
        let mut file_of: BTreeMap<&str, usize> = BTreeMap::new();
        for document in &documents {
            let least = document.original.as_ref().map_or(0, |original| file_of[original.as_str()]);
            file_of.insert(&document.name, random.random_range(least..files));
        }
        let mut sent = Vec::new();
        for file in 0..files {
            let mut bit = || random.random_ratio(1, 2);
            let shape = Shape { ndjson: bit(), major: bit(), by_sku: bit(), local: bit() };
            let in_file = documents.iter().filter(|document| file_of[document.name.as_str()] == file);
            let mut rows: Vec<Row> = in_file.flat_map(|document| told.rows(document, shape)).collect();
            rows.shuffle(&mut random);
            if rows.is_empty() {
                continue;
            }
            let report = told.send(&rows, shape, false, &mut random).await;
            assert_eq!(counts(&report)[1], i64::try_from(rows.len()).unwrap(), "case {case}: {report}");
            sent.push((report["id"].clone(), rows, shape));
        }
        assert_eq!(told.stored(&pool).await, expected, "case {case}");

        for (_, rows, shape) in &mut sent {
            rows.shuffle(&mut random);
            let report = told.send(rows, *shape, false, &mut random).await;
            assert_eq!(counts(&report)[2], i64::try_from(rows.len()).unwrap(), "case {case}: {report}");
        }
        one_cell(&told, &sent, &mut random, case).await;
        assert_eq!(told.stored(&pool).await, expected, "case {case}: a refused change changes nothing");
        corrected(&teller, &pool, &documents, &mut random, case).await;

        for (id, ..) in sent.iter().rev() {
            let path = format!("/retail/api/v1/imports/{id}");
            shop.backoffice.post(&format!("{path}/withdrawal"), &json!({})).await.expect(202);
            wait_until("a withdrawal", PATIENCE, async || {
                (shop.backoffice.get_json(&path).await["state"] == "withdrawn").then_some(())
            })
            .await;
        }
        assert_eq!(told.stored(&pool).await, Vec::<String>::new(), "case {case}: as if it had never come");
        assert_eq!(plain.stored(&pool).await, expected, "case {case}");
    }
}

/// Changes one cell of one file: its document is refused by that cell, and all else is unchanged.
async fn one_cell(told: &Teller<'_>, sent: &[(Value, Vec<Row>, Shape)], random: &mut StdRng, case: u64) {
    let (_, rows, shape) = &sent[random.random_range(0..sent.len())];
    let mut changed = rows.clone();
    let row = random.random_range(0..rows.len());
    let columns =
        ["register_number", "quantity", "unit_price_cents", "unit_price", "unit_cost_cents", "unit_cost", "line_no"];
    let cells: Vec<usize> = (0..changed[row].len()).filter(|at| columns.contains(&changed[row][*at].0)).collect();
    let (name, value) = &mut changed[row][cells[random.random_range(0..cells.len())]];
    *value = match *name {
        "unit_price" | "unit_cost" => format!("1{value}"),
        "line_no" => "77".to_owned(),
        "quantity" if value.starts_with('-') => (value.parse::<i64>().unwrap() - 1).to_string(),
        _ => (value.parse::<i64>().unwrap() + 1).to_string(),
    };
    let field = name.trim_end_matches("_cents").to_owned();
    let reference = rows[row][0].1.clone();
    let of_document = rows.iter().filter(|row| row[0].1 == reference).count();
    let report = told.send(&changed, *shape, false, random).await;
    let (all, refused) = (i64::try_from(rows.len()).unwrap(), i64::try_from(of_document).unwrap());
    let what = format!("case {case}: {:?} to {:?}: {report}", rows[row], changed[row]);
    assert_eq!(counts(&report), [all, 0, all - refused, refused], "{what}");
    let named = report["errors"][0]["field"].as_str().unwrap().trim_end_matches("_cents");
    assert_eq!(named, field, "{what}");
}

/// Corrects one document, told anew in place of the old: as if it had been told so from the beginning.
async fn corrected<'a>(
    teller: &impl Fn(&str) -> Teller<'a>,
    pool: &sqlx::PgPool,
    documents: &[Document],
    random: &mut StdRng,
    case: u64,
) {
    let (mended, other) = (teller("m"), teller("o"));
    mended.tell_plainly(documents, random).await;
    let mut documents = documents.to_vec();
    let is_free = |name: &str| !documents.iter().any(|it| it.original.as_deref() == Some(name));
    let free: Vec<usize> = (0..documents.len()).filter(|at| is_free(&documents[*at].name)).collect();
    let document = &mut documents[free[random.random_range(0..free.len())]];
    document.register += 1;
    document.minute += 1;
    if document.original.is_none() {
        document.lines[0].price += 1;
    }
    let shape = Shape { ndjson: true, major: true, by_sku: true, local: true };
    let rows: Vec<Row> = documents.iter().flat_map(|document| mended.rows(document, shape)).collect();
    let report = mended.send(&rows, shape, true, random).await;
    assert_eq!(counts(&report)[3], 0, "case {case}: {report}");
    other.tell_plainly(&documents, random).await;
    assert_eq!(mended.stored(pool).await, other.stored(pool).await, "case {case}");
}
