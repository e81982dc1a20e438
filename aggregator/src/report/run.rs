//! Running a report: what is asked, the engine and what it keeps, and the shape of the answer.

pub(crate) mod ask;
pub(crate) mod cache;
pub(crate) mod deep;
pub(crate) mod engine;
pub(crate) mod error;
pub(crate) mod input;
pub(crate) mod now;
pub(crate) mod shape;
