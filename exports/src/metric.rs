//! Every metric of the crate, by name.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use crate::{Format, Result, Written};

/// Time to encode a document and hand it to its writer, by `format`.
pub const SECONDS: &str = "tributary_export_seconds";
/// Bytes of whole documents, by `format`.
pub const BYTES: &str = "tributary_export_bytes_total";
/// Rows of whole documents, by `format`.
pub const ROWS: &str = "tributary_export_rows_total";
/// Documents that were begun and not finished, by `format`.
pub const FAILURES: &str = "tributary_export_failures_total";

/// Tells the recorder what they mean, and begins each at zero: a rate needs a value to rise from.
pub fn describe() {
    describe_histogram!(SECONDS, Unit::Seconds, "Time to encode a document and hand it to its writer, by format");
    describe_counter!(BYTES, Unit::Bytes, "Bytes of whole documents, by format");
    describe_counter!(ROWS, Unit::Count, "Rows of whole documents, by format");
    describe_counter!(FAILURES, Unit::Count, "Documents that were begun and not finished, by format");
    for format in Format::ALL {
        for name in [BYTES, ROWS, FAILURES] {
            counter!(name, "format" => format.name()).increment(0);
        }
    }
}

/// A document was written, here or by another process.
pub fn written(format: Format, took: Duration, Written { rows, bytes }: Written) {
    histogram!(SECONDS, "format" => format.name()).record(took.as_secs_f64());
    counter!(BYTES, "format" => format.name()).increment(bytes);
    counter!(ROWS, "format" => format.name()).increment(rows);
}

/// A document was written, or was not.
pub(crate) fn ended(format: Format, took: Duration, outcome: &Result<Written>) {
    match outcome {
        Ok(whole) => written(format, took, *whole),
        Err(_) => counter!(FAILURES, "format" => format.name()).increment(1),
    }
}
