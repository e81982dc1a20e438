//! Sales and returns of the past: put together from anywhere in a file, equal or refused, possible or refused.

use serde_json::{Value, json};
use system_tests::{Stack, wait_until};
use uuid::Uuid;

use super::counts;
use crate::refusals::named;
use crate::shop::{PATIENCE, Shop, shared_services};

const PATH: &str = "/retail/api/v1/sales/import";
pub(super) const HEADER: &str =
    "reference,kind,store_code,register_number,occurred_at,original_reference,line_no,sku,quantity,unit_price";

/// A shop, and a prefix that no other test's references have.
pub(super) struct Till {
    pub stack: &'static Stack,
    pub shop: Shop,
    mark: String,
}

impl Till {
    pub(super) async fn open() -> Self {
        let stack = shared_services().await;
        let mark = Uuid::new_v4().simple().to_string().split_off(20);
        Self { stack, shop: Shop::open(stack, 2, 0).await, mark }
    }

    /// A row of the usual columns; `changes` by column.
    pub(super) fn row(&self, reference: &str, line_no: u32, changes: &[(&str, &str)]) -> String {
        let (reference, sku) = (format!("{}-{reference}", self.mark), format!("{}-0", self.shop.code));
        let line_no = line_no.to_string();
        let usual = [&reference, "sale", &self.shop.code, "1", "2026-01-02 10:00:00", "", &line_no, &sku, "1", "10.00"];
        let value = |(at, column): (usize, &str)| {
            changes.iter().find(|(name, _)| *name == column).map_or(usual[at], |(_, value)| value).to_owned()
        };
        HEADER.split(',').enumerate().map(value).collect::<Vec<_>>().join(",")
    }

    pub(super) fn named(&self, reference: &str) -> String {
        format!("{}-{reference}", self.mark)
    }

    pub(super) async fn import(&self, rows: &[String]) -> Value {
        self.import_with("", HEADER, rows).await
    }

    pub(super) async fn import_with(&self, query: &str, header: &str, rows: &[String]) -> Value {
        self.shop.backoffice.import(&format!("{PATH}{query}"), format!("{header}\n{}\n", rows.join("\n"))).await
    }

    pub(super) async fn withdraw(&self, import: &Value) -> Value {
        let path = format!("/retail/api/v1/imports/{}", import["id"]);
        self.shop.backoffice.post(&format!("{path}/withdrawal"), &json!({})).await.expect(202);
        wait_until("an import to be withdrawn", PATIENCE, async || {
            let report = self.shop.backoffice.get_json(&path).await;
            (report["state"] == "withdrawn").then_some(report)
        })
        .await
    }

    /// Pieces, minor units and lines of a document that is not deleted.
    pub(super) async fn stored(&self, reference: &str) -> Option<(i64, i64, i64)> {
        sqlx::query_as(
            "SELECT sum(l.quantity)::bigint, sum(l.net_cents)::bigint, count(*) FROM sales s \
             JOIN sale_lines l ON l.sale_id = s.id WHERE s.reference = $1 AND NOT s.deleted GROUP BY s.id",
        )
        .bind(self.named(reference))
        .fetch_optional(&self.stack.pool("retail_db").await)
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn rows_of_a_document_stand_anywhere_in_the_file() {
    let till = Till::open().await;
    let small = [till.row("A", 1, &[]), till.row("B", 1, &[]), till.row("A", 2, &[])];
    assert_eq!(counts(&till.import(&small).await), [3, 3, 0, 0]);
    assert_eq!(till.stored("A").await, Some((2, 2000, 2)));

    // As a file is that is sorted by line number, and longer than a page.
    let tickets = 4_000;
    let rows: Vec<String> = (1..=2)
        .flat_map(|line| (0..tickets).map(move |n| (line, n)))
        .map(|(line, n)| till.row(&n.to_string(), line, &[]))
        .collect();
    assert_eq!(counts(&till.import(&rows).await), [8_000, 8_000, 0, 0]);
    let (documents, cents): (i64, i64) =
        sqlx::query_as("SELECT count(*), sum(total_cents)::bigint FROM sales WHERE reference ~ $1 AND imported")
            .bind(format!("^{}-[0-9]+$", till.mark))
            .fetch_one(&till.stack.pool("retail_db").await)
            .await
            .unwrap();
    assert_eq!((documents, cents), (tickets, tickets * 2000));
    assert_eq!(counts(&till.import(&rows).await), [8_000, 0, 8_000, 0]);

    // One bad row far away refuses its document whole, and no other.
    let bad = [till.row("C", 1, &[]), till.row("D", 1, &[]), till.row("C", 2, &[("quantity", "0")])];
    let report = till.import(&bad).await;
    assert_eq!((counts(&report), named(&report)), ([3, 1, 0, 2], vec![(2, Some("reference")), (4, Some("quantity"))]));
    assert_eq!(till.stored("C").await, None);
}

#[tokio::test]
async fn unchanged_means_equal() {
    let till = Till::open().await;
    let rows = |change: &[(&str, &str)]| vec![till.row("A", 1, &[]), till.row("A", 2, change)];
    assert_eq!(counts(&till.import(&rows(&[])).await), [2, 2, 0, 0]);
    assert_eq!(counts(&till.import(&rows(&[])).await), [2, 0, 2, 0]);
    let other = Shop::open(till.stack, 1, 0).await;
    let elsewhere = format!("{}-1", till.shop.code);
    for (field, value, reason) in [
        ("quantity", "3", "is 3 in this file, but 1 is stored"),
        ("unit_price", "10.01", "is 1001 in this file, but 1000 is stored"),
        ("sku", elsewhere.as_str(), "in this file, but"),
        ("line_no", "3", "is 3 in this file, but nothing is stored"),
    ] {
        let report = till.import(&rows(&[(field, value)])).await;
        assert_eq!(counts(&report), [2, 0, 0, 2], "{report}");
        assert_eq!(report["errors"][0]["line"], 3, "{report}");
        assert!(report["errors"][0]["reason"].as_str().unwrap().contains(reason), "{report}");
    }
    for (field, value) in [
        ("store_code", other.code.as_str()),
        ("register_number", "2"),
        ("occurred_at", "2026-01-02 10:00:01"),
        ("kind", "return"),
    ] {
        let change = [(field, value)];
        let report = till.import(&[till.row("A", 1, &change), till.row("A", 2, &change)]).await;
        assert_eq!((counts(&report), named(&report)), ([2, 0, 0, 2], vec![(2, Some(field))]), "{report}");
    }
    // Two stores that number alike, in one file.
    let report = till.import(&[till.row("T", 1, &[]), till.row("T", 2, &[("store_code", &other.code)])]).await;
    assert_eq!((counts(&report), named(&report)), ([2, 0, 0, 2], vec![(3, Some("store_code"))]), "{report}");
    // A line less is another document, too.
    let report = till.import(&[till.row("A", 1, &[])]).await;
    assert_eq!((counts(&report), named(&report)), ([1, 0, 0, 1], vec![(2, Some("line_no"))]), "{report}");
    assert_eq!(till.stored("A").await, Some((2, 2000, 2)));
}

#[tokio::test]
async fn a_difference_is_corrected_where_the_client_asks_for_it() {
    let till = Till::open().await;
    let back = |quantity: &str| {
        let original = till.named("A");
        let at = ("occurred_at", "2026-01-03 10:00:00");
        till.row("R", 1, &[("kind", "return"), at, ("original_reference", &original), ("quantity", quantity)])
    };
    let sale = |quantity: &str| till.row("A", 1, &[("quantity", quantity)]);
    // The return stands before its sale.
    assert_eq!(counts(&till.import(&[back("2"), sale("5")]).await), [2, 2, 0, 0]);
    assert_eq!(counts(&till.import_with("?on_difference=replace", HEADER, &[sale("3")]).await), [1, 1, 0, 0]);
    assert_eq!(till.stored("A").await, Some((3, 3000, 1)));
    assert_eq!(counts(&till.import(&[back("2"), sale("3")]).await), [2, 0, 2, 0], "the return has moved over");
    let report = till.import_with("?on_difference=replace", HEADER, &[sale("1")]).await;
    assert_eq!((counts(&report), named(&report)), ([1, 0, 0, 1], vec![(2, Some("reference"))]), "{report}");
    assert_eq!(counts(&till.import_with("?on_difference=replace", HEADER, &[back("3")]).await), [1, 1, 0, 0]);
    assert_eq!(till.stored("R").await, Some((-3, -3000, 1)));
    let report = till.import_with("?on_difference=replace", HEADER, &[back("4")]).await;
    assert_eq!((counts(&report), named(&report)), ([1, 0, 0, 1], vec![(2, Some("quantity"))]), "{report}");
}

#[tokio::test]
async fn what_a_correction_does_not_say_stays() {
    let till = Till::open().await;
    let sale = |changes: &[(&str, &str)]| till.row("S", 1, &[changes, &[("quantity", "3")]].concat());
    let original = till.named("S");
    let back = |register: &str| {
        let at = ("occurred_at", "2026-01-03 10:00:00");
        let changes = [("kind", "return"), at, ("original_reference", &*original), ("register_number", register)];
        till.row("R", 1, &changes)
    };
    let header = format!("{HEADER},product_name,unit_cost,discount");
    let rows = [sale(&[]) + ",Old name,7.00,1.00", back("1") + ",Old name,7.00,0.50"];
    assert_eq!(counts(&till.import_with("", &header, &rows).await), [2, 2, 0, 0]);
    // Without these columns, and without the one that names a return's sale.
    let header = HEADER.replace("original_reference,", "");
    let bare = |row: String| row.replace(&format!(",{original},"), ",").replacen(",,", ",", 1);
    assert_eq!(counts(&till.import_with("", &header, &[bare(sale(&[])), bare(back("1"))]).await), [2, 0, 2, 0]);
    let changed = [bare(sale(&[("occurred_at", "2026-01-02 11:00:00")])), bare(back("2"))];
    assert_eq!(counts(&till.import_with("?on_difference=replace", &header, &changed).await), [2, 2, 0, 0]);
    let stored: Vec<(i32, Option<String>, String, i64, i64)> = sqlx::query_as(
        "SELECT r.number, o.reference, l.product_name, l.unit_cost_cents, l.discount_cents FROM sales s \
         JOIN registers r ON r.id = s.register_id JOIN sale_lines l ON l.sale_id = s.id \
         LEFT JOIN sales o ON o.id = s.original_sale_id WHERE s.reference LIKE $1 AND NOT s.deleted ORDER BY s.kind DESC",
    )
    .bind(format!("{}-%", till.mark))
    .fetch_all(&till.stack.pool("retail_db").await)
    .await
    .unwrap();
    let name = || "Old name".to_owned();
    assert_eq!(stored, [(1, None, name(), 700, 100), (2, Some(original.clone()), name(), 700, -50)]);
    let cheap = [bare(sale(&[("unit_price", "0.10")]))];
    let report = till.import_with("?on_difference=replace", &header, &cheap).await;
    assert_eq!(named(&report), [(2, Some("discount_cents"))], "{report}");
}

#[tokio::test]
async fn what_a_till_did_is_history() {
    let till = Till::open().await;
    let other = format!("{}-1", till.shop.code);
    let rows = [
        // Exchange: one out, a dearer one in.
        till.row("exchange", 1, &[("unit_price", "15.00")]),
        till.row("exchange", 2, &[("sku", &other), ("quantity", "-1"), ("unit_price", "20.00")]),
        till.row("coupon", 1, &[]),
        till.row("coupon", 2, &[("quantity", "1"), ("unit_price", "-2.50")]),
        till.row("no-receipt", 1, &[("kind", "return")]),
    ];
    assert_eq!(counts(&till.import(&rows).await), [5, 5, 0, 0]);
    assert_eq!(counts(&till.import(&rows).await), [5, 0, 5, 0]);
    assert_eq!(till.stored("exchange").await, Some((0, -500, 2)));
    assert_eq!(till.stored("coupon").await, Some((2, 750, 2)));
    assert_eq!(till.stored("no-receipt").await, Some((-1, -1000, 1)));

    let header = format!("{HEADER},ticket_discount");
    let rows: Vec<String> = (1..=3).rev().map(|line| till.row("ticket", line, &[]) + ",2.00").collect();
    assert_eq!(counts(&till.import_with("", &header, &rows).await), [3, 3, 0, 0]);
    assert_eq!(counts(&till.import_with("", &header, &rows).await), [3, 0, 3, 0]);
    assert_eq!(till.stored("ticket").await, Some((3, 2800, 3)));
    let report = till.import_with("", &header, &[till.row("deep", 1, &[]) + ",10.01"]).await;
    assert_eq!(named(&report), [(2, Some("ticket_discount_cents"))], "{report}");
    // What came back on the sale's own receipt cannot be returned again.
    let sale: i64 = sqlx::query_scalar("SELECT id FROM sales WHERE reference = $1")
        .bind(till.named("exchange"))
        .fetch_one(&till.stack.pool("retail_db").await)
        .await
        .unwrap();
    let back = json!({"lines": [{"product_id": till.shop.products[1], "quantity": 1}]});
    let reply = till.shop.pos.post(&format!("/retail/api/v1/sales/{sale}/returns"), &back).await;
    assert_eq!(reply.status, 409, "{}", reply.text());
}

#[tokio::test]
async fn impossible_history_is_refused() {
    let till = Till::open().await;
    assert_eq!(counts(&till.import(&[till.row("S", 1, &[])]).await), [1, 1, 0, 0]);
    let original = till.named("S");
    let back = |reference: &str, change: (&str, &str)| {
        let usual = [
            change,
            ("kind", "return"),
            ("occurred_at", "2026-01-03 10:00:00"),
            ("original_reference", original.as_str()),
        ];
        till.row(reference, 1, &usual)
    };
    for (row, field) in [
        (back("early", ("occurred_at", "2026-01-02 09:59:59")), "occurred_at"),
        (back("dear", ("unit_price", "100.00")), "unit_price_cents"),
        (back("many", ("quantity", "2")), "quantity"),
        (back("nowhere", ("original_reference", "nothing")), "original_reference"),
        (till.row("old", 1, &[("occurred_at", "1969-12-31 12:00:00")]), "occurred_at"),
        (till.row("new", 1, &[("occurred_at", "2999-01-01T00:00:00Z")]), "occurred_at"),
        (till.row("back", 1, &[("quantity", "-1")]), "quantity"),
    ] {
        let report = till.import(std::slice::from_ref(&row)).await;
        assert_eq!((counts(&report), named(&report)), ([1, 0, 0, 1], vec![(2, Some(field))]), "{row}: {report}");
    }
    assert_eq!(counts(&till.import(&[back("good", ("quantity", "1"))]).await), [1, 1, 0, 0]);
    let report = till.import(&[back("again", ("quantity", "1"))]).await;
    assert_eq!(named(&report), [(2, Some("quantity"))], "{report}");
}

#[tokio::test]
async fn a_moment_that_never_was_or_was_twice_is_refused_by_name() {
    let till = Till::open().await;
    let row = |reference: &str, at: &str| till.row(reference, 1, &[("occurred_at", at)]);
    let report = till
        .import(&[
            row("gap", "2026-03-08 02:30:00"),
            row("twice", "2025-11-02 01:30:00"),
            row("first", "2025-11-02T01:30:00-04:00"),
            row("second", "2025-11-02T01:30:00-05:00"),
            row("plain", "2025-11-02T03:30"),
        ])
        .await;
    assert_eq!(
        (counts(&report), named(&report)),
        ([5, 3, 0, 2], vec![(2, Some("occurred_at")), (3, Some("occurred_at"))])
    );
    let reasons: Vec<&str> = (0..2).map(|at| report["errors"][at]["reason"].as_str().unwrap()).collect();
    assert!(reasons[0].contains("never was") && reasons[1].contains("was twice"), "{reasons:?}");
}

#[tokio::test]
async fn a_zone_that_postgresql_lacks_refuses_its_document_and_no_other() {
    let till = Till::open().await;
    let header = format!("{HEADER},time_zone");
    let pool = till.stack.pool("retail_db").await;
    // Debian keeps the old names in another package; where they are all there, there is nothing to refuse.
    let known: bool = sqlx::query_scalar("SELECT import_zone_known('US/Eastern')").fetch_one(&pool).await.unwrap();
    let rows = [till.row("A", 1, &[]) + ",US/Eastern", till.row("B", 1, &[]) + ",Europe/Paris"];
    let report = till.import_with("", &header, &rows).await;
    assert_eq!(report["applied"], if known { 2 } else { 1 }, "{report}");
    let expected = if known { vec![] } else { vec![(2, Some("time_zone"))] };
    assert_eq!(named(&report), expected, "{report}");
    assert!(!sqlx::query_scalar::<_, bool>("SELECT import_zone_known('Nowhere/Land')").fetch_one(&pool).await.unwrap());
}

#[tokio::test]
async fn products_are_known_by_their_sku() {
    let till = Till::open().await;
    let header = format!("{HEADER},product_id,product_name");
    let [first, second] = [till.shop.products[0], till.shop.products[1]];
    let rows = [
        till.row("both", 1, &[]) + &format!(",{first},Old name"),
        till.row("other", 1, &[]) + &format!(",{second},"),
        till.row("none", 1, &[("sku", "nothing-is-called-so")]) + ",,",
    ];
    let report = till.import_with("", &header, &rows).await;
    assert_eq!((counts(&report), named(&report)), ([3, 1, 0, 2], vec![(3, Some("product_id")), (4, Some("sku"))]));
    assert_eq!(counts(&till.import(&[till.row("sku", 1, &[])]).await), [1, 1, 0, 0]);
    let lines: Vec<(i64, String, i64)> = sqlx::query_as(
        "SELECT l.product_id, l.product_name, l.unit_cost_cents FROM sales s JOIN sale_lines l ON l.sale_id = s.id \
         WHERE s.reference LIKE $1 ORDER BY s.reference",
    )
    .bind(format!("{}-%", till.mark))
    .fetch_all(&till.stack.pool("retail_db").await)
    .await
    .unwrap();
    assert_eq!(lines, [(first, "Old name".to_owned(), 400), (first, "Tea no. 0".to_owned(), 400)]);
}

#[tokio::test]
async fn a_file_can_be_withdrawn() {
    let till = Till::open().await;
    let sale = |reference: &str| till.row(reference, 1, &[]);
    let back = |reference: &str, of: &str| {
        let original = till.named(of);
        let at = ("occurred_at", "2026-01-03 10:00:00");
        till.row(reference, 1, &[("kind", "return"), at, ("original_reference", &original)])
    };
    let first = till.import(&[sale("A"), sale("B"), sale("C"), back("RA", "A")]).await;
    assert_eq!(counts(&first), [4, 4, 0, 0]);
    let second = till.import(&[back("RB", "B")]).await;
    assert_eq!(counts(&second), [1, 1, 0, 0]);
    let report = till.withdraw(&first).await;
    let reason = report["errors"][0]["reason"].as_str().unwrap();
    assert_eq!(reason, format!("{} stays: {} returns goods of it", till.named("B"), till.named("RB")), "{report}");
    for (reference, stays) in [("A", false), ("B", true), ("C", false), ("RA", false), ("RB", true)] {
        assert_eq!(till.stored(reference).await.is_some(), stays, "{reference}");
    }
    // What was withdrawn can be asked for again: what stayed goes when nothing depends on it any more.
    assert_eq!(till.withdraw(&first).await["errors"], report["errors"]);
    till.withdraw(&second).await;
    let report = till.withdraw(&first).await;
    assert_eq!((&report["errors"], &report["detail"]), (&json!([]), &Value::Null), "{report}");
    assert_eq!(till.stored("B").await, None);
    // As if it had never come, it can come again.
    assert_eq!(counts(&till.import(&[sale("A"), sale("B"), sale("C"), back("RA", "A")]).await), [4, 4, 0, 0]);
    let stores = format!("code,name,city,time_zone\n{},N,C,UTC\n", till.mark);
    let report = till.shop.backoffice.import("/retail/api/v1/stores/import", stores).await;
    let path = format!("/retail/api/v1/imports/{}/withdrawal", report["id"]);
    let reply = till.shop.backoffice.post(&path, &json!({})).await.expect(409);
    assert_eq!(crate::shop::problem_code(&reply), "not-withdrawable");
}

#[tokio::test]
async fn a_withdrawn_correction_leaves_what_was_before() {
    let till = Till::open().await;
    let sale = |pieces: &str| till.row("A", 1, &[("quantity", pieces)]);
    let original = till.named("A");
    let back = |reference: &str, pieces: &str| {
        let at = ("occurred_at", "2026-01-03 10:00:00");
        let of = ("original_reference", original.as_str());
        till.row(reference, 1, &[("kind", "return"), at, of, ("quantity", pieces)])
    };
    let replace = async |rows: &[String]| till.import_with("?on_difference=replace", HEADER, rows).await;
    let pieces = async |references: &[&str]| {
        let mut stored = Vec::new();
        for reference in references {
            stored.push(till.stored(reference).await.map_or(0, |(pieces, ..)| pieces));
        }
        stored
    };
    let first = till.import(&[sale("3"), back("RA", "2"), back("RB", "1")]).await;
    assert_eq!(counts(&first), [3, 3, 0, 0], "{first}");
    // Each by itself would be too much for the other as it stands.
    let swapped = replace(&[back("RA", "1"), back("RB", "2")]).await;
    assert_eq!(pieces(&["A", "RA", "RB"]).await, [3, -1, -2]);
    let raised = replace(&[sale("5")]).await;
    assert_eq!(till.withdraw(&swapped).await["errors"], json!([]));
    assert_eq!(pieces(&["A", "RA", "RB"]).await, [5, -2, -1]);

    // A return that has come since would be of more than was sold before.
    let later = till.import(&[back("RC", "2")]).await;
    let report = till.withdraw(&raised).await;
    let reason = report["errors"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("stays") && reason.contains("would no longer fit what it was before"), "{report}");
    assert_eq!(pieces(&["A", "RA", "RB", "RC"]).await, [5, -2, -1, -2]);
    till.withdraw(&later).await;
    assert_eq!(till.withdraw(&raised).await["errors"], json!([]));
    assert_eq!(pieces(&["A", "RA", "RB", "RC"]).await, [3, -2, -1, 0]);
    assert_eq!(counts(&till.import(&[sale("3"), back("RA", "2"), back("RB", "1")]).await), [3, 0, 3, 0]);
    till.withdraw(&first).await;
    assert_eq!(pieces(&["A", "RA", "RB"]).await, [0, 0, 0]);
}
