//! The folder in which an attempt builds its files.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use sqlx::PgPool;

use crate::engine::{JobError, Run};

/// What the folders of attempts are called: the run and its fencing token follow.
const PREFIX: &str = ".attempt-";

/// A folder of its own; removed when the attempt ends.
pub(super) struct Attempt {
    pub(super) folder: PathBuf,
}

impl Attempt {
    pub(super) fn begin(exports_dir: &Path, run: &Run) -> Result<Self, JobError> {
        if !base::is_marked(exports_dir) {
            let why = "lacks the file TRIBUTARY, so it may be the empty place of a disk that is not mounted; nothing is written";
            return Err(anyhow::anyhow!("the exports folder {} {why}", exports_dir.display()).into());
        }
        let folder = exports_dir.join(format!("{PREFIX}{}-{}", run.id, run.lease().token));
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
        let Some((run, token)) = name.strip_prefix(PREFIX).and_then(|name| name.split_once('-')) else { continue };
        let (Ok(run), Ok(token)) = (run.parse::<i64>(), token.parse::<i64>()) else { continue };
        let lives: bool = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM jobs.run WHERE id = $1 AND fence = $2 AND status = 'running') AS "lives!""#,
            run,
            token
        )
        .fetch_one(db)
        .await
        .context("the jobs tables could not be read")?;
        // A paused process that wakes up finds its folder removed and its token outdated.
        if !lives && std::fs::remove_dir_all(entry.path()).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}
