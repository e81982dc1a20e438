//! Values as text, shared by the text formats. Bytes are pushed, because formatting through `fmt` costs more than
//! everything else that is done to a row.

use chrono::{DateTime, Days, NaiveDate};

const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// Minor units as a decimal with exactly so many places: `-5` cents are `-0.05`, 5 yen `5`.
#[must_use]
pub fn money(minor: i64, decimals: u8) -> String {
    let mut text = Vec::new();
    push_money(&mut text, minor, decimals);
    String::from_utf8(text).unwrap_or_default()
}

pub(crate) fn push_money(text: &mut Vec<u8>, minor: i64, decimals: u8) {
    if minor < 0 {
        text.push(b'-');
    }
    let (magnitude, unit) = (minor.unsigned_abs(), 10_u64.pow(decimals.into()));
    push_digits(text, magnitude / unit, 1);
    if decimals > 0 {
        text.push(b'.');
        push_digits(text, magnitude % unit, decimals.into());
    }
}

pub(crate) fn push_int(text: &mut Vec<u8>, value: i64) {
    if value < 0 {
        text.push(b'-');
    }
    push_digits(text, value.unsigned_abs(), 1);
}

/// At least `width` digits, with zeros in front.
fn push_digits(text: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    for digit in digits.iter_mut().rev() {
        if value == 0 {
            break;
        }
        *digit += u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
        first -= 1;
    }
    let first = first.min(digits.len() - width);
    text.extend_from_slice(digits.get(first..).unwrap_or_default());
}

/// Days since 1970-01-01 as `2026-03-08`; years beyond four digits get a sign, as ISO 8601 asks.
pub(crate) fn push_date(text: &mut Vec<u8>, days: i32) {
    let (year, month, day) = civil(i64::from(days));
    match u64::try_from(year) {
        Ok(year @ 0..=9999) => push_digits(text, year, 4),
        _ => {
            text.push(if year < 0 { b'-' } else { b'+' });
            push_digits(text, year.unsigned_abs(), 4);
        }
    }
    for part in [month, day] {
        text.push(b'-');
        push_digits(text, part, 2);
    }
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar without end: an era has 400 years, and a
/// year begins in March, so that the leap day is its last.
fn civil(days: i64) -> (i64, u64, u64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097).unsigned_abs();
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + i64::try_from(year_of_era).unwrap_or_default() + i64::from(month <= 2);
    (year, month, day)
}

/// The date that many days after 1970-01-01.
pub(crate) fn date(days: i32) -> Option<NaiveDate> {
    let span = Days::new(u64::from(days.unsigned_abs()));
    let epoch = NaiveDate::default();
    if days < 0 { epoch.checked_sub_days(span) } else { epoch.checked_add_days(span) }
}

/// Microseconds since 1970 in UTC: `2026-03-08T07:30:00.000000Z`. Nothing for a moment beyond what programs can read.
pub(crate) fn push_timestamp(text: &mut Vec<u8>, micros: i64) {
    if push_second(text, micros, b'T') {
        text.push(b'.');
        push_digits(text, micros.rem_euclid(MICROS_PER_SECOND).unsigned_abs(), 6);
        text.push(b'Z');
    }
}

/// The same as `2026-03-08 07:30:00` for spreadsheets, which know neither the letters nor the fraction.
pub(crate) fn push_spreadsheet_timestamp(text: &mut Vec<u8>, micros: i64) {
    push_second(text, micros, b' ');
}

/// Date and time to the second; false, and nothing, for a moment beyond what programs can read.
fn push_second(text: &mut Vec<u8>, micros: i64, separator: u8) -> bool {
    if DateTime::from_timestamp_micros(micros).is_none() {
        return false;
    }
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    let (days, time) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY).unsigned_abs());
    push_date(text, i32::try_from(days).unwrap_or(i32::MAX));
    text.push(separator);
    push_digits(text, time / 3_600, 2);
    for part in [time / 60 % 60, time % 60] {
        text.push(b':');
        push_digits(text, part, 2);
    }
    true
}

/// The shortest text that reads back as the same number.
pub(crate) fn push_float(text: &mut Vec<u8>, value: f64) {
    // serde_json's form has an exponent for the very large and small, which `{}` writes out. A Vec refuses nothing.
    let _infallible = serde_json::to_writer(text, &value);
}

#[cfg(test)]
mod tests {
    use super::{date, money, push_date, push_float, push_int, push_spreadsheet_timestamp, push_timestamp};

    fn text(push: impl Fn(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        push(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn cents_have_two_places_whatever_their_sign() {
        let cases = [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (123_450, "1234.50"), (-100, "-1.00")];
        for (cents, expected) in cases {
            assert_eq!(money(cents, 2), expected);
        }
        assert_eq!(money(i64::MIN, 2), "-92233720368547758.08");
        assert_eq!([money(-1_234, 0), money(5, 3), money(-12_345, 4)], ["-1234", "0.005", "-1.2345"]);
    }

    #[test]
    fn integers_read_as_everywhere() {
        for value in [0, 7, -7, 10, 1_234_567, i64::MAX, i64::MIN] {
            assert_eq!(text(|t| push_int(t, value)), value.to_string());
        }
    }

    #[test]
    fn days_and_moments_read_as_iso_8601() {
        assert_eq!(text(|t| push_date(t, 0)), "1970-01-01");
        assert_eq!(text(|t| push_date(t, -1)), "1969-12-31");
        assert_eq!(text(|t| push_timestamp(t, -1)), "1969-12-31T23:59:59.999999Z");
        assert_eq!(text(|t| push_spreadsheet_timestamp(t, 1_772_955_000_000_000)), "2026-03-08 07:30:00");
        assert_eq!(text(|t| push_timestamp(t, i64::MAX)), "");
    }

    #[test]
    fn every_day_is_the_calendars() {
        // Four centuries and both ends; the calendar itself is chrono's.
        for days in (-150_000..150_000).chain([-800_000, 3_000_000, -90_000_000, 90_000_000]) {
            assert_eq!(text(|t| push_date(t, days)), date(days).unwrap().to_string(), "{days}");
        }
    }

    #[test]
    fn floats_are_short_and_exact() {
        assert_eq!(text(|t| push_float(t, 0.1)), "0.1");
        assert_eq!(text(|t| push_float(t, 3.0)), "3.0");
    }
}
