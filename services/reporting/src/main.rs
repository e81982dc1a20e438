//! The `reporting` program: the service and its command line.

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    kit::serve::main(reporting::cli::run(reporting::cli::Cli::parse()))
}
