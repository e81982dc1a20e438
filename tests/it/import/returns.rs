//! Returns beside imports: over all of them no more goes back than was sold, whatever is corrected or withdrawn meanwhile.

use chrono::{SecondsFormat, TimeDelta, Utc};
use serde_json::json;
use system_tests::eventually;

use super::counts;
use super::sales::{HEADER, Till};
use crate::refusals::named;
use crate::shop::{id, post};

const SALES: &str = "/retail/api/v1/sales";
const REPLACE: &str = "?on_difference=replace";

impl Till {
    fn back(&self, reference: &str, of: &str, register: &str, pieces: &str) -> String {
        let at = ("occurred_at", "2026-01-03 10:00:00");
        let more = [("original_reference", of), ("register_number", register), ("quantity", pieces)];
        self.row(reference, 1, &[&[("kind", "return"), at], &more[..]].concat())
    }
}

#[tokio::test]
async fn corrected_returns_fit_as_a_whole_or_not_at_all() {
    let till = Till::open().await;
    let (sale, of) = (till.row("S", 1, &[("quantity", "2")]), till.named("S"));
    let back = |reference: &str, register: &str, pieces: &str| till.back(reference, &of, register, pieces);
    let first = till.import(&[sale, back("R1", "1", "1"), back("R2", "1", "1")]).await;
    assert_eq!(counts(&first), [3, 3, 0, 0], "{first}");
    // The second is refused and counts as it was, so that the first is too much.
    let report = till.import_with(REPLACE, HEADER, &[back("R1", "1", "2"), back("R2", "2", "1")]).await;
    assert_eq!((counts(&report), named(&report)), ([2, 0, 0, 2], vec![(2, Some("reference")), (3, Some("quantity"))]));
    for reference in ["R1", "R2"] {
        assert_eq!(till.stored(reference).await, Some((-1, -1000, 1)), "{reference}");
    }
    let report = till.import_with(REPLACE, HEADER, &[back("R1", "2", "1"), back("R2", "2", "1")]).await;
    assert_eq!(counts(&report), [2, 2, 0, 0], "{report}");

    // A sale that the same file makes a return has none itself.
    assert_eq!(counts(&till.import(&[till.row("T", 1, &[])]).await), [1, 1, 0, 0]);
    let of = till.named("T");
    let file = [till.back("T", "", "1", "1"), till.back("RT", &of, "1", "1")];
    let report = till.import_with(REPLACE, HEADER, &file).await;
    assert_eq!((counts(&report), named(&report)), ([2, 1, 0, 1], vec![(3, Some("original_reference"))]), "{report}");
}

#[tokio::test]
async fn a_return_of_a_sale_that_goes_meanwhile_is_refused() {
    let till = Till::open().await;
    let import = till.import(&[till.row("S", 1, &[])]).await;
    let pool = till.stack.pool("retail_db").await;
    let mut tx = base::begin(&pool).await.unwrap();
    let sale: i64 = sqlx::query_scalar("SELECT id FROM sales WHERE reference = $1 FOR UPDATE")
        .bind(till.named("S"))
        .fetch_one(&mut *tx)
        .await
        .unwrap();
    let back = json!({"lines": [{"product_id": till.shop.products[0], "quantity": 1}]});
    let path = format!("{SALES}/{sale}/returns");
    let pos = till.shop.pos.clone();
    let asked = tokio::spawn(async move { pos.post(&path, &back).await });
    // It has seen the sale, and waits for its lock.
    eventually("the return to wait", async || {
        let waiting =
            "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid)";
        sqlx::query_scalar::<_, bool>(waiting).fetch_one(&mut *tx).await.unwrap()
    })
    .await;
    sqlx::query("UPDATE sales SET deleted = true WHERE id = $1").bind(sale).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    asked.await.unwrap().expect(404);
    assert_eq!(till.withdraw(&import).await["errors"], json!([]));
}

#[tokio::test]
async fn a_withdrawn_return_holds_no_void() {
    let till = Till::open().await;
    let product = till.shop.products[0];
    let goods = json!({"reference": till.named("in"), "reason": "replenishment", "location_id": till.shop.location_id,
        "lines": [{"product_id": product, "quantity": 1}]});
    till.shop.backoffice.post_json("/inventory/api/v1/stock-movements", &goods, 201).await;
    let sale = till.shop.sell(product, 1).await;
    let at = (Utc::now() + TimeDelta::minutes(1)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let of = sale["reference"].as_str().unwrap();
    let changes = [("kind", "return"), ("occurred_at", at.as_str()), ("original_reference", of)];
    let import = till.import(&[till.row("R", 1, &changes)]).await;
    assert_eq!(counts(&import), [1, 1, 0, 0], "{import}");
    let path = format!("{SALES}/{}/void", id(&sale));
    post(&till.shop.pos, &path, &json!({})).await.expect(409);
    till.withdraw(&import).await;
    assert_eq!(post(&till.shop.pos, &path, &json!({})).await.expect(200).json()["status"], "voided");
}
