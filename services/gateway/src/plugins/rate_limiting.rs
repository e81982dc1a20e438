//! `rate-limiting`: so many requests per consumer or address in each second and minute of the clock.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue, RETRY_AFTER};
use serde::Deserialize;
use uuid::Uuid;

use super::Consumer;
use crate::plan::PlanError;
use crate::reply::Exit;

/// Requests per period. Counts are kept in this process; nothing else is implemented.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    second: Option<u64>,
    minute: Option<u64>,
    #[serde(rename = "policy")]
    _policy: Policy,
    limit_by: LimitBy,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Policy {
    Local,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LimitBy {
    /// Without one: the address.
    Consumer,
    Ip,
}

/// One period with its limit, shorter ones first.
#[derive(Debug, Clone, Copy)]
struct Period {
    seconds: i64,
    limit: u64,
    limit_header: &'static str,
    remaining_header: &'static str,
}

/// Who is counted: a consumer or, without one, an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Consumer(Uuid),
    Address(IpAddr),
}

/// The requests in the window that began at `start` (Unix seconds).
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    start: i64,
    used: u64,
}

pub(crate) struct RateLimiting {
    periods: Vec<Period>,
    limit_by: LimitBy,
    windows: Mutex<HashMap<Who, Vec<Window>>>,
}

/// Counts of callers that no longer come are dropped when there are more of them than this.
const CALLERS: usize = 10_000;

impl RateLimiting {
    pub(crate) fn new(config: Config, at: &str) -> Result<Self, PlanError> {
        let all = [
            (1, config.second, "x-ratelimit-limit-second", "x-ratelimit-remaining-second"),
            (60, config.minute, "x-ratelimit-limit-minute", "x-ratelimit-remaining-minute"),
        ];
        let periods: Vec<Period> = all
            .into_iter()
            .filter_map(|(seconds, limit, limit_header, remaining_header)| {
                Some(Period { seconds, limit: limit?, limit_header, remaining_header })
            })
            .collect();
        if periods.is_empty() {
            return Err(PlanError::at(at, "at least one of second and minute is required"));
        }
        if periods.iter().any(|period| period.limit == 0) {
            return Err(PlanError::at(at, "a limit must be greater than 0"));
        }
        if periods.is_sorted_by_key(|period| period.limit) {
            return Ok(Self { periods, limit_by: config.limit_by, windows: Mutex::default() });
        }
        Err(PlanError::at(at, "the limit of a longer period must not be lower than that of a shorter one"))
    }

    /// Counts a request at `now` (Unix seconds), or refuses it. Returns the headers of the answer.
    pub(crate) fn access(
        &self,
        consumer: Option<&Consumer>,
        address: IpAddr,
        now: i64,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, Exit> {
        let consumer = consumer.filter(|_| self.limit_by == LimitBy::Consumer);
        let who = consumer.map_or(Who::Address(address), |consumer| Who::Consumer(consumer.id));
        let (used, exceeded) = self.count(who, now);
        // A refused request lowers only the period that refuses it.
        let counted = |i: usize| u64::from(exceeded.is_none_or(|exceeded| exceeded == i));
        let left = used.iter().zip(&self.periods).enumerate();
        let left: Vec<u64> = left.map(|(i, (used, period))| period.limit.saturating_sub(used + counted(i))).collect();
        let mut headers = Vec::new();
        for (period, left) in self.periods.iter().zip(&left) {
            headers.push((HeaderName::from_static(period.limit_header), HeaderValue::from(period.limit)));
            headers.push((HeaderName::from_static(period.remaining_header), HeaderValue::from(*left)));
        }
        // Of the period with the least left; the longer one on a tie.
        if let Some((period, left)) = self.periods.iter().zip(&left).rev().min_by_key(|(_, left)| **left) {
            let reset = HeaderValue::from((period.seconds - now.rem_euclid(period.seconds)).max(1));
            headers.push((HeaderName::from_static("ratelimit-limit"), HeaderValue::from(period.limit)));
            headers.push((HeaderName::from_static("ratelimit-remaining"), HeaderValue::from(*left)));
            headers.push((HeaderName::from_static("ratelimit-reset"), reset.clone()));
            if exceeded.is_some() {
                headers.push((RETRY_AFTER, reset));
            }
        }
        if exceeded.is_none() {
            return Ok(headers);
        }
        let exit = Exit::new(StatusCode::TOO_MANY_REQUESTS, "API rate limit exceeded");
        Err(headers.into_iter().fold(exit, |exit, (name, value)| exit.with(name, value)))
    }

    /// What was used before in each period, and the first period that has nothing left. Counts if none.
    fn count(&self, who: Who, now: i64) -> (Vec<u64>, Option<usize>) {
        let mut all = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() > CALLERS {
            let longest = self.periods.last().map_or(1, |period| period.seconds);
            all.retain(|_, windows| windows.iter().any(|window| now - window.start < longest));
        }
        let windows = all.entry(who).or_insert_with(|| vec![Window::default(); self.periods.len()]);
        for (window, period) in windows.iter_mut().zip(&self.periods) {
            let start = now - now.rem_euclid(period.seconds);
            if window.start != start {
                *window = Window { start, used: 0 };
            }
        }
        let used: Vec<u64> = windows.iter().map(|window| window.used).collect();
        let exceeded = used.iter().zip(&self.periods).position(|(used, period)| *used >= period.limit);
        if exceeded.is_none() {
            windows.iter_mut().for_each(|window| window.used += 1);
        }
        (used, exceeded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(second: Option<u64>, minute: Option<u64>) -> Config {
        Config { second, minute, _policy: Policy::Local, limit_by: LimitBy::Consumer }
    }

    fn text(headers: &[(HeaderName, HeaderValue)]) -> String {
        let line = |(name, value): &(HeaderName, HeaderValue)| format!("{name}={}", value.to_str().unwrap_or("?"));
        headers.iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn windows_follow_the_clock_and_a_refusal_spends_nothing_of_the_others() {
        let plugin = RateLimiting::new(limits(Some(2), Some(3)), "x").expect("valid");
        let ask = |now| plugin.access(None, IpAddr::from([127, 0, 0, 1]), now);
        let first = ask(600).expect("passes");
        assert_eq!(
            text(&first),
            "x-ratelimit-limit-second=2 x-ratelimit-remaining-second=1 x-ratelimit-limit-minute=3 x-ratelimit-remaining-minute=2 \
             ratelimit-limit=2 ratelimit-remaining=1 ratelimit-reset=1"
        );
        assert!(ask(600).is_ok());
        let refused = ask(600).expect_err("the third in a second");
        assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
        let third = ask(601).expect("the minute still has one");
        assert!(
            text(&third).ends_with("ratelimit-limit=3 ratelimit-remaining=0 ratelimit-reset=59"),
            "{}",
            text(&third)
        );
        assert!(ask(602).is_err());
        assert!(ask(660).is_ok(), "a new minute");
    }

    #[test]
    fn callers_do_not_share_a_limit() {
        let plugin = RateLimiting::new(limits(None, Some(1)), "x").expect("valid");
        let (ann, bob) = (Consumer::new("ann", Vec::new()), Consumer::new("bob", Vec::new()));
        let home = IpAddr::from([127, 0, 0, 1]);
        assert!(plugin.access(Some(&ann), home, 0).is_ok());
        assert!(plugin.access(Some(&bob), home, 0).is_ok());
        assert!(plugin.access(None, home, 0).is_ok());
        assert!(plugin.access(Some(&ann), home, 0).is_err());

        let config = Config { limit_by: LimitBy::Ip, ..limits(None, Some(1)) };
        let by_address = RateLimiting::new(config, "x").expect("valid");
        assert!(by_address.access(Some(&ann), home, 0).is_ok());
        assert!(by_address.access(Some(&bob), home, 0).is_err(), "at the same address");
        assert!(by_address.access(Some(&bob), IpAddr::from([10, 0, 0, 1]), 0).is_ok());
    }

    #[test]
    fn limits_that_contradict_are_refused() {
        assert!(RateLimiting::new(limits(None, None), "x").is_err());
        assert!(RateLimiting::new(limits(Some(0), None), "x").is_err());
        assert!(RateLimiting::new(limits(Some(5), Some(4)), "x").is_err());
    }
}
