//! What changed between two revisions of a day: which rows came, went and changed, by how much, and why.
//!
//! Rows are identified by the report's key as it is declared today. Where one of the revisions lacks a column of that
//! key, or the report has left the catalogue, whole rows are compared, and none is called changed.

use std::collections::{HashMap, VecDeque};

use chrono::NaiveDate;
use polars::prelude::{Column, DataFrame, IdxCa, IdxSize, IntoColumn as _, PolarsResult};
use sqlx::PgPool;

use super::digest::cell_text;
use super::read::{PublishedColumn, PublishedRows, Revision, revision_rows, revisions_between};
use super::{PublishError, Restated};
use crate::report::{Catalogue, ColumnType};

/// The difference between two revisions of a day.
#[derive(Debug, Clone)]
pub struct Diff {
    pub from: Revision,
    pub to: Revision,
    /// Each revision after `from`, up to `to`, with what made it.
    pub causes: Vec<Restated>,
    /// The columns of the key; empty when whole rows were compared.
    pub key: Vec<String>,
    /// The columns of `to`.
    pub columns: Vec<PublishedColumn>,
    /// Columns that `from` does not have, or has in another type.
    pub columns_added: Vec<String>,
    /// Columns that `to` does not have, or has in another type.
    pub columns_removed: Vec<String>,
    /// Rows of `to` that `from` does not have; in the columns of `to`.
    pub added: DataFrame,
    /// Rows of `from` that `to` does not have; in the columns of `from`.
    pub removed: DataFrame,
    /// The columns of `removed`.
    pub removed_columns: Vec<PublishedColumn>,
    /// Rows of both whose values differ.
    pub changed: Changed,
    /// Rows of both that are equal.
    pub unchanged: usize,
    /// The sums of the money columns that both have.
    pub totals: Vec<Total>,
}

/// Rows of the same key whose values differ: three frames of equal height, and which columns differ in which row.
#[derive(Debug, Clone)]
pub struct Changed {
    /// As `from` had them; only columns that both revisions have.
    pub before: DataFrame,
    /// As `to` has them; the same columns.
    pub after: DataFrame,
    /// After less before, of the same columns that are numbers; null where one of the two is.
    pub by: DataFrame,
    /// The columns of `before` and `after`.
    pub columns: Vec<PublishedColumn>,
    /// The columns of `by`.
    pub by_columns: Vec<PublishedColumn>,
    /// Names of the columns that differ, row by row.
    pub differing: Vec<Vec<String>>,
}

/// What a money column came to in both revisions, in cents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Total {
    pub column: String,
    pub from: i64,
    pub to: i64,
}

/// Compares two revisions of a report and day.
///
/// # Errors
/// [`PublishError::UnknownRevision`], or when the database fails.
pub async fn diff(
    db: &PgPool,
    catalogue: &Catalogue,
    report: &str,
    business_day: NaiveDate,
    from: i32,
    to: i32,
) -> Result<Diff, PublishError> {
    let before = revision_rows(db, report, business_day, Some(from)).await?;
    let after = revision_rows(db, report, business_day, Some(to)).await?;
    let causes = revisions_between(db, report, business_day, from, to).await?;
    let key = catalogue.get(report).map(|report| report.key.clone());
    let compared = tokio::task::spawn_blocking(move || compare(before, after, key.as_deref()));
    let mut diff = compared.await??;
    diff.causes = causes.into_iter().map(Restated::from).collect();
    Ok(diff)
}

fn compare(from: PublishedRows, to: PublishedRows, key: Option<&[String]>) -> PolarsResult<Diff> {
    let common: Vec<PublishedColumn> = to.columns.iter().filter(|it| from.columns.contains(it)).cloned().collect();
    let names = |columns: &[PublishedColumn]| columns.iter().map(|it| it.name.clone()).collect::<Vec<_>>();
    let only_in = |columns: &[PublishedColumn]| names(columns).into_iter().filter(|name| !has(&common, name)).collect();
    let key = key.filter(|key| key.iter().all(|name| has(&common, name)));
    let told_by = key.map_or_else(|| names(&common), <[String]>::to_vec);

    let mut waiting: HashMap<String, VecDeque<usize>> = HashMap::new();
    for (row, identity) in identities(&from.frame, &told_by)?.into_iter().enumerate() {
        waiting.entry(identity).or_default().push_back(row);
    }
    let (mut added, mut pairs) = (Vec::new(), Vec::new());
    for (row, identity) in identities(&to.frame, &told_by)?.into_iter().enumerate() {
        match waiting.get_mut(&identity).and_then(VecDeque::pop_front) {
            Some(earlier) => pairs.push((earlier, row)),
            None => added.push(row),
        }
    }
    let mut removed: Vec<usize> = waiting.into_values().flatten().collect();
    removed.sort_unstable();

    let mut differing = Vec::new();
    let mut changed = Vec::new();
    for (earlier, later) in &pairs {
        let columns = differing_columns(&from.frame, *earlier, &to.frame, *later, &common)?;
        if !columns.is_empty() {
            differing.push(columns);
            changed.push((*earlier, *later));
        }
    }
    let (earlier, later): (Vec<usize>, Vec<usize>) = changed.iter().copied().unzip();
    let shared = names(&common);
    let before = take(&from.frame.select(&shared)?, &earlier)?;
    let after = take(&to.frame.select(&shared)?, &later)?;
    let (by_columns, by) = by_how_much(&before, &after, &common)?;
    Ok(Diff {
        causes: Vec::new(),
        key: key.map(<[String]>::to_vec).unwrap_or_default(),
        columns_added: only_in(&to.columns),
        columns_removed: only_in(&from.columns),
        added: take(&to.frame, &added)?,
        removed: take(&from.frame, &removed)?,
        unchanged: pairs.len() - changed.len(),
        totals: totals(&from.frame, &to.frame, &common)?,
        changed: Changed { before, after, by, columns: common, by_columns, differing },
        removed_columns: from.columns,
        columns: to.columns,
        from: from.revision,
        to: to.revision,
    })
}

fn has(columns: &[PublishedColumn], name: &str) -> bool {
    columns.iter().any(|column| column.name == name)
}

/// The key of each row, as text.
fn identities(frame: &DataFrame, names: &[String]) -> PolarsResult<Vec<String>> {
    let columns = frame.select(names)?;
    (0..frame.height())
        .map(|row| {
            let mut text = String::new();
            for column in columns.columns() {
                cell_text(&column.get(row)?, &mut text);
            }
            Ok(text)
        })
        .collect()
}

/// The columns in which two rows differ, floats rounded as in the digest.
fn differing_columns(
    from: &DataFrame,
    earlier: usize,
    to: &DataFrame,
    later: usize,
    columns: &[PublishedColumn],
) -> PolarsResult<Vec<String>> {
    let (mut before, mut after) = (String::new(), String::new());
    let mut names = Vec::new();
    for column in columns {
        before.clear();
        after.clear();
        cell_text(&from.column(&column.name)?.get(earlier)?, &mut before);
        cell_text(&to.column(&column.name)?.get(later)?, &mut after);
        if before != after {
            names.push(column.name.clone());
        }
    }
    Ok(names)
}

fn take(frame: &DataFrame, rows: &[usize]) -> PolarsResult<DataFrame> {
    let rows: Vec<IdxSize> = rows.iter().map(|row| IdxSize::try_from(*row).unwrap_or(IdxSize::MAX)).collect();
    frame.take(&IdxCa::from_vec("row".into(), rows))
}

/// After less before, of the columns that are numbers.
fn by_how_much(
    before: &DataFrame,
    after: &DataFrame,
    columns: &[PublishedColumn],
) -> PolarsResult<(Vec<PublishedColumn>, DataFrame)> {
    let (mut kinds, mut by) = (Vec::new(), Vec::new());
    for PublishedColumn { name, kind } in columns {
        let (before, after) = (before.column(name)?, after.column(name)?);
        let (kind, difference) = match kind {
            // The difference of two int32 may be beyond one.
            ColumnType::Int32 | ColumnType::Int64 => (ColumnType::Int64, integers(before, after)?),
            ColumnType::Money => (ColumnType::Money, integers(before, after)?),
            ColumnType::Float => (ColumnType::Float, (after - before)?),
            ColumnType::String | ColumnType::Bool | ColumnType::Date | ColumnType::Timestamp => continue,
        };
        kinds.push(PublishedColumn { name: name.clone(), kind });
        by.push(difference);
    }
    Ok((kinds, DataFrame::new(before.height(), by)?))
}

fn integers(before: &Column, after: &Column) -> PolarsResult<Column> {
    use polars::prelude::{DataType, Int64Chunked, NewChunkedArray as _};
    let (earlier, later) = (before.cast(&DataType::Int64)?, after.cast(&DataType::Int64)?);
    let pairs = earlier.i64()?.iter().zip(later.i64()?.iter());
    let difference = pairs.map(|(before, after)| Some(after?.saturating_sub(before?)));
    Ok(Int64Chunked::from_iter_options(before.name().clone(), difference).into_column())
}

fn totals(from: &DataFrame, to: &DataFrame, columns: &[PublishedColumn]) -> PolarsResult<Vec<Total>> {
    let sum = |frame: &DataFrame, name: &str| -> PolarsResult<i64> {
        Ok(frame.column(name)?.i64()?.iter().flatten().fold(0, i64::saturating_add))
    };
    let money = columns.iter().filter(|column| column.kind == ColumnType::Money);
    money
        .map(|PublishedColumn { name, .. }| {
            Ok(Total { column: name.clone(), from: sum(from, name)?, to: sum(to, name)? })
        })
        .collect()
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
