//! The system tests, one module per topic. They start what `stack up` starts, on free ports.

mod gateway;
mod stack;
mod tidy;
