//! A hundred users on the four services through the gateway: the demo company, its data polled, and the visitors of
//! `stack simulate`, who sell, shop online, read reports and get things wrong.

use std::time::Duration;

use anyhow::{Result, anyhow};
use sqlx::{Connection as _, PgConnection};
use stack::databases::DATABASES;
use stack::seed::{self, Plan};
use stack::simulate::{self, Action, Traffic};
use system_tests::bench::{Row, Target};
use system_tests::{Stack, runs};

const USERS: usize = 100;
/// Visits begun a second: each of the users comes back every two seconds.
const RATE: f64 = 50.0;
/// After a checkpoint each page is written whole into the log once.
const WARM_UP: Duration = Duration::from_secs(20);
const LENGTH: Duration = Duration::from_secs(40);
/// In milliseconds: what is wanted here, and what the architecture decision asks.
const WANTED_MS: f64 = 20.0;
const DECISION_MS: f64 = 200.0;

/// A demo company on a system whose databases sync to disk, as in production.
pub(crate) async fn company() -> Result<Stack> {
    let stack = Stack::builder().as_installed().start().await;
    seed::run(&stack.state(), &Plan::default(), &mut |_: &str| ()).await.map_err(|error| anyhow!(error.report()))?;
    runs::poll_all(&stack).await;
    // A company that has been there for some minutes: autovacuum and the first checkpoints lie behind it.
    for database in DATABASES {
        let mut connection = PgConnection::connect(&stack.url(database.name, "postgres")).await?;
        sqlx::raw_sql("VACUUM ANALYZE").execute(&mut connection).await?;
        sqlx::raw_sql("CHECKPOINT").execute(&mut connection).await?;
    }
    Ok(stack)
}

/// Rows in milliseconds, percent and requests per second.
pub(crate) async fn run() -> Result<Vec<Row>> {
    let stack = company().await?;
    let visit = async |length| {
        let traffic = Traffic { rate: RATE, length, users: USERS, ..Traffic::default() };
        simulate::run(&stack.state(), &traffic, &mut |_: &str| ()).await.map_err(|error| anyhow!(error.report()))
    };
    visit(WARM_UP).await?;
    let tally = visit(LENGTH).await?;
    let total = tally.total();
    let (p50, p95, p99) = (total.percentile(50), total.percentile(95), total.percentile(99));
    let slowest = tally.actions.iter().max_by(|a, b| a.1.percentile(95).total_cmp(&b.1.percentile(95)));
    let (name, slowest) = slowest.ok_or_else(|| anyhow!("nobody came"))?;
    Ok(vec![
        Row::new(format!("p95 of {USERS} users' requests"), (p95, "ms"), ("limit", WANTED_MS), Target::AtMost(1.0)),
        Row::new("p99 of the same", (p99, "ms"), ("the decision's limit", DECISION_MS), Target::AtMost(1.0)),
        Row::new(
            format!("p95 of the slowest kind ({name})"),
            (slowest.percentile(95), "ms"),
            ("the decision's limit", DECISION_MS),
            Target::AtMost(1.0),
        ),
        Row::new("p50 of the same", (p50, "ms"), ("p95", p95), Target::Informative),
        Row::new("answered without an error", (share(&total), "%"), ("all", 100.0), Target::AtLeast(1.0)),
        Row::new(
            "requests answered",
            (count(total.answered()) / tally.seconds, "per s"),
            ("visits begun", RATE),
            Target::Informative,
        ),
    ])
}

/// Percent of the requests that got the answer they should.
fn share(total: &Action) -> f64 {
    let errors: u64 = total.errors.values().sum();
    let answered = count(total.answered());
    100.0 * answered / (answered + count(usize::try_from(errors).unwrap_or(usize::MAX)))
}

#[expect(clippy::cast_precision_loss, reason = "a number of requests")]
fn count(n: usize) -> f64 {
    n as f64
}
