//! Alerts by webhook: one message when something begins to be wrong, one when it is over, signed and tried again.

use serde_json::{Value, json};
use system_tests::{Receiver, Stack, eventually, wait_until};
use tempfile::NamedTempFile;

use super::desk::{ask, desk, jobs_file, poll_all, run_job};
use super::restatement::past_day;
use super::service::ended;
use crate::company::Company;

const SECRET: &str = "not-for-production-0123456789";
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(120);

/// The messages about one kind and subject, as `opened` and `closed` with their numbers.
fn messages(receiver: &Receiver, kind: &str, subject: &str) -> Vec<(String, i64)> {
    let about = receiver.taken().into_iter().map(|message| message.json());
    let about = about.filter(|it| it["incident"]["kind"] == kind && it["incident"]["subject"] == subject);
    about.map(|it| (it["event"].as_str().unwrap().to_owned(), it["incident"]["id"].as_i64().unwrap())).collect()
}

/// Watches until so many messages were sent.
async fn until_notified(
    stack: &Stack,
    receiver: &Receiver,
    kind: &str,
    subject: &str,
    count: usize,
) -> Vec<(String, i64)> {
    let all = async || {
        run_job(stack, "watch", &json!({})).await;
        Some(messages(receiver, kind, subject)).filter(|it| it.len() >= count)
    };
    wait_until(&format!("{count} messages of {kind} of {subject}"), PATIENCE, all).await
}

/// One message opened the incident, one closed it.
#[track_caller]
fn once_each(found: &[(String, i64)]) {
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((found[0].0.as_str(), found[1].0.as_str()), ("incident.opened", "incident.closed"));
    assert_eq!(found[0].1, found[1].1);
}

async fn incidents(stack: &Stack, query: &str) -> Vec<Value> {
    stack.api("analyst").get_all(&format!("/reporting/api/v1/jobs/incidents?{query}")).await
}

/// Jobs that notify this receiver, with so many pieces of drift allowed.
fn alerts(receiver: &Receiver, drift: i64) -> NamedTempFile {
    jobs_file(&format!(
        r#"
        [alerts]
        url = "{}"
        freshness = "1d"
        freshness_of = {{ retail = "10s" }}
        drift = {{ report = "stock_reconciliation", column = "difference", only = {{ finding = "drift" }}, limit = {drift} }}
        [[job]]
        name = "backfill"
        attempts = 1
        "#,
        receiver.url()
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_incident_is_notified_once_when_it_begins_and_once_when_it_is_over() {
    let receiver = Receiver::start().await;
    let file = alerts(&receiver, 1);
    let mut stack = desk(&file).env("reporting", "REPORTING_WEBHOOK_SECRET", SECRET).start().await;
    Company::found(&stack, 50).await;
    let reporting = stack.pool("reporting_db").await;
    // Never polled is not yet late, and nothing else is wrong.
    assert!(incidents(&stack, "").await.is_empty());

    // What was asked wrongly is told to who asked, and to nobody else.
    let backfill = |report: &str| json!({ "from": "2026-01-01", "to": "2026-01-01", "reports": [report] });
    let run = ended(&stack, &ask(&stack, "backfill", &backfill("nothing")).await).await;
    assert_eq!(run["status"], "failed", "{run}");
    assert!(incidents(&stack, "").await.is_empty());

    // A final failure, found twice; the receiver refuses the first message and is sent it again.
    receiver.refuse_next(1);
    sqlx::query("ALTER TABLE sync.source RENAME TO source_away").execute(&reporting).await.unwrap();
    for _ in 0..2 {
        let run = ended(&stack, &ask(&stack, "backfill", &backfill("daily_sales")).await).await;
        assert_eq!(run["status"], "failed", "{run}");
    }
    sqlx::query("ALTER TABLE sync.source_away RENAME TO source").execute(&reporting).await.unwrap();
    until_notified(&stack, &receiver, "run_failed", "backfill", 1).await;
    assert_eq!(receiver.refused(), 1);
    let open = incidents(&stack, "open=true").await;
    assert_eq!(open.len(), 1, "{open:?}");
    assert!(open[0]["summary"].as_str().unwrap().contains("sync.source"), "{open:?}");
    run_job(&stack, "backfill", &backfill("daily_sales")).await;
    once_each(&until_notified(&stack, &receiver, "run_failed", "backfill", 2).await);

    // Every message is signed and bears a key of its own.
    for message in receiver.taken() {
        let signed = jobs::webhook::signature(SECRET, message.header("tributary-timestamp"), &message.body).unwrap();
        assert_eq!(message.header("tributary-signature"), signed);
        assert_eq!(message.header("idempotency-key"), message.json()["id"]);
        assert_eq!(message.header("content-type"), "application/json");
    }

    // A source that is polled and then left alone; it is fresh again after the next poll, for ten seconds.
    poll_all(&stack).await;
    let begun = until_notified(&stack, &receiver, "source_stale", "retail", 1).await;
    assert_eq!(begun[0].0, "incident.opened");
    run_job(&stack, "poll-retail", &json!({})).await;
    once_each(&until_notified(&stack, &receiver, "source_stale", "retail", 2).await[..2]);

    // A row in quarantine, until somebody says what becomes of it.
    sqlx::query(
        "INSERT INTO sync.quarantine (source, dataset, poll, row_number, column_name, reason, header, raw)
         VALUES ('ecommerce', 'orders', gen_random_uuid(), 1, 'total_cents', 'no number', 'id,total_cents', '1,x')",
    )
    .execute(&reporting)
    .await
    .unwrap();
    until_notified(&stack, &receiver, "quarantine", "ecommerce", 1).await;
    sqlx::query("UPDATE sync.quarantine SET resolved_at = now(), resolution = 'dropped'")
        .execute(&reporting)
        .await
        .unwrap();
    once_each(&until_notified(&stack, &receiver, "quarantine", "ecommerce", 2).await);

    drift_is_reported_until_it_is_within_its_limit(&mut stack, &receiver).await;

    let all = incidents(&stack, "limit=2").await;
    assert!(all.len() >= 4, "{all:?}");
    assert!(all.iter().filter(|it| it["kind"] != "source_stale").all(|it| !it["closed_at"].is_null()), "{all:?}");
}

/// Stock that left for a sale nobody made: three pieces, where one may be missing, and then five.
async fn drift_is_reported_until_it_is_within_its_limit(stack: &mut Stack, receiver: &Receiver) {
    let office = stack.api("backoffice");
    let locations = office.get_all("/inventory/api/v1/locations").await;
    let shop = locations.iter().find(|it| it["code"] == "TOR1").unwrap();
    let products = office.get_all("/inventory/api/v1/products").await;
    let (_, at) = past_day(3);
    let taken = json!({
        "reference": "sale-of-nobody", "reason": "sale", "location_id": shop["id"], "occurred_at": at,
        "time_zone": "America/Toronto", "lines": [{ "product_id": products[0]["id"], "quantity": -3 }],
    });
    let reply = office.post("/inventory/api/v1/stock-movements", &taken).await;
    assert!(matches!(reply.status, 200 | 201), "{}", reply.text());
    poll_all(stack).await;
    until_notified(stack, receiver, "reconciliation_drift", "stock_reconciliation", 1).await;
    let file = alerts(receiver, 5);
    let path = file.path().to_string_lossy().into_owned();
    stack.restart_with("reporting", &[("REPORTING_JOBS", path.as_str()), ("REPORTING_WEBHOOK_SECRET", SECRET)]).await;
    once_each(&until_notified(stack, receiver, "reconciliation_drift", "stock_reconciliation", 2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_that_find_the_same_open_one_incident() {
    let pool = super::database().await;
    let fail = async |run: i64| {
        let declaration = super::declaration("twice");
        let counter = std::sync::Arc::new(super::Counter::default());
        let runner = super::replica(&pool, &declaration, &counter);
        let at = super::at("2026-03-01T00:00:00Z") + chrono::TimeDelta::hours(run);
        runner.request("twice", at, &json!({ "fail": 9 })).await.unwrap();
        runner.run_to_end("twice", at).await.unwrap()
    };
    let rows = futures_util::future::join_all((0..4).map(fail)).await;
    assert!(rows.iter().all(|row| row.status == jobs::engine::RunStatus::Failed));
    let count = async || -> i64 {
        let sql =
            "SELECT count(*) FROM jobs.notice n JOIN jobs.incident i ON i.id = n.incident_id WHERE subject = 'twice'";
        sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap()
    };
    eventually("one message", async || count().await == 1).await;
}
