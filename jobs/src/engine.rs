//! The engine: when a job is due, who runs it, and what became of it.
//!
//! Reading order: [`cadence`] (when), [`declaration`] (what is configured), [`job`] (what a job is), [`planner`]
//! (occurrences become rows), [`claim`] (a row gets one runner), [`lease`] (and keeps it), [`runner`] (the one path),
//! [`scheduler`] (who wakes whom), [`history`] (what is remembered), [`incident`] (what is wrong, and since when).
//!
//! Invariants, all kept by the database and by its clock:
//! * an occurrence is one row, unique on `(job, scheduled_for)`;
//! * a run's work may be written only by a transaction that first locked the run's row where it has the run's fencing token,
//!   so a replica that was paused while another took over writes nothing;
//! * every occurrence ends in a row that says succeeded, failed, skipped or cancelled, and why.

pub mod cadence;
pub mod claim;
pub mod declaration;
mod error;
pub mod history;
pub mod incident;
pub mod job;
pub mod lease;
pub mod planner;
pub mod runner;
pub mod scheduler;

pub use cadence::Cadence;
pub use claim::sessions_of;
pub use declaration::{CatchUp, Declaration, Overlap};
pub use error::EngineError;
pub use history::{RunRow, RunStatus};
pub use job::{Job, JobError, Registry, Run};
pub use lease::{Lease, LeaseLost};
pub use runner::{Runner, RunnerSettings};
pub use scheduler::Scheduler;
