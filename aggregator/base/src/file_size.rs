//! The limit on the size of a file.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};

/// Makes a write beyond the limit on the size of a file an error of that write: unhandled, its signal ends the process.
///
/// # Errors
/// When the system refuses.
///
/// # Panics
/// Outside a runtime.
pub fn ignore_file_size_signal() -> io::Result<()> {
    // What is registered stays so.
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).map(drop)
}
