//! The reporting service: report API, console, exports and command line over aggregator, jobs and exports.
//!
//! Reading order: [`config`], [`wiring`] (what is opened), [`serve`] (the running service), [`answer`] (what is answered,
//! whoever asks), then who asks: [`http`], [`console`] (people), [`cli`] (a terminal) and [`runs`] (a job, for long
//! reports). None of the last three knows `http`.

pub mod allocator;
pub mod answer;
pub mod cli;
pub mod config;
pub mod console;
pub mod http;
mod memory;
pub mod metric;
pub mod runs;
pub mod serve;
pub mod wiring;

pub use config::Config;
pub use serve::run;
pub use wiring::State;
