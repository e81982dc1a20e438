//! A generated history is the same however it is sent: in any order of rows, any split into files, any of the accepted
//! shapes. Sent again it changes nothing; sent with one cell changed it is refused by that cell, or corrected; withdrawn,
//! it is as if it had never come; and to a service that is killed while it imports it is sent again.
//!
//! Each kind of document is a file here: how one comes about, how it is written, and what is stored of it.

mod company;
mod counts;
mod file;
mod movements;
mod orders;
mod refunds;
mod tickets;

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use system_tests::{campaign, seed, wait_until};

use super::counts as of_report;
use crate::shop::{PATIENCE, Shop, shared_services};
use file::{Document, Row, Sender, Shape, send};
use movements::Movement;
use orders::Order;
use refunds::Refund;
use tickets::Ticket;

const PRODUCTS: usize = 4;

/// A file that was sent: its import, its rows, and how they were written.
type Sent = (Value, Vec<Row>, Shape);

#[tokio::test]
async fn tickets_are_the_same_however_they_are_sent() {
    cases::<Ticket>().await;
}

#[tokio::test]
async fn orders_are_the_same_however_they_are_sent() {
    cases::<Order>().await;
}

#[tokio::test]
async fn refunds_are_the_same_however_they_are_sent() {
    cases::<Refund>().await;
}

#[tokio::test]
async fn movements_are_the_same_however_they_are_sent() {
    cases::<Movement>().await;
}

async fn cases<D: Document>() {
    let stack = shared_services().await;
    let shop = Shop::open(stack, PRODUCTS, 0).await;
    D::prepare(&shop).await;
    let pool = stack.pool(D::DATABASE).await;
    let mut random = StdRng::seed_from_u64(seed());
    for case in 0..campaign(6, 500) {
        let sender = |name: &str| Sender { shop: &shop, prefix: format!("{}-{case}{name}", shop.code) };
        let documents = D::history(&mut random);
        let (plain, mixed) = (sender("p"), sender("t"));
        send_plainly(&plain, &documents, &mut random).await;
        let expected = stored::<D>(&plain, &pool).await;
        assert_eq!(expected.len(), documents.iter().map(D::stored_rows).sum::<usize>());

        D::precede(&mixed).await;
        let mut sent: Vec<Sent> = Vec::new();
        for rows in split(&mixed, &documents, &mut random) {
            let (shape, rows) = rows;
            let report = send::<D>(&mixed, &rows, shape, "", &mut random).await;
            assert_eq!(of_report(&report), [len(&rows), len(&rows), 0, 0], "case {case}: {report}");
            sent.push((report["id"].clone(), rows, shape));
        }
        assert_eq!(stored::<D>(&mixed, &pool).await, expected, "case {case}");

        for (_, rows, shape) in &mut sent {
            rows.shuffle(&mut random);
            let report = send::<D>(&mixed, rows, *shape, "", &mut random).await;
            assert_eq!(of_report(&report)[2], len(rows), "case {case}: {report}");
        }
        one_cell::<D>(&mixed, &sent, &mut random, case).await;
        assert_eq!(stored::<D>(&mixed, &pool).await, expected, "case {case}: a refused change changes nothing");
        corrected(&sender, &pool, &documents, &mut random, case).await;

        for (id, ..) in sent.iter().rev() {
            withdraw::<D>(&shop, id).await;
        }
        assert_eq!(stored::<D>(&mixed, &pool).await, Vec::<String>::new(), "case {case}: as if it had never come");
        assert_eq!(stored::<D>(&plain, &pool).await, expected, "case {case}");
    }
}

fn len(rows: &[Row]) -> i64 {
    i64::try_from(rows.len()).unwrap()
}

/// Tells documents plainly: one file in order.
async fn send_plainly<D: Document>(sender: &Sender<'_>, documents: &[D], random: &mut StdRng) {
    D::precede(sender).await;
    let rows: Vec<Row> = documents.iter().flat_map(|document| document.rows(sender, Shape::PLAIN)).collect();
    let report = send::<D>(sender, &rows, Shape::PLAIN, "", random).await;
    assert_eq!(of_report(&report)[1], len(&rows), "{report}");
}

/// The documents in up to three files, what depends on another not before it; the rows of each in any order.
fn split<D: Document>(sender: &Sender<'_>, documents: &[D], random: &mut StdRng) -> Vec<(Shape, Vec<Row>)> {
    let files = random.random_range(1..4);
    let mut file_of: BTreeMap<&str, usize> = BTreeMap::new();
    for document in documents {
        let least = document.original().map_or(0, |original| file_of[original]);
        file_of.insert(document.name(), random.random_range(least..files));
    }
    let mut split = Vec::new();
    for file in 0..files {
        let shape = Shape::any(random);
        let in_file = documents.iter().filter(|document| file_of[document.name()] == file);
        let mut rows: Vec<Row> = in_file.flat_map(|document| document.rows(sender, shape)).collect();
        rows.shuffle(random);
        if !rows.is_empty() {
            split.push((shape, rows));
        }
    }
    split
}

async fn withdraw<D: Document>(shop: &Shop, import: &Value) {
    let path = format!("{}/{import}", D::IMPORTS);
    shop.backoffice.post(&format!("{path}/withdrawal"), &json!({})).await.expect(202);
    wait_until("a withdrawal", PATIENCE, async || {
        (shop.backoffice.get_json(&path).await["state"] == "withdrawn").then_some(())
    })
    .await;
}

/// All that is stored under the prefix, without what differs by nature.
async fn stored<D: Document>(sender: &Sender<'_>, pool: &sqlx::PgPool) -> Vec<String> {
    sqlx::query_scalar(D::STORED).bind(&sender.prefix).fetch_all(pool).await.unwrap()
}

/// Changes one cell of one file: its document is refused by that cell, and all else is unchanged.
async fn one_cell<D: Document>(mixed: &Sender<'_>, sent: &[Sent], random: &mut StdRng, case: u64) {
    let (_, rows, shape) = &sent[random.random_range(0..sent.len())];
    let mut changed = rows.clone();
    let row = random.random_range(0..rows.len());
    let told_cell = |at: &usize| {
        let (name, value) = &rows[row][*at];
        // A return that names its sale cannot be a sale.
        D::CELLS.contains(name) && !value.is_empty() && (*name != "kind" || value == "sale")
    };
    let cells: Vec<usize> = (0..rows[row].len()).filter(told_cell).collect();
    let (name, value) = &mut changed[row][cells[random.random_range(0..cells.len())]];
    *value = otherwise(name, value);
    let field = name.trim_end_matches("_cents").to_owned();
    let reference = rows[row][0].1.clone();
    let of_document = rows.iter().filter(|row| row[0].1 == reference).count();
    let report = send::<D>(mixed, &changed, *shape, "", random).await;
    let refused = i64::try_from(of_document).unwrap();
    let what = format!("case {case}: {:?} to {:?}: {report}", rows[row], changed[row]);
    assert_eq!(of_report(&report), [len(rows), 0, len(rows) - refused, refused], "{what}");
    let named = report["errors"].as_array().unwrap().iter().filter_map(|error| error["field"].as_str());
    // A discount on the ticket is stored as discounts of its lines, and these leave it less to take from.
    let same = |it: &str| it.ends_with(&field) || field.ends_with(it);
    assert!(named.map(|it| it.trim_end_matches("_cents")).any(same), "{what}");
}

/// Another value of a column.
fn otherwise(column: &str, value: &str) -> String {
    match column {
        "unit_price" | "unit_cost" | "amount" | "discount" | "ticket_discount" => match value.strip_prefix('-') {
            Some(digits) => format!("-1{digits}"),
            None => format!("1{value}"),
        },
        "line_no" => "77".to_owned(),
        "kind" => "return".to_owned(),
        "status" => if value == "pending" { "confirmed" } else { "pending" }.to_owned(),
        "payment_status" => "failed".to_owned(),
        "time_zone" => "America/Toronto".to_owned(),
        "occurred_at" | "confirmed_at" | "shipped_at" | "delivered_at" | "cancelled_at" => {
            value.replacen("2026", "2025", 1)
        }
        "customer_reference" | "order_reference" | "original_reference" | "store_code" | "location_code" | "sku" => {
            format!("{value}x")
        }
        "reason" => match value {
            "sale" => "adjustment",
            "adjustment" => "sale",
            "return" => "replenishment",
            _ => "return",
        }
        .to_owned(),
        "quantity" if value.starts_with('-') => (value.parse::<i64>().unwrap() - 1).to_string(),
        _ => (value.parse::<i64>().unwrap() + 1).to_string(),
    }
}

/// Corrects one document, sent anew in place of the old: as if it had been sent so from the beginning. Corrected once more, and
/// both corrections withdrawn, whichever first: as if neither had come.
async fn corrected<'a, D: Document>(
    sender: &impl Fn(&str) -> Sender<'a>,
    pool: &sqlx::PgPool,
    documents: &[D],
    random: &mut StdRng,
    case: u64,
) {
    let (mended, other) = (sender("m"), sender("o"));
    send_plainly(&mended, documents, random).await;
    let before = stored::<D>(&mended, pool).await;
    let mut documents = documents.to_vec();
    let mut corrections = vec![correct_one(&mended, &mut documents, random).await];
    send_plainly(&other, &documents, random).await;
    assert_eq!(stored::<D>(&mended, pool).await, stored::<D>(&other, pool).await, "case {case}");
    corrections.push(correct_one(&mended, &mut documents, random).await);
    corrections.shuffle(random);
    for import in &corrections {
        withdraw::<D>(mended.shop, import).await;
    }
    assert_eq!(stored::<D>(&mended, pool).await, before, "case {case}: as if no correction had come");
}

/// Changes one document and sends all of them in place of what is stored; answers the import.
async fn correct_one<D: Document>(sender: &Sender<'_>, documents: &mut [D], random: &mut StdRng) -> Value {
    let at = random.random_range(0..documents.len());
    let is_returned = documents.iter().any(|it| it.original() == Some(documents[at].name()));
    documents[at].correct(is_returned);
    let shape = Shape { ndjson: true, major: true, by_sku: true, local: true };
    let rows: Vec<Row> = documents.iter().flat_map(|document| document.rows(sender, shape)).collect();
    let report = send::<D>(sender, &rows, shape, "?on_difference=replace", random).await;
    let [_, applied, _, refused] = of_report(&report);
    assert!(applied > 0 && refused == 0, "{report}");
    report["id"].clone()
}
