//! The system tests, one module per topic. They start what `stack up` starts, on free ports.
#![expect(clippy::unwrap_used, reason = "a test whose set-up is broken should stop, with the place")]

mod agreement;
mod company;
mod compose;
mod console;
mod dashboards;
mod ecommerce;
mod exports;
mod feed;
mod filters;
mod gateway;
mod import;
mod inventory;
mod jobs;
mod judges;
mod lake;
mod main_job;
mod older;
mod operations;
mod outage;
mod private;
mod refusals;
mod reporting;
mod restore;
mod retail;
mod schemathesis;
mod seed;
mod setup;
mod shop;
mod sources;
mod stack;
mod stack_cli;
mod stack_traffic;
mod statements;
mod tidy;
mod transactions;
