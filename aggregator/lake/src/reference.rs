//! Reference sets, decoded once by a process that reads them often.
//!
//! Nearly every report joins stores, products or the calendar, and these change once a day at most. A set's state is
//! identified by the names of its live files, which are given once: a file belongs to one source and one epoch, and a poll that
//! finds nothing new (304) leaves it where it is. So nothing here has to be invalidated.

use std::sync::{Mutex, PoisonError};

use polars::prelude::{DataFrame, IntoLazy, LazyFrame, SchemaRef};

use crate::LakeError;
use crate::scan::{self, File, FileSet};

/// Bytes of frames that are kept.
const CAPACITY: usize = 32 * 1024 * 1024;
/// Bytes on disk above which a set is read anew each time: beside it, the small ones would not be kept.
const LARGEST: i64 = 1024 * 1024;

/// The sets kept.
#[derive(Debug, Default)]
pub struct References {
    /// By their files; the most recently read last.
    kept: Mutex<Vec<(Vec<File>, DataFrame)>>,
}

impl References {
    /// The rows of some files of a dataset: decoded, if it is a small reference set.
    pub(crate) fn rows(&self, set: &FileSet, schema: &SchemaRef, files: &[File]) -> Result<LazyFrame, LakeError> {
        let bytes: i64 = files.iter().map(|it| it.bytes).sum();
        let rows = scan::live_rows(SchemaRef::clone(schema), files)?;
        if set.has_days || files.is_empty() || bytes > LARGEST {
            return Ok(rows);
        }
        if let Some(kept) = self.take(files) {
            return Ok(self.keep(files, kept).lazy());
        }
        Ok(self.keep(files, rows.collect()?).lazy())
    }

    fn take(&self, files: &[File]) -> Option<DataFrame> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(known, _)| known == files)?;
        Some(kept.remove(place).1)
    }

    fn keep(&self, files: &[File], frame: DataFrame) -> DataFrame {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((files.to_vec(), frame.clone()));
        let mut bytes = sum(&kept);
        while bytes > CAPACITY && kept.len() > 1 {
            bytes -= kept.remove(0).1.estimated_size();
        }
        frame
    }
}

fn sum(kept: &[(Vec<File>, DataFrame)]) -> usize {
    kept.iter().map(|(_, frame)| frame.estimated_size()).sum()
}
