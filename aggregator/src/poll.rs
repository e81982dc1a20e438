//! A poll: everything a source has to tell, from its feed to one committed snapshot.

use chrono::{DateTime, Utc};
use serde::Serialize;

/// What a poll came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PollOutcome {
    /// The source.
    pub source: String,
    /// The snapshot it committed; `None` when no row changed.
    pub snapshot: Option<i64>,
    /// Every change the source committed before this instant is now in the lake.
    pub complete_through: DateTime<Utc>,
    /// Rows that pages held, repeats included.
    pub rows_read: i64,
    /// Rows that the lake did not have.
    pub rows_added: i64,
    /// Rows that differ from what the lake had.
    pub rows_changed: i64,
    /// Rows that left the lake.
    pub rows_removed: i64,
    /// Rows put into quarantine.
    pub rows_quarantined: i64,
    /// Pages read.
    pub pages: i64,
    /// Bytes of page bodies.
    pub bytes: i64,
    /// Whether it went on with what an interrupted poll had staged.
    pub resumed: bool,
}
