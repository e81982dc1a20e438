//! The query string of a report: our own few names, and the report's parameters.

use std::{num::NonZeroU16, time::Duration};

use ::exports::Format;
use aggregator::report::Given;
use base::parse_span;
use chrono::NaiveDate;

use super::AnswerError;

/// The longest query string, in bytes.
const LONGEST: usize = 8 * 1024;

/// What becomes of an answer whose sources are behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StalePolicy {
    /// It is given, marked stale.
    Serve,
    /// It is refused.
    Refuse,
}

/// A report's query, sorted.
#[derive(Debug)]
pub struct ReportQuery {
    /// `format`.
    pub format: Option<Format>,
    /// `business_day` and, with it, `revision`.
    pub published: Option<(NaiveDate, Option<i32>)>,
    /// `snapshot`.
    pub snapshot: Option<i64>,
    /// `max_age`: poll first the sources that are older.
    pub max_age: Option<Duration>,
    /// `stale`.
    pub stale: StalePolicy,
    /// All else: the report itself says which it knows.
    pub parameters: Given,
}

impl ReportQuery {
    /// Read a query string.
    ///
    /// # Errors
    /// Names the parameter that is wrong.
    pub fn read(text: &str) -> Result<Self, AnswerError> {
        if text.len() > LONGEST {
            return Err(AnswerError::Request {
                detail: format!("the query is longer than {LONGEST} bytes; ask for fewer values"),
            });
        }
        let mut parameters: Given = form_urlencoded::parse(text.as_bytes()).collect();
        let mut take = |name: &str| match parameters.take(name).as_deref() {
            None => Ok(None),
            Some([only]) => Ok(Some(only.clone())),
            Some(_) => Err(AnswerError::parameter(name.to_owned(), "given twice")),
        };
        let format = take("format")?.map(|name| {
            let known = || Format::ALL.map(Format::name).join(", ");
            Format::from_name(&name).ok_or_else(|| {
                AnswerError::parameter("format", format!("there is no format `{name}`; there are {}", known()))
            })
        });
        let day = parsed::<NaiveDate>("business_day", take("business_day")?, "must be a date such as 2026-03-08")?;
        let revision = parsed::<NonZeroU16>("revision", take("revision")?, "must be a whole number from 1")?;
        let revision = revision.map(|number| i32::from(number.get()));
        let snapshot = parsed::<i64>("snapshot", take("snapshot")?, "must be a whole number")?;
        let published = match (day, revision) {
            (Some(day), revision) => Some((day, revision)),
            (None, Some(_)) => {
                return Err(AnswerError::parameter("revision", "a revision belongs to a `business_day`: name it too"));
            }
            (None, None) => None,
        };
        let max_age = take("max_age")?.map(|text| age(&text)).transpose()?;
        let named = take("stale")?;
        let stale = match named.as_deref() {
            None | Some("serve") => StalePolicy::Serve,
            Some("refuse") => StalePolicy::Refuse,
            Some(_) => return Err(AnswerError::parameter("stale", "stale must be serve or refuse")),
        };
        if published.is_some() && snapshot.is_some() {
            return Err(AnswerError::parameter("snapshot", "what was published has its own snapshot: leave this out"));
        }
        let past = if published.is_some() { "what was published" } else { "an earlier snapshot" };
        for (name, given) in [("max_age", max_age.is_some()), ("stale", named.is_some())] {
            if given && (published.is_some() || snapshot.is_some()) {
                let detail = format!("{past} does not become fresher: leave this out");
                return Err(AnswerError::parameter(name, detail));
            }
        }
        if let (Some(_), Some(name)) = (published, parameters.names().next().map(str::to_owned)) {
            let detail = "what was published has its own parameters: leave this out, or leave out `business_day`";
            return Err(AnswerError::parameter(name, detail));
        }
        Ok(Self { format: format.transpose()?, published, snapshot, max_age, stale, parameters })
    }
}

/// `60s`, `5m`, `2h`; not zero, for an answer is always a little older than its question.
fn age(text: &str) -> Result<Duration, AnswerError> {
    let age = parse_span(text).map_err(|reason| AnswerError::parameter("max_age", reason))?;
    if age.is_zero() { Err(AnswerError::parameter("max_age", "max_age must be at least 1s")) } else { Ok(age) }
}

fn parsed<T: std::str::FromStr>(
    name: &'static str,
    text: Option<String>,
    must: &str,
) -> Result<Option<T>, AnswerError> {
    text.map(|text| text.parse().map_err(|_| AnswerError::parameter(name, format!("{name} {must}")))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_names_are_taken_and_the_rest_is_the_reports() {
        let query = ReportQuery::read("from=2026-01-01&format=csv&store=A%20B").unwrap();
        assert_eq!(query.format, Some(Format::Csv(::exports::CsvProfile::Raw)));
        assert_eq!(query.parameters.get("store").unwrap(), ["A B"]);
        assert_eq!(query.parameters.names().count(), 2);
        assert!(query.published.is_none());
        let query = ReportQuery::read("max_age=5m&stale=refuse").unwrap();
        assert_eq!((query.max_age, query.stale), (Some(Duration::from_secs(300)), StalePolicy::Refuse));
    }

    #[test]
    fn every_fault_names_its_parameter() {
        for (text, field) in [
            ("format=xml", "format"),
            ("business_day=tomorrow", "business_day"),
            ("revision=1", "revision"),
            ("business_day=2026-01-01&revision=x", "revision"),
            ("business_day=2026-01-01&from=2026-01-01", "from"),
            ("business_day=2026-01-01&snapshot=3", "snapshot"),
            ("snapshot=first", "snapshot"),
            ("format=csv&format=json", "format"),
            ("business_day=2026-01-01&revision=0", "revision"),
            ("business_day=2026-01-01&revision=-1", "revision"),
            ("max_age=60", "max_age"),
            ("max_age=0s", "max_age"),
            ("max_age=-5m", "max_age"),
            ("max_age=99999999999999999999s", "max_age"),
            ("stale=maybe", "stale"),
            ("business_day=2026-01-01&max_age=5m", "max_age"),
            ("snapshot=3&stale=refuse", "stale"),
        ] {
            let fault = ReportQuery::read(text).unwrap_err();
            assert!(matches!(&fault, AnswerError::Parameter { name, .. } if name == field), "{text}: {fault:?}");
        }
        let fault = ReportQuery::read(&"x".repeat(9_000)).unwrap_err();
        assert!(matches!(fault, AnswerError::Request { .. }), "{fault:?}");
    }
}
