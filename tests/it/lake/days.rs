//! Business days with a real source: the local date where it happened, whatever becomes of the store afterwards.
//! PostgreSQL, which computes its own in `retail_db`, is the judge.

use reqwest::Method;
use serde_json::json;

use super::*;

/// An aggregator beside a stack that has only services: the shipped declarations, polled when the test says so.
pub(super) async fn beside(stack: &Stack) -> Arc<Aggregator> {
    let db = stack.pool("reporting_db").await;
    migrate(&db).await;
    let settings = Settings {
        gateway_url: stack.gateway(),
        gateway_key: stack.state().keys["aggregator"].clone(),
        lake_dir: stack.state().lake,
        days: base::Tz::UTC.into(),
        currency: "CAD".parse().unwrap(),
        sources_dir: None,
        catalogue_dir: None,
        clock_tolerance: std::time::Duration::from_secs(120),
    };
    Aggregator::open(db, settings).await.unwrap()
}

/// Imports sales of one piece each; `(reference, instant)`.
async fn import(stack: &Stack, store: &str, sales: &[(&str, &str)]) {
    let mut csv = "reference,kind,store_code,register_number,occurred_at,line_no,product_id,sku,product_name,category,\
                   quantity,unit_price_cents,unit_cost_cents\n"
        .to_owned();
    for (reference, at) in sales {
        csv.push_str(&format!("{reference},sale,{store},1,{at},1,1,TEA,Tea,Tea,1,1000,400\n"));
    }
    let report = stack.api("backoffice").import("/retail/api/v1/sales/import", csv).await;
    assert_eq!((&report["refused"], &report["applied"]), (&json!(0), &json!(sales.len())), "{report}");
}

/// `reference day hour` of every line in the lake, by reference.
async fn days(aggregator: &Arc<Aggregator>) -> Vec<String> {
    let snapshot = snapshot::current(aggregator.db()).await.unwrap();
    let lines = aggregator.lake().scan(snapshot, "sale_lines", None).await.unwrap();
    let lines = lines.select([col("reference"), col("business_day"), col("business_hour")]);
    let frame = tokio::task::spawn_blocking(move || lines.collect().unwrap()).await.unwrap();
    let text = |row: usize| frame.columns().iter().map(|it| cell(&it.get(row).unwrap())).collect::<Vec<_>>().join(" ");
    let mut all: Vec<String> = (0..frame.height()).map(text).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_is_that_of_the_place_and_stays_when_the_store_moves_its_zone() {
    let stack = Stack::builder().only(&["retail"]).start().await;
    let office = stack.api("backoffice");
    let store = json!({ "code": "YYT", "name": "Signal Hill", "city": "St. John's", "time_zone": "America/St_Johns" });
    let store = office.post_json("/retail/api/v1/stores", &store, 201).await;
    office.post_json("/retail/api/v1/registers", &json!({ "store_id": store["id"], "number": 1 }), 201).await;
    import(
        &stack,
        "YYT",
        &[
            // Midnight, half an hour beside the hour of everybody else.
            ("a-before-midnight", "2026-07-01T02:29:59Z"),
            ("b-at-midnight", "2026-07-01T02:30:00Z"),
            // The day of 23 hours: 01:59:59 is followed by 03:00.
            ("c-spring-last", "2026-03-08T05:29:59Z"),
            ("d-spring-next", "2026-03-08T05:30:00Z"),
            ("e-spring-end", "2026-03-09T02:29:59Z"),
            // The day of 25 hours: 01:30 comes twice.
            ("f-autumn-once", "2026-11-01T04:00:00Z"),
            ("g-autumn-twice", "2026-11-01T05:00:00Z"),
            ("h-autumn-end", "2026-11-02T03:29:59Z"),
            ("i-leap", "2024-03-01T03:29:59Z"),
        ],
    )
    .await;
    let aggregator = beside(&stack).await;
    aggregator.poller().poll("retail", Drops::Guarded).await.unwrap();
    let held = [
        "a-before-midnight 2026-06-30 23",
        "b-at-midnight 2026-07-01 0",
        "c-spring-last 2026-03-08 1",
        "d-spring-next 2026-03-08 3",
        "e-spring-end 2026-03-08 23",
        "f-autumn-once 2026-11-01 1",
        "g-autumn-twice 2026-11-01 1",
        "h-autumn-end 2026-11-01 23",
        "i-leap 2024-02-29 23",
    ];
    assert_eq!(days(&aggregator).await, held);

    // The store moves across the country: what has happened stays where it was, even when it is sent again.
    let path = format!("/retail/api/v1/stores/{}", store["id"]);
    office.call(Method::PATCH, &path).json(&json!({ "time_zone": "America/Vancouver" })).send().await.expect(200);
    import(&stack, "YYT", &[("j-after-the-move", "2026-07-01T02:30:00Z")]).await;
    let retail = stack.pool("retail_db").await;
    let void = "UPDATE sales SET status = 'voided', voided_at = now() WHERE reference LIKE '%b-at-midnight'";
    assert_eq!(sqlx::query(void).execute(&retail).await.unwrap().rows_affected(), 1);
    let outcome = aggregator.poller().poll("retail", Drops::Guarded).await.unwrap();
    assert_eq!((outcome.rows_changed, outcome.rows_added), (2, 1), "the store and the voided line; the new one");
    let mut moved: Vec<String> = held.iter().map(|it| (*it).to_owned()).collect();
    moved.push("j-after-the-move 2026-06-30 19".to_owned());
    assert_eq!(days(&aggregator).await, moved);

    let judged: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' ', reference, business_day, extract(hour FROM occurred_at AT TIME ZONE time_zone))
         FROM sales ORDER BY reference COLLATE \"C\"",
    )
    .fetch_all(&retail)
    .await
    .unwrap();
    assert_eq!(days(&aggregator).await, judged);
}
