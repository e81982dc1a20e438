//! The harness of the system tests: real PostgreSQL clusters, the real gateway and services as processes on free
//! ports, in a folder that is gone when the test is over, however it ends.
//!
//! It needs the binaries (`cargo build --workspace`) and what `make setup` installs, and fails loudly without them.

pub mod api;
pub mod bench;
pub mod binaries;
pub mod browser;
pub mod campaign;
pub mod exposition;
pub mod feed_text;
pub mod grafana;
pub mod many;
pub mod network;
pub mod python;
pub mod raw;
pub mod receiver;
pub mod runs;
pub mod saboteur;
pub mod source;
pub mod stack;
mod template;
pub mod wait;
mod warden;

pub use api::{Api, Reply};
pub use browser::{Browser, Scheme};
pub use campaign::{campaign, seed};
pub use network::{Fault, Network, Way};
pub use python::{duckdb, node, python};
pub use raw::Raw;
pub use receiver::Receiver;
pub use stack::{Builder, Stack};
pub use wait::{eventually, wait_until};
pub use warden::Folder;
