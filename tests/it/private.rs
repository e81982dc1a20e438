//! What lies beside the databases shows nothing of a customer, and nothing to others on the machine.

use std::os::unix::fs::PermissionsExt as _;

use system_tests::Stack;

#[tokio::test]
async fn a_refused_row_leaves_none_of_its_values_in_the_log() {
    let stack = Stack::shared().await;
    let mut connection = stack.pool("ecommerce_db").await.acquire().await.unwrap();
    sqlx::query("CREATE TEMP TABLE refused (name text CONSTRAINT refused_by_the_test CHECK (name = ''))")
        .execute(&mut *connection)
        .await
        .unwrap();
    let row = sqlx::query("INSERT INTO refused VALUES ($1)").bind("marker-of-a-customer");
    row.execute(&mut *connection).await.unwrap_err();
    // PostgreSQL writes its log before it answers.
    let log = stack.log("ecommerce_db");
    assert!(log.contains("refused_by_the_test"), "{log}");
    assert!(!log.contains("marker-of-a-customer"), "{log}");
}

#[tokio::test]
async fn folders_and_logs_are_closed_to_others() {
    let stack = Stack::shared().await;
    let closed = |path: &std::path::Path| {
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o027, 0, "{}: {mode:o}", path.display());
    };
    for folder in ["log", "run", "lake", "exports", "spool"] {
        closed(&stack.folder().join(folder));
    }
    let logs = std::fs::read_dir(stack.folder().join("log")).unwrap();
    assert!(logs.map(|log| closed(&log.unwrap().path())).count() > 4);
}
