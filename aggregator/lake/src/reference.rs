//! Reference sets, decoded once by a process that reads them often.
//!
//! Nearly every report joins stores, products or the calendar, and these change once a day at most. A set's state is
//! told by the numbers of its live files: a file belongs to one source and one epoch, and a poll that finds nothing
//! new (304) leaves it where it is. So nothing here has to be invalidated.

use std::sync::{Mutex, PoisonError};

use polars::prelude::{DataFrame, IntoLazy, LazyFrame, SchemaRef};

use crate::LakeError;
use crate::scan::{self, File, FileSet};

/// Bytes of frames that are kept.
const CAPACITY: usize = 32 * 1024 * 1024;
/// Bytes on disk above which a set is read anew each time: beside it, the small ones would not be kept.
const LARGEST: i64 = 1024 * 1024;

/// Which state of which set.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Key {
    dataset: String,
    /// Each live file with its delete file.
    files: Vec<(i64, Option<i64>)>,
}

/// The sets kept.
#[derive(Debug, Default)]
pub struct References {
    /// The most recently read last.
    kept: Mutex<Vec<(Key, DataFrame)>>,
}

impl References {
    /// The rows of some files of a dataset: decoded, if it is a small reference set.
    pub(crate) fn rows(&self, set: &FileSet, schema: &SchemaRef, files: &[File]) -> Result<LazyFrame, LakeError> {
        let bytes: i64 = files.iter().map(|it| it.bytes).sum();
        let rows = scan::live_rows(SchemaRef::clone(schema), files)?;
        if set.has_days || files.is_empty() || bytes > LARGEST {
            return Ok(rows);
        }
        let files = files.iter().map(|it| (it.id, it.delete_id)).collect();
        let key = Key { dataset: set.dataset.clone(), files };
        if let Some(kept) = self.take(&key) {
            return Ok(self.keep(key, kept).lazy());
        }
        Ok(self.keep(key, rows.collect()?).lazy())
    }

    fn take(&self, key: &Key) -> Option<DataFrame> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(known, _)| known == key)?;
        Some(kept.remove(place).1)
    }

    fn keep(&self, key: Key, frame: DataFrame) -> DataFrame {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((key, frame.clone()));
        let mut bytes = sum(&kept);
        while bytes > CAPACITY && kept.len() > 1 {
            bytes -= kept.remove(0).1.estimated_size();
        }
        frame
    }

    /// Bytes kept.
    pub fn bytes(&self) -> usize {
        sum(&self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn sum(kept: &[(Key, DataFrame)]) -> usize {
    kept.iter().map(|(_, frame)| frame.estimated_size()).sum()
}
