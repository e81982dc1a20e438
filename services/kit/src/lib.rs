//! Plumbing that every Tributary service shares.
#![doc = include_str!("../README.md")]

pub mod amount;
pub mod client;
pub mod config;
pub mod correlation;
pub mod db;
pub mod error;
pub mod extract;
pub mod feed;
pub mod id;
pub mod idempotency;
pub mod import;
pub mod metric;
pub mod page;
pub mod problem;
pub mod serve;
pub mod settle;
pub mod stock;
pub mod telemetry;
pub mod text;
