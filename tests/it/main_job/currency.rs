//! A company whose currency has other digits than two.

use system_tests::Stack;

use super::{net_revenue, nightly, noon, poll_all, yesterday};
use crate::company::Company;

#[tokio::test]
async fn yen_have_no_decimals_in_any_form() {
    let stack = Stack::builder().currency("JPY").start().await;
    let company = Company::found(&stack, 100).await;
    let day = yesterday();
    company.sell(&stack.api("pos"), noon(day), 3, 7, 5).await;
    poll_all(&stack).await;
    nightly(&stack, day).await;

    let analyst = stack.api("analyst");
    let path = format!("/reporting/api/v1/reports/store_performance?from={day}&to={day}");
    let body = analyst.get(&path).await.expect(200).text();
    assert!(body.contains("4438") && !body.contains("44.38") && body.contains(r#""type":"money(0)""#), "{body}");
    let csv = analyst.get(&format!("{path}&format=csv")).await.expect(200).text();
    assert!(csv.contains(",4438,"), "{csv}");
    let parquet = analyst.get(&format!("{path}&format=parquet")).await.expect(200);
    assert_eq!(net_revenue(&stack, &parquet.body), "decimal128(18, 0) [Decimal('4438')]");

    let published: Vec<String> = sqlx::query_scalar("SELECT net_revenue::text FROM reports.store_performance")
        .fetch_all(&stack.pool_as("reporting_db", "grafana_reader").await)
        .await
        .unwrap();
    assert_eq!(published, ["4438"]);
    let again = analyst.get(&format!("/reporting/api/v1/reports/store_performance?business_day={day}")).await;
    let again = again.expect(200).text();
    assert!(again.contains("4438") && !again.contains("44.38"), "{again}");
}
