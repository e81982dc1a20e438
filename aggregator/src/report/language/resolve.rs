//! From what a caller gave to values: defaults filled in, relative days resolved, bounds kept.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use chrono::{Days, NaiveDate};

use super::compile::Report;
use super::dates::{self, Anchors};
use super::given::Given;
use super::header::DayRange;
use super::param::Parameter;
use super::value::Value;

/// What is wrong with a parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// The report has no such parameter.
    #[error("there is no parameter \"{name}\"; the report takes {known}")]
    Unknown { name: String, known: String },
    /// It has a wrong value, or none.
    #[error("the parameter \"{name}\" {detail}")]
    Bad { name: String, detail: String },
}

impl ParameterError {
    /// The parameter.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Unknown { name, .. } | Self::Bad { name, .. } => name,
        }
    }
}

/// Everything a run needs besides the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resolved {
    /// The parameters, as the answer shows them.
    pub(crate) parameters: BTreeMap<String, Value>,
    /// The parameters and the derived days, as the statement needs them.
    pub(crate) bindings: BTreeMap<String, Value>,
    /// The business days whose rows the figures depend on, apart and in order; empty: all.
    pub(crate) days: Vec<RangeInclusive<NaiveDate>>,
}

/// The days that relative ones are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Clock {
    /// In the company's zone.
    pub(crate) today: NaiveDate,
    /// The last day that every source of the report is complete for.
    pub(crate) complete: NaiveDate,
}

/// Resolves what a caller gave.
pub(crate) fn for_caller(report: &Report, given: &Given, clock: Clock) -> Result<Resolved, ParameterError> {
    if let Some(name) = given.names().find(|name| !report.params.contains_key(*name)) {
        let known: Vec<&str> = report.params.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(ParameterError::Unknown { name: name.to_owned(), known });
    }
    let anchors = dates::anchors(clock.today, clock.complete);
    let given = |name: &str, parameter: &Parameter| Some(parameter.read(given.get(name)?, &anchors));
    let parameters = values(report, &anchors, given)?;
    complete(report, parameters, anchors)
}

/// The business days on which hangs what is published for one, apart and in order: those that it looks back on, and
/// those that it reads, such as the same weekday a year ago.
pub(crate) fn days_behind(
    report: &Report,
    business_day: NaiveDate,
    today: NaiveDate,
) -> Vec<RangeInclusive<NaiveDate>> {
    let first = business_day.checked_sub_days(Days::new(report.lookback.into())).unwrap_or(business_day);
    // What cannot be resolved cannot be published either.
    let mut days = for_day(report, business_day, today).map(|resolved| resolved.days).unwrap_or_default();
    days.push(first..=business_day);
    apart(days)
}

/// Resolves the `[publish]` binding for a business day.
pub(crate) fn for_day(report: &Report, business_day: NaiveDate, today: NaiveDate) -> Result<Resolved, ParameterError> {
    let mut anchors = dates::anchors(today, business_day);
    // The week and the month so far, as they stood on the day.
    let then = dates::anchors(business_day, business_day);
    for (bound, anchor) in [("day", "today"), ("week", "week_start"), ("month", "month_start")] {
        if let Some(day) = then.get(anchor) {
            anchors.insert(format!("$business_{bound}"), *day);
        }
    }
    let bound =
        |name: &str, parameter: &Parameter| Some(parameter.read_toml(report.publish.as_ref()?.get(name)?, &anchors));
    let parameters = values(report, &anchors, bound)?;
    complete(report, parameters, anchors)
}

/// The value of each parameter: as it was given, or its default, which may be counted from another's day.
fn values(
    report: &Report,
    anchors: &Anchors,
    given: impl Fn(&str, &Parameter) -> Option<Result<Value, String>>,
) -> Result<BTreeMap<String, Value>, ParameterError> {
    let (mut values, mut days) = (BTreeMap::new(), anchors.clone());
    let (following, others): (Vec<_>, Vec<_>) = report.params.iter().partition(|(_, parameter)| parameter.follows());
    for (name, parameter) in others.into_iter().chain(following) {
        let default = || parameter.default.as_ref().map(|default| parameter.read_toml(default, &days));
        let value = given(name, parameter).or_else(default).unwrap_or_else(|| Err("is required".to_owned()));
        let value = value.map_err(|detail| ParameterError::Bad { name: name.clone(), detail })?;
        if let Value::Date(day) = value {
            days.insert(format!("${name}"), day);
        }
        values.insert(name.clone(), value);
    }
    Ok(values)
}

fn complete(
    report: &Report,
    parameters: BTreeMap<String, Value>,
    mut anchors: Anchors,
) -> Result<Resolved, ParameterError> {
    for (name, value) in &parameters {
        if let Value::Date(day) = value {
            anchors.insert(format!("${name}"), *day);
        }
    }
    if let (Some(from), Some(to)) = (anchors.get("$from"), anchors.get("$to"))
        && from > to
    {
        let detail = format!("must not be after \"to\" ({from} is after {to})");
        return Err(ParameterError::Bad { name: "from".to_owned(), detail });
    }
    let day = |name: &str, text: &str| {
        dates::parse(text, &anchors).ok_or_else(|| ParameterError::Bad {
            name: name.to_owned(),
            detail: "leads to days that are out of range".to_owned(),
        })
    };
    let mut bindings = parameters.clone();
    for (name, text) in &report.derived {
        bindings.insert(name.clone(), Value::Date(day("from", text)?));
    }
    let range = |days: &DayRange| Ok::<_, ParameterError>(day("from", &days.from)?..=day("to", &days.to)?);
    let days = apart(report.days.iter().map(range).collect::<Result<_, _>>()?);
    Ok(Resolved { parameters, bindings, days })
}

/// The same days in ranges that neither meet nor touch, so that no row is read twice.
fn apart(mut ranges: Vec<RangeInclusive<NaiveDate>>) -> Vec<RangeInclusive<NaiveDate>> {
    ranges.sort_by_key(|range| *range.start());
    let mut apart: Vec<RangeInclusive<NaiveDate>> = Vec::new();
    for range in ranges {
        match apart.last_mut() {
            Some(last) if *range.start() <= *last.end() + Days::new(1) => {
                *last = *last.start()..=*last.end().max(range.end());
            }
            _ => apart.push(range),
        }
    }
    apart
}

#[cfg(test)]
mod tests {
    use super::{Clock, apart, days_behind, for_caller, for_day};
    use crate::report::language::value::Value;
    use crate::report::tests::company::{catalogue, day};

    #[test]
    fn a_default_follows_the_day_that_it_is_counted_from() {
        let catalogue = catalogue();
        let report = catalogue.get("slow_movers").unwrap();
        let clock = Clock { today: day("2026-03-12"), complete: day("2026-03-11") };
        let since = |given: &[(&str, &str)]| {
            for_caller(report, &given.iter().copied().collect(), clock).unwrap().parameters["since"].clone()
        };
        assert_eq!(since(&[]), Value::Date(day("2026-02-12")));
        assert_eq!(since(&[("as_of", "2026-01-31")]), Value::Date(day("2026-01-04")));
        assert_eq!(since(&[("as_of", "2026-01-31"), ("since", "2026-01-01")]), Value::Date(day("2026-01-01")));
        assert!(for_caller(report, &[("since", "$as_of - 3d")].into_iter().collect(), clock).is_err());
        let mut unbound = report.as_ref().clone();
        unbound.publish.as_mut().unwrap().remove("since");
        let published = for_day(&unbound, day("2026-01-31"), clock.today).unwrap();
        assert_eq!(published.parameters["since"], Value::Date(day("2026-01-04")));
    }

    #[test]
    fn what_is_published_hangs_on_its_day_on_those_before_and_on_those_a_year_ago() {
        let catalogue = catalogue();
        let behind = |name: &str| {
            let days = days_behind(catalogue.get(name).unwrap(), day("2026-03-11"), day("2026-03-12"));
            days.iter().map(|days| format!("{} {}", days.start(), days.end())).collect::<Vec<_>>()
        };
        assert_eq!(behind("daily_sales"), ["2026-03-11 2026-03-11"]);
        assert_eq!(behind("store_performance"), ["2025-03-12 2025-03-12", "2026-03-10 2026-03-11"]);
        // Wednesday: the week so far, the one before, and the same weekdays of a year ago; a lookback never says less.
        assert_eq!(behind("sales_by_week"), ["2025-03-10 2025-03-12", "2026-02-26 2026-03-11"]);
    }

    #[test]
    fn ranges_that_meet_or_touch_become_one() {
        let ranges = |texts: &[(&str, &str)]| {
            texts.iter().map(|(from, to)| from.parse().unwrap()..=to.parse().unwrap()).collect::<Vec<_>>()
        };
        let given = [
            ("2026-03-08", "2026-03-09"),
            ("2025-03-01", "2025-03-31"),
            ("2026-03-01", "2026-03-07"),
            ("2026-03-02", "2026-03-03"),
        ];
        assert_eq!(apart(ranges(&given)), ranges(&[("2025-03-01", "2025-03-31"), ("2026-03-01", "2026-03-09")]));
    }
}
