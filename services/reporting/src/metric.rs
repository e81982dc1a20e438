//! The metrics of the service itself: downloads on their way to clients.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

/// Large answers on their way to clients.
const OPEN: &str = "tributary_downloads_open";
/// Downloads that were refused because as many as may be were on their way.
const REFUSED: &str = "tributary_downloads_refused_total";
/// Downloads that were broken off because their client took nothing any more.
const STALLED: &str = "tributary_downloads_stalled_total";

/// Tells the recorder what they mean, and begins each at zero.
pub fn describe() {
    describe_gauge!(OPEN, Unit::Count, "Large answers on their way to clients");
    describe_counter!(REFUSED, Unit::Count, "Downloads refused because as many as may be were on their way");
    describe_counter!(STALLED, Unit::Count, "Downloads broken off because their client took nothing any more");
    gauge!(OPEN).increment(0.0);
    counter!(REFUSED).increment(0);
    counter!(STALLED).increment(0);
}

pub(crate) fn refused() {
    counter!(REFUSED).increment(1);
}

pub(crate) fn stalled() {
    counter!(STALLED).increment(1);
}

/// Counts an answer as on its way while it lives.
#[derive(Debug)]
pub(crate) struct Sending;

impl Sending {
    pub(crate) fn begin() -> Self {
        gauge!(OPEN).increment(1.0);
        Self
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        gauge!(OPEN).decrement(1.0);
    }
}
