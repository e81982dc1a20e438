//! What stands in a cell: numbers, flags, days, moments, amounts and the checked texts of `kit`.

use std::fmt::Display;
use std::num::{IntErrorKind, ParseIntError};

use base::Tz;
use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, TimeZone as _, Utc};

use super::column::{Form, Value};
use super::report::Refusal;
use crate::amount::{Price, ReorderPoint};
use crate::id::ProductId;
use crate::text::{Code, Reference, Sku, Text, Zone};

impl Value for i64 {
    const FORM: Form = Form::Whole;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error| no_integer(text, &error, Self::MIN, Self::MAX))
    }
}

impl Value for i32 {
    const FORM: Form = Form::Whole;

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error| no_integer(text, &error, Self::MIN, Self::MAX))
    }
}

/// Why a text is no whole number of a column that holds those from `least` to `most`.
fn no_integer(text: &str, error: &ParseIntError, least: impl Display, most: impl Display) -> String {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b','));
    match error.kind() {
        IntErrorKind::PosOverflow => format!("must be at most {most}"),
        IntErrorKind::NegOverflow => format!("must be at least {least}"),
        _ if is_number && text.contains(',') => "must be a whole number; a comma separates nothing in a number".to_owned(),
        _ if is_number && text.contains('.') => "must be a whole number, not one with a decimal point".to_owned(),
        _ => "must be a whole number".to_owned(),
    }
}

impl Value for bool {
    const FORM: Form = Form::Flag;

    fn parse(text: &str) -> Result<Self, String> {
        if text.eq_ignore_ascii_case("true") {
            Ok(true)
        } else if text.eq_ignore_ascii_case("false") {
            Ok(false)
        } else {
            Err("must be true or false".to_owned())
        }
    }
}

impl Value for NaiveDate {
    const FORM: Form = Form::Text;

    fn parse(text: &str) -> Result<Self, String> {
        NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| "must be a day such as 2026-01-31".to_owned())
    }
}

impl Value for ProductId {
    const FORM: Form = Form::Whole;

    fn parse(text: &str) -> Result<Self, String> {
        match i64::parse(text)? {
            id @ 1.. => Ok(Self(id)),
            _ => Err("must be above zero".to_owned()),
        }
    }
}

/// Amounts in minor units, whose columns end in `_cents`.
fn minor(text: &str) -> Result<i64, String> {
    text.parse().map_err(|error| {
        if text.contains(['.', ',']) {
            "is in minor units (cents), a whole number; for amounts such as 12.50 use the column of the same name \
             without _cents"
                .to_owned()
        } else {
            no_integer(text, &error, i64::MIN, i64::MAX)
        }
    })
}

impl Value for Price {
    const FORM: Form = Form::Whole;

    fn parse(text: &str) -> Result<Self, String> {
        Self::try_from(minor(text)?).map_err(|error| error.to_string())
    }
}

impl Value for ReorderPoint {
    const FORM: Form = Form::Whole;

    fn parse(text: &str) -> Result<Self, String> {
        Self::try_from(i64::parse(text)?).map_err(|error| error.to_string())
    }
}

/// A signed amount in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Minor(pub i64);

impl Value for Minor {
    const FORM: Form = Form::Whole;

    fn parse(text: &str) -> Result<Self, String> {
        minor(text).map(Self)
    }
}

/// A signed amount in major units, such as `12.50`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Major {
    digits: i64,
    decimals: u32,
}

impl Value for Major {
    const FORM: Form = Form::Decimal;

    fn parse(text: &str) -> Result<Self, String> {
        let bare = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = bare.split_once('.').unwrap_or((bare, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if text.contains(',') {
            return Err("has a comma; write decimals with a point and thousands without a mark, such as 1234.50".into());
        }
        if whole.is_empty() || !is_number(whole) || !is_number(fraction) || bare.ends_with('.') {
            return Err("must be an amount such as 12.50".to_owned());
        }
        // Zeros at the end say nothing.
        let fraction = fraction.trim_end_matches('0');
        let digits: i64 = format!("{whole}{fraction}").parse().map_err(|_| "is larger than 64 bits hold".to_owned())?;
        let decimals = u32::try_from(fraction.len()).map_err(|_| "has too many decimals".to_owned())?;
        Ok(Self { digits: if bare.len() == text.len() { digits } else { -digits }, decimals })
    }
}

impl Major {
    /// In minor units of a currency with so many decimals.
    ///
    /// # Errors
    /// It has more decimals than the currency, or does not fit 64 bits.
    pub fn minor(self, decimals: u32) -> Result<i64, String> {
        let large = || "is larger than 64 bits hold".to_owned();
        if self.decimals <= decimals {
            let factor = 10_i64.checked_pow(decimals - self.decimals).ok_or_else(large)?;
            return self.digits.checked_mul(factor).ok_or_else(large);
        }
        let divisor = 10_i64.checked_pow(self.decimals - decimals).ok_or_else(large)?;
        if self.digits % divisor == 0 {
            Ok(self.digits / divisor)
        } else {
            Err(format!("has more than {decimals} decimals, which the currency does not have"))
        }
    }
}

/// A moment as it stands in a file: with an offset, or as the local time of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    Instant(DateTime<Utc>),
    Local(NaiveDateTime),
}

impl Value for Moment {
    const FORM: Form = Form::Text;

    fn parse(text: &str) -> Result<Self, String> {
        // What is stored has microseconds and no leap seconds; more would never compare equal.
        let stored = |at: DateTime<Utc>| DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(at);
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::Instant(stored(at.to_utc())));
        }
        let local = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
        local.map(|at| Self::Local(stored(at.and_utc()).naive_utc())).ok_or_else(|| {
            "must be a moment with its offset, such as 2026-01-31T09:30:00+01:00, or local time, such as 2026-01-31 09:30:00"
                .to_owned()
        })
    }
}

impl Moment {
    /// The instant, where local time is that of `zone`.
    ///
    /// # Errors
    /// The clocks there never showed this time, or showed it twice.
    pub fn at(self, zone: Tz) -> Result<DateTime<Utc>, String> {
        let local = match self {
            Self::Instant(at) => return Ok(at),
            Self::Local(local) => local,
        };
        match zone.from_local_datetime(&local) {
            LocalResult::Single(at) => Ok(at.to_utc()),
            LocalResult::None => {
                Err(format!("{local} never was in {zone}: the clocks were put forward over it; give its offset"))
            }
            LocalResult::Ambiguous(first, second) => Err(format!(
                "{local} was twice in {zone}, when the clocks were put back; give the offset: {} or {}",
                first.format("%:z"),
                second.format("%:z")
            )),
        }
    }

    /// Refuses an instant that is not from 1970 to five minutes ahead; of local time its zone decides.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(self, column: &'static str) -> Result<(), Refusal> {
        let Self::Instant(at) = self else { return Ok(()) };
        crate::moment::check(at).map_err(|reason| Refusal::new(column, reason))
    }

    /// [`Moment::at`], from 1970 to five minutes ahead.
    ///
    /// # Errors
    /// As [`Moment::at`], or out of bounds.
    pub fn within(self, zone: Tz) -> Result<DateTime<Utc>, String> {
        let at = self.at(zone)?;
        crate::moment::check(at).map(|()| at).map_err(ToOwned::to_owned)
    }
}

macro_rules! texts {
    ($($kind:ident)+) => {$(
        impl Value for $kind {
            const FORM: Form = Form::Text;

            fn parse(text: &str) -> Result<Self, String> {
                $kind::parse(text).map_err(|error| error.to_string())
            }
        }
    )+};
}

texts! { Code Reference Sku Text Zone }

/// Makes a cell of an enum whose variants have the names that serde gives them.
#[macro_export]
macro_rules! cell_of_names {
    ($($kind:ty: $names:literal;)+) => {$(
        impl $crate::import::Value for $kind {
            const FORM: $crate::import::Form = $crate::import::Form::Text;

            fn parse(text: &str) -> Result<Self, String> {
                serde_json::from_value(text.into()).map_err(|_| concat!("must be one of ", $names).to_owned())
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_in_major_units_have_the_currencys_digits() {
        let minor = |text: &str, decimals| Major::parse(text)?.minor(decimals);
        assert_eq!(minor("12.50", 2), Ok(1250));
        assert_eq!(minor("-0.05", 2), Ok(-5));
        assert_eq!(minor("12", 0), Ok(12));
        assert_eq!(minor("12.500", 2), Ok(1250));
        assert_eq!(minor("1.234", 3), Ok(1234));
        for bad in ["12,50", "1.234,50", "12.505", "12.", ".5", "1e3", "", "-", "12.5.0", "99999999999999999999"] {
            assert!(minor(bad, 2).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn local_time_is_that_of_the_zone_and_must_have_been_once() {
        let at = |text: &str| Moment::parse(text).unwrap().at("America/New_York".parse().unwrap());
        assert_eq!(at("2026-07-01 09:30").unwrap().to_rfc3339(), "2026-07-01T13:30:00+00:00");
        assert_eq!(at("2026-07-01T09:30:00+02:00").unwrap().to_rfc3339(), "2026-07-01T07:30:00+00:00");
        assert!(at("2026-03-08 02:30:00").unwrap_err().contains("never was in America/New_York"));
        assert!(at("2026-11-01T01:30:00").unwrap_err().contains("-04:00 or -05:00"));
        assert!(at("2026-11-01T01:30:00-05:00").is_ok());
        assert!(Moment::parse("yesterday").is_err() && Moment::parse("2026-01-31").is_err());
        assert_eq!(at("2016-12-31T23:59:60.1234567Z").unwrap().to_rfc3339(), "2017-01-01T00:00:00.123456+00:00");
    }

    #[test]
    fn refusals_say_what_to_change() {
        assert!(Price::parse("12.50").unwrap_err().contains("without _cents"));
        assert!(Major::parse("12,50").unwrap_err().contains("point"));
        assert!(bool::parse("TRUE").unwrap() && !bool::parse("False").unwrap() && bool::parse("yes").is_err());
        assert!(i64::parse("1.5").is_err() && i32::parse("x").is_err());
    }
}
