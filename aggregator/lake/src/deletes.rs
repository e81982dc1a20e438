//! Delete vectors: the positions of the rows that have left a file which stays, in a small file beside it.
//!
//! A poll that finds a few rows of a large file changed writes this and a file of the new rows, and leaves the large
//! one alone. A data file has at most one such file at a time; the next one names the earlier positions again.

use std::path::PathBuf;
use std::sync::Arc;

use polars::lazy::dsl::deletion::DeletionFilesList;
use polars::prelude::*;

use crate::file::{self, Name};
use crate::snapshot::DataFile;
use crate::table::Table;
use crate::{LakeError, scan};

/// What the specification calls the columns.
const FILE: &str = "file_path";
const POSITION: &str = "pos";
/// Positions in a row group.
const GROUP_ROWS: usize = 256 * 1024;

/// A delete file on disk that no catalogue row names yet.
#[derive(Debug)]
pub struct NewDeleteFile {
    pub(crate) data_file_id: i64,
    /// The delete file that is live now and that this one takes the place of.
    pub(crate) replaces: Option<i64>,
    /// Path below the table's folder, as the catalogue will name it.
    pub(crate) path: String,
    /// Path below the lake's folder, as `sync.pending_file` names it.
    pub pending: String,
    /// Rows deleted, earlier ones included.
    pub(crate) count: i64,
    pub(crate) bytes: i64,
    pub(crate) footer: i64,
    /// Of the whole file.
    pub(crate) sha256: String,
}

/// Write the delete vector of a data file: these rows and no others are deleted, so that those of [`existing`] are among
/// them. Blocks; the name must have been announced.
///
/// `positions` count the file's rows from 0.
///
/// # Errors
/// When the file cannot be written.
pub fn write(table: &Table, of: &DataFile, name: &Name, mut positions: Vec<i64>) -> Result<NewDeleteFile, LakeError> {
    positions.sort_unstable();
    positions.dedup();
    let data = table.dir().join(&of.path);
    let file =
        Column::new_scalar(FILE.into(), Scalar::from(PlSmallStr::from(&*data.to_string_lossy())), positions.len());
    let count = positions.len() as i64;
    let mut frame = DataFrame::new(positions.len(), vec![file, Column::new(POSITION.into(), positions)])?;
    let path = name.full(table);
    let (bytes, sha256) = file::write_digested(&path, &mut frame, GROUP_ROWS)?;
    Ok(NewDeleteFile {
        data_file_id: of.data_file_id,
        replaces: of.delete_file_id,
        path: name.path().to_owned(),
        pending: name.pending().to_owned(),
        count,
        bytes,
        footer: file::footer_size(&path).map_err(LakeError::at(&path))?,
        sha256,
    })
}

/// The delete vector that a data file has already; empty when none of its rows is deleted. Blocks.
///
/// # Errors
/// When its file cannot be read.
pub fn existing(table: &Table, of: &DataFile) -> Result<Vec<i64>, LakeError> {
    let Some(path) = &of.delete_path else { return Ok(Vec::new()) };
    let schema =
        Schema::from_iter([Field::new(FILE.into(), DataType::String), Field::new(POSITION.into(), DataType::Int64)]);
    let rows = scan::of_paths(Arc::new(schema), &[table.dir().join(path)], None, MissingColumnsPolicy::Raise)?;
    let positions = rows.select([col(POSITION)]).collect()?;
    Ok(positions.column(POSITION)?.i64()?.iter().flatten().collect())
}

/// The delete files of some data files in the form in which the engine leaves rows out.
pub(crate) fn of_files(files: &[scan::File]) -> Option<DeletionFilesList> {
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let deleted = files.iter().enumerate().filter_map(|(place, file)| Some((place, text(file.deletes.as_ref()?))));
    let deleted: PlIndexMap<usize, Arc<[String]>> = deleted.map(|(place, path)| (place, Arc::from([path]))).collect();
    (!deleted.is_empty()).then(|| DeletionFilesList::IcebergPositionDelete(Arc::new(deleted)))
}
