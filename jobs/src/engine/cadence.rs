//! When a job is due: a cron line in a time zone, a steady interval, or only when asked.
//!
//! croner is given wall-clock time without a zone and only says which wall-clock times match; what such a time means
//! on the two days a year when clocks jump is decided here:
//! * a line with fixed hours (`30 2 * * *`) fires once per day. In the gap it fires at the gap's end, in the overlap
//!   the first time;
//! * a line whose hour field holds a `*` (`0 * * * *`, `*/15 */2 * * *`) means "whenever the clock shows this", so in
//!   the overlap it fires both times and no two hourly runs are two real hours apart.

use std::{fmt, time::Duration};

use base::Tz;
use chrono::{DateTime, Days, NaiveDateTime, Offset, SubsecRound, TimeDelta, TimeZone, Utc};
use croner::{Cron, parser::CronParser};

use base::{format_span, parse_span};

/// When a job is due.
#[derive(Debug, Clone)]
pub enum Cadence {
    /// A five-field cron line, in a time zone.
    Cron {
        /// The line as it was declared.
        line: String,
        /// The zone whose wall clock the line speaks of.
        zone: Tz,
        /// The parsed line; boxed, for it is large.
        pattern: Box<Cron>,
    },
    /// Every so many seconds of real time, aligned to the Unix epoch so that all replicas agree.
    Every(Duration),
    /// Never by itself.
    OnRequest,
}

impl Cadence {
    /// Read a cron line of five fields (minute, hour, day of month, month, day of week).
    ///
    /// # Errors
    /// A sentence that says what is wrong with the line.
    pub fn cron(line: &str, zone: Tz) -> Result<Self, String> {
        if line.split_whitespace().count() != 5 {
            return Err(format!("`{line}` must have five fields: minute hour day-of-month month day-of-week"));
        }
        let pattern = CronParser::new().parse(line).map_err(|error| format!("`{line}` is no cron line: {error}"))?;
        // The line has no years, so one that comes at all comes after any instant.
        if next_wall(&pattern, DateTime::UNIX_EPOCH.naive_utc(), true).is_none() {
            return Err(format!("`{line}` never comes: no such month has such a day"));
        }
        Ok(Self::Cron { line: line.to_owned(), zone, pattern: Box::new(pattern) })
    }

    /// Read an interval such as `every 5m`.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn every(text: &str) -> Result<Self, String> {
        let span = parse_span(text.trim().strip_prefix("every").unwrap_or(text))?;
        if span.is_zero() {
            return Err("an interval must be at least 1s".to_owned());
        }
        Ok(Self::Every(span))
    }

    /// The first occurrence strictly after an instant; none when there is none within the years croner searches.
    #[must_use]
    pub fn next_after(&self, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // Occurrences are whole seconds, and croner would carry a fraction over: two replicas, two occurrences.
        let after = after.trunc_subsecs(0);
        match self {
            Self::Cron { line, zone, pattern } if has_open_hour(line) => next_of_open_hour(pattern, *zone, after),
            Self::Cron { zone, pattern, .. } => next_of_fixed_hour(pattern, *zone, after),
            Self::Every(span) => {
                let step = i64::try_from(span.as_secs()).ok()?;
                DateTime::from_timestamp((after.timestamp().div_euclid(step) + 1).checked_mul(step)?, 0)
            }
            Self::OnRequest => None,
        }
    }

    /// The occurrences after one instant up to and with another, oldest first, at most `limit` of them.
    #[must_use]
    pub fn between(&self, after: DateTime<Utc>, until: DateTime<Utc>, limit: usize) -> Vec<DateTime<Utc>> {
        std::iter::successors(self.next_after(after), |at| self.next_after(*at))
            .take_while(|at| *at <= until)
            .take(limit)
            .collect()
    }

    /// The zone people read this cadence in.
    #[must_use]
    pub fn zone(&self) -> Tz {
        match self {
            Self::Cron { zone, .. } => *zone,
            Self::Every(_) | Self::OnRequest => Tz::UTC,
        }
    }
}

/// One text per distinct cadence: what the planner compares to see that a declaration was edited.
impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cron { line, zone, .. } => write!(f, "{line} ({zone})"),
            Self::Every(span) => write!(f, "every {}", format_span(*span)),
            Self::OnRequest => f.write_str("on request"),
        }
    }
}

fn has_open_hour(line: &str) -> bool {
    line.split_whitespace().nth(1).is_some_and(|hour| hour.contains('*'))
}

/// croner on wall-clock time: the clock is presented as UTC, where nothing ever jumps.
fn next_wall(pattern: &Cron, wall: NaiveDateTime, inclusive: bool) -> Option<NaiveDateTime> {
    pattern.find_next_occurrence(&wall.and_utc(), inclusive).ok().map(|at| at.naive_utc())
}

fn next_of_fixed_hour(pattern: &Cron, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    // No zone moves its clock by more than a day, so from two days back every wall time that could mean an instant
    // after `after` is still ahead; the mapping never goes backwards, so the first that is later is the next.
    let mut wall = after.with_timezone(&zone).naive_local().checked_sub_days(Days::new(2))?;
    loop {
        wall = next_wall(pattern, wall, false)?;
        let at = once(zone, wall)?;
        if at > after {
            return Some(at);
        }
    }
}

/// The one instant that a wall-clock time means: the first of two, or the end of the gap that swallowed it.
fn once(zone: Tz, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
    if let Some(at) = zone.from_local_datetime(&wall).earliest() {
        return Some(at.to_utc());
    }
    let before = wall.checked_sub_days(Days::new(1))?;
    let low = zone.from_local_datetime(&before).earliest()?.to_utc();
    let high = low.checked_add_days(Days::new(2))?;
    first_change(zone, low, high)
}

fn next_of_open_hour(pattern: &Cron, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut from = after;
    let mut inclusive = false;
    loop {
        // Within a stretch of one offset wall time and real time run side by side.
        let offset = zone.offset_from_utc_datetime(&from.naive_utc()).fix();
        let shift = TimeDelta::seconds(i64::from(offset.local_minus_utc()));
        let wall = next_wall(pattern, from.naive_utc().checked_add_signed(shift)?, inclusive)?;
        let at = wall.checked_sub_signed(shift)?.and_utc();
        match first_change(zone, from, at) {
            None => return Some(at),
            // The stretch ended before the match: go on in the next one, whose first second may match itself.
            Some(change) => (from, inclusive) = (change, true),
        }
    }
}

/// The first second in `(low, high]` at which the zone's offset differs from the one at `low`.
fn first_change(zone: Tz, low: DateTime<Utc>, high: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let offset = |at: i64| {
        DateTime::from_timestamp(at, 0).map(|at| zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc())
    };
    let (mut same, end) = (low.timestamp(), high.timestamp());
    let first = offset(same)?;
    // Day by day, because a zone may change and change back within a longer step.
    let mut changed = loop {
        let probe = (same + 86_400).min(end);
        if offset(probe)? != first {
            break probe;
        }
        if probe >= end {
            return None;
        }
        same = probe;
    };
    while changed - same > 1 {
        let middle = same + (changed - same) / 2;
        if offset(middle)? == first { same = middle } else { changed = middle }
    }
    DateTime::from_timestamp(changed, 0)
}

#[cfg(test)]
#[path = "cadence_tests.rs"]
mod tests;
