//! What the failures of an answer are in HTTP: each has its status and problem type. No arm takes the rest, so a new
//! failure is given its status before it compiles.

use kit::error::{ApiError, RETRY_AFTER};
use serde_json::Map;

use crate::answer::AnswerError;

impl From<AnswerError> for ApiError {
    fn from(error: AnswerError) -> Self {
        let detail = error.to_string();
        match error {
            AnswerError::UnknownReport { name } => Self::not_found(format!("report `{name}`; GET /reports lists them")),
            AnswerError::UnknownSource { name } => Self::not_found(format!("source `{name}`; GET /sources lists them")),
            AnswerError::UnknownFile { id } => Self::not_found(format!("export file {id}; GET /exports lists them")),
            AnswerError::UnknownDay { report, business_day } => Self::not_found(format!(
                "published `{report}` for {business_day}; GET /reports/{report}/revisions lists what there is"
            )),
            AnswerError::Unknown { what } => Self::not_found(what),
            AnswerError::Parameter { name, detail } => Self::bad_parameter(name, detail),
            AnswerError::Request { detail } => Self::BadRequest { field: None, detail },
            AnswerError::Arguments { reason, .. } => Self::invalid("body", reason),
            AnswerError::ReportDisabled { detail } => Self::conflict("report-disabled", detail),
            AnswerError::NotPublished { detail } => Self::conflict("not-published", detail),
            AnswerError::Stale { sources } => match serde_json::to_value(sources) {
                Ok(sources) => {
                    let detail = format!("{detail}; leave out stale=refuse to get the last data, marked stale");
                    Self::unavailable(detail).with("sources", sources)
                }
                Err(error) => Self::internal(error),
            },
            AnswerError::Busy { detail } | AnswerError::TimedOut { detail } | AnswerError::Damaged { detail } => {
                Self::unavailable(detail)
            }
            AnswerError::TooLarge { detail } => Self::Unprocessable { code: "report-too-large", detail },
            AnswerError::Spool(source) => unavailable(detail, source),
            AnswerError::Catalogue(source) | AnswerError::Lake(source) => unavailable(detail, source),
            AnswerError::Database(error) => Self::Database(error),
            AnswerError::Internal(source) => Self::Internal(source),
        }
    }
}

/// 503 with a cause, which only the log shows.
fn unavailable(detail: String, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ApiError {
    ApiError::Unavailable { detail, retry_after: RETRY_AFTER, extensions: Map::new(), source: Some(source.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_its_status_and_type() {
        let name = || "x".to_owned();
        let full = || crate::answer::SpoolError::Folder(std::io::Error::other("disk full"));
        for (error, status, code) in [
            (AnswerError::UnknownReport { name: name() }, 404, "not-found"),
            (AnswerError::UnknownSource { name: name() }, 404, "not-found"),
            (AnswerError::UnknownFile { id: 1 }, 404, "not-found"),
            (AnswerError::UnknownDay { report: name(), business_day: chrono::NaiveDate::MIN }, 404, "not-found"),
            (AnswerError::Unknown { what: name() }, 404, "not-found"),
            (AnswerError::parameter("from", "wrong"), 400, "invalid-parameter"),
            (AnswerError::Request { detail: name() }, 400, "bad-request"),
            (AnswerError::Arguments { job: name(), reason: name() }, 422, "invalid-field"),
            (AnswerError::ReportDisabled { detail: name() }, 409, "report-disabled"),
            (AnswerError::NotPublished { detail: name() }, 409, "not-published"),
            (AnswerError::Stale { sources: Vec::new() }, 503, "unavailable"),
            (AnswerError::Busy { detail: name() }, 503, "unavailable"),
            (AnswerError::TimedOut { detail: name() }, 503, "unavailable"),
            (AnswerError::Damaged { detail: name() }, 503, "unavailable"),
            (AnswerError::TooLarge { detail: name() }, 422, "report-too-large"),
            (full().into(), 503, "unavailable"),
            (AnswerError::Catalogue("away".into()), 503, "unavailable"),
            (AnswerError::Lake("gone".into()), 503, "unavailable"),
            (AnswerError::Database(sqlx::Error::PoolTimedOut), 503, "unavailable"),
            (AnswerError::internal("a bug"), 500, "internal"),
        ] {
            let problem = ApiError::from(error).problem();
            assert_eq!((problem.status, problem.code()), (status, code), "{}", problem.detail);
        }
    }
}
