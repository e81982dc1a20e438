//! Business days: where a company's days are counted, and from which hour on.

use std::str::FromStr;

use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeDelta, Utc};

use crate::Tz;

/// Latest start of a day: whatever starts later belongs to the day before.
const LATEST_MINUTES: u16 = 12 * 60;
const MICROS_OF_MINUTE: i64 = 60_000_000;
const MICROS_OF_DAY: i64 = 86_400_000_000;

/// The hour at which a business day starts, in minutes after midnight: what happens before it belongs to the day before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct DayStart(u16);

impl DayStart {
    /// The business day of a local time, in days since 1970-01-01; both count as if the clock stood in UTC.
    #[must_use]
    pub const fn day_of_micros(self, local: i64) -> i64 {
        local.saturating_sub(self.0 as i64 * MICROS_OF_MINUTE).div_euclid(MICROS_OF_DAY)
    }

    /// The business day of a local time.
    #[must_use]
    pub fn day_of(self, local: NaiveDateTime) -> NaiveDate {
        local.checked_sub_signed(TimeDelta::minutes(self.0.into())).unwrap_or(local).date()
    }

    /// When the day after this one starts, on the clock.
    #[must_use]
    pub fn end_of(self, day: NaiveDate) -> NaiveDateTime {
        (day + Days::new(1)).and_time(chrono::NaiveTime::MIN) + TimeDelta::minutes(self.0.into())
    }

    /// Whether days start at midnight.
    #[must_use]
    pub const fn is_midnight(self) -> bool {
        self.0 == 0
    }
}

/// No start of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a time of day from 00:00 to 12:00, such as 04:00")]
pub struct NoDayStart;

impl FromStr for DayStart {
    type Err = NoDayStart;

    fn from_str(text: &str) -> Result<Self, NoDayStart> {
        let number = |digits: &str| digits.bytes().all(|it| it.is_ascii_digit()).then(|| digits.parse::<u16>().ok())?;
        let (hours, minutes) = text.split_once(':').filter(|(h, m)| h.len() == 2 && m.len() == 2).ok_or(NoDayStart)?;
        let (hours, minutes) = number(hours).zip(number(minutes)).ok_or(NoDayStart)?;
        let start = hours * 60 + minutes;
        if minutes < 60 && start <= LATEST_MINUTES { Ok(Self(start)) } else { Err(NoDayStart) }
    }
}

impl std::fmt::Display for DayStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// How a company counts its days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusinessDays {
    /// The company's zone.
    pub zone: Tz,
    /// From when on the clock it is the next day.
    pub start: DayStart,
}

impl BusinessDays {
    /// The business day of an instant.
    #[must_use]
    pub fn of(self, instant: DateTime<Utc>) -> NaiveDate {
        self.start.day_of(self.zone.local(instant))
    }

    /// The business day of now.
    #[must_use]
    pub fn today(self) -> NaiveDate {
        self.of(Utc::now())
    }
}

/// Days that start at midnight.
impl From<Tz> for BusinessDays {
    fn from(zone: Tz) -> Self {
        Self { zone, start: DayStart::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_starts_when_the_company_says() {
        let four: DayStart = "04:00".parse().unwrap();
        let day = |text: &str| four.day_of(text.parse().unwrap()).to_string();
        assert_eq!(day("2026-03-08T03:59:59.999999"), "2026-03-07");
        assert_eq!(day("2026-03-08T04:00:00"), "2026-03-08");
        assert_eq!(four.end_of("2026-03-08".parse().unwrap()).to_string(), "2026-03-09 04:00:00");
        for local in ["1969-12-31T23:00:00", "1970-01-01T04:00:00", "2026-03-08T03:59:59.999999"] {
            let local: NaiveDateTime = local.parse().unwrap();
            let day = i64::from(four.day_of(local).to_epoch_days());
            assert_eq!(four.day_of_micros(local.and_utc().timestamp_micros()), day, "{local}");
        }
        assert_eq!(four.to_string(), "04:00");
    }

    #[test]
    fn a_start_is_a_time_of_the_morning() {
        assert!("00:00".parse::<DayStart>().unwrap().is_midnight() && "12:00".parse::<DayStart>().is_ok());
        for bad in ["", "4:00", "04", "04:60", "12:01", "24:00", "-1:00", "+1:00", "04:00:00", " 04:00", "aa:bb"] {
            assert_eq!(bad.parse::<DayStart>(), Err(NoDayStart), "{bad:?}");
        }
    }

    #[test]
    fn today_is_the_companys() {
        let days = BusinessDays { zone: "America/Toronto".parse().unwrap(), start: "04:00".parse().unwrap() };
        assert_eq!(days.of("2026-11-02T08:59:59Z".parse().unwrap()).to_string(), "2026-11-01");
        assert_eq!(days.of("2026-11-02T09:00:00Z".parse().unwrap()).to_string(), "2026-11-02");
    }
}
