//! The system tests, one module per topic. They start what `stack up` starts, on free ports.
#![expect(clippy::unwrap_used, reason = "a test whose set-up is broken should stop, with the place")]

mod company;
mod compose;
mod exports;
mod feed;
mod gateway;
mod import;
mod inventory;
mod judges;
mod lake;
mod main_job;
mod seed;
mod stack;
mod stack_cli;
mod stack_traffic;
mod tidy;
