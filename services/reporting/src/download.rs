//! Downloads that are whole: a file first, then its length, digest, ranges and name.

pub mod range;
mod send;
pub mod spool;

pub use send::{Attachment, send};
pub use spool::{Spool, SpoolError, Spooled};
