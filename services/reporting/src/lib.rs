//! The reporting service: report API, console, exports and command line over aggregator, jobs and exports.
//!
//! Reading order: [`config`], [`wiring`] (what is opened), [`serve`] (the running service), [`api`] (what it answers),
//! [`download`] (how files leave it), [`console`] (the same for people), [`cli`] (the same from a terminal).

pub mod api;
pub mod cli;
pub mod config;
pub mod console;
pub mod download;
pub mod metric;
pub mod report_run;
pub mod serve;
pub mod wiring;

pub use config::Config;
pub use serve::run;
pub use wiring::State;
