//! What can go wrong in the engine itself, apart from the jobs it runs.

/// Failure of an engine operation.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No job of this name is declared.
    #[error("there is no job `{name}`; declared are {known}")]
    UnknownJob {
        /// The name that was asked for.
        name: String,
        /// The declared names, for the message.
        known: String,
    },
    /// A job's arguments do not have the shape the job asks for.
    #[error("the arguments of job `{job}` do not fit: {reason}")]
    Arguments {
        /// The job that was to be run.
        job: String,
        /// What is wrong, naming the field.
        reason: String,
    },
    /// No run has this number.
    #[error("there is no run {id}")]
    UnknownRun {
        /// The number asked for.
        id: i64,
    },
    /// A declaration cannot be understood.
    #[error("job `{job}`: {reason}")]
    Declaration {
        /// The job that is declared.
        job: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The database refused or is unreachable.
    #[error("the jobs tables could not be read or written")]
    Database(#[from] sqlx::Error),
    /// The in-process ticker refused.
    #[error("the ticker refused a wake-up")]
    Ticker(#[from] tokio_cron_scheduler::JobSchedulerError),
}
