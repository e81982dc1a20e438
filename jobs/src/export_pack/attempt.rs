//! The folder in which an attempt builds its files.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sqlx::PgPool;

use crate::engine::{JobError, Run};

/// What the folders of attempts are called: the run and its fence follow.
const PREFIX: &str = ".attempt-";

/// A folder of its own; gone when the attempt is over.
pub(super) struct Attempt {
    pub(super) folder: PathBuf,
}

impl Attempt {
    pub(super) fn begin(exports_dir: &Path, run: &Run) -> Result<Self, JobError> {
        let folder = exports_dir.join(format!("{PREFIX}{}-{}", run.id, run.lease().fence));
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("the exports folder {} cannot be written", exports_dir.display()))?;
        Ok(Self { folder })
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "an attempt's folder could not be removed");
        }
    }
}

/// Remove the folders of attempts that are over, left by processes that died; returns how many went.
pub(crate) async fn remove_abandoned(exports_dir: &Path, db: &PgPool) -> anyhow::Result<u64> {
    let mut removed = 0;
    for entry in std::fs::read_dir(exports_dir).context("the exports folder cannot be read")? {
        let entry = entry.context("the exports folder cannot be read")?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((run, fence)) = name.strip_prefix(PREFIX).and_then(|name| name.split_once('-')) else { continue };
        let (Ok(run), Ok(fence)) = (run.parse::<i64>(), fence.parse::<i64>()) else { continue };
        let lives: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM jobs.run WHERE id = $1 AND fence = $2 AND status = 'running')",
        )
        .bind(run)
        .bind(fence)
        .fetch_one(db)
        .await
        .context("the jobs tables could not be read")?;
        // A paused process that wakes up finds its folder gone and its fence lost.
        if !lives && std::fs::remove_dir_all(entry.path()).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}
