//! JSON logs on standard output; each line inside a request carries its correlation id.

use tracing_subscriber::EnvFilter;

/// Starts logging with an `EnvFilter` text. Called again in one process (tests do), the first call stays.
///
/// # Errors
/// The filter does not parse.
pub fn init(filter: &str) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::try_new(filter)?;
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

/// An error and all its causes in one line, for logs: `Display` of each layer says only its own part.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}
