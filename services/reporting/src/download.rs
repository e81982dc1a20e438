//! Downloads that are whole: a file first, then its length, digest, ranges and name.

mod coding;
pub mod conditional;
mod pace;
pub mod range;
mod send;
mod spool;

pub use coding::{Coded, Coding, coded};
pub use pace::{Downloads, Sending, paced};
pub use send::{Attachment, PIECE, pieces, send, slices, validators};
pub use spool::{Spool, SpoolError, Whole, from_hex, hex};
