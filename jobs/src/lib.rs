//! Scheduled work: the engine that decides when and by whom a job runs, and the jobs themselves.
//!
//! The engine (`engine`) knows no report and no source. Every run, whoever asks for it, goes through
//! [`engine::Runner::run`], and every occurrence ends in a row of `jobs.run`.

pub mod backfill;
pub mod declared;
pub mod document;
pub mod engine;
pub mod export_pack;
pub mod housekeeping;
pub mod metric;
pub mod nightly;
mod nothing;
pub mod poll;
pub mod publishing;
pub mod restate;
