//! The lake: Parquet files under one folder, reached only through the DuckLake catalogue in
//! `reporting_db`.
//!
//! Readers take one snapshot number and see exactly the files that were live in it. Writers go
//! through [`commit`], which holds the catalogue's one lock for the length of a few statements.
//! The crate knows columns and tables, and not where rows come from or what is computed of them.

mod append;
pub mod calendar;
mod checksum;
mod column;
pub mod commit;
mod compact;
pub mod deletes;
mod error;
mod expire;
pub mod file;
mod inlined;
pub mod kept;
pub mod pending;
mod reference;
pub mod scan;
pub mod snapshot;
mod stats;
mod table;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base::{BusinessDays, Compute};
use sqlx::PgPool;

pub use checksum::{Damage, Examined};
pub use column::{BUSINESS_DAY, Column, ColumnType};
pub use compact::Compacted;
pub use error::LakeError;
pub use expire::{Expired, Swept};
pub use reference::References;
pub use scan::FileSet;
pub use snapshot::DataFile;
pub use table::{Table, TableDefinition};

/// The lake's catalogue, folder and tables.
#[derive(Debug)]
pub struct Lake {
    db: PgPool,
    dir: PathBuf,
    days: BusinessDays,
    tables: BTreeMap<String, Arc<Table>>,
    compute: Compute,
}

impl Lake {
    /// Make the folder, note it in the catalogue, and create or widen the defined tables and the calendar.
    ///
    /// The database must have been migrated. A month is over when its last one of the company's `days` has ended.
    ///
    /// # Errors
    /// [`LakeError::ColumnType`] when a column is defined with another type than the lake holds; when the folder cannot
    /// be made, or the database fails.
    pub async fn open(
        db: PgPool,
        dir: &Path,
        tables: &[TableDefinition],
        days: BusinessDays,
    ) -> Result<Arc<Self>, LakeError> {
        let dir = std::path::absolute(dir).map_err(LakeError::at(dir))?;
        std::fs::create_dir_all(dir.join("staging")).map_err(LakeError::at(&dir))?;
        table::note_data_path(&db, &dir).await?;
        let mut found = BTreeMap::new();
        for definition in tables.iter().chain([&calendar::definition()]) {
            found.insert(definition.name.clone(), Arc::new(table::ensure(&db, &dir, definition).await?));
        }
        let lake = Self { db, dir, days, tables: found, compute: Compute::new() };
        lake.fill_calendar().await?;
        Ok(Arc::new(lake))
    }

    /// Pool of the database that holds the catalogue.
    pub fn db(&self) -> &PgPool {
        &self.db
    }

    /// The folder, absolute: DuckDB's `DATA_PATH`.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether the folder is there, with what opening it made in it: an empty one where a disk is mounted is not it.
    ///
    /// # Errors
    /// [`LakeError::Gone`].
    pub async fn is_there(&self) -> Result<(), LakeError> {
        match tokio::fs::metadata(self.dir.join("staging")).await {
            Ok(_) => Ok(()),
            Err(_) => Err(LakeError::Gone(self.dir.clone())),
        }
    }

    /// The bound on computations that hold a core.
    pub fn compute(&self) -> &Compute {
        &self.compute
    }

    /// How the company counts its days.
    pub fn days(&self) -> BusinessDays {
        self.days
    }

    /// The table of a dataset.
    ///
    /// # Errors
    /// [`LakeError::UnknownDataset`].
    pub fn table(&self, dataset: &str) -> Result<&Arc<Table>, LakeError> {
        self.tables.get(dataset).ok_or_else(|| LakeError::UnknownDataset(dataset.to_owned()))
    }

    /// Names of every dataset, `calendar` included.
    pub fn datasets(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }
}
