//! The retail service; see `retail::Config` for its variables.

use std::process::ExitCode;

use kit::config::Vars;

fn main() -> ExitCode {
    kit::serve::main(async {
        let config = retail::Config::read(Vars::from_env("RETAIL_"))?;
        kit::telemetry::init(&config.service.log)?;
        retail::run(config).await
    })
}
