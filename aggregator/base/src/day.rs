//! The local date, in one zone.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

/// The date that an instant falls on in a zone.
#[must_use]
pub fn date_in(zone: Tz, instant: DateTime<Utc>) -> NaiveDate {
    instant.with_timezone(&zone).date_naive()
}

/// Today's date in a zone.
#[must_use]
pub fn today(zone: Tz) -> NaiveDate {
    date_in(zone, Utc::now())
}
