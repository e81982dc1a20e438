//! A source that is held back says so: nothing pretends to be fresher than it is.

use aggregator::source::SourceStatus;
use serde_json::json;
use std::time::Duration;
use system_tests::wait_until;

use super::days::beside;
use super::*;

async fn retail(aggregator: &Aggregator) -> SourceStatus {
    let all = aggregator.sources().status().await.unwrap();
    all.into_iter().find(|it| it.name == "retail").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_holds_complete_through_back_and_the_lag_tells_it() {
    let stack = Stack::builder().only(&["retail"]).start().await;
    let aggregator = beside(&stack).await;
    aggregator.poller().poll("retail", Drops::Guarded).await.unwrap();
    let office = stack.api("backoffice");
    let store = |code: &str| json!({ "code": code, "name": "Shop", "city": "Gander", "time_zone": "America/St_Johns" });

    // Somebody begins early, and another one's work is done and seen meanwhile.
    let pool = stack.pool("retail_db").await;
    let mut slow = kit::db::begin(&pool).await.unwrap();
    let began: chrono::DateTime<chrono::Utc> =
        sqlx::query_scalar("SELECT now() FROM pg_current_xact_id()").fetch_one(&mut *slow).await.unwrap();
    office.post_json("/retail/api/v1/stores", &store("QUICK"), 201).await;
    let outcome = aggregator.poller().poll("retail", Drops::Guarded).await.unwrap();
    assert_eq!(outcome.rows_added, 1, "what is visible is delivered");
    assert!(outcome.complete_through <= began, "{} is not before {began}", outcome.complete_through);
    let held = wait_until("the lag to be seen", Duration::from_secs(60), async || {
        // Nothing is new, yet the answer is not fresher than the source: that is what a 304 must tell too.
        let again = aggregator.poller().poll("retail", Drops::Guarded).await.unwrap();
        assert_eq!((again.snapshot, again.complete_through <= began), (None, true), "{again:?}");
        Some(retail(&aggregator).await).filter(|it| it.lag_seconds >= Some(2))
    })
    .await;
    assert!(held.age_seconds >= held.lag_seconds, "{held:?}");
    assert!(held.complete_through.unwrap() <= began);
    // Asking for fresher data polls, and does not pretend either.
    assert!(aggregator.poller().no_older("retail", Duration::ZERO).await.unwrap() <= began);

    sqlx::query("INSERT INTO stores (code, name, city, time_zone) VALUES ('LATE', 'Late', 'Gander', 'UTC')")
        .execute(&mut *slow)
        .await
        .unwrap();
    slow.commit().await.unwrap();
    let late = aggregator.poller().poll("retail", Drops::Guarded).await.unwrap();
    assert_eq!(late.rows_added, 1, "the early number that came late is not lost");
    assert!(late.complete_through > began);
    assert_eq!(retail(&aggregator).await.lag_seconds, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn between_polls_a_source_says_whether_it_has_more_and_its_silence_is_marked() {
    let mut stack = Stack::builder().only(&["retail"]).start().await;
    let aggregator = beside(&stack).await;
    assert!(aggregator.sources().heads().await.unwrap()["retail"].pending, "never polled");
    let first = aggregator.poller().poll("retail", Drops::Guarded).await.unwrap();
    let head = aggregator.sources().heads().await.unwrap().remove("retail").unwrap();
    assert_eq!((head.pending, head.stale), (false, false));
    assert!(head.as_of >= first.complete_through);

    // Readers who ask at once share one poll; the one who leaves takes nothing with him.
    let store = json!({ "code": "A", "name": "Shop", "city": "Gander", "time_zone": "UTC" });
    stack.api("backoffice").post_json("/retail/api/v1/stores", &store, 201).await;
    let ask = || {
        let aggregator = Arc::clone(&aggregator);
        tokio::spawn(async move { aggregator.poller().no_older("retail", Duration::ZERO).await })
    };
    let polls = "SELECT count(*) FROM sync.poll WHERE source = 'retail'";
    let before: i64 = sqlx::query_scalar(polls).fetch_one(aggregator.db()).await.unwrap();
    let (leaving, staying): (_, Vec<_>) = (ask(), (0..8).map(|_| ask()).collect());
    leaving.abort();
    for asked in staying {
        assert!(asked.await.unwrap().unwrap() > first.complete_through);
    }
    let after: i64 = sqlx::query_scalar(polls).fetch_one(aggregator.db()).await.unwrap();
    assert!(after - before <= 2, "{} polls for nine who asked at once", after - before);
    assert!(aggregator.poller().no_older("retail", Duration::from_secs(3_600)).await.is_ok());
    assert_eq!(sqlx::query_scalar::<_, i64>(polls).fetch_one(aggregator.db()).await.unwrap(), after, "fresh enough");

    let known = aggregator.sources().heads().await.unwrap().remove("retail").unwrap();
    stack.kill("retail");
    aggregator.poller().poll("retail", Drops::Guarded).await.unwrap_err();
    let silent = wait_until("the silence to be marked", Duration::from_secs(60), async || {
        aggregator.sources().heads().await.unwrap().remove("retail").filter(|it| it.stale)
    })
    .await;
    assert_eq!((silent.as_of, silent.pending), (known.as_of, known.pending), "the last that was known");
}
