//! "Back up" and "Restore" of the operators' pages, as they say: dumps of a system at work and the lake's folder, put into new
//! clusters and a new folder, where every report and every revision is what it was.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use chrono::NaiveDate;
use serde_json::json;
use stack::databases::DATABASES;
use stack::postgres::Server;
use stack::seed::{self, Plan};
use system_tests::{Stack, binaries, duckdb};

use crate::shop::id;

const DUMP: [&str; 2] = ["--format=custom", "--file"];
const RESTORE: [&str; 5] = ["--clean", "--if-exists", "--single-transaction", "--exit-on-error", "--dbname"];

/// Runs one of PostgreSQL's client programs.
#[track_caller]
fn run(program: &str, args: &[&str]) {
    let program = Server::find().unwrap_or_else(|error| panic!("{}", error.report())).tool(program);
    let output = Command::new(&program).args(args).output().unwrap();
    assert!(output.status.success(), "{}: {}", program.display(), String::from_utf8_lossy(&output.stderr));
}

fn dump(stack: &Stack, database: &str, folder: &Path) {
    let file = folder.join(format!("{database}.dump"));
    run("pg_dump", &[&DUMP[..], &[file.to_str().unwrap(), &stack.url(database, "postgres")]].concat());
}

fn restore(stack: &Stack, database: &str, folder: &Path) {
    let file = folder.join(format!("{database}.dump"));
    run("pg_restore", &[&RESTORE[..], &[stack.url(database, "postgres").as_str(), file.to_str().unwrap()]].concat());
}

/// Copies what is in one folder into another.
fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(status.success(), "cp -a {} {}", from.display(), to.display());
}

/// Runs a command of the reporting service; nothing else moves its lake, for no job is scheduled.
async fn reporting(stack: &Stack, args: &[&str]) {
    let output = stack.cli("reporting", args).await;
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// One bulb too many or too few would be seen: a sale at the first till.
async fn sell(stack: &Stack, occurred_at: Option<String>) {
    let (office, till) = (stack.api("backoffice"), stack.api("pos"));
    let register = office.get_all("/retail/api/v1/registers").await.remove(0);
    let location = office.get_all(&format!("/inventory/api/v1/locations?store_id={}", register["store_id"])).await;
    let stock = office.get_all(&format!("/inventory/api/v1/stock?location_id={}", id(&location[0]))).await;
    let product =
        &stock.iter().find(|row| row["on_hand"].as_i64() > Some(0)).expect("stock in the store")["product_id"];
    let mut sale = json!({"store_id": register["store_id"], "register_id": register["id"],
        "lines": [{"product_id": product, "quantity": 1}]});
    if let Some(at) = occurred_at {
        sale["occurred_at"] = json!(at);
    }
    till.post_json("/retail/api/v1/sales", &sale, 201).await;
}

/// All that people can see of the reports: computed on these snapshots, published, compared, exported, and in DuckDB.
async fn seen(stack: &Stack, snapshots: &[i64]) -> BTreeMap<String, String> {
    let api = stack.api("analyst");
    let mut seen = BTreeMap::new();
    let base = "/reporting/api/v1";
    for report in api.get_all(&format!("{base}/reports")).await {
        let path = format!("{base}/reports/{}", report["name"].as_str().unwrap());
        for snapshot in snapshots {
            let mut rows = api.get_json(&format!("{path}?snapshot={snapshot}")).await;
            // When it was asked, and how old the sources are by now.
            for moment in ["generated_at", "sources"] {
                rows.as_object_mut().unwrap().remove(moment);
            }
            seen.insert(format!("{path} of {snapshot}"), rows.to_string());
        }
        let revisions = api.get_all(&format!("{path}/revisions")).await;
        for revision in &revisions {
            let published = format!(
                "{path}?business_day={}&revision={}&format=csv",
                revision["business_day"].as_str().unwrap(),
                revision["revision"]
            );
            let file = api.get(&published).await.expect(200);
            let told = ["tributary-snapshot", "tributary-revision", "tributary-state"].map(|name| file.header(name));
            seen.insert(published.clone(), format!("{told:?}\n{}", file.text()));
            if revision["revision"] != 1 {
                let day = revision["business_day"].as_str().unwrap();
                let diff = api.get_json(&format!("{path}/revisions/diff?business_day={day}")).await;
                seen.insert(format!("what changed: {published}"), diff.to_string());
            }
        }
        seen.insert(format!("{path}/revisions"), json!(revisions).to_string());
    }
    for file in api.get_all(&format!("{base}/exports")).await {
        let whole = api.get(&format!("{base}/exports/{}", file["id"])).await.expect(200);
        // The service itself compares the bytes with their digest before it sends them.
        assert_eq!(json!(whole.body.len()), file["bytes"], "{file}");
        seen.insert(format!("{base}/exports/{}", file["id"]), file.to_string());
    }
    let reader = stack.pool_as("reporting_db", "grafana_reader").await;
    let current: Vec<String> =
        sqlx::query_scalar("SELECT row_to_json(s)::text FROM reports.store_performance s ORDER BY 1")
            .fetch_all(&reader)
            .await
            .unwrap();
    seen.insert("reports.store_performance".to_owned(), current.join("\n"));
    for snapshot in snapshots {
        let sql = format!("SELECT count(*), sum(net_cents)::BIGINT FROM sale_lines AT (VERSION => {snapshot})");
        seen.insert(format!("DuckDB at {snapshot}"), json!(duckdb(stack, &sql)).to_string());
    }
    seen
}

async fn newest_snapshot(stack: &Stack) -> i64 {
    let pool = stack.pool("reporting_db").await;
    sqlx::query_scalar("SELECT max(snapshot_id) FROM lake.ducklake_snapshot").fetch_one(&pool).await.unwrap()
}

#[tokio::test]
async fn a_backup_of_databases_and_lake_restores_every_report_and_revision() {
    let quiet = || Stack::builder().env("reporting", "REPORTING_SCHEDULER", "false");
    let old = quiet().start().await;
    let day = NaiveDate::from_ymd_opt(2026, 11, 20).unwrap();
    let plan = Plan { days: 3, stores: 2, products: 16, customers: 10, until: Some(day), ..Plan::default() };
    seed::run(&old.state(), &plan, &mut |_: &str| ()).await.unwrap();
    let publish = ["publish", "--day", "2026-11-20"];
    reporting(&old, &publish).await;
    let first = newest_snapshot(&old).await;
    // A sale that is told late makes revision 2.
    sell(&old, Some("2026-11-20T17:00:00Z".to_owned())).await;
    reporting(&old, &publish).await;
    let snapshots = [first, newest_snapshot(&old).await];
    let before = seen(&old, &snapshots).await;
    assert!(before.keys().any(|key| key.contains("store_performance?business_day=2026-11-20&revision=2")));

    // The catalogue first, then its files, then the services, while all of it goes on working.
    let backup = tempfile::tempdir().unwrap();
    dump(&old, "reporting_db", backup.path());
    sell(&old, None).await;
    reporting(&old, &["poll", "--all"]).await;
    for folder in ["lake", "exports"] {
        std::fs::create_dir(backup.path().join(folder)).unwrap();
        copy(&old.folder().join(folder), &backup.path().join(folder));
    }
    sell(&old, None).await;
    for database in DATABASES.iter().filter(|database| database.service != "reporting") {
        dump(&old, database.name, backup.path());
    }
    let sold = lines(&old).await;
    drop(old);

    let mut new = quiet().start_databases().await;
    for database in DATABASES {
        restore(&new, database.name, backup.path());
    }
    for folder in ["lake", "exports"] {
        copy(&backup.path().join(folder), &new.folder().join(folder));
    }
    for member in ["inventory", "ecommerce", "retail", "reporting", "gateway"] {
        new.restart(member).await;
    }
    same(&before, &seen(&new, &snapshots).await);

    // The services are other databases now: they are read again from the start, and what they did since comes with it.
    reporting(&new, &["poll", "--all"]).await;
    assert_eq!(lines(&new).await, sold, "the services have all they had");
    let held = duckdb(&new, "SELECT count(*), sum(net_cents)::BIGINT FROM sale_lines");
    assert_eq!(held, [[json!(sold.0), json!(sold.1)]], "and the lake has what the services have");
    same(&before, &seen(&new, &snapshots).await);
}

/// Number of the lines sold in stores, and their cents.
async fn lines(stack: &Stack) -> (i64, i64) {
    let sql = "SELECT count(*), sum(quantity * unit_price_cents - discount_cents)::bigint FROM sale_lines";
    sqlx::query_as(sql).fetch_one(&stack.pool("retail_db").await).await.unwrap()
}

#[track_caller]
fn same(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) {
    assert_eq!(before.keys().collect::<Vec<_>>(), now.keys().collect::<Vec<_>>());
    for (what, was) in before {
        assert_eq!(was, &now[what], "{what}");
    }
}

/// The operators' page tells these commands, with these flags.
#[test]
fn the_operators_page_says_what_is_rehearsed() {
    let page = std::fs::read_to_string(binaries::repository().join("docs/operators/backup.md")).unwrap();
    for command in [format!("pg_dump {} ", DUMP.join(" ")), format!("pg_restore {} ", RESTORE.join(" "))] {
        assert!(page.contains(&command), "{command}");
    }
}
