//! The one seam behind which reports are computed.
//!
//! In goes [`Work`]: a bound statement, the datasets of one snapshot as files, what the rows have to be, and bounds. Out
//! comes a stream of frames, or how it failed; whoever drops the stream ends the computation. What is above (catalogue,
//! cache, freshness, publishing) and what is below (the lake) knows nothing of who computes.

mod compute;
mod failure;
mod here;
mod local;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use lake::FileSet;
use polars::prelude::DataFrame;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ask::Bounds;
use super::error::ReportError;
use crate::report::language::compile::Report;
use crate::report::language::header::{self, ColumnType};

#[cfg(test)]
pub(crate) use compute::over;
pub(crate) use here::Here;
pub(crate) use local::Local;
pub use local::{OUT_OF_MEMORY, Workers, WriteFile, as_worker, own_program, work};

/// Who computes.
pub(crate) trait Engine: fmt::Debug + Send + Sync {
    /// The rows, in their order, in frames of a bounded number of rows.
    fn rows(&self, work: Arc<Work>, asker: &Asker, bounds: Bounds) -> Frames;

    /// Computes, and has the rows written as `order` says.
    fn file(&self, work: Arc<Work>, asker: &Asker, bounds: Bounds, order: Order) -> Filing;

    /// Makes ready for the first question.
    fn warm(&self) {}
}

/// The rows of a computation, as they come.
pub(crate) type Frames = BoxStream<'static, Result<DataFrame, ReportError>>;

/// The making of a file.
pub(crate) type Filing = BoxFuture<'static, Result<Filed<Frames>, ReportError>>;

/// A file that is to be made of rows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    /// How: what it means is between those who give it and those who write.
    pub(crate) how: Value,
    /// Up to so many rows are given back, and no file is made.
    pub(crate) few: Option<usize>,
}

/// What was made of an order.
#[derive(Debug)]
pub enum Filed<Rows> {
    /// No file: there are few rows, or no process to write one.
    Rows(Rows),
    /// What the writer of the file has to say of it.
    File(Value),
}

/// For whom is computed. Askers do not share their turns: who asks much waits for himself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Asker {
    /// The service itself: jobs, the nightly run, the command line.
    #[default]
    Service,
    /// Whoever asked for a file and does not wait for it.
    Run,
    /// The owner of a key, by the name that the gateway gives; none, where nobody gives a name.
    Consumer(Option<Arc<str>>),
}

impl Asker {
    /// The owner of a key.
    #[must_use]
    pub fn consumer(name: Option<&str>) -> Self {
        Self::Consumer(name.map(Into::into))
    }
}

/// All that computing a report takes, in any process that sees the lake's folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) shape: Shape,
    /// The bound statement, as the text that provably reads back as its tree.
    pub(crate) statement: Arc<str>,
    pub(crate) datasets: BTreeMap<String, Dataset>,
    /// The views of the statement whose rows are inputs, each in the place of its CTE.
    pub(crate) kept: BTreeMap<String, KeptInput>,
}

impl Work {
    /// The files that computing may read.
    pub(crate) fn files(&self) -> impl Iterator<Item = &FileSet> {
        let kept = self.kept.values().flat_map(|input| {
            let others = input.others.iter().flat_map(|others| others.datasets.values());
            input.rows.iter().chain(others.map(|dataset| &dataset.files))
        });
        self.datasets.values().map(|dataset| &dataset.files).chain(kept)
    }
}

/// A view whose rows are kept: those that count in the snapshot, and its SELECT over the other days. One of them is there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeptInput {
    /// What tells its rows apart for certain.
    pub(crate) key: Vec<String>,
    pub(crate) rows: Option<FileSet>,
    pub(crate) others: Option<Others>,
}

/// A SELECT over days of datasets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Others {
    pub(crate) select: Arc<str>,
    pub(crate) datasets: BTreeMap<String, Dataset>,
}

/// One dataset that a statement reads.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Dataset {
    /// The columns of its key.
    pub(crate) key: Vec<String>,
    pub(crate) files: FileSet,
}

/// What the rows of a report have to be.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Shape {
    /// The report's name.
    pub(crate) report: String,
    pub(crate) engine: header::Engine,
    /// In their order.
    pub(crate) columns: Vec<(String, ColumnType)>,
    /// The columns of the key; empty for a report of one row.
    pub(crate) key: Vec<String>,
    /// More rows are refused.
    pub(crate) most_rows: usize,
}

impl Shape {
    pub(crate) fn of(report: &Report, most_rows: usize) -> Self {
        Self {
            report: report.name.clone(),
            engine: report.engine,
            columns: report.columns.iter().map(|column| (column.name.clone(), column.kind)).collect(),
            key: report.key.clone(),
            most_rows,
        }
    }
}
