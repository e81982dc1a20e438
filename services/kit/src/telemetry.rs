//! JSON logs on standard output; each line inside a request carries its correlation id.

pub use base::error_chain as chain;
use tracing_subscriber::EnvFilter;

/// Starts logging with an `EnvFilter` text. Called again in one process (tests do), the first call stays.
///
/// # Errors
/// The filter does not parse.
pub fn init(filter: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    // Half of the lines would be the scheduler's clock telling that it was made; what the filter says of it comes later
    // and so holds.
    let filter = EnvFilter::try_new(format!("tokio_cron_scheduler=warn,{filter}"))?;
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_env_filter(filter)
        .try_init();
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}
