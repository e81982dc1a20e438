//! Tables of the catalogue: creating them, and adding columns as declarations grow.

use std::path::{Path, PathBuf};

use polars::prelude::{Field, Schema};
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use crate::{BUSINESS_DAY, Column, LakeError, commit, kept};

/// Catalogue id of the schema of the datasets.
pub(crate) const MAIN: i64 = 0;
/// The folder of every table lies below this one.
pub(crate) const ABOVE: &str = "main";

/// A table as it is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableDefinition {
    /// Dataset name, a lower-case identifier.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<Column>,
    /// Whether rows belong to business days: then one of the columns is [`BUSINESS_DAY`].
    pub has_days: bool,
}

impl TableDefinition {
    /// What a frame of the whole table looks like.
    #[must_use]
    pub fn schema(&self) -> Schema {
        schema(&self.columns)
    }
}

/// A dataset's table in the catalogue.
#[derive(Debug)]
pub struct Table {
    /// Catalogue id.
    pub table_id: i64,
    /// Dataset name.
    pub name: String,
    /// Catalogue id of the partitioning by year and month of the business day.
    pub(crate) partition_id: Option<i64>,
    /// Catalogue id of how the names in a new file stand for columns.
    pub(crate) mapping_id: i64,
    /// Columns with their catalogue ids, in declared order.
    pub(crate) columns: Vec<(i64, Column)>,
    /// Its folder below the lake's.
    folder: String,
    /// Folder of its files, absolute.
    dir: PathBuf,
}

/// Where a table stands.
pub(crate) struct Place<'a> {
    pub(crate) schema_id: i64,
    pub(crate) schema: &'a str,
    /// Its folder below those of all tables, with a slash behind it.
    pub(crate) path: String,
}

impl Table {
    /// The columns, in order.
    pub fn columns(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().map(|(_, column)| column)
    }

    /// Folder of its files, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The same, below the lake's folder.
    pub(crate) fn folder(&self) -> &str {
        &self.folder
    }

    /// A table as the catalogue has it.
    pub(crate) fn of(ids: Ids, definition: &TableDefinition, place: &Place<'_>, lake_dir: &Path) -> Self {
        let Ids { table_id, partition_id, mapping_id, columns } = ids;
        let columns = columns.into_iter().zip(definition.columns.iter().cloned()).collect();
        let folder = format!("{ABOVE}/{}", place.path.trim_end_matches('/'));
        let dir = lake_dir.join(&folder);
        Self { table_id, name: definition.name.clone(), partition_id, mapping_id, columns, folder, dir }
    }

    /// Whether rows belong to business days.
    pub fn has_days(&self) -> bool {
        self.partition_id.is_some()
    }

    /// What a frame of the whole table looks like.
    pub fn schema(&self) -> Schema {
        schema(self.columns())
    }
}

/// What a frame of these columns looks like.
pub(crate) fn schema<'a>(columns: impl IntoIterator<Item = &'a Column>) -> Schema {
    columns.into_iter().map(|it| Field::new(it.name.as_str().into(), it.kind.data_type())).collect()
}

/// Note where the files are, so that DuckDB checks its `DATA_PATH` against it.
pub(crate) async fn note_data_path(db: &PgPool, dir: &Path) -> Result<(), LakeError> {
    let path = format!("{}/", dir.to_string_lossy().trim_end_matches('/'));
    sqlx::query!(
        "INSERT INTO lake.ducklake_metadata (key, value) VALUES ('data_path', $1)
         ON CONFLICT ON CONSTRAINT ducklake_metadata_once DO UPDATE SET value = excluded.value",
        path
    )
    .execute(db)
    .await?;
    Ok(())
}

#[derive(FromRow)]
struct ExistingColumn {
    column_id: i64,
    column_name: String,
    column_type: String,
}

/// Find a dataset's table, or create it; add the declared columns it lacks and end those no longer declared.
///
/// Every change is a snapshot of its own with a new schema version. Fails with
/// [`LakeError::ColumnType`] when a declared type differs from the one in the lake: files already written keep
/// theirs.
pub(crate) async fn ensure(db: &PgPool, lake_dir: &Path, definition: &TableDefinition) -> Result<Table, LakeError> {
    let mut tx = base::begin(db).await?;
    let head = commit::lock(&mut tx).await?;
    let sql =
        "SELECT table_id FROM lake.ducklake_table WHERE schema_id = $1 AND table_name = $2 AND end_snapshot IS NULL";
    let existing = sqlx::query_scalar(sql).bind(MAIN).bind(&definition.name);
    let existing: Option<i64> = existing.fetch_optional(&mut *tx).await?;
    let place = Place { schema_id: MAIN, schema: "main", path: format!("{}/", definition.name) };
    let ids = match existing {
        Some(table_id) => widen(&mut tx, &head, table_id, definition).await?,
        None => create(&mut tx, &head, definition, &place).await?,
    };
    tx.commit().await?;
    Ok(Table::of(ids, definition, &place, lake_dir))
}

/// What the catalogue calls a table and its parts.
pub(crate) struct Ids {
    pub(crate) table_id: i64,
    pub(crate) partition_id: Option<i64>,
    pub(crate) mapping_id: i64,
    /// In the order of the definition.
    pub(crate) columns: Vec<i64>,
}

pub(crate) async fn create(
    tx: &mut PgConnection,
    head: &commit::Head,
    definition: &TableDefinition,
    place: &Place<'_>,
) -> Result<Ids, LakeError> {
    let TableDefinition { name, columns, has_days } = definition;
    let table_id = head.next_catalog_id;
    let partition_id = has_days.then_some(table_id + 1);
    let next = partition_id.unwrap_or(table_id) + 1;
    let mapping_id = head.next_file_id;
    let token = format!("created_table:\"{}\".\"{name}\"", place.schema);
    let snapshot = commit::snapshot_of_schema(tx, head, next, mapping_id + 1, &token).await?;
    sqlx::query!(
        "INSERT INTO lake.ducklake_table
           (table_id, table_uuid, begin_snapshot, schema_id, table_name, path, path_is_relative)
         VALUES ($1, $2, $3, $4, $5, $6, true)",
        table_id,
        Uuid::now_v7(),
        snapshot,
        place.schema_id,
        name,
        &place.path
    )
    .execute(&mut *tx)
    .await?;
    let columns: Vec<(i64, &Column)> = (1..).zip(columns).collect();
    for (column_id, column) in &columns {
        add_column(tx, snapshot, table_id, *column_id, column).await?;
    }
    sqlx::query!(
        "INSERT INTO lake.ducklake_table_stats (table_id, record_count, next_row_id, file_size_bytes)
         VALUES ($1, 0, 0, 0)",
        table_id
    )
    .execute(&mut *tx)
    .await?;
    if let Some(partition_id) = partition_id {
        partition_by_month(tx, snapshot, table_id, partition_id, &columns).await?;
    }
    map_names(tx, table_id, mapping_id, &columns).await?;
    note_schema_version(tx, snapshot, head, table_id).await?;
    Ok(Ids { table_id, partition_id, mapping_id, columns: columns.into_iter().map(|(id, _)| id).collect() })
}

/// Our files bear names and no field ids: without this DuckDB takes a file's columns by their position, and reads
/// another one's values where a column came or went in the middle. Like DuckDB's, its number is one of a file.
async fn map_names(
    tx: &mut PgConnection,
    table_id: i64,
    mapping_id: i64,
    columns: &[(i64, &Column)],
) -> Result<(), LakeError> {
    let (ids, names): (Vec<i64>, Vec<&str>) = columns.iter().map(|(id, column)| (*id, column.name.as_str())).unzip();
    sqlx::query!(
        "INSERT INTO lake.ducklake_column_mapping (mapping_id, table_id, type) VALUES ($1, $2, 'map_by_name')",
        mapping_id,
        table_id
    )
    .execute(&mut *tx)
    .await?;
    sqlx::query!(
        "INSERT INTO lake.ducklake_name_mapping (mapping_id, column_id, source_name, target_field_id, is_partition)
         SELECT $1, place - 1, name, id, false
         FROM unnest($2::text[], $3::bigint[]) WITH ORDINALITY AS t (name, id, place)",
        mapping_id,
        names as _,
        &ids
    )
    .execute(&mut *tx)
    .await?;
    // Files written before there were mappings.
    sqlx::query!(
        "UPDATE lake.ducklake_data_file SET mapping_id = $1 WHERE table_id = $2 AND mapping_id IS NULL",
        mapping_id,
        table_id
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Year and month, not the day: a day's file and a quiet month's file then carry the same values.
async fn partition_by_month(
    tx: &mut PgConnection,
    snapshot: i64,
    table_id: i64,
    partition_id: i64,
    columns: &[(i64, &Column)],
) -> Result<(), LakeError> {
    let day = columns.iter().find(|(_, it)| it.name == BUSINESS_DAY).map(|(id, _)| *id);
    sqlx::query!(
        "INSERT INTO lake.ducklake_partition_info (partition_id, table_id, begin_snapshot) VALUES ($1, $2, $3)",
        partition_id,
        table_id,
        snapshot
    )
    .execute(&mut *tx)
    .await?;
    for (index, transform) in [(0_i64, "year"), (1, "month")] {
        sqlx::query!(
            "INSERT INTO lake.ducklake_partition_column
               (partition_id, table_id, partition_key_index, column_id, transform)
             VALUES ($1, $2, $3, $4, $5)",
            partition_id,
            table_id,
            index,
            day,
            transform
        )
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

async fn widen(
    tx: &mut PgConnection,
    head: &commit::Head,
    table_id: i64,
    definition: &TableDefinition,
) -> Result<Ids, LakeError> {
    let declared = &definition.columns;
    let sql = "SELECT column_id, column_name, column_type FROM lake.ducklake_column
               WHERE table_id = $1 AND end_snapshot IS NULL ORDER BY column_order";
    let existing: Vec<ExistingColumn> = sqlx::query_as(sql).bind(table_id).fetch_all(&mut *tx).await?;
    let sql = "SELECT partition_id FROM lake.ducklake_partition_info WHERE table_id = $1 AND end_snapshot IS NULL";
    let partition_id = sqlx::query_scalar(sql).bind(table_id).fetch_optional(&mut *tx).await?;
    let sql = "SELECT coalesce(max(column_id), 0) FROM lake.ducklake_column WHERE table_id = $1";
    let last_id: i64 = sqlx::query_scalar(sql).bind(table_id).fetch_one(&mut *tx).await?;

    let (columns, added) = with_ids(definition, &existing, last_id)?;
    let is_declared = |it: &ExistingColumn| declared.iter().any(|column| column.name == it.column_name);
    let removed: Vec<i64> = existing.iter().filter(|it| !is_declared(it)).map(|it| it.column_id).collect();
    let sql = "SELECT max(mapping_id) FROM lake.ducklake_column_mapping WHERE table_id = $1";
    let mut mapping_id: Option<i64> = sqlx::query_scalar(sql).bind(table_id).fetch_one(&mut *tx).await?;
    if !added.is_empty() || !removed.is_empty() || mapping_id.is_none() {
        let token = format!("altered_table:{table_id}");
        let (catalog_id, file_id) = (head.next_catalog_id, head.next_file_id + 1);
        let snapshot = commit::snapshot_of_schema(tx, head, catalog_id, file_id, &token).await?;
        map_names(tx, table_id, head.next_file_id, &columns).await?;
        mapping_id = Some(head.next_file_id);
        for (column_id, column) in added {
            add_column(tx, snapshot, table_id, column_id, column).await?;
            null_in_earlier_files(tx, table_id, column_id).await?;
        }
        sqlx::query!(
            "UPDATE lake.ducklake_column SET end_snapshot = $1
             WHERE table_id = $2 AND column_id = ANY($3) AND end_snapshot IS NULL",
            snapshot,
            table_id,
            &removed
        )
        .execute(&mut *tx)
        .await?;
        note_schema_version(tx, snapshot, head, table_id).await?;
        if !removed.is_empty() {
            kept::end_days(tx, snapshot, &definition.name).await?;
        }
    }
    let mapping_id = mapping_id.unwrap_or(head.next_file_id);
    Ok(Ids { table_id, partition_id, mapping_id, columns: columns.into_iter().map(|(id, _)| id).collect() })
}

/// A column with its id in the catalogue.
type WithId<'a> = (i64, &'a Column);

/// The declared columns with their ids, those of existing columns or the next ones; and apart those that are new.
fn with_ids<'a>(
    definition: &'a TableDefinition,
    existing: &[ExistingColumn],
    mut last_id: i64,
) -> Result<(Vec<WithId<'a>>, Vec<WithId<'a>>), LakeError> {
    let mut columns = Vec::with_capacity(definition.columns.len());
    let mut added = Vec::new();
    for column in &definition.columns {
        match existing.iter().find(|it| it.column_name == column.name) {
            Some(same) if same.column_type == column.kind.catalogue_name() => columns.push((same.column_id, column)),
            Some(other) => {
                return Err(LakeError::ColumnType {
                    dataset: definition.name.clone(),
                    column: column.name.clone(),
                    declared: column.kind.name().to_owned(),
                    existing: other.column_type.clone(),
                });
            }
            None => {
                last_id += 1;
                columns.push((last_id, column));
                added.push((last_id, column));
            }
        }
    }
    Ok((columns, added))
}

async fn add_column(
    tx: &mut PgConnection,
    snapshot: i64,
    table_id: i64,
    column_id: i64,
    column: &Column,
) -> Result<(), LakeError> {
    sqlx::query!(
        "INSERT INTO lake.ducklake_column
           (column_id, begin_snapshot, table_id, column_order, column_name, column_type, default_value,
            nulls_allowed, default_value_type, default_value_dialect)
         VALUES ($1, $2, $3, $1, $4, $5, 'NULL', true, 'literal', 'duckdb')",
        column_id,
        snapshot,
        table_id,
        &column.name,
        column.kind.catalogue_name()
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// A column added later begins with `contains_null`: the files before it do not hold it.
async fn null_in_earlier_files(tx: &mut PgConnection, table_id: i64, column_id: i64) -> Result<(), LakeError> {
    sqlx::query!(
        "INSERT INTO lake.ducklake_table_column_stats (table_id, column_id, contains_null)
         SELECT $1, $2, true WHERE EXISTS (SELECT FROM lake.ducklake_data_file WHERE table_id = $1)",
        table_id,
        column_id
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

async fn note_schema_version(
    tx: &mut PgConnection,
    snapshot: i64,
    head: &commit::Head,
    table_id: i64,
) -> Result<(), LakeError> {
    sqlx::query!(
        "INSERT INTO lake.ducklake_schema_versions (begin_snapshot, schema_version, table_id) VALUES ($1, $2, $3)",
        snapshot,
        head.schema_version + 1,
        table_id
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}
