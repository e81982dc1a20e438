//! The lake alone, on a PostgreSQL of the tests' own: commit, delete files, compaction, expiry, and the lock.

mod cluster;
mod kept;

use std::sync::Arc;

use base::AdvisoryLock;
use chrono::{NaiveDate, TimeDelta};
use polars::prelude::*;
use tempfile::TempDir;

use crate::commit::{self, Ended, TableChange};
use crate::file::{self, Name};
use crate::{BUSINESS_DAY, Column as Declared, ColumnType, DataFile, Lake, LakeError, TableDefinition};
use crate::{deletes, pending, snapshot};

const VISITS: &str = "visits";

struct Fixture {
    lake: Arc<Lake>,
    folder: TempDir,
}

fn visits() -> TableDefinition {
    let columns = [("id", ColumnType::Int64), (BUSINESS_DAY, ColumnType::Date)];
    let columns = columns.map(|(name, kind)| Declared::required(name, kind)).to_vec();
    TableDefinition { name: VISITS.to_owned(), columns, has_days: true }
}

/// Visits of the month that began 2026-03-01, by number and day of the month.
fn frame(visits: &[(i64, i32)]) -> DataFrame {
    let first = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap().to_epoch_days();
    let ids: Vec<i64> = visits.iter().map(|(id, _)| *id).collect();
    let days: Vec<i32> = visits.iter().map(|(_, day)| first + day - 1).collect();
    let days = Column::new(BUSINESS_DAY.into(), days).cast(&DataType::Date).unwrap();
    DataFrame::new(visits.len(), vec![Column::new("id".into(), ids), days]).unwrap()
}

impl Fixture {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = cluster::database().await;
        let lake = Lake::open(db, folder.path(), &[visits()], base::Tz::UTC.into()).await.unwrap();
        Self { lake, folder }
    }

    async fn reopen(&self, definition: TableDefinition) -> Result<Arc<Lake>, LakeError> {
        Lake::open(self.lake.db().clone(), self.folder.path(), &[definition], base::Tz::UTC.into()).await
    }

    async fn append(&self, visits: &[(i64, i32)]) -> i64 {
        self.lake.append(VISITS, vec![frame(visits)]).await.unwrap()
    }

    async fn newest(&self) -> i64 {
        snapshot::current(self.lake.db()).await.unwrap()
    }

    async fn files(&self) -> Vec<DataFile> {
        snapshot::files(self.lake.db(), self.newest().await, self.lake.table(VISITS).unwrap().table_id, None)
            .await
            .unwrap()
    }

    /// The numbers of the visits in a snapshot, in order.
    async fn ids(&self, snapshot: i64) -> Vec<i64> {
        let rows = self.lake.scan(snapshot, VISITS, None).await.unwrap();
        let rows = tokio::task::spawn_blocking(move || rows.sort(["id"], SortMultipleOptions::default()).collect());
        let rows = rows.await.unwrap().unwrap();
        rows.column("id").unwrap().i64().unwrap().iter().flatten().collect()
    }

    async fn commit(&self, change: &TableChange) -> Result<i64, LakeError> {
        let mut tx = base::begin(self.lake.db()).await?;
        let head = commit::lock(&mut tx).await?;
        let snapshot = commit::apply(&mut tx, &head, &[change], "test", "test").await?;
        tx.commit().await?;
        Ok(snapshot)
    }

    /// A change that ends these files.
    fn ending(&self, files: &[DataFile]) -> TableChange {
        let table = self.lake.table(VISITS).unwrap();
        TableChange { end: files.iter().map(Ended::of).collect(), ..TableChange::of(table) }
    }

    /// A change that deletes rows of a file by their positions.
    async fn deleting(&self, of: &DataFile, positions: &[i64]) -> TableChange {
        let table = Arc::clone(self.lake.table(VISITS).unwrap());
        let lock = self.lock("writer").await;
        let name = Name::of_deletes(&table, &of.path);
        let (of, positions) = (of.clone(), positions.to_vec());
        let (writer, paths) = (Arc::clone(&table), file::pending([&name]));
        let work = move || deletes::write(&writer, &of, &name, positions);
        let written = pending::write(&self.lake, &lock, paths, work).await.unwrap();
        TableChange { delete: vec![written], ..TableChange::of(&table) }
    }

    async fn lock(&self, name: &str) -> Arc<AdvisoryLock> {
        AdvisoryLock::take(self.lake.db(), name).await.unwrap().unwrap()
    }

    /// Paths of the table's files on disk.
    fn on_disk(&self) -> usize {
        fn count(folder: &std::path::Path) -> usize {
            let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
            entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
        }
        count(self.lake.table(VISITS).unwrap().dir())
    }

    async fn pending(&self) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM sync.pending_file").fetch_one(self.lake.db()).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_keeps_its_rows_and_the_next_one_has_more() {
    let it = Fixture::open().await;
    let first = it.append(&[(1, 1), (2, 3)]).await;
    let second = it.append(&[(3, 2)]).await;
    assert_eq!(it.ids(first).await, [1, 2]);
    assert_eq!(it.ids(second).await, [1, 2, 3]);
    let day = |day| NaiveDate::from_ymd_opt(2026, 3, day).unwrap();
    let days = |file: &DataFile| (file.first_day.unwrap(), file.last_day.unwrap());
    assert_eq!(it.files().await.iter().map(days).collect::<Vec<_>>(), [(day(1), day(3)), (day(2), day(2))]);
    assert_eq!(it.pending().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_commits_that_end_the_same_file_the_second_is_overtaken_and_changes_nothing() {
    let it = Fixture::open().await;
    it.append(&[(1, 1)]).await;
    let files = it.files().await;
    it.commit(&it.ending(&files)).await.unwrap();
    let after = it.newest().await;
    let refused = it.commit(&it.ending(&files)).await.unwrap_err();
    assert!(matches!(refused, LakeError::Overtaken), "{refused}");
    assert_eq!(it.newest().await, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_name_is_no_longer_pending_is_not_committed() {
    let it = Fixture::open().await;
    it.append(&[(1, 1), (2, 1)]).await;
    let change = it.deleting(&it.files().await[0], &[0]).await;
    pending::forget(&it.lake, &[change.delete[0].pending.clone()]).await.unwrap();
    let refused = it.commit(&change).await.unwrap_err();
    assert!(matches!(refused, LakeError::Overtaken), "{refused}");
    assert_eq!(it.ids(it.newest().await).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_rows_are_gone_from_the_next_snapshot_and_a_stale_delete_vector_brings_none_back() {
    let it = Fixture::open().await;
    let before = it.append(&[(1, 1), (2, 1), (3, 1)]).await;
    let file = it.files().await.remove(0);
    let first = it.deleting(&file, &[0]).await;
    let stale = it.deleting(&file, &[1]).await;
    let deleted = it.commit(&first).await.unwrap();
    assert_eq!((it.ids(before).await, it.ids(deleted).await), (vec![1, 2, 3], vec![2, 3]));
    assert!(matches!(it.commit(&stale).await.unwrap_err(), LakeError::Overtaken));
    // Who ends the file as it was would lose what was deleted of it since.
    assert!(matches!(it.commit(&it.ending(&[file])).await.unwrap_err(), LakeError::Overtaken));

    let file = it.files().await.remove(0);
    let mut vector = deletes::existing(it.lake.table(VISITS).unwrap(), &file).unwrap();
    vector.push(2);
    let deleted = it.commit(&it.deleting(&file, &vector).await).await.unwrap();
    assert_eq!(it.ids(deleted).await, [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_makes_one_file_of_a_month_and_leaves_every_row_that_is_not_deleted() {
    let it = Fixture::open().await;
    it.append(&[(1, 1), (2, 1)]).await;
    it.append(&[(3, 2)]).await;
    let deleting = it.deleting(&it.files().await[0], &[0]).await;
    let before = it.commit(&deleting).await.unwrap();
    let done = it.lake.compact(TimeDelta::zero()).await.unwrap();
    assert_eq!((done.months, done.files, done.rows), (1, 2, 2));
    let files = it.files().await;
    assert_eq!((files.len(), files[0].record_count, files[0].delete_file_id), (1, 2, None));
    assert_eq!(it.ids(it.newest().await).await, it.ids(before).await);
    assert_eq!(it.lake.compact(TimeDelta::zero()).await.unwrap().months, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn expiry_lets_go_of_snapshots_and_of_the_files_that_only_they_need() {
    let it = Fixture::open().await;
    let old = it.append(&[(1, 1)]).await;
    it.append(&[(2, 2)]).await;
    it.lake.compact(TimeDelta::zero()).await.unwrap();
    assert_eq!(it.on_disk(), 3);
    let kept = it.lake.expire(TimeDelta::hours(1)).await.unwrap();
    assert_eq!((kept.snapshots, kept.files), (0, 0));
    assert_eq!(it.ids(old).await, [1]);

    let expired = it.lake.expire(TimeDelta::zero()).await.unwrap();
    assert_eq!(expired.files, 2);
    assert_eq!((it.on_disk(), it.pending().await), (1, 0));
    assert!(matches!(it.lake.scan(old, VISITS, None).await, Err(LakeError::UnknownSnapshot(_))));
    assert_eq!(it.ids(it.newest().await).await, [1, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn work_that_is_under_way_elsewhere_is_busy() {
    let it = Fixture::open().await;
    for name in ["append", "compaction", "expiry"] {
        let lock = it.lock(name).await;
        let refused = match name {
            "append" => it.lake.append(VISITS, vec![frame(&[(1, 1)])]).await.map(drop),
            "compaction" => it.lake.compact(TimeDelta::zero()).await.map(drop),
            _ => it.lake.expire(TimeDelta::zero()).await.map(drop),
        };
        assert!(matches!(refused, Err(LakeError::Busy(busy)) if busy == name), "{refused:?}");
        lock.release().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_spares_the_files_of_who_holds_the_lock_and_removes_those_of_who_let_go() {
    let it = Fixture::open().await;
    let table = Arc::clone(it.lake.table(VISITS).unwrap());
    let lock = it.lock("writer").await;
    let name = Name::of(&table, None);
    let paths = file::pending([&name]);
    pending::write(&it.lake, &lock, paths, move || file::write(&table, &name, &mut frame(&[(1, 1)]))).await.unwrap();
    let spared = it.lake.sweep().await.unwrap();
    assert_eq!((spared.files, spared.spared, it.on_disk()), (0, 1, 1));
    lock.release().await;
    assert_eq!(it.lake.sweep().await.unwrap().files, 1);
    assert_eq!((it.on_disk(), it.pending().await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_the_lock_while_writing_removes_what_was_written() {
    let it = Fixture::open().await;
    let table = Arc::clone(it.lake.table(VISITS).unwrap());
    let lock = it.lock("writer").await;
    let backend: i32 =
        sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *lock.connection().await).await.unwrap();
    let name = Name::of(&table, None);
    let (paths, db, runtime) = (file::pending([&name]), it.lake.db().clone(), tokio::runtime::Handle::current());
    let work = move || {
        let ended = sqlx::query("SELECT pg_terminate_backend($1, 10000)").bind(backend).execute(&db);
        runtime.block_on(ended)?;
        file::write(&table, &name, &mut frame(&[(1, 1)]))
    };
    let lost = pending::write(&it.lake, &lock, paths, work).await.unwrap_err();
    assert!(matches!(lost, LakeError::LockLost), "{lost}");
    assert_eq!(it.on_disk(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_comes_later_is_null_in_earlier_files_and_a_type_never_changes() {
    let it = Fixture::open().await;
    it.append(&[(1, 1)]).await;
    let mut wider = visits();
    wider.columns.push(Declared { name: "note".to_owned(), kind: ColumnType::String, nullable: true });
    let lake = it.reopen(wider.clone()).await.unwrap();
    let rows = lake.scan(it.newest().await, VISITS, None).await.unwrap();
    let rows = tokio::task::spawn_blocking(move || rows.collect()).await.unwrap().unwrap();
    assert_eq!((rows.height(), rows.column("note").unwrap().null_count()), (1, 1));

    wider.columns[0].kind = ColumnType::String;
    let refused = it.reopen(wider).await.unwrap_err();
    assert!(matches!(refused, LakeError::ColumnType { .. }), "{refused}");
}

#[tokio::test]
async fn a_file_that_is_not_as_it_was_written_is_found_named_and_let_go() {
    let it = Fixture::open().await;
    it.append(&[(1, 1), (2, 1)]).await;
    it.append(&[(3, 2)]).await;
    let whole = it.lake.examine_share(1).await.unwrap();
    assert_eq!((whole.files > 2, whole.damaged), (true, 0), "{whole:?}");
    assert_eq!(it.lake.examine_share(30).await.unwrap().files, 1, "a share");

    let [first, second] = <[DataFile; 2]>::try_from(it.files().await).unwrap();
    let table = Arc::clone(it.lake.table(VISITS).unwrap());
    let path = table.dir().join(&first.path);
    let written = std::fs::read(&path).unwrap();
    for at in (0..written.len()).step_by(97) {
        let mut flipped = written.clone();
        flipped[at] ^= 1;
        std::fs::write(&path, flipped).unwrap();
        assert_eq!(it.lake.examine_share(1).await.unwrap().damaged, 1, "byte {at}");
    }
    std::fs::write(&path, &written).unwrap();
    assert_eq!(it.lake.examine_share(30).await.unwrap().damaged, 0, "what was put back is whole again");

    std::fs::remove_file(&path).unwrap();
    let error =
        it.lake.blame(LakeError::Frame(PolarsError::NoData("x".into())), &table, &[first, second]).await.to_string();
    assert!(error.contains("of visits, which snapshots from") && error.ends_with("need, is missing"), "{error}");
    assert_eq!(it.lake.compact(TimeDelta::zero()).await.unwrap().damaged, 1);
    let mut tx = base::begin(it.lake.db()).await.unwrap();
    assert_eq!(it.lake.let_go_of_damaged(&mut tx, &[VISITS]).await.unwrap(), [VISITS]);
    tx.commit().await.unwrap();
    assert_eq!(it.ids(it.newest().await).await, [3]);
    assert_eq!(it.lake.damages().await.unwrap(), []);
}

#[tokio::test]
async fn rows_are_not_written_anew_from_a_file_that_nobody_has_read_whole() {
    let it = Fixture::open().await;
    it.append(&[(1, 1)]).await;
    let (table, files) = (Arc::clone(it.lake.table(VISITS).unwrap()), it.files().await);
    let path = table.dir().join(&files[0].path);
    let written = std::fs::read(&path).unwrap();
    let mut flipped = written.clone();
    flipped[written.len() / 2] ^= 4;
    std::fs::write(&path, flipped).unwrap();
    for _ in 0..2 {
        let error = it.lake.examine_unread(&table, &files).await.unwrap_err().to_string();
        assert!(error.contains("is not what was written: its SHA-256 is"), "{error}");
    }
    std::fs::write(&path, written).unwrap();
    it.lake.examine_unread(&table, &files).await.unwrap();
}

#[tokio::test]
async fn rows_that_stand_in_the_catalogue_are_refused_by_name() {
    let it = Fixture::open().await;
    it.append(&[(1, 1)]).await;
    let table = it.lake.table(VISITS).unwrap().table_id;
    for kind in ["data", "delete"] {
        let name = format!("ducklake_inlined_{kind}_{table}{}", if kind == "data" { "_1" } else { "" });
        let run = async |sql: String| sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(it.lake.db()).await.unwrap();
        run(format!("CREATE TABLE lake.{name} (row_id bigint)")).await;
        it.lake.refuse_inlined([VISITS]).await.unwrap();
        run(format!("INSERT INTO lake.{name} (row_id) VALUES (1)")).await;
        let refused = it.lake.refuse_inlined([VISITS]).await.unwrap_err().to_string();
        assert!(refused.contains(&format!("rows of `visits` stand in the catalogue's table lake.{name}")), "{refused}");
        it.lake.refuse_inlined(["calendar"]).await.unwrap();
        run(format!("DROP TABLE lake.{name}")).await;
    }
}
