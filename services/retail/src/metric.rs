//! The metrics of retail: names, units, meanings. What Inventory answered to documents is counted by `kit`.

use metrics::{Unit, counter, describe_counter};

use crate::sales::Kind;

/// Documents stored at the tills, by `kind` (`sale`, `return`); imported history is not counted.
const DOCUMENTS: &str = "retail_documents_total";
/// Sales voided; repeats are not counted again.
const VOIDS: &str = "retail_voids_total";

/// Tells the recorder what they mean.
pub fn describe() {
    describe_counter!(DOCUMENTS, Unit::Count, "Documents stored at the tills, by kind");
    describe_counter!(VOIDS, Unit::Count, "Sales voided");
    for kind in [Kind::Sale, Kind::Return] {
        counter!(DOCUMENTS, "kind" => kind.as_str()).increment(0);
    }
    counter!(VOIDS).increment(0);
}

pub(crate) fn document(kind: Kind) {
    counter!(DOCUMENTS, "kind" => kind.as_str()).increment(1);
}

pub(crate) fn void() {
    counter!(VOIDS).increment(1);
}
