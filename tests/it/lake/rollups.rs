//! Rows of views that are kept: whatever happened to the days since, a report that reads them says what the lines say, in
//! each snapshot that can be read, and so does DuckDB.

mod lost;

use std::collections::BTreeSet;
use std::time::Duration;

use aggregator::report::{Bounds, Given, Kept, Verified};
use chrono::TimeDelta;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use system_tests::source::Fault;
use system_tests::{campaign, duckdb, seed};

use super::*;

const VIEW: &str = r#"/*---
title = "Visits by day and zone"
description = "One row for each."
keep = "day"
key = ["business_day", "time_zone"]
---*/
WITH good_ones AS (SELECT * FROM visits WHERE line_no > 0)
SELECT business_day, time_zone, COUNT(*) AS visits, COUNT(DISTINCT visit_id) AS visitors, SUM(amount_cents) AS cents,
       MAX(note) AS note, MIN(occurred_at) AS first_at
FROM good_ones
GROUP BY business_day, time_zone
"#;

const REPORT: &str = r#"/*---
title = "Visits"
description = "Visits of days."
section = "Operations"
grain = "day"
key = ["business_day", "time_zone"]
[params]
from = { type = "date", title = "From", default = "today-3000d" }
to = { type = "date", title = "To", default = "today" }
[days]
from = "$from"
to = "$to"
[columns]
business_day = { type = "date", title = "Day" }
time_zone = { type = "string", title = "Zone" }
visits = { type = "int64", title = "Visits" }
visitors = { type = "int64", title = "Visitors" }
cents = { type = "money", title = "Amount" }
note = { type = "string", title = "Note" }
first_at = { type = "timestamp", title = "First" }
---*/
SELECT business_day, time_zone, visits, visitors, cents, note, first_at
FROM visit_days
WHERE business_day BETWEEN $from AND $to
ORDER BY business_day, time_zone
"#;

impl Fixture {
    fn write(&self, file: &str, text: &str) {
        let path = self.folder.path().join("own").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    async fn with_view() -> Self {
        let it = Self::start().await;
        it.write("views/visit_days.sql", VIEW);
        it.write("reports/visits_by_day.sql", REPORT);
        let catalogue = it.aggregator.reload().await.unwrap();
        assert!(catalogue.broken().is_empty(), "{:?}", catalogue.broken());
        it
    }

    fn kept_view(&self) -> Arc<Kept> {
        let catalogue = self.aggregator.reports().catalogue();
        Arc::clone(catalogue.kept().find(|kept| kept.view.name == "visit_days").unwrap())
    }

    /// Keeps what is to be kept, as the job does.
    async fn keep(&self) -> usize {
        let (reports, mut days) = (self.aggregator.reports(), 0);
        let lock = self.aggregator.lake().keeping().await.unwrap();
        reports.tidy_rollups().await.unwrap();
        let as_of = reports.ended().await.unwrap();
        for (kept, due) in reports.to_keep(as_of).await.unwrap() {
            days += reports.keep(&lock, as_of.0, &kept, &due.days).await.unwrap().days;
        }
        lock.release().await;
        days
    }

    /// Days that are kept and count, and those that have changed since.
    async fn days(&self) -> (i64, i64) {
        let rollups = self.aggregator.reports().rollups().await.unwrap();
        let found = rollups.iter().find(|it| it.view == "visit_days").unwrap();
        assert_eq!(found.reports, ["visits_by_day"]);
        (found.days, found.outdated)
    }

    /// The report in a snapshot through kept rows, once it is sure that the lines say the same.
    async fn visits(&self, snapshot: i64, days: &[(&str, &str)]) -> DataFrame {
        let reports = self.aggregator.reports();
        let asked: Given = days.iter().copied().collect();
        let question = reports.ask("visits_by_day", &asked, Some(snapshot)).await.unwrap();
        let through_kept = reports.compute(&question, Bounds::IN_BACKGROUND).await.unwrap();
        let through_lines = reports.compute(&question.on_datasets(), Bounds::IN_BACKGROUND).await.unwrap();
        let (kept, right) = (&through_kept.frame, &through_lines.frame);
        assert!(kept.equals_missing(right), "snapshot {snapshot} {days:?}: {kept} is not {right}");
        kept.clone()
    }

    /// The newest figures, by day: how many visits, and the amount.
    async fn newest(&self) -> Vec<(String, i64, i64)> {
        let rows = self.visits(self.snapshot().await, &[]).await;
        let number = |name: &str, row: usize| rows.column(name).unwrap().i64().unwrap().get(row).unwrap();
        let day = |row: usize| cell(&rows.column("business_day").unwrap().get(row).unwrap());
        (0..rows.height()).map(|row| (day(row), number("visits", row), number("cents", row))).collect()
    }

    fn is_live(&self, visit: i64) -> bool {
        self.source.model().live("visits").iter().any(|line| line.starts_with(&format!("{visit},1,")))
    }

    /// Removes the files of what is kept.
    async fn lose_kept_rows(&self) {
        let kept = self.aggregator.lake().kept(self.snapshot().await, &self.kept_view().view, &[]).await.unwrap();
        for path in kept.unwrap().files.paths() {
            std::fs::remove_file(path).unwrap();
        }
    }

    async fn verify(&self, repair: bool) -> Verified {
        self.aggregator.reports().verify_rollup(&self.kept_view(), repair).await.unwrap()
    }
}

fn noon(day: &str) -> String {
    format!("{day}T16:00:00.000000Z")
}

fn figures(all: &[(&str, i64, i64)]) -> Vec<(String, i64, i64)> {
    all.iter().map(|(day, visits, cents)| ((*day).to_owned(), *visits, *cents)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_day_counts_until_an_input_changes_it() {
    let it = Fixture::with_view().await;
    let today = chrono::Utc::now().format("%Y-%m-%d").to_string();
    for (id, day) in ["2026-01-31", "2026-02-01", "2026-02-02", &today].into_iter().enumerate() {
        it.visit(i64::try_from(id).unwrap(), 1, &noon(day), 100);
    }
    it.poll().await;
    // Nothing is kept yet, and nothing is missing.
    let as_it_was = [("2026-01-31", 1, 100), ("2026-02-01", 1, 100), ("2026-02-02", 1, 100), (&today, 1, 100)];
    assert_eq!((it.newest().await, it.days().await), (figures(&as_it_was), (0, 0)));
    // Only days that have rows and have ended; a second time there is nothing to do.
    assert_eq!((it.keep().await, it.days().await, it.keep().await), (3, (3, 0), 0));
    assert_eq!(it.newest().await, figures(&as_it_was));
    let before = it.snapshot().await;
    // A stranger reads whole days, under the view's name too.
    let table = it.kept_view().view.table();
    let sums = "SELECT count(*), sum(visits)::BIGINT, sum(cents)::BIGINT FROM";
    assert_eq!(duckdb(&it.stack, &format!("{sums} kept.{table}")), [[json!(3), json!(3), json!(300)]]);
    assert_eq!(duckdb(&it.stack, &format!("{sums} visit_days")), [[json!(4), json!(4), json!(400)]]);

    // A late row, and a day that loses all of its rows: these two are computed, the third is not.
    it.visit(10, 1, &noon("2026-01-31"), 7);
    it.source.model().delete("visits", &[2, 1]);
    it.poll().await;
    let late = [("2026-01-31", 2, 107), ("2026-02-01", 1, 100), (&today, 1, 100)];
    assert_eq!((it.newest().await, it.days().await), (figures(&late), (1, 2)));
    assert_eq!(duckdb(&it.stack, &format!("{sums} visit_days")), [[json!(3), json!(4), json!(307)]]);
    // The snapshot before has what it had, of what was kept then.
    assert_eq!(it.visits(before, &[]).await.height(), 4);
    assert_eq!((it.keep().await, it.days().await, it.newest().await), (2, (3, 0), figures(&late)));
    assert_eq!(duckdb(&it.stack, &format!("{sums} kept.{table}")), [[json!(2), json!(3), json!(207)]]);
    assert_eq!(it.visits(before, &[("from", "2026-02-01"), ("to", "2026-02-02")]).await.height(), 2);

    // One file of a month has the same rows, and so has a source that is read from its start again.
    it.aggregator.lake().compact(TimeDelta::zero()).await.unwrap();
    it.source.model().change_epoch();
    it.poll().await;
    assert_eq!((it.days().await, it.newest().await), ((3, 0), figures(&late)));

    // What was read before a poll and is kept after it does not count.
    let (kept, read) = (it.kept_view(), it.snapshot().await);
    it.visit(11, 1, &noon("2026-02-01"), 1);
    it.poll().await;
    let lock = it.aggregator.lake().keeping().await.unwrap();
    let days = BTreeSet::from(["2026-02-01".parse().unwrap()]);
    it.aggregator.reports().keep(&lock, read, &kept, &days).await.unwrap();
    lock.release().await;
    let raced = [("2026-01-31", 2, 107), ("2026-02-01", 2, 101), (&today, 1, 100)];
    assert_eq!((it.days().await, it.newest().await), ((2, 1), figures(&raced)));

    // Another SELECT is another view.
    it.write("views/visit_days.sql", &VIEW.replace("line_no > 0", "line_no > 0 AND visit_id < 11"));
    it.aggregator.reload().await.unwrap();
    assert_eq!((it.days().await, it.newest().await), ((0, 0), figures(&late)));
    assert!(it.keep().await >= 2);
    assert_eq!((it.days().await.1, it.newest().await), (0, figures(&late)));
    assert_eq!(duckdb(&it.stack, &format!("{sums} visit_days")), [[json!(3), json!(4), json!(307)]]);
    super::commit::check_files(&it.db, it.aggregator.lake().dir()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_what_changed_a_day_is_forgotten_that_it_was_kept_and_what_is_wrong_is_found() {
    let it = Fixture::with_view().await;
    for day in 1..=4 {
        it.visit(day, 1, &noon(&format!("2026-02-0{day}")), 100);
    }
    it.poll().await;
    assert_eq!(it.keep().await, 4);
    it.visit(8, 1, &noon("2026-02-01"), 1);
    it.poll().await;
    it.visit(9, 1, &noon("2026-02-02"), 1);
    it.poll().await;
    // As an older version lets go of it, and as this one does: the first day is of a snapshot that has expired.
    sqlx::query("DELETE FROM sync.changed_day WHERE business_day = '2026-02-01'").execute(&it.db).await.unwrap();
    assert_eq!(it.days().await, (2, 1));
    it.aggregator.expire(TimeDelta::zero()).await.unwrap();
    it.visit(7, 1, &noon("2026-03-01"), 1);
    it.poll().await;
    it.aggregator.expire(TimeDelta::zero()).await.unwrap();
    assert_eq!(it.days().await, (2, 0));
    let right = figures(&[
        ("2026-02-01", 2, 101),
        ("2026-02-02", 2, 101),
        ("2026-02-03", 1, 100),
        ("2026-02-04", 1, 100),
        ("2026-03-01", 1, 1),
    ]);
    assert_eq!(it.newest().await, right);
    assert_eq!((it.keep().await, it.verify(false).await.wrong, it.newest().await), (3, vec![], right.clone()));

    // Rows that nobody computed: reports believe them, and the comparison does not.
    let (lake, kept) = (it.aggregator.lake(), it.kept_view());
    let day: NaiveDate = "2026-02-03".parse().unwrap();
    let rows = lake.kept(it.snapshot().await, &kept.view, &[day..=day]).await.unwrap().unwrap().files;
    let rows = tokio::task::spawn_blocking(move || {
        let rows = rows.frame(&lake::References::default()).unwrap();
        rows.with_column((col("cents") + lit(5_i64)).alias("cents")).collect().unwrap()
    });
    let (rows, table) = (rows.await.unwrap(), lake.table_to_keep(&kept.view).await.unwrap());
    let lock = lake.keeping().await.unwrap();
    lake.keep(&lock, &table, it.snapshot().await, &BTreeSet::from([day]), rows).await.unwrap();
    lock.release().await;
    let asked: Given = [("from", "2026-02-03"), ("to", "2026-02-03")].into_iter().collect();
    let shown = it.aggregator.reports().run("visits_by_day", &asked, Some(it.snapshot().await)).await.unwrap();
    assert_eq!(shown.frame.column("cents").unwrap().i64().unwrap().get(0), Some(105), "kept rows are what is read");
    assert_eq!(it.verify(false).await.wrong, [day]);
    assert_eq!(it.verify(true).await.wrong, [day]);
    assert_eq!((it.newest().await, it.keep().await, it.verify(false).await.wrong), (right, 1, vec![]));
}

/// A random write: new, corrected and removed visits of a few days.
fn write(it: &Fixture, random: &mut StdRng, next: &mut i64) {
    for _ in 0..random.random_range(1..5) {
        let at = noon(&format!("2026-{:02}-{:02}", random.random_range(1..3), random.random_range(1..6)));
        let older = random.random_range(0..=*next);
        match random.random_range(0..4) {
            0 if it.is_live(older) => it.source.model().delete("visits", &[older, 1]),
            _ => {
                *next += 1;
                it.visit(*next, random.random_range(0..3), &at, random.random_range(-900..900));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_rows_are_the_lines_and_duckdb_in_every_snapshot_whatever_happens() {
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut it = Fixture::with_view().await;
    let (mut next, mut cases, born) = (0, Vec::new(), it.snapshot().await);
    for round in 0..campaign(16, 150) {
        write(&it, &mut random, &mut next);
        it.source.break_next((0..random.random_range(0..2)).map(|_| Fault::CutAt(random.random_range(0..400))));
        if round % 5 == 4 {
            // A process that begins, with a column less or again, or with another definition.
            let view = VIEW.replace("line_no > 0", if random.random() { "line_no > 0" } else { "line_no > 1" });
            it.write("views/visit_days.sql", &view);
            let declaration =
                if random.random() { DECLARATION.replace("good = \"bool?\"\n", "") } else { DECLARATION.to_owned() };
            it.reopen(&declaration).await.unwrap();
        }
        let (poller, lake) = (it.aggregator.poller(), it.aggregator.lake());
        let polled = async { drop(poller.poll("fourth", Drops::Allowed).await) };
        // One that is cut off holds its lock until the server sees it, so that another finds it busy.
        let kept = async {
            if let Ok(lock) = lake.keeping().await {
                lock.release().await;
                it.keep().await;
            }
        };
        match random.random_range(0..4) {
            0 => drop(tokio::join!(
                polled,
                tokio::time::timeout(Duration::from_millis(random.random_range(5..200)), kept)
            )),
            1 => drop(tokio::join!(polled, kept, lake.compact(TimeDelta::zero()))),
            2 if round % 4 == 0 => {
                polled.await;
                it.aggregator.expire(TimeDelta::seconds(3)).await.unwrap();
                kept.await;
            }
            _ => drop(tokio::join!(polled, kept)),
        }
        it.source.mend();
        let snapshot = random.random_range(born..=it.snapshot().await);
        for snapshot in [snapshot, it.snapshot().await] {
            if snapshot::require(&it.db, snapshot).await.is_err() {
                continue;
            }
            let day =
                |random: &mut StdRng| format!("2026-{:02}-{:02}", random.random_range(1..3), random.random_range(1..6));
            let (one, two) = (day(&mut random), day(&mut random));
            let days = [("from", one.as_str().min(&two)), ("to", one.as_str().max(&two))];
            let ours = it.visits(snapshot, &days).await;
            let asked: Given = days.into_iter().collect();
            let (_, statement) = it.aggregator.reports().statement("visits_by_day", &asked).await.unwrap();
            cases.push((snapshot, statement, ours));
        }
    }
    it.source.mend();
    it.poll().await;
    it.keep().await;
    assert_eq!(it.verify(false).await.wrong, [], "seed {seed}");
    let judged = judge(&it, &cases).await;
    assert!(judged > 0, "seed {seed}");
    it.aggregator.lake().sweep().await.unwrap();
    super::commit::check_files(&it.db, it.aggregator.lake().dir()).await;
}

/// Holds the newest answers against DuckDB's, in the snapshots that are left; how many.
async fn judge(it: &Fixture, cases: &[(i64, String, DataFrame)]) -> usize {
    let mut judged = 0;
    for (snapshot, statement, ours) in cases.iter().rev().take(6) {
        if snapshot::require(&it.db, *snapshot).await.is_err() {
            continue;
        }
        judged += 1;
        let statement = statement.replace("FROM visits ", &format!("FROM visits AT (VERSION => {snapshot}) "));
        assert!(statement.contains("AT (VERSION"), "{statement}");
        let theirs = duckdb(
            &it.stack,
            &format!("SELECT business_day::VARCHAR, time_zone, visits, cents::BIGINT FROM ({statement}) ORDER BY ALL"),
        );
        let number = |name: &str, row: usize| ours.column(name).unwrap().i64().unwrap().get(row).unwrap();
        let text = |name: &str, row: usize| cell(&ours.column(name).unwrap().get(row).unwrap());
        let ours: Vec<Vec<Value>> = (0..ours.height())
            .map(|row| {
                vec![
                    json!(text("business_day", row)),
                    json!(ours.column("time_zone").unwrap().str().unwrap().get(row)),
                    json!(number("visits", row)),
                    json!(number("cents", row)),
                ]
            })
            .collect();
        assert_eq!(ours, theirs, "snapshot {snapshot}");
    }
    judged
}
