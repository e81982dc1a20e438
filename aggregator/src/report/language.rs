//! The language of reports: what a file may say, and the statement that it means for given values. No database, no
//! task.
//!
//! `header`, `param` and `dates` say what a report asks for; `size` and `check` are the allow-list; `bind` makes values literals;
//! `plan` gives every form its meaning, as a plan of the engine;
//! `bounds` proves that no number outgrows its type; `keep` says of which views rows may be kept; `view`, `compile` and
//! `catalogue` put files together.

pub(crate) mod bind;
pub(crate) mod bounds;
pub(crate) mod catalogue;
pub(crate) mod check;
pub(crate) mod compile;
pub(crate) mod dates;
pub(crate) mod diagnostic;
pub(crate) mod given;
pub(crate) mod header;
pub(crate) mod keep;
pub(crate) mod param;
pub(crate) mod plan;
pub(crate) mod resolve;
pub(crate) mod schema;
mod size;
pub(crate) mod value;
pub(crate) mod view;
