//! Which kept days count: the rule, case by case.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::*;
use crate::kept::{Due, KeptView};

fn view() -> KeptView {
    let columns = [(BUSINESS_DAY, ColumnType::Date), ("visits", ColumnType::Int64)];
    KeptView {
        name: "visit_days".to_owned(),
        digest: "0123456789abcdef0123".to_owned(),
        select: "SELECT business_day, COUNT(*) AS visits FROM visits GROUP BY business_day".to_owned(),
        columns: columns.map(|(name, kind)| Declared::required(name, kind)).to_vec(),
        inputs: vec![VISITS.to_owned()],
    }
}

fn day(of: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, of).unwrap()
}

impl Fixture {
    /// Keeps days as they are said to be in a snapshot: each with so many visits.
    async fn keep(&self, read: i64, days: &[(u32, i64)]) {
        let lock = self.lake.keeping().await.unwrap();
        let table = self.lake.table_to_keep(&view()).await.unwrap();
        let of_days: BTreeSet<NaiveDate> = days.iter().map(|(of, _)| day(*of)).collect();
        let rows: Vec<_> = days.iter().filter(|(_, visits)| *visits > 0).collect();
        let dates: Vec<i32> = rows.iter().map(|(of, _)| day(*of).to_epoch_days()).collect();
        let dates = Column::new(BUSINESS_DAY.into(), dates).cast(&DataType::Date).unwrap();
        let visits = Column::new("visits".into(), rows.iter().map(|(_, visits)| *visits).collect::<Vec<_>>());
        let rows = DataFrame::new(rows.len(), vec![dates, visits]).unwrap();
        self.lake.keep(&lock, &table, read, &of_days, rows).await.unwrap();
        lock.release().await;
    }

    /// The days that count in a snapshot.
    async fn counting(&self, snapshot: i64) -> Vec<RangeInclusive<NaiveDate>> {
        self.lake.kept(snapshot, &view(), &[]).await.unwrap().map(|kept| kept.days).unwrap_or_default()
    }

    async fn due(&self, snapshot: i64) -> Vec<Due> {
        self.lake.due(snapshot, &view(), day(31)).await.unwrap()
    }
}

fn due(days: &[u32], since: i64) -> Due {
    Due { days: days.iter().map(|of| day(*of)).collect(), since }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_day_counts_while_it_is_live_and_no_input_has_changed_it_since_it_was_read() {
    let it = Fixture::open().await;
    let first = it.append(&[(1, 1), (2, 3)]).await;
    assert_eq!(it.due(first).await, [due(&[1, 2, 3], 0)], "no row came for the second");
    it.keep(first, &[(1, 1), (2, 0), (3, 1)]).await;
    let kept = it.newest().await;
    assert_eq!((it.due(first).await, it.due(kept).await), (vec![], vec![]));
    assert_eq!((it.counting(first).await, it.counting(kept).await), (vec![], vec![day(1)..=day(3)]));

    let second = it.append(&[(3, 3)]).await;
    assert_eq!((it.counting(kept).await, it.counting(second).await), (vec![day(1)..=day(3)], vec![day(1)..=day(2)]));
    assert_eq!(it.due(second).await, [due(&[3], second)]);
    // What was read before the change, and is kept after it, does not count.
    it.keep(first, &[(3, 1)]).await;
    assert_eq!(it.counting(it.newest().await).await, [day(1)..=day(2)]);
    it.keep(second, &[(3, 2)]).await;
    let now = it.newest().await;
    assert_eq!((it.counting(now).await, it.counting(kept).await), (vec![day(1)..=day(3)], vec![day(1)..=day(3)]));
    let status = it.lake.kept_status(now, &view()).await.unwrap();
    assert_eq!((status.days, status.outdated, status.rows), (3, 0, 2));
    it.lake.compact(TimeDelta::zero()).await.unwrap();
    assert_eq!(it.counting(it.newest().await).await, [day(1)..=day(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_change_of_a_day_goes_what_it_outdates() {
    let it = Fixture::open().await;
    let first = it.append(&[(1, 1), (2, 2), (3, 3)]).await;
    it.keep(first, &[(1, 1), (2, 1), (3, 1)]).await;
    it.append(&[(4, 1)]).await;
    it.append(&[(5, 2)]).await;
    // As a version that knows no kept rows forgets.
    sqlx::query("DELETE FROM sync.changed_day WHERE business_day = '2026-03-01'").execute(it.lake.db()).await.unwrap();
    assert_eq!(it.counting(it.newest().await).await, [day(3)..=day(3)]);
    it.append(&[(6, 9)]).await;
    it.lake.expire(TimeDelta::zero()).await.unwrap();
    assert_eq!(it.counting(it.newest().await).await, [day(3)..=day(3)]);
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM sync.changed_day").fetch_one(it.lake.db()).await.unwrap();
    assert_eq!(left, 1, "of the newest snapshot");
    assert_eq!(it.due(it.newest().await).await[0].days, [1, 2, 9].map(day).into());
}
