//! The jobs engine against a real PostgreSQL: one success per occurrence, whoever dies, pauses or cancels.

mod alerts;
mod clocks;
mod delivery;
pub(crate) mod desk;
mod engine;
mod immutable;
mod interrupted;
mod pasts;
mod provisional;
mod replicas;
mod restatement;
pub(crate) mod service;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Duration;

use chrono::{DateTime, Utc};
use jobs::engine::{Cadence, Declaration, Job, JobError, Registry, Run, Runner, RunnerSettings};
use serde::Deserialize;
use sqlx::PgPool;
use system_tests::Stack;
use tokio::sync::Notify;

/// The lease of the tests' runners: short, for silence is what they test.
const LEASE: Duration = Duration::from_millis(600);

/// Databases for all tests of this file; each test has jobs of its own names.
async fn stack() -> &'static Stack {
    static STACK: tokio::sync::OnceCell<Stack> = tokio::sync::OnceCell::const_new();
    let start = || async {
        let stack = Stack::builder().start_databases().await;
        let owner = stack.pool_as("reporting_db", "reporting_owner").await;
        reporting::wiring::MIGRATOR.run(&owner).await.unwrap();
        stack
    };
    STACK.get_or_init(start).await
}

/// Connections as the owner: a pool per test, for the runtime that made it ends with the test.
async fn database() -> PgPool {
    stack().await.pool_as("reporting_db", "reporting_owner").await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    #[serde(default)]
    fail: usize,
}

/// Counts its runs; waits for leave where a test wants to look at a running one.
#[derive(Default)]
struct Counter {
    begun: AtomicUsize,
    written: AtomicUsize,
    hold: Option<Arc<Notify>>,
}

/// The job under test, over a counter that the test keeps.
struct Counting(Arc<Counter>);

impl Job for Counting {
    const NAME: &'static str = "counting";
    type Arguments = Arguments;
    type Outcome = usize;

    async fn run(&self, arguments: Arguments, run: &Run) -> Result<usize, JobError> {
        let begun = self.0.begun.fetch_add(1, Ordering::SeqCst) + 1;
        run.log(format!("attempt {begun}")).await;
        if let Some(hold) = &self.0.hold {
            hold.notified().await;
        }
        if begun <= arguments.fail {
            return Err(anyhow::anyhow!("failure {begun}").into());
        }
        run.check().await?;
        Ok(self.0.written.fetch_add(1, Ordering::SeqCst) + 1)
    }
}

/// A replica that knows one job and falls silent quickly.
fn replica(pool: &PgPool, declaration: &Declaration, counter: &Arc<Counter>) -> Runner {
    replica_of(pool, declaration, counter, LEASE)
}

/// A replica that knows one job, with a lease of this length.
fn replica_of(pool: &PgPool, declaration: &Declaration, counter: &Arc<Counter>, lease: Duration) -> Runner {
    let mut registry = Registry::default();
    registry.add(declaration.clone(), Counting(Arc::clone(counter))).unwrap();
    Runner::new(pool.clone(), pool.clone(), registry, RunnerSettings { lease, replica: "test".to_owned() })
}

fn declaration(name: &str) -> Declaration {
    Declaration { backoff: Duration::from_millis(50), ..Declaration::new(name, Cadence::OnRequest) }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}
