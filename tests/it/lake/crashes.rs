//! The whole system under faults: every process killed as by `kill -9` at moments that a seed decides, every kind of
//! broken answer between aggregator and gateway, compaction and expiry racing the polls, and tills, shoppers and late
//! imports writing all the while.
//!
//! After the last fault and one clean poll of each source every dataset equals its source row for row and cent for
//! cent, every snapshot that can still be read reads as it did, and no file is without a name. All the while, and at
//! the end beside DuckDB, reports that read kept rows are what the lines say.

use std::collections::BTreeMap;
use std::time::Duration;

use aggregator::report::{Bounds, ParamType, Report, ReportError};
use futures_util::future::join_all;
use kit::feed::Dataset;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use system_tests::saboteur::{Sabotage, Saboteur};
use system_tests::{campaign, feed_text, seed, wait_until};

use super::*;
use crate::agreement::clients::Crowd;
use crate::judges::{compare, judge};
use crate::shop::Shop;

const MEMBERS: [&str; 10] = [
    "reporting",
    "reporting",
    "reporting_db",
    "gateway",
    "inventory",
    "ecommerce",
    "retail",
    "inventory_db",
    "ecommerce_db",
    "retail_db",
];
const SOURCES: [(&str, &str, &[Dataset]); 3] = [
    ("inventory", "inventory_db", inventory::DATASETS),
    ("ecommerce", "ecommerce_db", ecommerce::DATASETS),
    ("retail", "retail_db", retail::DATASETS),
];
const CLIENTS: u64 = 2;
const PATIENCE: Duration = Duration::from_secs(180);
/// Polls without pause, rows of views kept all the time, and housekeeping that lets go of what is twenty seconds old.
const JOBS: &str = r#"
[[job]]
name = "housekeeping"
every = "6s"
with = { keep_snapshots = "20s", quiet = "1s" }
[[job]]
name = "keep"
every = "4s"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_dies_and_whenever_the_lake_equals_its_sources() {
    let (seed, faults) = (seed(), campaign(8, 200));
    let mut random = StdRng::seed_from_u64(seed);
    let mut stack = Stack::builder().durable().start().await;
    let saboteur = Saboteur::before(stack.gateway().trim_start_matches("http://")).await;
    let shop = Shop::open(&stack, 6, 5_000).await;
    hasten(&mut stack, &saboteur).await;
    let mut witness = Witness::open(&stack).await;
    let crowd = Crowd::new(&stack, &shop);
    let chaos = async {
        for round in 0..faults {
            crowd.after_tries(random.random_range(1..10)).await;
            import_late(&stack, &shop, round, &mut random).await;
            if random.random_range(0..2) == 0 {
                let member = MEMBERS[random.random_range(0..MEMBERS.len())];
                stack.kill(member);
                crowd.after_tries(random.random_range(0..8)).await;
                stack.restart(member).await;
            } else {
                saboteur.break_next(sabotage(&mut random));
            }
            witness.a_poll_passes().await;
            witness.look(seed).await;
        }
        crowd.stop();
    };
    let (_, ()) = tokio::join!(join_all((0..CLIENTS).map(|number| crowd.work(seed, number))), chaos);
    saboteur.rest();
    settle(&stack).await;
    let since = witness.now().await;
    wait_until("a clean poll of every source", PATIENCE, async || witness.all_polled_since(since).await.then_some(()))
        .await;
    // However long the last polls took, one snapshot that was seen can still be read.
    witness.look(seed).await;
    stack.stop("reporting").await;
    witness.check_datasets(&stack, seed).await;
    witness.check_snapshots(seed).await;
    witness.check_rollups(&stack, seed).await;
    witness.aggregator.lake().sweep().await.unwrap();
    super::commit::check_files(&witness.db, witness.aggregator.lake().dir()).await;
}

/// Reporting asks through the saboteur, every three seconds, in small pages, and forgives soon.
async fn hasten(stack: &mut Stack, saboteur: &Saboteur) {
    let own = stack.folder().join("hasty");
    std::fs::create_dir_all(&own).unwrap();
    for (source, _, _) in SOURCES {
        let file = format!("{source}.toml");
        let shipped = system_tests::binaries::repository().join("aggregator/sources").join(&file);
        let text = std::fs::read_to_string(shipped).unwrap();
        let hasty = "poll = \"every 3s\"\npage = 40\ntimeout = \"3s\"\ncool_down = \"1s\"";
        std::fs::write(own.join(file), text.replace("poll = \"every 5m\"", hasty)).unwrap();
    }
    let jobs = own.join("jobs");
    std::fs::write(&jobs, JOBS).unwrap();
    let (own, jobs) = (own.to_string_lossy().into_owned(), jobs.to_string_lossy().into_owned());
    let url = saboteur.url();
    stack
        .restart_with(
            "reporting",
            &[("REPORTING_SOURCES_DIR", &own), ("REPORTING_JOBS", &jobs), ("REPORTING_GATEWAY_URL", &url)],
        )
        .await;
}

fn sabotage(random: &mut StdRng) -> Vec<Sabotage> {
    let one = |random: &mut StdRng| match random.random_range(0..10) {
        0 => Sabotage::Dropped,
        1 => Sabotage::Status(429),
        2 => Sabotage::Status(500),
        3 => Sabotage::Status(503),
        4 | 5 => Sabotage::CutAt(random.random_range(0..700)),
        6 => Sabotage::CutAt(random.random_range(700..6_000)),
        7 => Sabotage::Nonsense,
        8 => Sabotage::Drip(random.random_range(100..4_000)),
        _ => Sabotage::None,
    };
    (0..random.random_range(1..7)).map(|_| one(random)).collect()
}

/// Sales of past months arrive, as from a till that was offline: months that compaction may be at work on.
async fn import_late(stack: &Stack, shop: &Shop, round: u64, random: &mut StdRng) {
    let mut csv = "reference,kind,store_code,register_number,occurred_at,line_no,product_id,sku,product_name,category,\
                   quantity,unit_price_cents,unit_cost_cents\n"
        .to_owned();
    for number in 0..random.random_range(1..4) {
        let (days, code) = (random.random_range(35..120), &shop.code);
        let at = (chrono::Utc::now() - chrono::TimeDelta::days(days)).to_rfc3339();
        let product = random.random_range(0..shop.products.len());
        let id = shop.products[product];
        csv.push_str(&format!("late-{round}-{number},sale,{code},1,{at},1,{id},{code}-{product},Tea,Tea,2,1234,400\n"));
    }
    let backoffice = stack.api("backoffice");
    // What was just started may be away for a moment; an import is safe to repeat.
    let report = wait_until("an import", PATIENCE, async || {
        let call = backoffice.call(reqwest::Method::POST, "/retail/api/v1/sales/import");
        let reply = call.header("content-type", "text/csv").body(csv.clone()).try_send().await.ok()?;
        (reply.status == 200).then(|| reply.json())
    })
    .await;
    assert_eq!(report["refused"], json!(0), "{report}");
}

/// Dates of a report from half a year ago to today.
fn half_a_year(report: &Report) -> BTreeMap<String, String> {
    let today = chrono::Utc::now().date_naive();
    let dates = report.params.iter().filter(|(_, parameter)| parameter.kind == ParamType::Date);
    let back = |name: &str| if ["from", "since"].contains(&name) { 180 } else { 0 };
    dates.map(|(name, _)| (name.clone(), (today - chrono::Days::new(back(name))).to_string())).collect()
}

/// Waits until no document waits for its stock.
async fn settle(stack: &Stack) {
    for database in ["retail_db", "ecommerce_db"] {
        let pool = stack.pool(database).await;
        wait_until("all documents to be settled", PATIENCE, async || {
            let owed: i64 = sqlx::query_scalar("SELECT count(*) FROM stock_tasks").fetch_one(&pool).await.unwrap();
            (owed == 0).then_some(())
        })
        .await;
    }
}

/// Reads the lake beside the system, as a second replica would, and remembers what it saw.
struct Witness {
    db: PgPool,
    aggregator: Arc<Aggregator>,
    seen: BTreeMap<i64, BTreeMap<String, Vec<String>>>,
    looks: usize,
}

impl Witness {
    async fn open(stack: &Stack) -> Self {
        let aggregator = super::days::beside(stack).await;
        let db = aggregator.db().clone();
        Self { db, aggregator, seen: BTreeMap::new(), looks: 0 }
    }

    async fn polls(&self) -> i64 {
        sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM sync.poll").fetch_one(&self.db).await.unwrap()
    }

    /// Waits until one more poll has ended, well or not.
    async fn a_poll_passes(&self) {
        let before = self.polls().await;
        wait_until("a poll to end", PATIENCE, async || (self.polls().await > before).then_some(())).await;
    }

    async fn now(&self) -> chrono::DateTime<chrono::Utc> {
        sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&self.db).await.unwrap()
    }

    async fn all_polled_since(&self, since: chrono::DateTime<chrono::Utc>) -> bool {
        let sql = "SELECT count(*) FROM sync.source WHERE complete_through > $1";
        sqlx::query_scalar::<_, i64>(sql).bind(since).fetch_one(&self.db).await.unwrap() == SOURCES.len() as i64
    }

    async fn rows(&self, snapshot: i64, dataset: &str) -> Result<Vec<String>, LakeError> {
        let frame = self.aggregator.lake().scan(snapshot, dataset, None).await?;
        let mut rows = tokio::task::spawn_blocking(move || frame.collect().map(|it| lines(&it))).await??;
        rows.sort_unstable();
        Ok(rows)
    }

    /// The newest snapshot, as it is now.
    async fn look(&mut self, seed: u64) {
        let snapshot = snapshot::current(&self.db).await.unwrap();
        let mut state = BTreeMap::new();
        for dataset in ["sale_lines", "order_lines", "stock_movements", "stock"] {
            // A snapshot that is no longer the newest may expire while it is read.
            let Ok(rows) = self.rows(snapshot, dataset).await else { return };
            state.insert(dataset.to_owned(), rows);
        }
        let before = self.seen.entry(snapshot).or_insert_with(|| state.clone());
        assert_eq!(*before, state, "snapshot {snapshot} changed, seed {seed}");
        let of_kept = self.reports_of_kept_rows();
        let report = &of_kept[self.looks % of_kept.len()];
        self.looks += 1;
        match self.both_ways(report, snapshot).await {
            Ok((kept, lines)) => {
                assert!(kept.equals_missing(&lines), "{} at {snapshot}, seed {seed}: {kept}\n{lines}", report.name);
            }
            Err(error) => {
                let expired = snapshot::require(&self.db, snapshot).await.is_err();
                assert!(expired, "{} at {snapshot}, seed {seed}: {error}", report.name);
            }
        }
    }

    fn reports_of_kept_rows(&self) -> Vec<Arc<Report>> {
        let catalogue = self.aggregator.reports().catalogue();
        catalogue.reports().filter(|report| !report.kept.is_empty()).cloned().collect()
    }

    /// A report of half a year in a snapshot: through kept rows, and from the lines alone.
    async fn both_ways(&self, report: &Report, snapshot: i64) -> Result<(DataFrame, DataFrame), ReportError> {
        let reports = self.aggregator.reports();
        let question = reports.ask(&report.name, &half_a_year(report), Some(snapshot)).await?;
        let kept = reports.compute(&question, Bounds::IN_BACKGROUND).await?;
        let lines = reports.compute(&question.on_datasets(), Bounds::IN_BACKGROUND).await?;
        Ok((kept.frame.clone(), lines.frame.clone()))
    }

    /// What is kept is what the views say, and each report that reads it is what DuckDB says.
    async fn check_rollups(&self, stack: &Stack, seed: u64) {
        let (reports, newest) = (self.aggregator.reports(), snapshot::current(&self.db).await.unwrap());
        let mut days = 0;
        for kept in reports.catalogue().kept() {
            let verified = reports.verify_rollup(kept, false).await.unwrap();
            assert!(verified.wrong.is_empty(), "{verified:?}, seed {seed}");
            days += verified.days;
        }
        assert!(days > 0, "nothing was kept, seed {seed}");
        let (of_kept, mut statements) = (self.reports_of_kept_rows(), Vec::new());
        for report in &of_kept {
            statements.push(reports.statement(&report.name, &half_a_year(report)).await.unwrap().1);
        }
        for (report, verdict) in of_kept.iter().zip(judge(stack, &statements)) {
            let (kept, lines) = self.both_ways(report, newest).await.unwrap();
            assert!(kept.equals_missing(&lines), "{}, seed {seed}: {kept}\n{lines}", report.name);
            compare(&kept, &report.columns, &verdict).unwrap_or_else(|it| panic!("{}, seed {seed}: {it}", report.name));
        }
    }

    async fn check_snapshots(&self, seed: u64) {
        let mut readable = 0;
        for (snapshot, state) in &self.seen {
            if snapshot::require(&self.db, *snapshot).await.is_err() {
                continue;
            }
            readable += 1;
            for (dataset, rows) in state {
                assert_eq!(&self.rows(*snapshot, dataset).await.unwrap(), rows, "{dataset} at {snapshot}, seed {seed}");
            }
        }
        assert!(readable > 0, "seed {seed}");
    }

    async fn check_datasets(&self, stack: &Stack, seed: u64) {
        let newest = snapshot::current(&self.db).await.unwrap();
        for (source, database, offered) in SOURCES {
            let pool = stack.pool(database).await;
            for dataset in &self.aggregator.sources().get(source).unwrap().declaration.datasets {
                let columns: Vec<&str> = dataset.columns.iter().map(|it| it.name.as_str()).collect();
                let of_feed = offered.iter().find(|it| it.name == dataset.feed).unwrap();
                let sql = feed_text::rows(of_feed, &columns);
                let mut there: Vec<String> =
                    sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap();
                there.sort_unstable();
                assert_eq!(self.rows(newest, &dataset.name).await.unwrap(), there, "{}, seed {seed}", dataset.name);
            }
        }
        let whole = self.rows(newest, "sale_lines").await.unwrap();
        assert!(whole.len() > 10, "the writers were heard: {} lines, seed {seed}", whole.len());
    }
}
