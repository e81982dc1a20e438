//! Downloads that are whole: a file first, then its length, digest, ranges and name.

mod coding;
pub mod conditional;
pub mod range;
mod send;
mod spool;

pub use coding::{Coded, Coding, coded};
pub use send::{Attachment, pieces, send, validators};
pub use spool::{Spool, SpoolError, Whole, from_hex, hex};
