//! What there is to know about last night, read at once.

use std::collections::BTreeMap;

use aggregator::{
    publish::{self, OutdatedRevision, PublishError, Revision},
    report::{Check, Report},
};
use chrono::{Days, NaiveDate, Utc};
use jobs::engine::{RunRow, history};
use polars::prelude::DataFrame;

use crate::{State, answer::AnswerError, console::fault::Fault};

/// Lines of a list on the first page.
const LINES: i64 = 8;

/// One check of the day: a report whose rows are findings.
pub(super) struct Finding {
    pub(super) report: String,
    pub(super) title: String,
    pub(super) day: NaiveDate,
    /// Rows that are findings.
    pub(super) found: usize,
}

/// What was published for the last business day, and what else happened.
pub(super) struct Night {
    /// The day that should be there: yesterday.
    pub(super) due: NaiveDate,
    /// The day that is: the due one, or the last one published.
    pub(super) day: Option<NaiveDate>,
    /// How many reports the catalogue publishes.
    pub(super) expected: usize,
    /// The current revision of each report of the day.
    pub(super) current: Vec<Revision>,
    /// Later revisions of the last two days.
    pub(super) restated: Vec<Revision>,
    /// Runs that failed in the last day.
    pub(super) failed: Vec<RunRow>,
    pub(super) findings: Vec<Finding>,
    /// What was published of any day and is known to be outdated.
    pub(super) outdated: Vec<OutdatedRevision>,
    /// Titles of the published reports.
    titles: BTreeMap<String, String>,
}

impl Night {
    pub(super) async fn read(state: &State) -> Result<Self, Fault> {
        let due = state.config.days().today() - Days::new(1);
        let since = Utc::now() - Days::new(1);
        let published = async {
            let day = publish::last_day(&state.pool, due).await?;
            let current = match day {
                Some(day) => publish::of_day(&state.pool, day).await?,
                None => Vec::new(),
            };
            Ok::<_, PublishError>((
                day,
                current,
                publish::restated(&state.pool, Utc::now() - Days::new(2), LINES).await?,
                publish::outdated(&state.pool).await?,
            ))
        };
        let published = async { published.await.map_err(AnswerError::from).map_err(Fault::from) };
        let failed = async {
            history::failed(&state.pool, since, LINES).await.map_err(|error| Fault::from(AnswerError::from(error)))
        };
        let ((day, current, restated, outdated), failed) = tokio::try_join!(published, failed)?;
        let catalogue = state.aggregator.reports().catalogue();
        let reports = || catalogue.reports().filter(|report| report.publish.is_some());
        let mut findings = Vec::new();
        for report in reports() {
            let revision = current.iter().find(|revision| revision.report == report.name);
            if let (Some(check), Some(revision)) = (&report.check, revision) {
                findings.push(finding(state, report, check, revision).await?);
            }
        }
        let titles: BTreeMap<_, _> = reports().map(|report| (report.name.clone(), report.title.clone())).collect();
        Ok(Self { due, day, expected: titles.len(), current, restated, failed, findings, outdated, titles })
    }

    /// What people call a report.
    pub(super) fn title<'a>(&'a self, report: &'a str) -> &'a str {
        self.titles.get(report).map_or(report, String::as_str)
    }

    /// The current revision of a report.
    pub(super) fn of(&self, report: &str) -> Option<&Revision> {
        self.current.iter().find(|revision| revision.report == report)
    }

    /// Titles of the reports that the day lacks.
    pub(super) fn missing(&self) -> Vec<&str> {
        let lacking = self.titles.iter().filter(|(name, _)| self.of(name).is_none());
        lacking.map(|(_, title)| title.as_str()).collect()
    }
}

async fn finding(state: &State, report: &Report, check: &Check, revision: &Revision) -> Result<Finding, Fault> {
    let day = revision.business_day;
    let found = if revision.row_count == 0 {
        0
    } else {
        let rows = publish::revision_rows(&state.pool, &report.name, day, Some(revision.revision)).await;
        count(&rows.map_err(AnswerError::from)?.frame, check)
    };
    Ok(Finding { report: report.name.clone(), title: report.title.clone(), day, found })
}

/// How many rows are findings. A column that an old revision lacks makes all of them so.
fn count(frame: &DataFrame, check: &Check) -> usize {
    let (Some(column), Some(is)) = (&check.column, &check.is) else { return frame.height() };
    let texts = frame.column(column).ok().and_then(|column| column.str().ok());
    texts.map_or(frame.height(), |texts| texts.iter().filter(|text| *text == Some(is.as_str())).count())
}
