//! The system tests, one module per topic. They start what `stack up` starts, on free ports.

mod company;
mod main_job;
mod compose;
mod gateway;
mod lake;
mod seed;
mod stack;
mod stack_traffic;
mod tidy;
