//! Helpers that every crate of the workspace may use. This crate depends on no other of the workspace, and on neither
//! axum nor reqwest nor polars.

mod advisory_lock;
mod backoff;
mod begin;
mod compute;
pub mod copy;
mod currency;
mod day;
mod digest;
mod error_chain;
mod fault;
mod file_size;
mod folder_mark;
mod span;
mod turns;
mod tz;

pub use advisory_lock::{AdvisoryLock, is_lock_timeout};
pub use backoff::{backoff, jittered};
pub use begin::begin;
pub use compute::{Compute, yield_to_others};
pub use currency::Currency;
pub use day::{BusinessDays, DayStart, NoDayStart};
pub use digest::{hex, sha256_hex};
pub use error_chain::error_chain;
pub use fault::Fault;
pub use file_size::ignore_file_size_signal;
pub use folder_mark::{is_marked, mark};
pub use span::{Span, format_span, parse_span};
pub use turns::{Stopped, Turns, stopped};
pub use tz::{NoZone, Tz, ZONE_DATA};
