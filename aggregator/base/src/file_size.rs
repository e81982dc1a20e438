//! The limit on the size of a file.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// From now on writing to a file that may not grow is an error like any other. Unheard, the signal would end the process.
///
/// # Errors
/// When the system refuses.
///
/// # Panics
/// Outside a runtime.
pub fn hear_of_large_files() -> io::Result<()> {
    // What is registered stays so.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}
