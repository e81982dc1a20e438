//! The `reporting` program: the service and its command line, and, as a child of itself, what computes its reports.

use std::process::ExitCode;

use clap::Parser as _;
use reporting::{allocator::Bounded, answer, cli};

#[global_allocator]
static ALLOCATOR: Bounded = Bounded::new();

fn main() -> ExitCode {
    // Before anything else: a worker reads no setting and has no runtime.
    if let Some(bytes) = aggregator::report::as_worker(std::env::args_os()) {
        ALLOCATOR.end_beyond(bytes);
        return aggregator::report::work(answer::write_file);
    }
    kit::serve::main(cli::run(cli::Cli::parse()))
}
