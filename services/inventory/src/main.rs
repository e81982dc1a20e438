//! The inventory service as a program.

use std::process::ExitCode;

use inventory::Config;
use kit::config::Vars;

fn main() -> ExitCode {
    kit::serve::main(async {
        let config = Config::read(Vars::from_env("INVENTORY_"))?;
        kit::telemetry::init(&config.service.log)?;
        inventory::run(config).await
    })
}
