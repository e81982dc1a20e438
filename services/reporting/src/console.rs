//! The console at `/reporting/`: what the API answers, as pages for people.
//!
//! Everything is rendered here and works without a script; the one script draws charts, follows a run and filters the
//! catalogue while one types. The gateway asks no key of these pages: `session` is who somebody is, made by
//! `sign_in` from an API key that the gateway itself has judged, and no header of a client is believed. Reading
//! order: `guard` (what every request passes), `layout`, then a file per page.

mod asset;
mod catalogue;
mod diff;
mod download;
mod exports;
mod fault;
mod form;
mod guard;
mod home;
mod jobs;
mod language;
mod layout;
mod query;
mod report;
mod revisions;
mod runs;
mod session;
mod show;
mod sign_in;
mod sources;

use std::time::Duration;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::{self, Next},
    routing::{any, get, post},
};
use tower_http::compression::CompressionLayer;

use crate::{Config, State};
use session::Sessions;
use sign_in::Attempts;

/// Where the gateway shows the console; it strips this before a request comes here.
pub const BASE: &str = "/reporting";

/// The largest form, in bytes.
const FORM_LIMIT: usize = 16 * 1024;

/// How long a page may take: well below the gateway's patience, so that it is we who say what to do instead.
const PAGE_LIMIT: Duration = Duration::from_secs(30);

/// How long the gateway may take to judge a key.
const KEY_TIMEOUT: Duration = Duration::from_secs(5);

/// What the console keeps between requests.
#[derive(Debug)]
pub struct Console {
    sessions: Sessions,
    attempts: Attempts,
    gateway: reqwest::Client,
}

impl Console {
    /// A console that signs its sessions with the configured secret.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(config: &Config) -> reqwest::Result<Self> {
        Ok(Self {
            sessions: Sessions::new(config.session_secret.expose()),
            attempts: Attempts::default(),
            gateway: reqwest::Client::builder().timeout(KEY_TIMEOUT).build()?,
        })
    }
}

/// Every page, form and asset, below the prefix that the gateway strips.
pub fn router(state: &State) -> Router {
    let pages = Router::new()
        .route("/", get(home::page))
        .route("/sign-in", get(sign_in::page).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/reports", get(catalogue::page))
        .route("/reports/{name}", get(report::page))
        .route("/reports/{name}/revisions", get(revisions::page))
        .route("/reports/{name}/diff", get(diff::page))
        .route("/sources", get(sources::page))
        .route("/sources/{name}", get(sources::one))
        .route("/sources/{name}/poll", post(sources::poll))
        .route("/sources/{name}/replay", post(sources::replay))
        .route("/jobs", get(jobs::page))
        .route("/jobs/{name}", get(jobs::one))
        .route("/jobs/{name}/runs", post(jobs::start))
        .route("/runs/{id}", get(runs::page))
        .route("/runs/{id}/cancel", post(runs::cancel))
        .route("/exports", get(exports::page))
        .route(guard::NOTHING, any(guard::nothing_here))
        .layer(middleware::from_fn(|request, next: Next| guard::within(PAGE_LIMIT, next.run(request))))
        .layer(DefaultBodyLimit::max(FORM_LIMIT));
    // Files leave as they are: their length and digest are those of what was built.
    let files = Router::new()
        .route("/reports/{name}/download", get(download::report))
        .route("/exports/{id}", get(download::export));
    let assets = Router::new().route("/assets/{file}", get(asset::get));
    let guarded = |router: Router<State>| router.layer(middleware::from_fn_with_state(state.clone(), guard::guard));
    guarded(pages)
        .merge(assets)
        .layer(CompressionLayer::new())
        .merge(guarded(files))
        .layer(middleware::from_fn(guard::headers))
        .with_state(state.clone())
}
