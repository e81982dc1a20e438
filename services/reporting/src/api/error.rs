//! What the errors of aggregator, jobs and spool mean to a client.

use aggregator::{Error as AggregatorError, publish::PublishError, report::ReportError};
use jobs::engine::EngineError;
use kit::error::ApiError;

use crate::download::SpoolError;

/// A failure of the aggregator.
pub fn of_aggregator(error: AggregatorError) -> ApiError {
    match error {
        AggregatorError::Database(error) => ApiError::Database(error),
        AggregatorError::UnknownSource(_) | AggregatorError::UnknownDataset(_) => {
            ApiError::not_found(error.to_string())
        }
        AggregatorError::UnknownSnapshot(_) => ApiError::bad_parameter("snapshot", error.to_string()),
        AggregatorError::Shared(ref shared) if matches!(shared.unshared(), AggregatorError::Database(_)) => {
            catalogue_away(&error)
        }
        other => ApiError::internal(other),
    }
}

fn catalogue_away(error: &(dyn std::error::Error + 'static)) -> ApiError {
    tracing::error!(error = kit::telemetry::chain(error), "the lake's catalogue could not be read");
    ApiError::unavailable("the lake's catalogue cannot be read for the moment; try again")
}

/// A failure of the jobs engine.
pub fn of_engine(error: EngineError) -> ApiError {
    match error {
        EngineError::UnknownJob { ref name, ref known } => {
            ApiError::not_found(format!("job `{name}`; there are {known}"))
        }
        EngineError::UnknownRun { id } => ApiError::not_found(format!("run {id}")),
        EngineError::Arguments { reason, .. } => ApiError::invalid("body", reason),
        EngineError::Database(error) => ApiError::Database(error),
        EngineError::Declaration { .. } | EngineError::Ticker(_) => ApiError::internal(error),
    }
}

/// A failure of the spool.
pub fn of_spool(error: SpoolError) -> ApiError {
    match error {
        SpoolError::Encode(error) if error.is_callers() => ApiError::bad_parameter("format", error.to_string()),
        SpoolError::Encode(error) => ApiError::internal(error),
        SpoolError::Folder(_) => {
            tracing::error!(error = kit::telemetry::chain(&error), "a download could not be built");
            ApiError::unavailable("the download could not be built: the spool folder is full or cannot be written")
        }
    }
}

/// A failure of computing a report.
pub fn of_report(error: ReportError) -> ApiError {
    match error {
        ReportError::UnknownReport { name } => ApiError::not_found(format!("report `{name}`; GET /reports lists them")),
        ReportError::UnknownParameter { ref name, .. } => ApiError::bad_parameter(name.clone(), error.to_string()),
        ReportError::BadParameter { ref name, .. } => ApiError::bad_parameter(name.clone(), error.to_string()),
        ReportError::UnknownSnapshot(_) => ApiError::bad_parameter("snapshot", error.to_string()),
        ReportError::TooManyRows { .. } => ApiError::BadRequest { field: None, detail: error.to_string() },
        ReportError::Broken { .. } => ApiError::conflict("report-disabled", error.to_string()),
        ReportError::Busy | ReportError::TimedOut { .. } => ApiError::unavailable(error.to_string()),
        ReportError::Lake(ref source) if matches!(source.unshared(), AggregatorError::Database(_)) => {
            catalogue_away(&error)
        }
        ReportError::Overflow { .. }
        | ReportError::Outgrown { .. }
        | ReportError::AmbiguousKey { .. }
        | ReportError::Engine { .. }
        | ReportError::Lake(_)
        | ReportError::Stopped => ApiError::internal(error),
    }
}

/// A failure of reading what was published.
pub fn of_publish(error: PublishError) -> ApiError {
    match error {
        PublishError::Report(error) => of_report(error),
        PublishError::NotPublished { .. } => ApiError::conflict("not-published", error.to_string()),
        PublishError::UnknownRevision { report, business_day, revision } => ApiError::not_found(match revision {
            Some(number) => format!("revision {number} of `{report}` for {business_day}"),
            None => {
                format!("published `{report}` for {business_day}; GET /reports/{report}/revisions lists what there is")
            }
        }),
        PublishError::FenceLost(_) | PublishError::Frame(_) => ApiError::internal(error),
        PublishError::Database(error) => ApiError::Database(error),
    }
}
