//! Scheduled work: the engine that decides when and by whom a job runs, and the jobs themselves.
//!
//! The engine ([`engine`]) knows no report and no source. Every run, whoever asks for it, goes through
//! [`engine::Runner::run`], and every occurrence ends in a row of `jobs.run`.
//!
//! Reading order of the jobs: [`declared`] (the file that says which there are), [`poll`], [`nightly`] (a day is
//! published when its data is there), [`publishing`] (what publishing jobs share), [`restate`] and [`backfill`] (a day
//! is published again, or afterwards), [`export_pack`] and [`deliver`] (its files, and where they go), [`watch`] (which
//! notifies of what is wrong, by [`webhook`]), [`housekeeping`], [`keep`]
//! (rows of views, so that reports need not compute them).

pub mod backfill;
mod clocks;
pub mod context;
pub mod declared;
pub mod deliver;
pub mod document;
pub mod engine;
pub mod export_pack;
mod hashing;
pub mod housekeeping;
pub mod keep;
pub mod metric;
pub mod nightly;
mod nothing;
pub mod poll;
pub mod publishing;
pub mod restate;
pub mod watch;
pub mod webhook;
