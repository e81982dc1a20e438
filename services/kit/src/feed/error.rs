//! The closed list of ways in which the feed fails.

use std::time::Duration;

use crate::error::ApiError;

/// Why the feed could not answer. `Display` is the text of the answer.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// 404.
    #[error("the feed has no dataset of that name; the head lists them")]
    UnknownDataset,
    /// 400.
    #[error("the dataset has no column {name:?}; the head lists them")]
    UnknownColumn { name: String },
    /// 400.
    #[error("column {name:?} is asked for twice")]
    RepeatedColumn { name: String },
    /// 400.
    #[error("limit must be from 1 to {most} in this format")]
    BadLimit { most: u64 },
    /// 400.
    #[error("{parameter} is not a value that this feed handed out for that dataset")]
    BadCursor { parameter: &'static str },
    /// 410, type `feed-epoch`.
    #[error("this is not the database that the cursor was read from; read everything again, without `after`")]
    OtherEpoch,
    /// 410, type `feed-shape`.
    #[error(
        "the dataset, or the columns asked for, changed since the cursor was handed out; read it again, without `after`"
    )]
    OtherShape,
    /// 503.
    #[error("the database was restored and its rows are being stamped again; try later")]
    Restamping,
    /// 503.
    #[error("the page took too long; ask for fewer rows")]
    TooSlow,
    /// 503: answering would mean to claim a completeness that nobody checked.
    #[error("role {role} cannot see when other sessions' transactions began; run GRANT pg_read_all_stats TO {role}")]
    Rights { role: String },
    /// 503 while the database is unavailable, else 500.
    #[error("the database could not do it")]
    Database(#[from] sqlx::Error),
    /// 500: a bug.
    #[error("the feed is broken: {what}")]
    Broken { what: &'static str },
}

impl From<FeedError> for ApiError {
    fn from(error: FeedError) -> Self {
        let detail = error.to_string();
        match error {
            FeedError::UnknownDataset => Self::not_found("dataset of that name in this feed; the head lists them"),
            FeedError::UnknownColumn { .. } | FeedError::RepeatedColumn { .. } => {
                Self::bad_parameter("columns", detail)
            }
            FeedError::BadLimit { .. } => Self::bad_parameter("limit", detail),
            FeedError::BadCursor { parameter } => Self::bad_parameter(parameter, detail),
            FeedError::OtherEpoch => Self::Gone { code: "feed-epoch", detail },
            FeedError::OtherShape => Self::Gone { code: "feed-shape", detail },
            FeedError::Restamping => Self::Unavailable {
                detail,
                retry_after: Duration::from_secs(10),
                extensions: serde_json::Map::new(),
                source: None,
            },
            FeedError::TooSlow | FeedError::Rights { .. } => Self::unavailable(detail),
            FeedError::Database(error) => Self::Database(error),
            FeedError::Broken { .. } => Self::internal(error),
        }
    }
}
