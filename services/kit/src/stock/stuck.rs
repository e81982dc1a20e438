//! What the list of stuck documents shows and takes, whatever the documents are.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{Limits, Step};
use crate::page::{Cursor, Limit};

/// The undelivered message of a document.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub struct Undelivered {
    /// `post`: Inventory has to move the stock; `reverse`: Inventory has to give it back.
    pub owed: Step,
    pub since: DateTime<Utc>,
    /// How often recovery has tried.
    pub attempts: i32,
    pub next_attempt_at: DateTime<Utc>,
    pub last_error: Option<String>,
}

/// Which documents with an undelivered message to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StuckFilter {
    /// Undelivered for at least this long; default: the service's own limit.
    #[param(minimum = 0)]
    pub older_than_seconds: Option<u32>,
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    pub limit: Limit,
    #[param(value_type = Option<String>)]
    pub after: Option<Cursor>,
}

impl StuckFilter {
    /// The least age of a listed document, in seconds.
    pub fn age(&self, limits: Limits) -> f64 {
        self.older_than_seconds.map_or(limits.stuck.as_secs_f64(), f64::from)
    }
}
