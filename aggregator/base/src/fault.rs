//! What is wrong when a database does not do as it is asked.

/// What a database error means to a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not reachable, starting, stopping, or out of resources: try again later.
    Away,
    /// Lost against another transaction, or too slow: try again.
    Contended,
    /// A value that the column type cannot hold.
    Value,
    /// A bug, or a constraint that nobody mapped.
    Other,
}

impl Fault {
    /// Sorts an error by its SQLSTATE (PostgreSQL manual, appendix A) or by how the driver failed.
    #[must_use]
    pub fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Self::Away
            }
            // A connection cut in the middle of a message.
            sqlx::Error::Protocol(_) => Self::Away,
            sqlx::Error::Database(error) => match error.code().as_deref().unwrap_or_default() {
                // Admin shutdown, crash shutdown, cannot connect now, idle session ended, and a standby that only reads.
                "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25006" => Self::Away,
                // Serialization failure, deadlock, statement timeout, lock not available.
                "40001" | "40P01" | "57014" | "55P03" => Self::Contended,
                // Number, date or time zone out of range; a NUL in text or in JSON.
                "22003" | "22008" | "22023" | "22021" | "22P05" => Self::Value,
                // Connection exceptions; a password that no longer holds; insufficient resources; system errors such as
                // a full disk.
                code if ["08", "28", "53", "58"].iter().any(|class| code.starts_with(class)) => Self::Away,
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }
}
