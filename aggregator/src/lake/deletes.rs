//! Rows that have left a file which stays: their positions, in a small file beside it.
//!
//! A poll that finds a few rows of a large file changed writes this and a file of the new rows, and leaves the large
//! one alone. A data file has at most one such file at a time; the next one names the earlier positions again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use polars::lazy::dsl::deletion::DeletionFilesList;
use polars::prelude::*;

use super::file::{self, Name};
use super::scan;
use super::snapshot::DataFile;
use crate::error::Error;

/// What the specification calls the columns.
const FILE: &str = "file_path";
const POSITION: &str = "pos";
/// Positions in a row group.
const GROUP_ROWS: usize = 256 * 1024;

/// A delete file on disk that no catalogue row names yet.
#[derive(Debug)]
pub(crate) struct NewDeletes {
    pub(crate) data_file_id: i64,
    /// The delete file that is live now and that this one takes the place of.
    pub(crate) replaces: Option<i64>,
    /// Path below the table's folder, as the catalogue will name it.
    pub(crate) path: String,
    /// Path below the lake's folder, as `sync.pending_file` names it.
    pub(crate) pending: String,
    /// Rows marked, earlier ones included.
    pub(crate) count: i64,
    pub(crate) bytes: i64,
    pub(crate) footer: i64,
}

/// Mark rows of a data file as gone: these and no others, so that those of [`held`] are among them. Blocks; the name
/// must have been announced.
///
/// `positions` count the file's rows from 0.
pub(crate) fn write(
    lake_dir: &Path,
    table_dir: &Path,
    of: &DataFile,
    name: &Name,
    mut positions: Vec<i64>,
) -> Result<NewDeletes, Error> {
    positions.sort_unstable();
    positions.dedup();
    let data = table_dir.join(&of.path);
    let file =
        Column::new_scalar(FILE.into(), Scalar::from(PlSmallStr::from(&*data.to_string_lossy())), positions.len());
    let count = positions.len() as i64;
    let mut frame = DataFrame::new(positions.len(), vec![file, Column::new(POSITION.into(), positions)])?;
    let path = lake_dir.join(name.pending());
    let bytes = file::write_parquet(&path, &mut frame, ParquetCompression::Zstd(None), GROUP_ROWS)?;
    Ok(NewDeletes {
        data_file_id: of.data_file_id,
        replaces: of.delete_file_id,
        path: name.path().to_owned(),
        pending: name.pending().to_owned(),
        count,
        bytes,
        footer: file::footer_size(&path).map_err(Error::at(&path))?,
    })
}

/// The positions that are marked already.
pub(crate) fn held(table_dir: &Path, of: &DataFile) -> Result<Vec<i64>, Error> {
    let Some(path) = &of.delete_path else { return Ok(Vec::new()) };
    let schema =
        Schema::from_iter([Field::new(FILE.into(), DataType::String), Field::new(POSITION.into(), DataType::Int64)]);
    let marks = scan::of_paths(Arc::new(schema), &[table_dir.join(path)], None, MissingColumnsPolicy::Raise)?;
    let marks = marks.select([col(POSITION)]).collect()?;
    Ok(marks.column(POSITION)?.i64()?.iter().flatten().collect())
}

/// The marks of some data files in the form in which the engine leaves rows out.
pub(super) fn of_files(table_dir: &Path, files: &[DataFile]) -> Option<DeletionFilesList> {
    let full = |path: &String| table_dir.join(path).to_string_lossy().into_owned();
    let marked = files.iter().enumerate().filter_map(|(place, file)| Some((place, full(file.delete_path.as_ref()?))));
    let marked: PlIndexMap<usize, Arc<[String]>> = marked.map(|(place, path)| (place, Arc::from([path]))).collect();
    (!marked.is_empty()).then(|| DeletionFilesList::IcebergPositionDelete(Arc::new(marked)))
}

/// Full paths of data files.
pub(crate) fn paths(table_dir: &Path, files: &[DataFile]) -> Vec<PathBuf> {
    files.iter().map(|it| table_dir.join(&it.path)).collect()
}
