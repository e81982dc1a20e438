//! What polls bring, and what they leave alone.

use aggregator::poll::rewritten::{self, Changed};
use system_tests::eventually;
use system_tests::source::Fault;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_source_is_one_file_and_a_quiet_one_costs_one_request() {
    let it = Fixture::start().await;
    for id in 1..=20 {
        it.visit(id, 1, &format!("2026-03-{:02}T12:00:00.000001Z", id % 9 + 1), id * 100);
    }
    it.source.model().put("places", &[7], &["Signal Hill", "\\N"]);
    let first = it.poll().await;
    assert_eq!((first.rows_read, first.rows_added, first.rows_changed), (21, 21, 0));
    assert_eq!(first.snapshot, Some(it.snapshot().await));
    it.check_equal().await;

    it.source.take_requests();
    let second = it.poll().await;
    assert_eq!(second.snapshot, None, "nothing changed, so there is nothing to commit");
    assert!(second.complete_through > first.complete_through);
    assert_eq!(it.source.take_requests(), ["/fourth/api/v1/changes"]);
    assert_eq!(first.snapshot, Some(it.snapshot().await));

    let status = it.aggregator.sources().status().await.unwrap();
    let fourth = status.iter().find(|it| it.name == "fourth").unwrap();
    assert_eq!(fourth.complete_through, Some(second.complete_through));
    assert!(!fourth.stale);
    assert!(status.iter().find(|it| it.name == "retail").unwrap().stale, "never polled");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_deletions_and_late_commits_arrive_and_unchanged_rows_make_no_file() {
    let it = Fixture::start().await;
    for id in 1..=10 {
        it.visit(id, 1, "2026-03-01T12:00:00.000000Z", id);
        it.visit(id, 2, "2026-03-02T12:00:00.000000Z", id);
    }
    it.poll().await;
    it.visit(3, 1, "2026-03-01T12:00:00.000000Z", 999);
    it.source.model().delete("visits", &[4, 2]);
    it.visit(11, 1, "2026-03-03T12:00:00.000000Z", 11);
    let outcome = it.poll().await;
    assert_eq!((outcome.rows_added, outcome.rows_changed, outcome.rows_removed), (1, 1, 1));
    it.check_equal().await;

    // A transaction that began early and writes late: rows behind the horizon come again until it ends.
    it.source.model().hold();
    it.visit(12, 1, "2026-03-03T12:00:00.000000Z", 12);
    assert_eq!(it.poll().await.rows_added, 1);
    let again = it.poll().await;
    assert_eq!((again.snapshot, again.rows_added, again.rows_changed), (None, 0, 0));
    it.source.model().commit_held(
        "visits",
        &[2, 9],
        &["2026-03-01T00:00:00.000000Z", "UTC", "5", "late", "\\N", "\\N"],
    );
    assert_eq!(it.poll().await.rows_added, 1);
    it.check_equal().await;

    let days: Vec<(Option<NaiveDate>, i64, i64, i64)> = sqlx::query_as(
        "SELECT business_day, sum(added)::bigint, sum(changed)::bigint, sum(removed)::bigint
         FROM sync.changed_day WHERE dataset = 'visits' GROUP BY 1 ORDER BY 1",
    )
    .fetch_all(&it.db)
    .await
    .unwrap();
    let day = |day| NaiveDate::from_ymd_opt(2026, 3, day);
    assert_eq!(days, [(day(1), 11, 1, 0), (day(2), 10, 0, 1), (day(3), 2, 0, 0)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_poll_goes_on_behind_its_last_page() {
    let it = Fixture::start().await;
    for id in 1..=30 {
        it.visit(id, 1, &format!("2026-03-{:02}T12:00:00.000000Z", id % 5 + 1), id);
    }
    for stop_after in [1_usize, 4, 7] {
        let aggregator = Arc::clone(&it.aggregator);
        let poll = tokio::spawn(async move { aggregator.poller().poll("fourth", Drops::Guarded).await });
        // A page that never ends holds the poll in its middle.
        let staged = "SELECT count(*) FROM sync.staged_part";
        it.source.break_next(std::iter::repeat_n(Fault::None, stop_after));
        it.source.break_next([Fault::Drip(std::time::Duration::from_secs(60))]);
        eventually("the poll to hang", async || {
            let parts: i64 = sqlx::query_scalar(staged).fetch_one(&it.db).await.unwrap();
            parts > 0 && parts + 1 >= i64::try_from(stop_after).unwrap()
        })
        .await;
        poll.abort();
        poll.await.unwrap_err();
        it.source.mend();
        // The server frees the lock of a poll that was cut off when it notices that the connection is closed.
        let locks = "SELECT count(*) FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                     WHERE l.locktype = 'advisory' AND d.datname = current_database()";
        eventually("the poll's lock to be free", async || {
            sqlx::query_scalar::<_, i64>(locks).fetch_one(&it.db).await.unwrap() == 0
        })
        .await;
        assert!(it.rows("visits").await.is_empty(), "half a poll is not to be seen");
    }
    let before: Vec<String> = it.source.take_requests();
    // What has come since the poll was interrupted is no less wanted than what it had begun to read.
    it.visit(31, 1, "2026-03-01T12:00:00.000000Z", 31);
    let outcome = it.poll().await;
    assert!(outcome.resumed);
    it.check_equal().await;
    let after = it.source.take_requests();
    let head = after.iter().position(|it| it.ends_with("/changes")).unwrap();
    assert!(head > 0, "it goes on under the head it began with: {after:?}");
    assert!(head < 11 && !before.is_empty(), "pages staged before are not asked for again: {after:?}");
    assert!(after[head + 1..].iter().all(|it| !it.ends_with("/changes")), "one look at what came since: {after:?}");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM sync.staged_poll").fetch_one(&it.db).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_epoch_is_read_whole_and_swapped_only_when_believable() {
    let it = Fixture::start().await;
    for id in 1..=10 {
        it.visit(id, 1, &format!("2026-03-{:02}T12:00:00.000000Z", id), id);
    }
    it.poll().await;
    it.source.model().forget("visits", &[5, 1]);
    it.source.model().change_epoch();
    let outcome = it.poll().await;
    assert_eq!((outcome.rows_added, outcome.rows_changed, outcome.rows_removed), (0, 0, 1));
    assert!(outcome.rewritten && outcome.held.is_empty());
    it.check_equal().await;

    let before = (it.rows("visits").await, outcome.complete_through);
    for id in 6..=9 {
        it.source.model().forget("visits", &[id, 1]);
    }
    it.source.model().put("places", &[1], &["here", "3"]);
    it.source.model().change_epoch();
    let outcome = it.poll().await;
    let held = outcome.held.iter().map(|it| (it.dataset.as_str(), it.dropped, it.existing));
    assert_eq!(held.collect::<Vec<_>>(), [("visits", 4, 9)]);
    assert_eq!((outcome.rows_added, outcome.rows_removed), (1, 0), "the other dataset goes on");
    assert_eq!(it.rows("visits").await, before.0);
    assert_eq!(it.rows("places").await.len(), 1);
    let status = it.aggregator.sources().status().await.unwrap();
    let fourth = status.iter().find(|it| it.name == "fourth").unwrap();
    let through = |dataset: &str| fourth.complete_through_of(&[dataset.to_owned()].into());
    assert_eq!(fourth.error, None);
    assert_eq!(through("visits"), Some(before.1), "what is held back is as old as it was");
    assert_eq!(through("places"), Some(outcome.complete_through));

    // The others go on, and it is not read at each poll.
    it.source.model().put("places", &[2], &["there", "3"]);
    it.source.take_requests();
    let outcome = it.poll().await;
    assert_eq!((outcome.rows_added, outcome.held.len(), outcome.rewritten), (1, 1, false));
    let asked = it.source.take_requests();
    assert!(!asked.is_empty() && asked.iter().all(|it| !it.contains("/changes/visits")), "{asked:?}");

    let outcome = it.aggregator.poller().poll("fourth", Drops::Allowed).await.unwrap();
    assert_eq!((outcome.rows_removed, outcome.held.len()), (4, 0));
    it.check_equal().await;

    let told = rewritten::within(&it.db, chrono::TimeDelta::days(1)).await.unwrap();
    let of = |at: usize, dataset: &str| told[at].facts.get(dataset).cloned();
    let days = [NaiveDate::from_ymd_opt(2026, 3, 5).unwrap()].into();
    assert_eq!(told.len(), 2, "{told:?}");
    assert_eq!(of(0, "visits"), Some(Changed { removed: 1, days, ..Changed::default() }));
    assert_eq!((of(1, "visits"), of(1, "places")), (None, Some(Changed { added: 1, ..Changed::default() })));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_held_back_returns_is_taken_without_a_word() {
    let it = Fixture::start().await;
    for id in 1..=9 {
        it.visit(id, 1, "2026-03-01T12:00:00.000000Z", id);
    }
    it.poll().await;
    for id in 1..=4 {
        it.source.model().forget("visits", &[id, 1]);
    }
    it.source.model().change_epoch();
    assert_eq!(it.poll().await.held.len(), 1);
    for id in 1..=4 {
        it.visit(id, 1, "2026-03-01T12:00:00.000000Z", id);
    }
    // An hour goes by.
    sqlx::query("UPDATE sync.held SET tried_at = tried_at - interval '1 hour'").execute(&it.db).await.unwrap();
    assert!(it.poll().await.held.is_empty());
    it.check_equal().await;
    assert_eq!(it.poll().await.pages, 0, "nothing is read again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_past_the_feed_comes_when_everything_is_asked_for() {
    let it = Fixture::start().await;
    for id in 1..=9 {
        it.visit(id, 1, "2026-03-01T12:00:00.000000Z", id);
    }
    it.poll().await;
    it.source.model().forget("visits", &[3, 1]);
    it.source.model().mend("visits", &[4, 1], 2, "777");
    assert_eq!(it.poll().await.snapshot, None, "the feed tells nothing of it");
    it.aggregator.poller().ask_whole("fourth").await.unwrap();
    let outcome = it.poll().await;
    assert_eq!((outcome.rows_changed, outcome.rows_removed, outcome.rewritten), (1, 1, false));
    it.check_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_added_later_comes_once_and_is_null_before() {
    let mut it = Fixture::start().await;
    for id in 1..=5 {
        it.visit(id, 1, "2026-03-01T12:00:00.000000Z", id);
        it.source.model().put("places", &[id], &["here", "3"]);
    }
    let first = it.poll().await.snapshot.unwrap();
    it.source.model().add_column("visits", "channel", "string", "phone");
    it.reopen(&DECLARATION.replace("follow_up = \"date?\"", "follow_up = \"date?\"\nchannel = \"string\""))
        .await
        .unwrap();
    assert!(it.rows("visits").await.iter().all(|line| line.ends_with(",\\N,\\N")), "not there yet");
    it.source.take_requests();
    let outcome = it.poll().await;
    assert_eq!((outcome.rows_added, outcome.rows_changed), (0, 5));
    it.check_equal().await;
    assert_eq!(it.rows_at(first, "visits", None).await.len(), 5, "the earlier snapshot can still be read");
    assert_eq!(it.poll().await.snapshot, None);

    let judged = "SELECT visit_id, channel, business_day::VARCHAR, business_hour FROM visits ORDER BY 1 LIMIT 1";
    let row = serde_json::json!([1, "phone", "2026-03-01", 8]);
    assert_eq!(serde_json::json!(system_tests::duckdb(&it.stack, judged)), serde_json::json!([row]));

    // A column that is no longer declared is passed over, in the files that have it too.
    it.reopen(&DECLARATION.replace("follow_up = \"date?\"\n", "")).await.unwrap();
    assert_eq!(it.poll().await.rows_changed, 0);
    it.visit(6, 1, "2026-03-01T12:00:00.000000Z", 6);
    assert_eq!(it.poll().await.rows_added, 1);
    assert!(it.rows("visits").await.iter().all(|line| line.ends_with(",\\N,true")), "{:?}", it.rows("visits").await);
    let judged = "SELECT count(*), min(business_day)::VARCHAR, max(business_hour), bool_and(good) FROM visits";
    let all = serde_json::json!([[6, "2026-03-01", 8, true]]);
    assert_eq!(serde_json::json!(system_tests::duckdb(&it.stack, judged)), all);
    let earlier = format!("SELECT count(*), min(business_day)::VARCHAR FROM visits AT (VERSION => {first})");
    let then = serde_json::json!([[5, "2026-03-01"]]);
    assert_eq!(serde_json::json!(system_tests::duckdb(&it.stack, &earlier)), then);

    let error = it.reopen(&DECLARATION.replace("amount_cents = \"money\"", "amount_cents = \"string\"")).await;
    assert!(error.unwrap_err().to_string().contains("visits.amount_cents: declared as string"));
}
