//! What was published is never changed: not by the service's role, which may not, and not by the owner, whom the
//! triggers stop; and a report whose columns change keeps what it said before.

use aggregator::publish;
use chrono::NaiveDate;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use super::{database, stack};

const DAY: &str = "2026-03-08";

/// The columns of a version, by name and type.
fn columns(columns: &[(&str, &str)]) -> Value {
    columns.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect()
}

async fn version(db: &PgPool, wanted: &Value) -> i32 {
    sqlx::query_scalar("SELECT published.ensure_version('probe', $1)").bind(wanted).fetch_one(db).await.unwrap()
}

/// Publishes one row as the service does.
async fn publish_row(db: &PgPool, revision: i32, version: i32, row: &str) {
    let mut tx = kit::db::begin(db).await.unwrap();
    let id: i64 = sqlx::query_scalar(
        "INSERT INTO published.revision (report, business_day, revision, version, state, missing, parameters, snapshot,
                                         sources, currency, row_count, digest, generated_at)
         VALUES ('probe', $1::date, $2, $3, 'final', '[]', '{}', 1, '[]', 'EUR', 1, repeat('0', 64), now())
         RETURNING revision_id",
    )
    .bind(DAY)
    .bind(revision)
    .bind(version)
    .fetch_one(&mut *tx)
    .await
    .unwrap();
    let sql = format!("INSERT INTO published.probe_v{version} VALUES ({id}, 1, {row})");
    sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
}

async fn refusal(db: &PgPool, sql: &str) -> String {
    let error = sqlx::query(AssertSqlSafe(sql.to_owned())).execute(db).await.expect_err(sql);
    error.as_database_error().expect(sql).code().unwrap_or_default().into_owned()
}

/// The view's one row, as JSON.
async fn shown(db: &PgPool) -> Value {
    sqlx::query_scalar("SELECT to_jsonb(p) - 'generated_at' FROM reports.probe p").fetch_one(db).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_the_service_nor_the_owner_can_change_a_revision_and_old_versions_stay_readable() {
    let owner = database().await;
    let service = stack().await.pool_as("reporting_db", "reporting").await;
    let first = version(&service, &columns(&[("store", "string"), ("net", "money")])).await;
    publish_row(&service, 1, first, "'A', 12.50").await;

    let mark = "INSERT INTO published.outdated (report, business_day, revision, snapshot, since, cause)
                VALUES ('probe', $1::date, 1, 2, now(), '[]')";
    sqlx::query(mark).bind(DAY).execute(&service).await.unwrap();

    for table in ["revision", "report_version", "probe_v1", "outdated"] {
        for sql in [
            format!("UPDATE published.{table} SET report = report"),
            format!("DELETE FROM published.{table}"),
            format!("TRUNCATE published.{table} CASCADE"),
        ] {
            // The table of rows has another column, and a right is asked before a column is.
            let sql = if table == "probe_v1" { sql.replace("report = report", "store = store") } else { sql };
            assert_eq!(refusal(&service, &sql).await, "42501", "by right: {sql}");
            assert_eq!(refusal(&owner, &sql).await, "23001", "by trigger: {sql}");
        }
    }
    let late =
        "INSERT INTO published.probe_v1 SELECT revision_id, 2, 'B', 1 FROM published.revision WHERE report = 'probe'";
    assert_eq!(refusal(&service, late).await, "23001", "no row joins a revision afterwards");
    assert_eq!(refusal(&service, "ALTER TABLE published.probe_v1 DISABLE TRIGGER ALL").await, "42501");
    let net = |net: f64| json!({ "business_day": DAY, "revision": 1, "state": "final", "store": "A", "net": net });
    assert_eq!(shown(&service).await, net(12.50));

    // A column that comes later is null in what was published before it.
    let second = version(&service, &columns(&[("store", "string"), ("net", "money"), ("share", "float")])).await;
    assert_eq!(second, first + 1);
    let mut wider = net(12.50);
    wider["share"] = Value::Null;
    assert_eq!(shown(&service).await, wider);
    publish_row(&service, 2, second, "'A', 13.00, 0.5").await;
    assert_eq!(shown(&service).await["revision"], 2, "the view shows the current revision alone");

    // One that changes its type is another column: what was said in the old one is not mistaken for it.
    let third = version(&service, &columns(&[("store", "string"), ("net", "float")])).await;
    assert_eq!((third, version(&service, &columns(&[("store", "string"), ("net", "float")])).await), (3, 3));
    let reader = stack().await.pool_as("reporting_db", "grafana_reader").await;
    assert_eq!(shown(&reader).await["net"], Value::Null);
    assert_eq!(refusal(&reader, "SELECT * FROM published.revision").await, "42501");
    let day: NaiveDate = DAY.parse().unwrap();
    let old = publish::revision_rows(&service, "probe", day, Some(1)).await.unwrap();
    let cents = old.frame.column("net").unwrap().i64().unwrap().get(0);
    assert_eq!((old.columns.len(), cents), (2, Some(1250)));
    // The new table is closed to changes as well.
    publish_row(&service, 3, third, "'A', 13.5").await;
    assert_eq!(refusal(&service, "DELETE FROM published.probe_v3").await, "42501");
}
