//! The shipped declarations against the real services: every declared column is in the feed, and
//! the lake holds the sources' rows, to the cent.

use serde_json::json;
use stack::seed::{self, Plan};
use system_tests::duckdb;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_lake_holds_what_the_services_hold() {
    let stack = Stack::builder().only(&["inventory", "retail", "ecommerce"]).start().await;
    let plan = Plan {
        days: 10,
        stores: 2,
        products: 20,
        customers: 20,
        seed: 9,
        until: NaiveDate::from_ymd_opt(2026, 11, 21),
    };
    seed::run(&stack.state(), &plan, &mut |_: &str| ()).await.unwrap();
    let aggregator = super::days::beside(&stack).await;
    for source in ["inventory", "retail", "ecommerce"] {
        let outcome = aggregator
            .poller()
            .poll(source, Drops::Guarded)
            .await
            .unwrap_or_else(|error| panic!("{source}: {error:?}"));
        assert_eq!(outcome.rows_quarantined, 0, "{source}");
        assert!(outcome.rows_added > 0, "{source}");
        assert_eq!(
            aggregator.poller().poll(source, Drops::Guarded).await.unwrap().snapshot,
            None,
            "{source}: nothing new"
        );
    }
    for (database, in_service, in_lake) in [
        (
            "retail_db",
            "SELECT json_build_array(count(*), sum(l.quantity), sum(l.quantity * l.unit_price_cents - l.discount_cents))::text
             FROM sales s JOIN sale_lines l ON l.sale_id = s.id",
            "SELECT count(*), sum(quantity)::BIGINT, sum(net_cents)::BIGINT FROM sale_lines",
        ),
        (
            "ecommerce_db",
            "SELECT json_build_array(count(*), sum(l.quantity), sum(l.quantity * l.unit_price_cents - l.discount_cents))::text
             FROM orders o JOIN order_lines l ON l.order_id = o.id",
            "SELECT count(*), sum(quantity)::BIGINT, sum(net_cents)::BIGINT FROM order_lines",
        ),
        (
            "ecommerce_db",
            "SELECT json_build_array(count(*), sum(quantity), sum(net_cents))::text FROM refund_lines",
            "SELECT count(*), sum(quantity)::BIGINT, sum(net_cents)::BIGINT FROM refund_lines",
        ),
        (
            "inventory_db",
            "SELECT json_build_array(count(*), sum(quantity))::text FROM stock_movements",
            "SELECT count(*), sum(quantity)::BIGINT FROM stock_movements",
        ),
        (
            "inventory_db",
            "SELECT json_build_array(count(*), sum(on_hand))::text FROM stock",
            "SELECT count(*), sum(on_hand)::BIGINT FROM stock",
        ),
        ("retail_db", "SELECT json_build_array(count(*))::text FROM stores", "SELECT count(*) FROM stores"),
        (
            "retail_db",
            "SELECT json_agg(d ORDER BY d)::text FROM (SELECT DISTINCT local_time::date AS d FROM sales) t",
            "SELECT unnest(list_sort(list(DISTINCT business_day::VARCHAR))) FROM sale_lines",
        ),
    ] {
        let expected: String = sqlx::query_scalar(in_service).fetch_one(&stack.pool(database).await).await.unwrap();
        let expected: serde_json::Value = serde_json::from_str(&expected).unwrap();
        let found: Vec<serde_json::Value> = duckdb(&stack, in_lake).into_iter().flatten().collect();
        assert_eq!(json!(found), expected, "{in_lake}");
    }
}
