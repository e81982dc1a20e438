//! The commit rule: two writers from one base never double a row.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_poll_at_once_and_one_of_them_does_it_while_the_other_waits() {
    let it = Fixture::start().await;
    for id in 1..=40 {
        it.visit(id, 1, "2026-03-01T12:00:00.000000Z", id);
    }
    let other = Aggregator::open(it.db.clone(), settings(&it.stack, &it.source, &it.folder)).await.unwrap();
    let (first, second) = tokio::join!(
        it.aggregator.poller().poll("fourth", Drops::Guarded),
        other.poller().poll("fourth", Drops::Guarded)
    );
    assert_eq!(first.unwrap().rows_added + second.unwrap().rows_added, 40);
    it.check_equal().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_file_is_without_a_name_and_no_name_without_a_file() {
    let it = Fixture::start().await;
    for round in 0..4 {
        for id in 1..=9 {
            it.visit(id, round, &format!("2026-03-{:02}T12:00:00.000000Z", id % 3 + 1), id * round);
        }
        it.visit(1, 0, "2026-03-02T12:00:00.000000Z", 1000 + round);
        it.poll().await;
    }
    it.check_equal().await;
    check_files(&it.db, it.aggregator.lake().dir()).await;
}

/// Every file of the lake's folder is in the catalogue, and every file of the catalogue in the folder.
pub(crate) async fn check_files(db: &PgPool, lake: &std::path::Path) {
    let named: Vec<String> = sqlx::query_scalar(
        "SELECT 'main/' || t.path || f.path
         FROM (SELECT table_id, path FROM lake.ducklake_data_file
               UNION ALL SELECT table_id, path FROM lake.ducklake_delete_file) f
         JOIN lake.ducklake_table t USING (table_id)",
    )
    .fetch_all(db)
    .await
    .unwrap();
    let pending: i64 = sqlx::query_scalar("SELECT count(*) FROM sync.pending_file").fetch_one(db).await.unwrap();
    assert_eq!(pending, 0);
    let mut on_disk = Vec::new();
    walk(lake, &mut on_disk);
    let mut on_disk: Vec<String> =
        on_disk.iter().map(|path| path.strip_prefix(lake).unwrap().to_string_lossy().into_owned()).collect();
    let mut named = named;
    on_disk.sort();
    named.sort();
    assert_eq!(on_disk, named);
}

fn walk(folder: &std::path::Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}
