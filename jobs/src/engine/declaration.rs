//! What is configured about a job: when it runs, and what happens when it cannot.

use std::time::Duration;

use base::Tz;
use serde::Deserialize;

use base::parse_span;

use super::{Cadence, EngineError};
use crate::webhook;

/// One declared job.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// The job's own name: key of its occurrences; renaming it starts a new history.
    pub name: String,
    /// When it is due.
    pub cadence: Cadence,
    /// What becomes of occurrences that nobody was there to run.
    pub catch_up: CatchUp,
    /// How old a missed occurrence may be and still be caught up.
    pub window: Duration,
    /// What becomes of an occurrence that is due while the one before still runs.
    pub overlap: Overlap,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// How many attempts an occurrence has, at least one.
    pub attempts: i32,
    /// The wait after the first failed attempt; doubled after each further one, up to an hour.
    pub backoff: Duration,
    /// Where its final failure is sent; the address of all alerts when absent.
    pub alert: Option<String>,
}

/// What becomes of occurrences that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// None is run.
    None,
    /// Only the latest is run.
    Latest,
    /// All within the window are run, oldest first.
    All,
}

/// What becomes of an occurrence that is due while another of its job still runs.
///
/// A run that somebody asked for is never skipped, nor is one that is caught up: they wait their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// It is skipped, and its row says so.
    Skip,
    /// It waits until the other has ended.
    Queue,
    /// It runs beside it.
    Allow,
}

impl Declaration {
    /// A declaration with the defaults: no catch-up beyond the latest of a day, no overlap, three attempts.
    #[must_use]
    pub fn new(name: &str, cadence: Cadence) -> Self {
        Self {
            name: name.to_owned(),
            cadence,
            catch_up: CatchUp::Latest,
            window: Duration::from_secs(86_400),
            overlap: Overlap::Skip,
            timeout: Duration::from_secs(3_600),
            attempts: 3,
            backoff: Duration::from_secs(30),
            alert: None,
        }
    }

    /// The wait before the next attempt, after `attempt` have failed.
    #[must_use]
    pub fn wait_after(&self, attempt: i32) -> Duration {
        base::backoff(self.backoff, u32::try_from(attempt).unwrap_or_default(), Duration::from_secs(3_600))
    }
}

/// The engine's part of a `[[job]]` table; every key is optional and overrides a default.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// A five-field cron line; excludes `every`.
    pub cron: Option<String>,
    /// An interval such as `5m`; excludes `cron`.
    pub every: Option<String>,
    /// The IANA zone of the cron line; the company's when absent.
    pub zone: Option<Tz>,
    /// See [`CatchUp`].
    pub catch_up: Option<CatchUp>,
    /// A span such as `7d`.
    pub window: Option<String>,
    /// See [`Overlap`].
    pub overlap: Option<Overlap>,
    /// A span such as `1h`.
    pub timeout: Option<String>,
    /// At least one.
    pub attempts: Option<i32>,
    /// A span such as `30s`.
    pub backoff: Option<String>,
    /// A URL that gets a POST when the last attempt has failed, instead of the one of `[alerts]`.
    pub alert: Option<String>,
}

impl Overrides {
    /// Apply these keys to a declaration.
    ///
    /// # Errors
    /// [`EngineError::Declaration`] names the job and the key.
    pub fn apply(self, mut onto: Declaration, company_zone: Tz) -> Result<Declaration, EngineError> {
        let wrong = |key: &str, reason: String| EngineError::Declaration {
            job: onto.name.clone(),
            reason: format!("`{key}`: {reason}"),
        };
        let span = |key: &str, text: Option<String>, otherwise: Duration| match text {
            Some(text) => parse_span(&text).map_err(|reason| wrong(key, reason)),
            None => Ok(otherwise),
        };
        let cadence = match (self.cron, self.every) {
            (Some(_), Some(_)) => return Err(wrong("every", "either `cron` or `every`, not both".to_owned())),
            (Some(line), None) => {
                Some(Cadence::cron(&line, self.zone.unwrap_or(company_zone)).map_err(|reason| wrong("cron", reason))?)
            }
            (None, Some(text)) => Some(Cadence::every(&text).map_err(|reason| wrong("every", reason))?),
            (None, None) => None,
        };
        let window = span("window", self.window, onto.window)?;
        let timeout = span("timeout", self.timeout, onto.timeout)?;
        let backoff = span("backoff", self.backoff, onto.backoff)?;
        let attempts = self.attempts.unwrap_or(onto.attempts);
        if !(1..=100).contains(&attempts) {
            return Err(wrong("attempts", format!("{attempts} is not between 1 and 100")));
        }
        if timeout.is_zero() {
            return Err(wrong("timeout", "a job needs at least 1s".to_owned()));
        }
        if let Some(url) = &self.alert {
            webhook::check(url).map_err(|reason| wrong("alert", reason))?;
        }
        onto.cadence = cadence.unwrap_or(onto.cadence);
        onto.catch_up = self.catch_up.unwrap_or(onto.catch_up);
        onto.overlap = self.overlap.unwrap_or(onto.overlap);
        onto.alert = self.alert.or(onto.alert);
        Ok(Declaration { window, timeout, backoff, attempts, ..onto })
    }
}
