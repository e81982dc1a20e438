//! A whole company, sent to two systems: plainly to the one; in any order, split and shape to the other, whose services are
//! killed while they import, and to which corrections are sent then. What is stored is equal, and so is every report.

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use reqwest::Method;
use serde_json::Value;
use system_tests::{Stack, campaign, runs, seed, wait_until};

use super::file::{Document, Row, Sender, Shape, send, text};
use super::movements::Movement;
use super::orders::Order;
use super::refunds::Refund;
use super::tickets::Ticket;
use super::{PRODUCTS, correct_one, len, of_report, send_plainly, split, stored, withdraw};
use crate::shop::{PATIENCE, Shop};

#[tokio::test(flavor = "multi_thread")]
async fn every_report_is_the_same_however_a_company_is_sent_and_killed_meanwhile() {
    let mut random = StdRng::seed_from_u64(seed());
    let (plain, mut mixed) = tokio::join!(Stack::start(), Stack::start());
    let shops = [open(&plain).await, open(&mixed).await];
    for case in 0..campaign(1, 20) {
        let [first, second] = shops.each_ref().map(|shop| Sender { shop, prefix: format!("H{case}") });
        each::<Ticket>(&plain, &first, &mut mixed, &second, &mut random).await;
        each::<Order>(&plain, &first, &mut mixed, &second, &mut random).await;
        each::<Refund>(&plain, &first, &mut mixed, &second, &mut random).await;
        each::<Movement>(&plain, &first, &mut mixed, &second, &mut random).await;
        equal(&plain, &mixed, &format!("case {case}")).await;

        // What was read already is withdrawn and corrected; the other system is sent what comes of it, and nothing else.
        let [first, second] = shops.each_ref().map(|shop| Sender { shop, prefix: format!("C{case}") });
        let tickets = Changed::<Ticket>::send(&second, &mut random).await;
        let orders = Changed::<Order>::send(&second, &mut random).await;
        let refunds = Changed::<Refund>::send(&second, &mut random).await;
        let movements = Changed::<Movement>::send(&second, &mut random).await;
        runs::poll_all(&mixed).await;
        tickets.change(&first, &second, &mut random).await;
        orders.change(&first, &second, &mut random).await;
        refunds.change(&first, &second, &mut random).await;
        movements.change(&first, &second, &mut random).await;
        same::<Ticket>(&plain, &first, &mixed, &second).await;
        same::<Order>(&plain, &first, &mixed, &second).await;
        same::<Refund>(&plain, &first, &mixed, &second).await;
        same::<Movement>(&plain, &first, &mixed, &second).await;
        equal(&plain, &mixed, &format!("case {case}, changed")).await;
    }
}

/// Polls both systems: every report is the same.
async fn equal(plain: &Stack, mixed: &Stack, what: &str) {
    let (expected, found) = (reports(plain).await, reports(mixed).await);
    assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    for (name, rows) in &expected {
        assert_eq!(&found[name], rows, "{what}: {name}");
    }
    let filled = expected.values().filter(|rows| rows.as_array().is_some_and(|rows| !rows.is_empty())).count();
    assert!(filled > 20, "{filled} of {} reports have rows", expected.len());
}

/// A history of which a file and a correction will be withdrawn, and a document corrected.
struct Changed<D> {
    /// Their imports.
    imports: [Value; 2],
    /// What the file does not have.
    documents: Vec<D>,
}

impl<D: Document> Changed<D> {
    async fn send(sender: &Sender<'_>, random: &mut StdRng) -> Self {
        D::precede(sender).await;
        let mut documents = D::history(random);
        // What depends on another stands behind it.
        let gone = documents.split_off(documents.len() / 2);
        let mut import = Value::Null;
        for documents in [&documents, &gone] {
            let shape = Shape::any(random);
            let rows: Vec<Row> = documents.iter().flat_map(|document| document.rows(sender, shape)).collect();
            let report = send::<D>(sender, &rows, shape, "", random).await;
            assert_eq!(of_report(&report)[1], len(&rows), "{report}");
            import = report["id"].clone();
        }
        let correction = correct_one(sender, &mut [documents.as_slice(), &gone].concat(), random).await;
        Self { imports: [import, correction], documents }
    }

    async fn change(mut self, first: &Sender<'_>, second: &Sender<'_>, random: &mut StdRng) {
        self.imports.shuffle(random);
        for import in &self.imports {
            withdraw::<D>(second.shop, import).await;
        }
        correct_one(second, &mut self.documents, random).await;
        send_plainly(first, &self.documents, random).await;
    }
}

/// The same is stored in both systems.
async fn same<D: Document>(plain: &Stack, first: &Sender<'_>, mixed: &Stack, second: &Sender<'_>) {
    let expected = stored::<D>(first, &plain.pool(D::DATABASE).await).await;
    assert_eq!(stored::<D>(second, &mixed.pool(D::DATABASE).await).await, expected);
}

/// The same company in either system, with the same ids.
async fn open(stack: &Stack) -> Shop {
    let shop = Shop::named(stack, "ACME", PRODUCTS, 100).await;
    Order::prepare(&shop).await;
    shop
}

async fn each<D: Document>(
    plain: &Stack,
    first: &Sender<'_>,
    mixed: &mut Stack,
    second: &Sender<'_>,
    random: &mut StdRng,
) {
    let documents = D::history(random);
    send_plainly(first, &documents, random).await;
    D::precede(second).await;
    for (shape, rows) in split(second, &documents, random) {
        kill_while_it_imports::<D>(mixed, second, &text(&rows, shape, random), shape, random).await;
        let report = send::<D>(second, &rows, shape, "", random).await;
        let [all, applied, unchanged, refused] = of_report(&report);
        assert_eq!((all, applied + unchanged, refused), (len(&rows), len(&rows), 0), "{report}");
    }
    same::<D>(plain, first, mixed, second).await;
}

/// Kills the service at some moment: after so many questions to its database.
async fn kill_while_it_imports<D: Document>(
    stack: &mut Stack,
    sender: &Sender<'_>,
    body: &str,
    shape: Shape,
    random: &mut StdRng,
) {
    let (pool, service) = (stack.pool(D::DATABASE).await, D::SERVICE);
    let kind = if shape.ndjson { "application/x-ndjson" } else { "text/csv" };
    let call = sender.shop.backoffice.call(Method::POST, D::PATH).header("content-type", kind);
    let sending = tokio::spawn(call.body(body.to_owned()).try_send());
    for _ in 0..random.random_range(0..40) {
        sqlx::query("SELECT count(*) FROM import_rows").execute(&pool).await.unwrap();
    }
    stack.kill(service);
    // Answered or not: either may be.
    drop(sending.await.unwrap());
    stack.restart(service).await;
    wait_until("PostgreSQL to notice the death", PATIENCE, async || {
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM imports WHERE state IN ('receiving', 'applying')")
            .fetch_one(&pool)
            .await
            .unwrap();
        (open == 0).then_some(())
    })
    .await;
}

/// The rows of every report over the weeks of the history.
async fn reports(stack: &Stack) -> BTreeMap<String, Value> {
    runs::poll_all(stack).await;
    let analyst = stack.api("analyst");
    let catalogue = analyst.get_json("/reporting/api/v1/reports").await;
    let mut reports = BTreeMap::new();
    for report in catalogue["items"].as_array().unwrap() {
        let name = report["name"].as_str().unwrap();
        let parameters = report["parameters"].as_object().unwrap();
        let dates = parameters.iter().filter(|(_, parameter)| parameter["type"] == "date");
        let query: Vec<(&str, &str)> = dates
            .map(|(name, _)| {
                (name.as_str(), if ["from", "since"].contains(&name.as_str()) { "2026-01-08" } else { "2026-01-20" })
            })
            .collect();
        let call = analyst.call(Method::GET, &format!("/reporting/api/v1/reports/{name}")).query(&query);
        reports.insert(name.to_owned(), call.send().await.expect(200).json()["rows"].clone());
    }
    reports
}
