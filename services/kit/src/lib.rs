//! Plumbing that every Tributary service shares.
//!
//! In reading order: `config` (settings), `serve` (from routers to a running server) with `telemetry`, `metric` and
//! `correlation`; `error` and `problem` (failures); `extract`, `text`, `amount`, `id`, `page` (input); `db`,
//! `idempotency` and `fact` (writes); `client` (calls to other services); `import` and `feed` (bulk data in and out). `stock` is the
//! one module with a domain: the protocol and the transactional outbox of services that take stock at Inventory.
#![doc = include_str!("../README.md")]

pub mod amount;
pub mod client;
pub mod config;
pub mod correlation;
pub mod db;
pub mod error;
pub mod extract;
pub mod fact;
pub mod feed;
pub mod id;
pub mod idempotency;
pub mod import;
mod json;
pub mod metric;
pub mod moment;
pub mod page;
pub mod problem;
pub mod serve;
pub mod stock;
pub mod telemetry;
pub mod text;

pub use base::copy;
