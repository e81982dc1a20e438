//! The metrics of inventory: names, units, meanings.

use metrics::{Unit, counter, describe_counter};

/// Movement documents decided, by `reason` and `outcome` (`applied`, `refused`); repeats are not counted again.
const DOCUMENTS: &str = "inventory_movement_documents_total";
/// References reversed or closed; repeats are not counted again.
const REVERSALS: &str = "inventory_reversals_total";

/// Tells the recorder what they mean.
pub fn describe() {
    describe_counter!(DOCUMENTS, Unit::Count, "Movement documents decided, by reason and outcome");
    describe_counter!(REVERSALS, Unit::Count, "References reversed or closed");
    counter!(REVERSALS).increment(0);
}

pub(crate) fn document(reason: &'static str, applied: bool) {
    counter!(DOCUMENTS, "reason" => reason, "outcome" => if applied { "applied" } else { "refused" }).increment(1);
}

pub(crate) fn reversal() {
    counter!(REVERSALS).increment(1);
}
