//! Sources that break their answers.

use std::time::Duration;

use aggregator::poll::quarantine;
use aggregator::publish::Gate;
use aggregator::source::breaker::BreakerState;
use chrono::{TimeDelta, Utc};
use system_tests::source::Fault;
use system_tests::wait_until;

use super::*;

async fn filled() -> Fixture {
    let it = Fixture::start().await;
    for id in 1..=8 {
        it.visit(id, 1, "2026-03-01T12:00:00.000000Z", id);
        it.source.model().put("places", &[id], &["x", "1"]);
    }
    it
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_troubles_are_ridden_out() {
    let it = filled().await;
    it.source.break_next([
        Fault::Status(503, 0),
        Fault::CutAt(200),
        Fault::None,
        Fault::RowsMissing(1),
        Fault::Nonsense,
        Fault::None,
        Fault::Status(429, 1),
        Fault::CutAt(0),
        Fault::Status(502, 0),
    ]);
    let outcome = it.poll().await;
    assert_eq!(outcome.rows_added, 16);
    it.check_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_cut_at_any_byte_is_never_taken_for_whole() {
    let it = filled().await;
    let page = 700;
    for cut in (0..page).step_by(23) {
        it.source.break_next([Fault::CutAt(cut)]);
        it.visit(100 + i64::try_from(cut).unwrap(), 1, "2026-03-02T00:00:00.000000Z", 1);
        it.poll().await;
        it.check_equal().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_down_fails_its_poll_opens_the_breaker_and_keeps_what_was_known() {
    let it = filled().await;
    it.poll().await;
    it.source.break_next(std::iter::repeat_n(Fault::Status(500, 0), 20));
    for _ in 0..5 {
        it.aggregator.poller().poll("fourth", Drops::Guarded).await.unwrap_err();
    }
    it.source.take_requests();
    let refused = it.aggregator.poller().poll("fourth", Drops::Guarded).await.unwrap_err();
    assert_eq!(it.source.take_requests(), [""; 0], "an open breaker sends nothing: {refused}");
    let status = it.aggregator.sources().status().await.unwrap();
    let fourth = status.iter().find(|it| it.name == "fourth").unwrap();
    assert_eq!((fourth.breaker, fourth.failures), (BreakerState::Open, 6));
    assert!(fourth.error.as_deref().is_some_and(|it| it.contains("circuit breaker is open")));
    it.check_equal().await;
    let failed: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sync.poll WHERE outcome = 'failed'").fetch_one(&it.db).await.unwrap();
    assert_eq!(failed, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_page_is_asked_for_while_one_is_on_its_way() {
    let it = filled().await;
    // The head, then a page whose last byte comes only after the next one was asked for.
    it.source.break_next([Fault::None, Fault::HeldUntilAsked]);
    it.poll().await;
    it.check_equal().await;
    let requests = it.source.take_requests();
    let different: std::collections::BTreeSet<&String> = requests.iter().collect();
    assert_eq!(different.len(), requests.len(), "nothing was asked for twice: {requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_the_breaker_lets_try_again_goes_on_to_its_end() {
    let mut it = filled().await;
    it.reopen(&DECLARATION.replace("page = 3", "page = 3\ncool_down = \"1s\"")).await.unwrap();
    let breaker = async || {
        let status = it.aggregator.sources().status().await.unwrap();
        status.iter().find(|it| it.name == "fourth").unwrap().breaker
    };
    it.source.break_next([Fault::None, Fault::None]);
    it.source.break_next(std::iter::repeat_n(Fault::Status(500, 0), 20));
    while breaker().await == BreakerState::Closed {
        it.aggregator.poller().poll("fourth", Drops::Guarded).await.unwrap_err();
    }
    it.source.mend();
    wait_until("the breaker to let one call try", Duration::from_secs(20), async || {
        (breaker().await == BreakerState::HalfOpen).then_some(())
    })
    .await;
    let outcome = it.poll().await;
    assert!(outcome.resumed, "a page is the call on trial, and more follow it");
    it.check_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_drip_ends_at_the_deadline_and_the_next_poll_catches_up() {
    let it = filled().await;
    it.source.break_next(std::iter::repeat_n(Fault::Drip(Duration::from_millis(400)), 30));
    let error = it.aggregator.poller().poll("fourth", Drops::Guarded).await.unwrap_err();
    assert!(matches!(error, PollError::Source { .. }), "{error}");
    it.source.mend();
    it.poll().await;
    it.check_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_do_not_fit_are_quarantined_and_the_rest_goes_on() {
    let it = filled().await;
    let bad = ["2026-02-30T00:00:00.000000Z", "UTC", "5", "\\N", "\\N", "\\N"];
    it.source.model().put("visits", &[50, 1], &bad);
    it.source.model().put(
        "visits",
        &[51, 1],
        &["2026-03-01T00:00:00.000000Z", "Mars/Olympus", "5", "\\N", "\\N", "\\N"],
    );
    let outcome = it.poll().await;
    assert_eq!((outcome.rows_added, outcome.rows_quarantined), (16, 2));
    let found: Vec<(String, String, String)> =
        sqlx::query_as("SELECT column_name, reason, raw FROM sync.quarantine ORDER BY id")
            .fetch_all(&it.db)
            .await
            .unwrap();
    assert_eq!(found[0].0, "occurred_at");
    assert_eq!(found[0].2, "50,1,2026-02-30T00:00:00.000000Z,UTC,5,\\N,\\N,\\N,false");
    assert_eq!(found[1].1, "\"Mars/Olympus\" is no IANA time zone");
    let status = it.aggregator.sources().status().await.unwrap();
    assert_eq!(status.iter().find(|it| it.name == "fourth").unwrap().quarantined_by_dataset["visits"], 2);

    // The source mends one of them: its next delivery closes the entry.
    it.visit(50, 1, "2026-02-28T00:00:00.000000Z", 5);
    assert_eq!(it.poll().await.rows_added, 1);
    let open = quarantine::list(&it.db, "fourth", None, 0, 10).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].dataset.as_str(), open[0].row_number > 0), ("visits", true));
    // The other is mended at the source without a change in the feed: only reading again finds it.
    it.source.model().mend("visits", &[51, 1], 1, "UTC");
    assert_eq!(it.poll().await.rows_added, 0);
    assert_eq!(it.aggregator.poller().ask_again("fourth").await.unwrap(), 1);
    let replayed = it.poll().await;
    assert_eq!((replayed.rows_added, replayed.rows_changed, replayed.rows_removed), (1, 0, 0));
    assert!(quarantine::list(&it.db, "fourth", None, 0, 10).await.unwrap().is_empty());
    it.check_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mended_declaration_reads_the_quarantined_rows_again_by_itself() {
    let mut it = filled().await;
    let null_zone = ["2026-03-01T00:00:00.000000Z", "UTC", "\\N", "\\N", "\\N", "\\N"];
    it.source.model().put("visits", &[60, 1], &null_zone);
    assert_eq!(it.poll().await.rows_quarantined, 1);
    assert_eq!(it.poll().await.rows_quarantined, 0, "and it is there once however often it comes");
    it.reopen(&DECLARATION.replace("amount_cents = \"money\"", "amount_cents = \"money?\"")).await.unwrap();
    assert_eq!(it.poll().await.rows_added, 1);
    assert!(quarantine::list(&it.db, "fourth", None, 0, 10).await.unwrap().is_empty());
    it.check_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_beyond_its_bounds_is_refused_and_asked_for_again() {
    let it = filled().await;
    it.source.break_next([Fault::None, Fault::None, Fault::None, Fault::LeadsBack]);
    assert_eq!(it.poll().await.pages, 6, "three of each dataset: none is read twice");
    it.check_equal().await;
    for fault in [Fault::Announces(u64::MAX), Fault::Announces(4), Fault::Stands] {
        it.source.break_next([Fault::None, Fault::None, fault]);
        it.visit(50, 1, "2026-03-03T00:00:00.000000Z", 1);
        it.poll().await;
        it.check_equal().await;
        it.source.model().delete("visits", &[50, 1]);
    }
    it.source.take_requests();
    it.source.break_next([Fault::Padded(2 * 1024 * 1024)]);
    it.poll().await;
    let heads = it.source.take_requests().iter().filter(|it| it.ends_with("/changes")).count();
    assert_eq!(heads, 2, "a head of two megabytes is none");
    it.check_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_whose_clock_is_ahead_is_read_and_not_believed() {
    let it = filled().await;
    for ahead in [TimeDelta::days(1), TimeDelta::days(365 * 7_000)] {
        it.source.model().clock_ahead = ahead;
        // Once with rows and once without.
        for _ in 0..2 {
            let outcome = it.poll().await;
            assert!(outcome.complete_through <= Utc::now(), "{outcome:?}");
            let status = it.aggregator.sources().status().await.unwrap();
            let fourth = status.iter().find(|it| it.name == "fourth").unwrap();
            assert!((ahead.num_seconds() - fourth.clock_ahead_seconds).abs() < 60, "{fourth:?}");
        }
        it.visit(60, 1, "2026-03-03T00:00:00.000000Z", 1);
    }
    let day = "2026-03-01".parse().unwrap();
    let missing = async || {
        let gate = Gate::read(it.aggregator.reports(), Duration::ZERO).await.unwrap();
        gate.missing_of(&["visits".to_owned()].into(), day).len()
    };
    assert_eq!(missing().await, 1, "no day of it is over");
    it.source.model().clock_ahead = TimeDelta::zero();
    it.poll().await;
    assert_eq!(missing().await, 0);
}
