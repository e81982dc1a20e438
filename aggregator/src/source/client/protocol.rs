//! The feed's answers: heads, and what stands in a page's headers.

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::CallError;

/// Answer to a question for the head.
#[derive(Debug)]
pub(crate) enum HeadAnswer {
    /// 304: nothing changed, but it is complete up to a later instant.
    Unchanged(Moved),
    /// 200: there may be rows.
    Changed(Head),
}

/// How far an unchanged source is complete.
#[derive(Debug, Clone)]
pub(crate) struct Moved {
    pub(crate) horizon: String,
    pub(crate) as_of: DateTime<Utc>,
}

impl Moved {
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Self, CallError> {
        let as_of = header(headers, "tributary-as-of")?;
        let as_of = DateTime::parse_from_rfc3339(as_of)
            .map_err(|_| CallError::Unusable(format!("Tributary-As-Of is no instant: {as_of:?}")))?;

        let horizon = header(headers, "tributary-horizon")?.to_owned();
        Ok(Self { horizon, as_of: as_of.to_utc() })
    }
}

/// What a poll reads up to.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Head {
    #[serde(skip)]
    pub(crate) etag: String,
    pub(crate) epoch: String,
    /// The token that pages of this poll send back.
    pub(crate) head: String,
    pub(crate) horizon: String,
    pub(crate) as_of: DateTime<Utc>,
    /// Version of the zone data that the source computes local times by; `None`: it does not say.
    pub(crate) zone_data: Option<String>,
    pub(crate) datasets: Vec<HeadDataset>,
}

/// A dataset that the source offers.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct HeadDataset {
    pub(crate) name: String,
    columns: Vec<HeadColumn>,
}

#[derive(Debug, Clone, Deserialize)]
struct HeadColumn {
    name: String,
}

impl HeadDataset {
    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.iter().any(|it| it.name == column)
    }
}

impl Head {
    pub(super) fn parse(body: &[u8], etag: String) -> Result<Self, CallError> {
        let head: Self =
            serde_json::from_slice(body).map_err(|fault| CallError::Unusable(format!("the head: {fault}")))?;
        Ok(Self { etag, ..head })
    }
}

/// One page: its headers, and its body when it has come whole.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) epoch: String,
    /// Exact number of rows in the body.
    pub(crate) rows: usize,
    /// Cursor of the next page; `None` when this was the last.
    pub(crate) next: Option<String>,
    /// Cursor that a finished poll stores.
    pub(crate) resume: String,
    pub(crate) body: Vec<u8>,
}

impl Page {
    pub(super) fn from_headers(headers: &HeaderMap) -> Result<Self, CallError> {
        let rows = header(headers, "tributary-rows")?;
        let rows = rows.parse().map_err(|_| CallError::Unusable(format!("Tributary-Rows is no number: {rows:?}")))?;
        Ok(Self {
            epoch: header(headers, "tributary-epoch")?.to_owned(),
            rows,
            next: header(headers, "tributary-next").ok().map(str::to_owned),
            resume: header(headers, "tributary-resume")?.to_owned(),
            body: Vec::new(),
        })
    }

    /// A page holds at most the rows that were asked for, and moves on.
    pub(super) fn check(&self, limit: u32, after: Option<&str>) -> Result<(), CallError> {
        if usize::try_from(limit).is_ok_and(|limit| self.rows > limit) {
            let reason = format!("a page announces {} rows, {limit} were asked for", self.rows);
            return Err(CallError::Unusable(reason));
        }
        if self.next.as_deref().is_some_and(|next| Some(next) == after || self.rows == 0) {
            return Err(CallError::Unusable(
                "a page says that more follows where it began: it leads nowhere".to_owned(),
            ));
        }
        Ok(())
    }
}

pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, CallError> {
    let value = headers.get(name).and_then(|it| it.to_str().ok());
    value.ok_or_else(|| CallError::Unusable(format!("the answer has no header {name}")))
}
