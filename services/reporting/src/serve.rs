//! The running service: the API, the console and, unless switched off, the scheduler.

use std::{sync::Arc, time::Duration};

use aggregator::Aggregator;
use axum::Router;
use base::Turns;
use jobs::engine::{
    Scheduler,
    incident::{self, Finding, Kind},
};
use kit::serve::{self, Api};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Config, State, console, http, wiring};

/// The longest that reading the user's reports and views again may take.
const RELOAD: Duration = Duration::from_secs(10);
/// How often the user's folder of reports and views is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Serve until a signal asks us to stop.
///
/// # Errors
/// Names what could not be opened, or why the listener failed.
pub async fn run(config: Config) -> anyhow::Result<()> {
    kit::telemetry::init(&config.service.log)?;
    // The port first: that it is busy should be reported before a database is touched.
    let listener = serve::bind(&config.service).await?;
    let stop = serve::stop_on_signal(&config.service)?;
    // A file that may not grow beyond a limit fails one download.
    base::ignore_file_size_signal()?;
    many_open_files();
    let state = wiring::open(config).await?;
    run_on(state, listener, stop).await
}

/// Take as many open files as the system grants: a download is a socket and a file, and many a shell starts a process
/// with room for a thousand. Without leave it goes on as it is.
fn many_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// Serve on a bound listener until `stop`; then jobs give their runs back and open requests may end.
///
/// # Errors
/// Why the listener failed, or that the scheduler could not start.
pub async fn run_on(state: State, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<()> {
    state.aggregator.reports().warm();
    let scheduler = if state.config.scheduler { Some(Scheduler::start(state.runner.clone()).await?) } else { None };
    let runner_stop = state.runner.stop().clone();
    tracing::info!(address = %listener.local_addr()?, scheduler = scheduler.is_some(), "serving");
    let scheduling = async {
        if let Some(scheduler) = scheduler {
            scheduler.run().await;
        }
    };
    let serving = async {
        let served = serve::serve(listener, app(&state), &state.config.service, stop.clone()).await;
        runner_stop.cancel();
        served
    };
    let stopping = async {
        stop.cancelled().await;
        runner_stop.cancel();
    };
    let watching = async { tokio::join!(watch_reports(&state, &stop), watch_loops(&state, &stop)) };
    let (served, (), (), _) = tokio::join!(serving, scheduling, stopping, watching);
    Ok(served?)
}

/// Reads the user's reports and views again when a file of them was added, removed or changed.
async fn watch_reports(state: &State, stop: &CancellationToken) {
    let Some(folder) = &state.config.catalogue_dir else { return };
    let mut look = tokio::time::interval(LOOK);
    let turns = Turns::of("watch of the catalogue", RELOAD);
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        turns.mark();
        if state.aggregator.has_lost_catalogue().await {
            let summary = format!(
                "the folder {} of reports and views is gone or empty; what was last read of it goes on",
                folder.display()
            );
            let (kind, facts) = (Kind::CatalogueLost, serde_json::json!({ "folder": folder }));
            confirm(state, Finding { kind, subject: state.config.replica.clone(), summary, facts }).await;
            continue;
        }
        match state.aggregator.reload_if_changed().await {
            Ok(None) => {}
            Ok(Some(catalogue)) => {
                let (reports, broken) = (catalogue.reports().count(), catalogue.broken().len());
                tracing::info!(folder = %folder.display(), reports, broken, "read the catalogue again");
            }
            Err(error) => {
                let error = kit::telemetry::chain(&error);
                tracing::warn!(error, "the catalogue was read again, but tables of it could not be made");
            }
        }
    }
}

/// Makes an incident of a loop of this process that has stopped, on connections of requests, which have an end.
async fn watch_loops(state: &State, stop: &CancellationToken) {
    let mut look = tokio::time::interval(LOOK);
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        let stopped: Vec<String> = base::stopped().into_iter().map(|it| it.name).collect();
        if stopped.is_empty() {
            continue;
        }
        let replica = &state.config.replica;
        let finding = Finding {
            kind: Kind::LoopStopped,
            subject: replica.clone(),
            summary: format!("of replica {replica} does not turn any more: {}; restart it", stopped.join(", ")),
            facts: serde_json::json!({ "loops": stopped }),
        };
        confirm(state, finding).await;
    }
}

async fn confirm(state: &State, finding: Finding) {
    let confirmed = async { incident::confirm(&mut *state.pool.acquire().await?, &finding).await };
    if let Ok(Err(error)) = tokio::time::timeout(RELOAD, confirmed).await {
        tracing::warn!(%error, "an incident could not be written");
    }
}

/// The whole application.
pub fn app(state: &State) -> Router {
    let (aggregator, lake) = (Arc::clone(&state.aggregator), Arc::clone(state.aggregator.lake()));
    Api::new("reporting", "Cross-domain reports: on demand, published, and as files; and the jobs that make them.")
        .metrics(aggregator::metric::describe)
        .metrics(jobs::metric::describe)
        .metrics(exports::metric::describe)
        .metrics(crate::metric::describe)
        .observe(move || sources(Arc::clone(&aggregator)))
        .database("database", &state.pool)
        .check("lake", move || {
            let lake = Arc::clone(&lake);
            async move { lake.is_there().await.map_err(|error| error.to_string()) }
        })
        .routes(http::routes(state.clone()))
        .streams(http::streams(state.clone()))
        .pages(console::router(state))
        .build(&state.config.service)
}

/// Bring the sources' gauges up to date.
async fn sources(aggregator: Arc<Aggregator>) {
    match aggregator.sources().status().await {
        Ok(statuses) => aggregator.observe(&statuses),
        // They keep their last values; readiness tells about the database.
        Err(error) => tracing::debug!(%error, "cannot read the sources' status"),
    }
}
