//! What is asked of a report's page: the report's own parameters, and how its rows are to be shown.

use aggregator::report::Given;
use chrono::NaiveDate;
use form_urlencoded::Serializer;
use kit::error::ApiError;

use crate::{answer::ReportQuery, console::BASE};

/// Rows of one page of a table.
pub(super) const ROWS: usize = 100;

/// Our own names begin with a mark that no report's parameter does.
const SORT: &str = "_sort";
const PAGE: &str = "_page";

/// A page's query.
#[derive(Debug, Clone)]
pub(in crate::console) struct Ask {
    /// The report's parameters as they were entered.
    pub(in crate::console) parameters: Given,
    /// The day, and the revision, of what was published.
    pub(in crate::console) published: Option<(NaiveDate, Option<i32>)>,
    /// An earlier state of the lake.
    pub(in crate::console) snapshot: Option<i64>,
    /// The column by which the rows are sorted; downwards when true. The report's own order when absent.
    pub(in crate::console) sort: Option<(String, bool)>,
    /// From 1.
    pub(in crate::console) page: usize,
}

impl Ask {
    /// Reads a query.
    ///
    /// # Errors
    /// 400 naming the parameter.
    pub(super) fn read(query: &str) -> Result<Self, ApiError> {
        let (mut sort, mut page) = (None, 1);
        let mut rest = Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                SORT => {
                    let down = value.strip_prefix('-');
                    sort = Some((down.unwrap_or(&value).to_owned(), down.is_some()));
                }
                PAGE => {
                    let number = value.parse().ok().filter(|number| *number >= 1);
                    page = number.ok_or_else(|| ApiError::bad_parameter(PAGE, "a page is a number from 1"))?;
                }
                // A list is entered by lines; no value of any kind has a line's end in it. A field that was left empty asks
                // for the default.
                _ => {
                    for line in value.lines().filter(|line| !line.is_empty()) {
                        rest.append_pair(&name, line);
                    }
                }
            }
        }
        let ReportQuery { published, snapshot, parameters, .. } = ReportQuery::read(&rest.finish())?;
        Ok(Self { parameters, published, snapshot, sort, page })
    }

    /// The same page with another order; the first of its pages.
    pub(super) fn sorted(&self, name: &str, column: &str, down: bool) -> String {
        let sort = Some((column.to_owned(), down));
        Self { sort, page: 1, ..self.clone() }.url(name)
    }

    /// Another page of the same rows.
    pub(super) fn turned(&self, name: &str, page: usize) -> String {
        Self { page, ..self.clone() }.url(name)
    }

    fn url(&self, name: &str) -> String {
        let mut query = Serializer::new(String::new());
        query.extend_pairs(self.parameters.pairs());
        if let Some((day, revision)) = self.published {
            query.append_pair("business_day", &day.to_string());
            if let Some(revision) = revision {
                query.append_pair("revision", &revision.to_string());
            }
        }
        if let Some(snapshot) = self.snapshot {
            query.append_pair("snapshot", &snapshot.to_string());
        }
        if let Some((column, down)) = &self.sort {
            query.append_pair(SORT, &format!("{}{column}", if *down { "-" } else { "" }));
        }
        if self.page > 1 {
            query.append_pair(PAGE, &self.page.to_string());
        }
        format!("{BASE}/reports/{name}?{}", query.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_names_and_the_reports_are_told_apart_and_come_back() {
        let ask = Ask::read("from=2026-01-01&store=&_sort=-net_revenue&_page=3").unwrap();
        assert_eq!(ask.parameters.names().count(), 1);
        let list = Ask::read("stores=a%2C+b%0D%0A%0D%0A%27c%27").unwrap();
        assert_eq!(list.parameters.get("stores").unwrap(), ["a, b", "'c'"]);
        assert_eq!(list.turned("x", 1), "/reporting/reports/x?stores=a%2C+b&stores=%27c%27");
        assert_eq!((ask.sort.clone(), ask.page), (Some(("net_revenue".to_owned(), true)), 3));
        assert_eq!(ask.turned("x", 1), "/reporting/reports/x?from=2026-01-01&_sort=-net_revenue");
        assert_eq!(ask.sorted("x", "city", false), "/reporting/reports/x?from=2026-01-01&_sort=city");
        let published = Ask::read("business_day=2026-01-01&revision=2").unwrap();
        assert_eq!(published.turned("x", 2), "/reporting/reports/x?business_day=2026-01-01&revision=2&_page=2");
        assert!(Ask::read("_page=0").is_err());
    }
}
