//! DuckDB, which nobody here wrote, reads the same lake and must find the same rows.

use serde_json::json;
use system_tests::duckdb;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_attaches_and_filters_every_column_beyond_its_earlier_range() {
    let it = Fixture::start().await;
    let early = ["2026-03-01T12:00:00.000000Z", "America/St_Johns", "100", "alpha", "false", "2026-03-05"];
    it.source.model().put("visits", &[10, 1], &early);
    it.source.model().put("places", &[1], &["Cabot Tower", "5"]);
    let first = it.poll().await.snapshot.unwrap();

    let late = ["2027-01-01T02:00:00.500000Z", "UTC", "-4000000000", "\u{e9}t\u{e9} zulu", "true", "2030-01-01"];
    it.source.model().put("visits", &[9_000_000_000, 77], &late);
    it.source.model().put("visits", &[5, 0], &["2020-02-29T23:30:00Z", "Asia/Tokyo", "0", "\\N", "\\N", "\\N"]);
    it.source.model().put("places", &[2], &["Zebra", "\\N"]);
    let second = it.poll().await.snapshot.unwrap();

    let conditions = [
        ("visit_id > 10", 1),
        ("visit_id < 10", 1),
        ("line_no > 1", 1),
        ("line_no < 1", 1),
        ("occurred_at > TIMESTAMPTZ '2026-12-31 00:00:00+00'", 1),
        ("occurred_at = TIMESTAMPTZ '2027-01-01 02:00:00.5+00'", 1),
        ("time_zone = 'UTC'", 1),
        ("amount_cents < 0", 1),
        ("note > 'alpha'", 1),
        ("note IS NULL", 1),
        ("good", 1),
        ("good IS NULL", 1),
        ("follow_up > DATE '2026-03-05'", 1),
        ("follow_up IS NULL", 1),
        ("business_day = DATE '2020-03-01'", 1),
        ("business_day > DATE '2026-03-01'", 1),
        ("business_hour = 8", 2),
        ("true", 3),
    ];
    let counts = conditions.map(|(condition, _)| format!("(SELECT count(*) FROM visits WHERE {condition})"));
    let found = duckdb(&it.stack, &format!("SELECT {}", counts.join(", ")));
    for ((condition, rows), found) in conditions.iter().zip(&found[0]) {
        assert_eq!(found, &json!(rows), "{condition}");
    }
    let sums = "SELECT min(visit_id), max(visit_id), sum(amount_cents)::BIGINT, count(note), max(note), max(occurred_at)::VARCHAR FROM visits";
    assert_eq!(
        duckdb(&it.stack, sums),
        [[
            json!(5),
            json!(9_000_000_000_i64),
            json!(-3_999_999_900_i64),
            json!(2),
            json!("\u{e9}t\u{e9} zulu"),
            json!("2027-01-01 02:00:00.5+00")
        ]]
    );
    let names = "SELECT note, count(*) FROM visits GROUP BY note ORDER BY note NULLS LAST";
    assert_eq!(duckdb(&it.stack, names).len(), 3);

    let then = format!("SELECT visit_id, amount_cents FROM visits AT (VERSION => {first})");
    assert_eq!(duckdb(&it.stack, &then), [[json!(10), json!(100)]]);
    let now = format!("SELECT count(*) FROM visits AT (VERSION => {second})");
    assert_eq!(duckdb(&it.stack, &now), [[json!(3)]]);
    let snapshots = duckdb(&it.stack, "SELECT snapshot_id FROM ducklake_snapshots('lake') ORDER BY 1 DESC LIMIT 1");
    assert_eq!(snapshots, [[json!(second)]]);
    let tables = duckdb(
        &it.stack,
        "SELECT table_name FROM duckdb_tables() WHERE database_name = 'lake' AND schema_name = 'main'",
    );
    for dataset in it.aggregator.lake().datasets() {
        assert!(tables.iter().any(|row| row[0] == json!(dataset)), "{dataset} is not listed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn duckdb_skips_files_by_our_statistics() {
    let it = Fixture::start().await;
    for month in 1..=9 {
        it.visit(month, 1, &format!("2026-0{month}-04T12:00:00.000000Z"), month);
    }
    it.poll().await;
    let plan = duckdb(
        &it.stack,
        "EXPLAIN ANALYZE SELECT sum(amount_cents) FROM visits WHERE business_day = DATE '2026-03-04'",
    );
    let text = plan.iter().map(|row| row[1].as_str().unwrap().to_owned()).collect::<String>();
    assert!(text.contains("Total Files Read: 1"), "{text}");
    let calendar =
        "SELECT count(*), min(business_day)::VARCHAR, sum(is_weekend::INT)::INT FROM calendar WHERE year = 2024";
    assert_eq!(duckdb(&it.stack, calendar), [[json!(366), json!("2024-01-01"), json!(104)]]);
}
