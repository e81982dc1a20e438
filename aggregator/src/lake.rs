//! The lake: Parquet files under one folder, reached only through the DuckLake catalogue in
//! `reporting_db`.
//!
//! Readers take one snapshot number and see exactly the files that were live in it. Writers go
//! through `commit`, which holds the catalogue's one lock for the length of a few statements.

mod append;
pub mod calendar;
pub(crate) mod commit;
pub mod compact;
pub(crate) mod deletes;
pub mod expire;
pub(crate) mod file;
pub(crate) mod pending;
mod reference;
pub mod scan;
pub mod snapshot;
pub(crate) mod stats;
pub(crate) mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::Compute;
use sqlx::PgPool;

pub use append::append;
pub use compact::{Compacted, compact};
pub use expire::{Expired, Swept, expire, sweep};
pub use scan::scan;
pub use snapshot::DataFile;
pub use table::Table;

use reference::References;

use crate::error::Error;
use crate::source::Source;

/// Folder of the lake and its tables, by dataset name.
#[derive(Debug)]
pub struct Lake {
    dir: PathBuf,
    tables: BTreeMap<String, Arc<Table>>,
    references: References,
}

impl Lake {
    /// Make the folder, note it in the catalogue, and create or widen the declared tables.
    pub(crate) async fn open(
        db: &PgPool,
        dir: &Path,
        sources: &[Arc<Source>],
        compute: &Compute,
    ) -> Result<Self, Error> {
        let dir = std::path::absolute(dir).map_err(Error::at(dir))?;
        std::fs::create_dir_all(dir.join("staging")).map_err(Error::at(&dir))?;
        table::note_data_path(db, &dir).await?;
        let mut tables = BTreeMap::new();
        for source in sources {
            for dataset in &source.declaration.datasets {
                let day = dataset.business_day.is_some();
                let table = table::ensure(db, &dataset.name, &dataset.lake_columns(), day).await?;
                tables.insert(dataset.name.clone(), Arc::new(table));
            }
        }
        let calendar = table::ensure(db, calendar::NAME, &calendar::columns(), false).await?;
        tables.insert(calendar::NAME.to_owned(), Arc::new(calendar));
        let lake = Self { dir, tables, references: References::new() };
        calendar::fill(db, &lake, compute).await?;
        Ok(lake)
    }

    /// The folder, absolute: DuckDB's `DATA_PATH`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The table of a dataset.
    pub fn table(&self, dataset: &str) -> Result<&Arc<Table>, Error> {
        self.tables.get(dataset).ok_or_else(|| Error::UnknownDataset(dataset.to_owned()))
    }

    /// Names of every dataset, `calendar` included.
    pub fn datasets(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    /// Bytes of decoded reference sets that are held.
    pub(crate) fn reference_bytes(&self) -> u64 {
        self.references.bytes()
    }

    /// Folder of a table's files.
    pub(crate) fn table_dir(&self, dataset: &str) -> PathBuf {
        self.dir.join("main").join(dataset)
    }
}
