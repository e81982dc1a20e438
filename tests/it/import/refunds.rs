//! Refunds of the past: imported by line or SKU, in cents or major units, equal or refused, corrected, and taken back.

use serde_json::{Value, json};
use system_tests::{Stack, wait_until};
use uuid::Uuid;

use super::counts;
use crate::shop::{PATIENCE, Shop, shared_services};

const ORDERS: &str = "reference,customer_reference,status,payment_status,occurred_at,time_zone,line_no,sku,quantity,\
                      unit_price,discount";

/// A shop with an order of 3 at 10.00 less 1.00 and 1 at 5.00, and names that no other test has.
struct Books {
    stack: &'static Stack,
    shop: Shop,
    mark: String,
    orders: Value,
}

impl Books {
    async fn open() -> Self {
        let stack = shared_services().await;
        let mark = Uuid::new_v4().simple().to_string().split_off(20);
        let shop = Shop::open(stack, 2, 0).await;
        let customer = format!("reference,name,signup_day\nC-{mark},Ann,2026-01-01\n");
        shop.backoffice.import("/ecommerce/api/v1/customers/import", customer).await;
        let mut books = Self { stack, shop, mark, orders: Value::Null };
        books.orders = books.order("paid", "10.00", "").await;
        assert_eq!(counts(&books.orders), [2, 2, 0, 0], "{}", books.orders);
        books
    }

    async fn order(&self, payment: &str, price: &str, query: &str) -> Value {
        let (mark, code) = (&self.mark, &self.shop.code);
        let head = format!("W-{mark},C-{mark},delivered,{payment},2026-03-02 23:30:00,America/New_York");
        let file = format!("{ORDERS}\n{head},1,{code}-0,3,{price},1.00\n{head},2,{code}-1,1,5.00,\n");
        self.shop.backoffice.import(&format!("/ecommerce/api/v1/orders/import{query}"), file).await
    }

    async fn import(&self, query: &str, header: &str, rows: &[&str]) -> Value {
        let rows = rows.join("\n").replace('@', &self.mark).replace('#', &self.shop.code);
        let path = format!("/ecommerce/api/v1/refunds/import{query}");
        self.shop.backoffice.import(&path, format!("{header}\n{rows}\n")).await
    }

    /// Day, order line, pieces and minor units of each line that is not deleted.
    async fn stored(&self) -> Vec<String> {
        sqlx::query_scalar(
            "SELECT concat_ws(' ', left(r.reference, 1), r.business_day, l.order_line_no, l.quantity, l.discount_cents, \
             l.net_cents) FROM refunds r JOIN refunded_lines l ON l.refund_id = r.id \
             JOIN orders o ON o.id = r.order_id AND NOT o.deleted \
             WHERE r.reference LIKE '%-' || $1 AND NOT r.deleted ORDER BY 1",
        )
        .bind(&self.mark)
        .fetch_all(&self.stack.pool("ecommerce_db").await)
        .await
        .unwrap()
    }

    async fn withdraw(&self, report: &Value) -> Value {
        let path = format!("/ecommerce/api/v1/imports/{}", report["id"]);
        self.shop.backoffice.post(&format!("{path}/withdrawal"), &json!({})).await.expect(202);
        wait_until("a withdrawal", PATIENCE, async || {
            let report = self.shop.backoffice.get_json(&path).await;
            (report["state"] == "withdrawn").then_some(report)
        })
        .await
    }
}

const HEADER: &str = "reference,order_reference,occurred_at,time_zone,line_no,order_line_no,sku,quantity,amount_cents";

#[tokio::test]
async fn refunds_of_the_past_are_equal_corrected_or_taken_back() {
    let books = Books::open().await;
    // B's rows stand apart; what its piece had cost is computed: 10.00 less a third of 1.00.
    let rows = [
        "B-@,W-@,2026-03-05 09:00:00,America/New_York,2,,#-1,,200",
        "A-@,W-@,2026-03-04T01:00:00Z,America/New_York,1,1,,0,-450",
        "B-@,W-@,2026-03-05 09:00:00,America/New_York,1,1,#-0,1,",
    ];
    let report = books.import("", HEADER, &rows).await;
    assert_eq!(counts(&report), [3, 3, 0, 0], "{report}");
    let stored = ["A 2026-03-03 1 0 0 -450", "B 2026-03-05 1 -1 -33 -967", "B 2026-03-05 2 0 0 -200"];
    assert_eq!(books.stored().await, stored);
    let mut again = rows;
    again.reverse();
    assert_eq!(counts(&books.import("", HEADER, &again).await), [3, 0, 3, 0]);
    // The same in major units, by the column's name.
    let major = HEADER.replace("amount_cents", "amount");
    let row = "A-@,W-@,2026-03-03 20:00:00,America/New_York,1,,#-0,,4.50";
    assert_eq!(counts(&books.import("", &major, &[row]).await), [1, 0, 1, 0]);
    // The order's file changes nothing by its refunds.
    assert_eq!(counts(&books.order("paid", "10.00", "").await), [2, 0, 2, 0]);

    for (changes, field) in [
        (("2026-03-05", "2026-03-06"), "occurred_at"),
        ((",,200", ",,201"), "amount_cents"),
        (("1,1,#-0,1,", "1,1,#-0,2,"), "quantity"),
        (("2,,#-1", "3,,#-1"), "line_no"),
        (("2,,#-1", "2,,#-0"), "sku"),
        (("America/New_York", "America/Toronto"), "time_zone"),
    ] {
        let changed: Vec<String> = [rows[0], rows[2]].map(|row| row.replace(changes.0, changes.1)).into();
        let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
        let refused = books.import("", HEADER, &changed).await;
        assert_eq!((counts(&refused), &refused["errors"][0]["field"]), ([2, 0, 0, 2], &json!(field)), "{refused}");
        assert!(refused["errors"][0]["reason"].as_str().unwrap().contains("stored"), "{refused}");
    }
    assert_eq!(books.stored().await, stored);

    let corrected = ["B-@,W-@,2026-03-06 09:00:00,America/New_York,1,2,,1,300"];
    let moved = books.import("?on_difference=replace", HEADER, &corrected).await;
    assert_eq!(counts(&moved), [1, 1, 0, 0], "{moved}");
    assert_eq!(books.stored().await, ["A 2026-03-03 1 0 0 -450", "B 2026-03-06 2 -1 0 -300"]);
    // What a correction does not say stays.
    let silent = HEADER.replace(",amount_cents", "");
    let later = ["B-@,W-@,2026-03-07 09:00:00,America/New_York,1,2,,1"];
    let mended = books.import("?on_difference=replace", &silent, &later).await;
    assert_eq!(counts(&mended), [1, 1, 0, 0], "{mended}");
    assert_eq!(books.stored().await, ["A 2026-03-03 1 0 0 -450", "B 2026-03-07 2 -1 0 -300"]);

    // Refunds hold their order, and move over to a corrected one while they fit it.
    let held = books.withdraw(&books.orders).await;
    assert!(held["errors"][0]["reason"].as_str().unwrap().contains("refunds it"), "{held}");
    let unfit = books.order("paid", "1.00", "?on_difference=replace").await;
    assert_eq!((counts(&unfit), &unfit["errors"][0]["field"]), ([2, 0, 0, 2], &json!("reference")), "{unfit}");
    let unpaid = books.order("failed", "10.00", "?on_difference=replace").await;
    assert_eq!(counts(&unpaid), [2, 0, 0, 2], "{unpaid}");
    let fitting = books.order("refunded", "9.00", "?on_difference=replace").await;
    assert_eq!(counts(&fitting), [2, 2, 0, 0], "{fitting}");
    assert_eq!(books.stored().await, ["A 2026-03-03 1 0 0 -450", "B 2026-03-07 2 -1 0 -300"]);

    // The corrections go in any order, that of the order takes its refunds along, and what was before comes back.
    books.withdraw(&moved).await;
    assert_eq!(books.stored().await, ["A 2026-03-03 1 0 0 -450", "B 2026-03-07 2 -1 0 -300"]);
    books.withdraw(&fitting).await;
    assert_eq!(counts(&books.order("paid", "10.00", "").await), [2, 0, 2, 0]);
    assert_eq!(books.stored().await, ["A 2026-03-03 1 0 0 -450", "B 2026-03-07 2 -1 0 -300"]);
    books.withdraw(&mended).await;
    assert_eq!(books.stored().await, stored);
    // What B pays back now is not left of the order as it was before.
    let raised = books.order("paid", "20.00", "?on_difference=replace").await;
    assert_eq!(counts(&raised), [2, 2, 0, 0], "{raised}");
    let much = ["C-@,W-@,2026-03-08 09:00:00,America/New_York,1,1,,,2000"];
    let much = books.import("", HEADER, &much).await;
    assert_eq!(counts(&much), [1, 1, 0, 0], "{much}");
    let held = books.withdraw(&raised).await;
    assert!(held["errors"][0]["reason"].as_str().unwrap().contains("would no longer fit"), "{held}");
    books.withdraw(&much).await;
    assert_eq!(books.withdraw(&raised).await["errors"], json!([]));
    books.withdraw(&report).await;
    assert_eq!(books.stored().await, Vec::<String>::new(), "as if they had never come");
    books.withdraw(&books.orders).await;
    assert_eq!(counts(&books.order("paid", "10.00", "").await), [2, 2, 0, 0]);
}

#[tokio::test]
async fn a_corrected_history_fits_as_a_whole_or_not_at_all() {
    let books = Books::open().await;
    let at = "2026-03-05 09:00:00,America/New_York";
    let import_both = async |a: i64, b: i64, query: &str| {
        let rows = [("A", a), ("B", b)].map(|(of, cents)| format!("{of}-@,W-@,{at},1,1,,,{cents}"));
        let report = books.import(query, HEADER, &[&rows[0], &rows[1]]).await;
        (counts(&report), books.stored().await)
    };
    let stored = |a: i64, b: i64| [("A", a), ("B", b)].map(|(of, cents)| format!("{of} 2026-03-05 1 0 0 -{cents}"));
    // 29.00 was paid for the line.
    assert_eq!(import_both(500, 2400, "").await, ([2, 2, 0, 0], stored(500, 2400).into()));
    let replace = "?on_difference=replace";
    assert_eq!(import_both(2400, 500, replace).await, ([2, 2, 0, 0], stored(2400, 500).into()));
    // The second is beyond what was paid, and stays as it was beside the first.
    assert_eq!(import_both(2000, 1000, replace).await, ([2, 1, 0, 1], stored(2000, 500).into()));
    // Beside the second as it was, the first is too much.
    assert_eq!(import_both(2900, 1, replace).await, ([2, 0, 0, 2], stored(2000, 500).into()));
}

#[tokio::test]
async fn refunds_that_cannot_have_happened_are_refused_by_their_field() {
    let books = Books::open().await;
    let at = "2026-03-05 09:00:00,America/New_York";
    for (row, field) in [
        (format!("A-@,X-@,{at},1,1,,1,"), "order_reference"),
        ("A-@,W-@,2026-03-02 23:29:59,America/New_York,1,1,,1,".to_owned(), "occurred_at"),
        ("A-@,W-@,1969-12-31T00:00:00Z,,1,1,,1,".to_owned(), "occurred_at"),
        ("A-@,W-@,2026-03-08 02:30:00,America/New_York,1,1,,1,".to_owned(), "occurred_at"),
        (format!("A-@,W-@,{at},1,1,,4,"), "quantity"),
        (format!("A-@,W-@,{at},1,1,,,2901"), "amount_cents"),
        (format!("A-@,W-@,{at},1,1,,,"), "quantity"),
        (format!("A-@,W-@,{at},1,1,,,0"), "amount_cents"),
        (format!("A-@,W-@,{at},1,,,1,"), "order_line_no"),
        (format!("A-@,W-@,{at},1,9,,1,"), "order_line_no"),
        (format!("A-@,W-@,{at},1,1,#-1,1,"), "sku"),
        (format!("A-@,W-@,{at},0,1,,1,"), "line_no"),
        (format!("A-@,W-@,{at},1,1,,1,12.50"), "amount_cents"),
    ] {
        let report = books.import("", HEADER, &[&row]).await;
        assert_eq!((counts(&report), &report["errors"][0]["field"]), ([1, 0, 0, 1], &json!(field)), "{row}: {report}");
    }
    // Each within what was paid, together beyond it: the first is taken, the second is not.
    let both = [format!("A-@,W-@,{at},1,1,,2,"), format!("B-@,W-@,{at},1,1,,,1000")];
    let report = books.import("", HEADER, &[&both[0], &both[1]]).await;
    assert_eq!((counts(&report), &report["errors"][0]["line"]), ([2, 1, 0, 1], &json!(3)), "{report}");
    assert_eq!(books.stored().await, ["A 2026-03-05 1 -2 -66 -1934"]);

    let unpaid = Books::open().await;
    assert_eq!(counts(&unpaid.order("pending", "10.00", "?on_difference=replace").await), [2, 2, 0, 0]);
    let report = unpaid.import("", HEADER, &[&format!("A-@,W-@,{at},1,1,,1,")]).await;
    assert_eq!(report["errors"][0]["field"], "order_reference", "{report}");
}
