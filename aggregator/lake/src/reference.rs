//! Reference sets, decoded once for all who read them.
//!
//! Nearly every report joins stores, products or the calendar, and these change once a day at most. A set's state is
//! told by the numbers of its live files: a file belongs to one source and one epoch, and a poll that finds nothing
//! new (304) leaves it where it is. So nothing here has to be invalidated. The load runs detached: a caller who
//! leaves stops nobody.

use std::sync::Arc;

use base::Compute;
use moka::future::Cache;
use polars::prelude::{DataFrame, IntoLazy, LazyFrame};

use crate::metric::{self, CacheRead};
use crate::snapshot::DataFile;
use crate::table::Table;
use crate::{LakeError, scan};

/// Bytes of frames that are kept.
const CAPACITY: u64 = 32 * 1024 * 1024;
/// Bytes on disk above which a set is read anew each time: beside it, the small ones would not be kept.
const LARGEST: i64 = 1024 * 1024;

/// Which state of which set.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    dataset: String,
    /// Each live file with its delete file.
    files: Vec<(i64, Option<i64>)>,
}

/// The sets kept, and those under way.
#[derive(Debug)]
pub(crate) struct References {
    kept: Cache<Key, DataFrame>,
}

impl References {
    pub(crate) fn new() -> Self {
        let weigh = |_: &Key, frame: &DataFrame| u32::try_from(frame.estimated_size()).unwrap_or(u32::MAX);
        Self { kept: Cache::builder().max_capacity(CAPACITY).weigher(weigh).build() }
    }

    /// The rows of a set's files, or `None` when it is no small reference set.
    pub(super) async fn rows(
        &self,
        compute: &Compute,
        table: &Arc<Table>,
        files: &[DataFile],
    ) -> Result<Option<LazyFrame>, LakeError> {
        let bytes: i64 = files.iter().map(|it| it.file_size_bytes).sum();
        if table.has_days() || files.is_empty() || bytes > LARGEST {
            return Ok(None);
        }
        let numbers = files.iter().map(|it| (it.data_file_id, it.delete_file_id)).collect();
        let key = Key { dataset: table.name.clone(), files: numbers };
        metric::cache(metric::REFERENCE, if self.kept.contains_key(&key) { CacheRead::Hit } else { CacheRead::Load });
        let (kept, compute) = (self.kept.clone(), compute.clone());
        let (table, files) = (Arc::clone(table), files.to_vec());
        let load = async move { compute.run(move || Ok(scan::of_files(&table, &files)?.collect()?)).await };
        let loaded = tokio::spawn(async move { kept.try_get_with(key, load).await }).await?;
        // Whoever waited for the same load gets the same error; who asks again tries again.
        loaded.map(|frame| Some(frame.lazy())).map_err(LakeError::Shared)
    }

    /// Bytes kept.
    pub(crate) fn bytes(&self) -> u64 {
        self.kept.weighted_size()
    }
}
