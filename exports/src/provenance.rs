//! Where the numbers come from: part of every format.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What a result was computed from, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The report's name, as in its path.
    pub report: String,
    /// What a person calls it.
    pub title: String,
    /// The resolved parameters: dates as dates, not as `yesterday`.
    pub parameters: BTreeMap<String, serde_json::Value>,
    /// The lake's snapshot that was read.
    pub snapshot: i64,
    /// The number of the published revision; `None` when computed on demand.
    pub revision: Option<i32>,
    /// `final` or `provisional` of a published revision; `None` when computed on demand.
    pub state: Option<String>,
    /// ISO code of every money column.
    pub currency: String,
    pub generated_at: DateTime<Utc>,
    pub sources: Vec<Source>,
    /// How many rows will follow, where the caller knows; checked while writing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_count: Option<u64>,
    /// Of a published revision: rows have come that it does not hold. Told by an answer, never by a file, which stays.
    #[serde(skip)]
    pub outdated: Option<Outdated>,
}

/// Since when a published figure is outdated, and by what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outdated {
    /// When the first of the rows came.
    pub since: DateTime<Utc>,
    /// By source and dataset, how many rows came.
    pub by: serde_json::Value,
}

/// How fresh one source was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    pub name: String,
    /// Everything up to this moment is in the numbers; `None` before the first poll.
    pub complete_through: Option<DateTime<Utc>>,
    pub age_seconds: Option<i64>,
    /// Older than its poll schedule allows.
    pub stale: bool,
    /// What the report reads and the source's version does not offer: a dataset, or `dataset.column`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub absent: Vec<String>,
}

impl Provenance {
    /// Whether any source was stale.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.sources.iter().any(|source| source.stale)
    }

    /// Key-value pairs for the metadata of a columnar file: one per field, and the whole as JSON.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let whole = serde_json::to_string(self).unwrap_or_default();
        let parameters = serde_json::to_string(&self.parameters).unwrap_or_default();
        let mut pairs = vec![
            ("tributary".to_owned(), whole),
            ("tributary.report".to_owned(), self.report.clone()),
            ("tributary.parameters".to_owned(), parameters),
            ("tributary.snapshot".to_owned(), self.snapshot.to_string()),
            ("tributary.currency".to_owned(), self.currency.clone()),
            ("tributary.generated_at".to_owned(), self.generated_at.to_rfc3339()),
            ("tributary.stale".to_owned(), self.is_stale().to_string()),
        ];
        if let Some(revision) = self.revision {
            pairs.push(("tributary.revision".to_owned(), revision.to_string()));
        }
        if let Some(state) = &self.state {
            pairs.push(("tributary.state".to_owned(), state.clone()));
        }
        pairs
    }
}
