//! The ecommerce service; see `ecommerce::Config` for its variables.

use std::process::ExitCode;

use kit::config::Vars;

fn main() -> ExitCode {
    kit::serve::main(async {
        let config = ecommerce::Config::read(Vars::from_env("ECOMMERCE_"))?;
        kit::telemetry::init(&config.service.log)?;
        ecommerce::run(config).await
    })
}
