//! Days, absolute (`2026-03-08`) or relative to a named day (`today-30d`, `month_start`, `$from-1d`).

use std::collections::BTreeMap;

use chrono::{Datelike, Days, Months, NaiveDate};

/// The first and last day that a parameter may name: beyond them lies a typing error.
const FIRST_YEAR: i32 = 1970;
const LAST_YEAR: i32 = 2199;

/// Named days from which relative ones are counted.
pub(crate) type Anchors = BTreeMap<String, NaiveDate>;

/// The days that every date may be relative to: `today` in the company's zone, and the last
/// `complete` day.
pub(crate) fn anchors(today: NaiveDate, complete: NaiveDate) -> Anchors {
    let month = today.with_day(1).unwrap_or(today);
    let quarter = month.checked_sub_months(Months::new(month.month0() % 3)).unwrap_or(month);
    let year = month.with_month(1).unwrap_or(month);
    let week = today - Days::new(u64::from(today.weekday().num_days_from_monday()));
    let named = [
        ("today", today),
        ("yesterday", today - Days::new(1)),
        ("complete_day", complete),
        ("week_start", week),
        ("month_start", month),
        ("quarter_start", quarter),
        ("year_start", year),
    ];
    named.map(|(name, day)| (name.to_owned(), day)).into()
}

/// Reads a day: an ISO date, or an anchor with an optional `+7d` or `-30d`. `span` stands for the
/// number of days from `$from` to `$to`, both included, and `weeks` for as many whole weeks as hold them.
pub(crate) fn parse(text: &str, anchors: &Anchors) -> Option<NaiveDate> {
    let text = text.trim();
    if text.len() == 10 && text.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        return absolute(text);
    }
    let split = text.find(['+', '-']);
    let (name, offset) = split.map_or((text, ""), |at| text.split_at(at));
    let day = *anchors.get(name.trim())?;
    let Some(sign) = offset.chars().next() else {
        return Some(day);
    };
    let length = offset.get(1..)?.trim();
    let days = match length {
        "span" => span(anchors)?,
        "weeks" => span(anchors)?.div_ceil(7) * 7,
        _ => length.strip_suffix('d')?.parse::<u64>().ok().filter(|days| *days <= 100_000)?,
    };
    let moved = if sign == '-' { day.checked_sub_days(Days::new(days)) } else { day.checked_add_days(Days::new(days)) };
    moved.filter(in_range)
}

fn absolute(text: &str) -> Option<NaiveDate> {
    // chrono would also take "2026-3-8" and signs; one spelling of a day is enough.
    let shaped = text
        .bytes()
        .enumerate()
        .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    shaped.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten().filter(in_range)
}

fn in_range(day: &NaiveDate) -> bool {
    (FIRST_YEAR..=LAST_YEAR).contains(&day.year())
}

fn span(anchors: &Anchors) -> Option<u64> {
    let (from, to) = (anchors.get("$from")?, anchors.get("$to")?);
    u64::try_from(to.signed_duration_since(*from).num_days() + 1).ok()
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::{anchors, parse};

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn relative_days_count_from_their_anchor() {
        let mut anchors = anchors(day("2026-11-22"), day("2026-11-20"));
        anchors.insert("$from".to_owned(), day("2026-11-01"));
        anchors.insert("$to".to_owned(), day("2026-11-07"));
        let cases = [
            ("2026-02-28", "2026-02-28"),
            ("today", "2026-11-22"),
            ("yesterday", "2026-11-21"),
            ("today-30d", "2026-10-23"),
            ("month_start", "2026-11-01"),
            ("month_start - 1d", "2026-10-31"),
            ("quarter_start", "2026-10-01"),
            ("year_start", "2026-01-01"),
            ("week_start", "2026-11-16"),
            ("$from-span", "2026-10-25"),
            ("$from - 364d", "2025-11-02"),
            ("$from - weeks", "2026-10-25"),
            ("$to - weeks", "2026-10-31"),
            ("today+1d", "2026-11-23"),
            ("complete_day-1d", "2026-11-19"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, &anchors), Some(day(expected)), "{text}");
        }
    }

    #[test]
    fn what_is_no_day_is_refused() {
        let anchors = anchors(day("2026-11-22"), day("2026-11-20"));
        for text in [
            "",
            "2026-02-30",
            "2026-2-3",
            "26-02-03",
            "tomorrow",
            "today-",
            "today-30",
            "today--3d",
            "today-99999999999d",
            "0000-01-01",
            "9999-12-31",
            "2026-11-22T00:00:00",
            "2026/11/22",
            "$from",
            "2026-11-22' OR 1=1",
            "+026-01-01",
            "today-d",
        ] {
            assert_eq!(parse(text, &anchors), None, "{text}");
        }
    }
}
