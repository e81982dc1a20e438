//! The system tests, one module per topic. They start what `stack up` starts, on free ports.

mod compose;
mod gateway;
mod seed;
mod lake;
mod stack;
mod tidy;
