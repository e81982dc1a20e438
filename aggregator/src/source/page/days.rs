//! The local time of each row, and the business day and hour that follow from it.
//!
//! Where a source delivers no local time, a zone's offset is asked for once per zone and quarter of an hour: no zone has
//! changed its clock within one since 1972, and rows before that are computed one by one.

use std::collections::BTreeMap;

use base::{DayStart, Tz};
use chrono::{DateTime, NaiveDate, Offset, TimeZone};

const QUARTER: i64 = 900;
const SINCE: i64 = 2 * 365 * 86_400 + 366 * 86_400;
const SLOTS: usize = 1 << 12;
const MICROS_OF_HOUR: i64 = 3_600_000_000;

/// Local times of a page's rows, in the order of the rows.
pub(super) struct LocalTimes {
    /// Microseconds, as if the clock stood in UTC.
    locals: Vec<i64>,
    days: Vec<i32>,
    start: DayStart,
    zones: Vec<Zone>,
}

/// A page's columns that come of its local times: those, their days since 1970-01-01, and the clock's hours, 0 to 23.
pub(super) struct LocalColumns {
    pub(super) locals: Vec<i64>,
    pub(super) days: Vec<i32>,
    pub(super) hours: Vec<i32>,
}

struct Zone {
    name: Vec<u8>,
    tz: Tz,
    /// By quarter of an hour: which one, and its offset in seconds.
    offsets: Vec<(i64, i32)>,
}

impl LocalTimes {
    pub(super) fn new(rows: usize, start: DayStart) -> Self {
        Self { locals: Vec::with_capacity(rows), days: Vec::with_capacity(rows), start, zones: Vec::new() }
    }

    /// Add a row of an instant in a zone; the error says why the zone is of no use.
    pub(super) fn push_instant(&mut self, micros: i64, zone: &[u8]) -> Result<(), String> {
        let zone = self.zone(zone)?;
        let offset = zone.offset(micros.div_euclid(1_000_000));
        self.push(micros.saturating_add(i64::from(offset) * 1_000_000))
    }

    /// Add a row of a local time.
    pub(super) fn push(&mut self, local: i64) -> Result<(), String> {
        let day = self.start.day_of_micros(local);
        let day = i32::try_from(day).map_err(|_| "the instant is out of range".to_owned())?;
        self.locals.push(local);
        self.days.push(day);
        Ok(())
    }

    fn zone(&mut self, name: &[u8]) -> Result<&mut Zone, String> {
        let known = self.zones.iter().position(|it| it.name == name);
        let place = match known {
            Some(place) => place,
            None => {
                let text = String::from_utf8_lossy(name);
                let tz: Tz = text.parse().map_err(|_| format!("{text:?} is no IANA time zone"))?;
                self.zones.push(Zone { name: name.to_vec(), tz, offsets: vec![(i64::MIN, 0); SLOTS] });
                self.zones.len() - 1
            }
        };
        // A page holds few zones, and rows of one store come together: the last one found leads.
        self.zones.swap(0, place);
        self.zones.first_mut().ok_or_else(|| "no zone".to_owned())
    }

    /// Rows per day.
    pub(super) fn count(&self) -> BTreeMap<NaiveDate, u64> {
        let mut counts: BTreeMap<i32, u64> = BTreeMap::new();
        for run in self.days.chunk_by(|a, b| a == b) {
            if let Some(day) = run.first() {
                *counts.entry(*day).or_default() += run.len() as u64;
            }
        }
        counts.into_iter().filter_map(|(day, rows)| Some((NaiveDate::from_epoch_days(day)?, rows))).collect()
    }

    pub(super) fn into_columns(self) -> LocalColumns {
        // The hour is the clock's, whenever days start.
        let hour = |local: &i64| i32::try_from(local.div_euclid(MICROS_OF_HOUR).rem_euclid(24)).unwrap_or(0);
        let hours = self.locals.iter().map(hour).collect();
        LocalColumns { locals: self.locals, days: self.days, hours }
    }
}

impl Zone {
    /// Seconds to add to UTC at an instant.
    fn offset(&mut self, seconds: i64) -> i32 {
        let quarter = seconds.div_euclid(QUARTER);
        let place = usize::try_from(quarter.rem_euclid(SLOTS as i64)).unwrap_or(0);
        match self.offsets.get_mut(place) {
            Some(slot) if seconds >= SINCE => {
                if slot.0 != quarter {
                    *slot = (quarter, computed(self.tz, seconds));
                }
                slot.1
            }
            _ => computed(self.tz, seconds),
        }
    }
}

fn computed(tz: Tz, seconds: i64) -> i32 {
    let instant = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    tz.offset_from_utc_datetime(&instant.naive_utc()).fix().local_minus_utc()
}
