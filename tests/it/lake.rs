//! Polls and the lake, with a fourth source that is one TOML file and no code of ours.

mod behind;
mod campaign;
mod commit;
mod crashes;
mod damaged;
mod days;
mod faults;
mod housekeeping;
mod judge;
mod locks;
mod older_source;
mod pieces;
mod polls;
mod rollups;
mod shipped;
mod shutdown;

use std::ops::RangeInclusive;
use std::sync::Arc;

use aggregator::poll::{Drops, PollError, PollOutcome};
use aggregator::{Aggregator, Error, Settings};
use chrono::NaiveDate;
use lake::{LakeError, snapshot};
use polars::prelude::*;
use sqlx::PgPool;
use system_tests::Stack;
use system_tests::source::{Columns, FeedSource, Model};

const DECLARATION: &str = r#"
[source]
name = "fourth"
base = "/fourth/api/v1"
poll = "every 1m"
rate = 10000
page = 3
timeout = "2s"

[[dataset]]
name = "visits"
key = ["visit_id", "line_no"]
business_day = { from = "occurred_at", zone = "time_zone" }
[dataset.columns]
visit_id = "int64"
line_no = "int32"
occurred_at = "timestamp"
time_zone = "string"
amount_cents = "money"
note = "string?"
good = "bool?"
follow_up = "date?"

[[dataset]]
name = "places"
key = ["place_id"]
[dataset.columns]
place_id = "int64"
name = "string"
capacity = "int32?"
"#;

const VISITS: Columns = &[
    ("visit_id", "int64"),
    ("line_no", "int32"),
    ("occurred_at", "timestamp"),
    ("time_zone", "string"),
    ("amount_cents", "money"),
    ("note", "string"),
    ("good", "bool"),
    ("follow_up", "date"),
];
const PLACES: Columns = &[("place_id", "int64"), ("name", "string"), ("capacity", "int32")];

fn model() -> Model {
    Model::default().with("visits", 2, VISITS).with("places", 1, PLACES)
}

/// A lake in a database of its own, and the source that feeds it.
struct Fixture {
    stack: Stack,
    db: PgPool,
    source: FeedSource,
    aggregator: Arc<Aggregator>,
    folder: tempfile::TempDir,
}

impl Fixture {
    async fn start() -> Self {
        let stack = Stack::builder().start_databases().await;
        let db = stack.pool("reporting_db").await;
        migrate(&db).await;
        let source = FeedSource::start(model()).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("fourth.toml"), DECLARATION).unwrap();
        let aggregator = Aggregator::open(db.clone(), settings(&stack, &source, &folder)).await.unwrap();
        Self { stack, db, source, aggregator, folder }
    }

    /// Open it again, as a process that starts does.
    async fn reopen(&mut self, declaration: &str) -> Result<(), Error> {
        std::fs::write(self.folder.path().join("fourth.toml"), declaration).unwrap();
        self.aggregator = Aggregator::open(self.db.clone(), settings(&self.stack, &self.source, &self.folder)).await?;
        Ok(())
    }

    fn visit(&self, id: i64, line: i64, at: &str, cents: i64) {
        let cents = cents.to_string();
        self.source.model().put("visits", &[id, line], &[at, "America/St_Johns", &cents, "\\N", "true", "\\N"]);
    }

    async fn poll(&self) -> PollOutcome {
        self.aggregator.poller().poll("fourth", Drops::Guarded).await.unwrap()
    }

    async fn snapshot(&self) -> i64 {
        snapshot::current(&self.db).await.unwrap()
    }

    /// The rows of a dataset as the source would write them, by key.
    async fn rows_at(&self, snapshot: i64, dataset: &str, days: Option<RangeInclusive<NaiveDate>>) -> Vec<String> {
        let frame = self.aggregator.lake().scan(snapshot, dataset, days).await.unwrap();
        let frame = tokio::task::spawn_blocking(move || frame.collect().unwrap()).await.unwrap();
        lines(&frame)
    }

    async fn rows(&self, dataset: &str) -> Vec<String> {
        self.rows_at(self.snapshot().await, dataset, None).await
    }

    /// Every dataset of the source is in the lake, row for row.
    #[track_caller]
    fn check_equal<'a>(&'a self) -> impl Future<Output = ()> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            for dataset in ["visits", "places"] {
                let mut source = self.source.model().live(dataset);
                let mut held = self.rows(dataset).await;
                source.sort();
                held.sort();
                assert_eq!(source, held, "{dataset}, asked at {caller}");
            }
        }
    }
}

async fn migrate(db: &PgPool) {
    let migrations = system_tests::binaries::repository().join("migrations/reporting");
    sqlx::migrate::Migrator::new(migrations).await.unwrap().run(db).await.unwrap();
}

fn settings(stack: &Stack, source: &FeedSource, folder: &tempfile::TempDir) -> Settings {
    Settings {
        gateway_url: source.url().to_owned(),
        gateway_key: "key".to_owned(),
        lake_dir: stack.state().lake,
        days: base::Tz::UTC.into(),
        currency: "EUR".parse().unwrap(),
        sources_dir: Some(folder.path().to_owned()),
        catalogue_dir: Some(folder.path().join("own")),
        clock_tolerance: std::time::Duration::from_secs(120),
    }
}

fn lines(frame: &DataFrame) -> Vec<String> {
    let columns: Vec<Series> = frame
        .columns()
        .iter()
        .filter(|it| !["business_day", "business_hour"].contains(&it.name().as_str()))
        .map(|it| it.as_materialized_series().clone())
        .collect();
    let line = |row: usize| columns.iter().map(|it| cell(&it.get(row).unwrap())).collect::<Vec<_>>().join(",");
    (0..frame.height()).map(line).collect()
}

fn cell(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::Null => "\\N".to_owned(),
        AnyValue::String(text) => (*text).to_owned(),
        AnyValue::Boolean(value) => value.to_string(),
        AnyValue::Date(days) => NaiveDate::from_epoch_days(*days).unwrap().to_string(),
        AnyValue::Datetime(micros, _, _) => {
            let instant = chrono::DateTime::from_timestamp_micros(*micros).unwrap();
            instant.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)
        }
        other => other.to_string(),
    }
}
