//! Values as text, shared by the text formats.

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, Days, NaiveDate, Timelike};

/// Cents as a decimal with exactly two places: `-5` is `-0.05`.
#[must_use]
pub fn money(cents: i64) -> String {
    let mut text = String::new();
    push_money(&mut text, cents);
    text
}

pub(crate) fn push_money(text: &mut String, cents: i64) {
    let sign = if cents < 0 { "-" } else { "" };
    let magnitude = cents.unsigned_abs();
    // Writing to a String cannot fail.
    let _infallible = write!(text, "{sign}{}.{:02}", magnitude / 100, magnitude % 100);
}

/// Days since 1970-01-01 as `2026-03-08`; years beyond four digits get a sign, as ISO 8601 asks.
pub(crate) fn push_date(text: &mut String, days: i32) {
    let Some(date) = date(days) else {
        return;
    };
    let _infallible = if (0..=9999).contains(&date.year()) {
        write!(text, "{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
    } else {
        write!(text, "{date}")
    };
}

/// The date that many days after 1970-01-01.
pub(crate) fn date(days: i32) -> Option<NaiveDate> {
    let span = Days::new(u64::from(days.unsigned_abs()));
    let epoch = NaiveDate::default();
    if days < 0 { epoch.checked_sub_days(span) } else { epoch.checked_add_days(span) }
}

/// Microseconds since 1970 in UTC: `2026-03-08T07:30:00.000000Z`, or `2026-03-08 07:30:00` for
/// spreadsheets, which know neither the letters nor the fraction.
pub(crate) fn push_timestamp(text: &mut String, micros: i64, spreadsheet: bool) {
    let Some(moment) = DateTime::from_timestamp_micros(micros) else {
        return;
    };
    let (date, time) = (moment.date_naive(), moment.time());
    let days = date.signed_duration_since(NaiveDate::default()).num_days();
    push_date(text, i32::try_from(days).unwrap_or(i32::MAX));
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    let _infallible = if spreadsheet {
        write!(text, " {hour:02}:{minute:02}:{second:02}")
    } else {
        write!(text, "T{hour:02}:{minute:02}:{second:02}.{:06}Z", time.nanosecond() / 1_000)
    };
}

/// The shortest text that reads back as the same number.
pub(crate) fn push_float(text: &mut String, value: f64) {
    // serde_json's form has an exponent for the very large and small, which `{}` writes out.
    match serde_json::Number::from_f64(value) {
        Some(number) => {
            let _infallible = write!(text, "{number}");
        }
        None => text.push_str("null"),
    }
}

#[cfg(test)]
mod tests {
    use super::{money, push_date, push_float, push_timestamp};

    fn text(push: impl Fn(&mut String)) -> String {
        let mut text = String::new();
        push(&mut text);
        text
    }

    #[test]
    fn cents_have_two_places_whatever_their_sign() {
        let cases = [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (123_450, "1234.50"), (-100, "-1.00")];
        for (cents, expected) in cases {
            assert_eq!(money(cents), expected);
        }
        assert_eq!(money(i64::MIN), "-92233720368547758.08");
    }

    #[test]
    fn days_and_moments_read_as_iso_8601() {
        assert_eq!(text(|t| push_date(t, 0)), "1970-01-01");
        assert_eq!(text(|t| push_date(t, -1)), "1969-12-31");
        assert_eq!(text(|t| push_timestamp(t, -1, false)), "1969-12-31T23:59:59.999999Z");
        assert_eq!(text(|t| push_timestamp(t, 1_772_955_000_000_000, true)), "2026-03-08 07:30:00");
    }

    #[test]
    fn floats_are_short_and_exact() {
        assert_eq!(text(|t| push_float(t, 0.1)), "0.1");
        assert_eq!(text(|t| push_float(t, 3.0)), "3.0");
    }
}
