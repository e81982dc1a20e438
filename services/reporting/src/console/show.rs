//! Values as people read them: figures, moments, spans, sizes.

use base::Tz;
use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Utc};
use exports::Kind;
use maud::{Markup, html};
use polars::prelude::{AnyValue, TimeUnit};

/// A whole number with its thousands apart: `12,345`.
pub(super) fn integer(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", grouped(&digits))
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Minor units as an amount: `1,234.50`.
pub(super) fn money(minor: i64, decimals: u8) -> String {
    let text = ::exports::money(minor, decimals);
    let (sign, rest) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (digits, point) = rest.split_at(rest.find('.').unwrap_or(rest.len()));
    format!("{sign}{}{point}", grouped(digits))
}

/// A ratio or an average, to two places: figures of a column stand under one another.
pub(super) fn float(value: f64) -> String {
    if !value.is_finite() {
        return String::new();
    }
    let text = format!("{value:.2}");
    let (sign, rest) = text.strip_prefix('-').map_or(("", text.as_str()), |rest| ("-", rest));
    let (digits, fraction) = rest.split_once('.').unwrap_or((rest, "0"));
    let sign = if rest.chars().all(|c| matches!(c, '0' | '.')) { "" } else { sign };
    format!("{sign}{}.{fraction}", grouped(digits))
}

/// Bytes: `1.2 MB`.
pub(super) fn bytes(count: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown to one place")]
    let mut value = count as f64;
    for unit in ["bytes", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "bytes" { format!("{count} bytes") } else { format!("{value:.1} {unit}") };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// A span of seconds in its largest sensible unit: `3 min`, `2 h 10 min`, `4 days`.
pub(super) fn span(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match (seconds / 86_400, seconds / 3_600, seconds / 60) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) if minutes % 60 == 0 || hours >= 10 => format!("{hours} h"),
        (0, hours, minutes) => format!("{hours} h {} min", minutes % 60),
        (1, _, _) => "1 day".to_owned(),
        (days, _, _) => format!("{days} days"),
    }
}

/// How long something took.
pub(super) fn took(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    let span_of = to - from;
    if span_of < TimeDelta::seconds(10) {
        let tenths = span_of.num_milliseconds().max(0) / 100;
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    span(span_of.num_seconds())
}

/// A day: `Sat 21 Nov 2026`.
pub(super) fn day(day: NaiveDate) -> String {
    day.format("%a %-d %b %Y").to_string()
}

/// A moment in the company's zone, short for today; the whole of it for machines and on hovering.
pub(super) fn moment(at: DateTime<Utc>, zone: Tz) -> Markup {
    let local = at.with_timezone(&zone);
    let now = Utc::now().with_timezone(&zone);
    let text = if local.date_naive() == now.date_naive() {
        local.format("%H:%M")
    } else if local.year() == now.year() {
        local.format("%-d %b, %H:%M")
    } else {
        local.format("%-d %b %Y, %H:%M")
    };
    html! { time datetime=(at.to_rfc3339()) title=(local.format("%Y-%m-%d %H:%M:%S %Z").to_string()) { (text.to_string()) } }
}

/// A moment that may not be.
pub(super) fn maybe(at: Option<DateTime<Utc>>, zone: Tz) -> Markup {
    at.map_or_else(|| html! { span.soft { "never" } }, |at| moment(at, zone))
}

/// `1 row`, `2 rows`.
pub(super) fn count(number: i64, one: &str, many: &str) -> String {
    format!("{} {}", integer(number), if number == 1 { one } else { many })
}

/// A technical name as words: `net_revenue` is `Net revenue`.
pub(super) fn words(name: &str) -> String {
    let spaced = name.replace(['_', '-'], " ");
    let mut letters = spaced.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A cell of a report as text. An absent value is empty.
pub(super) fn cell(value: &AnyValue<'_>, kind: Kind, zone: Tz) -> String {
    match value {
        AnyValue::Null => String::new(),
        AnyValue::Boolean(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        AnyValue::String(text) => (*text).to_owned(),
        AnyValue::StringOwned(text) => text.to_string(),
        AnyValue::Float64(value) => float(*value),
        AnyValue::Float32(value) => float((*value).into()),
        AnyValue::Date(days) => date(*days).map(|day| day.to_string()).unwrap_or_default(),
        AnyValue::Datetime(value, unit, _) => local(*value, *unit, zone),
        AnyValue::DatetimeOwned(value, unit, _) => local(*value, *unit, zone),
        other => match (other.extract::<i64>(), kind) {
            (Some(value), Kind::Money { decimals }) => money(value, decimals),
            (Some(value), _) => integer(value),
            (None, _) => other.to_string(),
        },
    }
}

fn local(value: i64, unit: TimeUnit, zone: Tz) -> String {
    let moment = match unit {
        TimeUnit::Nanoseconds => Some(DateTime::from_timestamp_nanos(value)),
        TimeUnit::Microseconds => DateTime::from_timestamp_micros(value),
        TimeUnit::Milliseconds => DateTime::from_timestamp_millis(value),
    };
    moment.map(|at| at.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string()).unwrap_or_default()
}

/// The date that many days after 1970.
pub(super) fn date(days: i32) -> Option<NaiveDate> {
    NaiveDate::default().checked_add_signed(TimeDelta::days(days.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_at_a_glance() {
        assert_eq!(integer(-1_234_567), "-1,234,567");
        assert_eq!(integer(12), "12");
        assert_eq!([money(123_450, 2), money(-5, 2), money(-123_450, 0)], ["1,234.50", "-0.05", "-123,450"]);
        assert_eq!(float(0.1 + 0.2), "0.30");
        assert_eq!(float(-12_345.67), "-12,345.67");
        assert_eq!(float(-0.001), "0.00");
        assert_eq!(float(f64::NAN), "");
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(1_234_567), "1.2 MB");
    }

    #[test]
    fn spans_are_in_their_largest_unit() {
        for (seconds, text) in [
            (-1, "0 s"),
            (59, "59 s"),
            (61, "1 min"),
            (7_800, "2 h 10 min"),
            (36_001, "10 h"),
            (86_400, "1 day"),
            (200_000, "2 days"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }
}
