//! A source of an earlier version, which lacks what its declaration calls optional.

use std::collections::BTreeMap;
use std::time::Duration;

use aggregator::publish::Gate;
use system_tests::source::Fault;

use super::*;

async fn absent(it: &Fixture) -> Vec<String> {
    let status = it.aggregator.sources().status().await.unwrap();
    let fourth = status.into_iter().find(|it| it.name == "fourth").unwrap();
    fourth.absent.into_iter().map(|(what, since)| format!("{what} {since}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_earlier_version_lacks_is_absent_and_read_whole_once_when_it_comes() {
    let mut it = Fixture::start().await;
    *it.source.model() = Model::default().with("visits", 2, &VISITS[..7]);
    let visit = ["2026-03-01T12:00:00.000000Z", "UTC", "5", "\\N", "true"];
    for id in 1..=4 {
        it.source.model().put("visits", &[id, 1], &visit);
    }
    let refused = it.aggregator.poller().poll("fourth", Drops::Guarded).await.unwrap_err();
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert!(why.contains("has no column `follow_up`"), "{why}");

    let declared = DECLARATION
        .replace("follow_up = \"date?\"", "follow_up = \"date? since 1.2\"")
        .replace("name = \"places\"\n", "name = \"places\"\nsince = \"1.3\"\n");
    it.reopen(&declared).await.unwrap();
    assert_eq!(it.poll().await.rows_added, 4);
    assert_eq!(absent(&it).await, ["places 1.3", "visits.follow_up 1.2"]);
    let held = it.rows("visits").await;
    assert_eq!(held[0], "1,1,2026-03-01T12:00:00.000000Z,UTC,5,\\N,true,\\N");
    assert_eq!(it.rows("places").await, Vec::<String>::new());
    assert_eq!(it.poll().await.pages, 0, "an absent dataset is no reason to read again");

    // What was begun before the source was replaced is read to its end as it began.
    it.source.model().put("visits", &[5, 1], &visit);
    it.source.break_next([Fault::None, Fault::Status(400, 0)]);
    it.aggregator.poller().poll("fourth", Drops::Guarded).await.unwrap_err();
    it.source.model().add_column("visits", "follow_up", "date", "2026-05-01");
    it.source.model().add_dataset("places", 1, PLACES);
    it.source.model().put("places", &[1], &["x", "1"]);
    while !absent(&it).await.is_empty() {
        it.poll().await;
    }
    it.check_equal().await;
    it.source.take_requests();
    it.source.model().put("visits", &[6, 1], &["2026-03-01T12:00:00.000000Z", "UTC", "5", "\\N", "true", "\\N"]);
    assert_eq!(it.poll().await.rows_read, 1, "each is read whole once");
    it.check_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_that_lack_something_are_not_final_and_say_why() {
    let it = Fixture::start().await;
    sqlx::raw_sql(
        "INSERT INTO sync.source (name, complete_through, absent) VALUES
           ('ecommerce', now(), '{refund_lines}'), ('inventory', now(), '{}'),
           ('retail', now(), '{sale_lines.list_price_cents}')",
    )
    .execute(&it.db)
    .await
    .unwrap();
    let gate = Gate::read(it.aggregator.reports(), Duration::ZERO).await.unwrap();
    let day = "2026-03-01".parse().unwrap();
    let catalogue = it.aggregator.reports().catalogue();
    let told: BTreeMap<&str, Vec<String>> = ["daily_sales", "price_overrides", "stock_valuation"]
        .map(|name| {
            let report = catalogue.get(name).unwrap();
            (name, gate.missing(report, day).iter().map(|missing| gate.explain(missing, day)).collect())
        })
        .into();
    assert_eq!(told["daily_sales"], ["ecommerce: its version does not offer refund_lines (it comes with 0.2.0)"]);
    assert_eq!(
        told["price_overrides"],
        ["retail: its version does not offer sale_lines.list_price_cents (it comes with 0.2.0)"]
    );
    assert_eq!(told["stock_valuation"], Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_whose_day_moves_are_moved_and_none_of_them_is_taken_for_lost() {
    let mut it = Fixture::start().await;
    for id in 1..=9 {
        it.visit(id, 1, "2026-03-01T04:00:00Z", id);
    }
    let on = async |it: &Fixture, day: &str| {
        let day: NaiveDate = day.parse().unwrap();
        it.rows_at(it.snapshot().await, "visits", Some(day..=day)).await.len()
    };
    it.poll().await;
    assert_eq!(on(&it, "2026-03-01").await, 9, "half past midnight in St. John's");

    // A source that is to say what its clock showed, and does not yet: it is computed as before.
    let declared = DECLARATION
        .replace("zone = \"time_zone\" }", "zone = \"time_zone\", local = \"shown\" }")
        .replace("time_zone = \"string\"\n", "time_zone = \"string\"\nshown = \"local? since 1.2\"\n");
    it.reopen(&declared).await.unwrap();
    let outcome = it.poll().await;
    assert_eq!(
        (outcome.rows_changed, outcome.snapshot.is_some()),
        (0, true),
        "each has its local time now, which makes no figure another"
    );
    assert_eq!((on(&it, "2026-03-01").await, absent(&it).await), (9, vec!["visits.shown 1.2".to_owned()]));
    assert!(it.rows("visits").await[0].contains("2026-03-01T00:30:00.000000Z"), "{:?}", it.rows("visits").await);

    // It begins to say, and its clock was an hour behind ours.
    it.source.model().add_column("visits", "shown", "local", "2026-02-28 23:30:00");
    let outcome = it.poll().await;
    assert_eq!((outcome.rows_added, outcome.rows_changed, outcome.rows_removed), (9, 0, 9));
    assert_eq!((on(&it, "2026-02-28").await, on(&it, "2026-03-01").await), (9, 0));

    // Days that start before noon begin with it, and back again; the hour stays the clock's.
    let days = |start: &str| base::BusinessDays { zone: base::Tz::UTC, start: start.parse().unwrap() };
    for id in 1..=6 {
        it.source.model().mend("visits", &[id, 1], 6, "2026-02-28 11:59:59");
    }
    for (start, day, rows) in [("12:00", "2026-02-27", 6), ("00:00", "2026-02-28", 9)] {
        let settings = Settings { days: days(start), ..settings(&it.stack, &it.source, &it.folder) };
        it.aggregator = Aggregator::open(it.db.clone(), settings).await.unwrap();
        it.poll().await;
        assert_eq!(on(&it, day).await, rows, "{start}");
    }

    // A third that is truly gone is too many, however many others moved.
    for id in 1..=3 {
        it.source.model().forget("visits", &[id, 1]);
    }
    let settings = Settings { days: days("12:00"), ..settings(&it.stack, &it.source, &it.folder) };
    it.aggregator = Aggregator::open(it.db.clone(), settings).await.unwrap();
    let held: Vec<u64> = it.poll().await.held.iter().map(|it| it.dropped).collect();
    assert_eq!(held, [3]);
}
