//! The rows of the source and the order in which they changed.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Column names and types as the feed tells them, the key first.
pub type Columns = &'static [(&'static str, &'static str)];

/// One dataset: rows by key, each with the number of the transaction that changed it last.
#[derive(Debug, Clone, Default)]
pub(super) struct Dataset {
    columns: Vec<(String, String)>,
    keys: usize,
    version: u32,
    rows: BTreeMap<Vec<i64>, Row>,
}

#[derive(Debug, Clone)]
struct Row {
    xid: u64,
    deleted: bool,
    values: Vec<String>,
}

/// The source's state. Every change is a transaction of its own.
#[derive(Debug, Clone)]
pub struct Model {
    /// By how much its clock is ahead of the right one.
    pub clock_ahead: chrono::TimeDelta,
    epoch: u32,
    xid: u64,
    /// A transaction that has begun and not ended holds the horizon here.
    held: Option<u64>,
    datasets: BTreeMap<String, Dataset>,
}

/// A page of rows and what stands in its headers.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) body: String,
    pub(super) rows: usize,
    pub(super) next: Option<String>,
    pub(super) resume: String,
}

/// Why a page is refused.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    UnknownDataset,
    UnknownColumn,
    Epoch,
    Shape,
}

impl Default for Model {
    fn default() -> Self {
        Self { clock_ahead: chrono::TimeDelta::zero(), epoch: 1, xid: 100, held: None, datasets: BTreeMap::new() }
    }
}

impl Model {
    /// Add a dataset; its first `keys` columns are its key and hold integers.
    pub fn with(mut self, name: &str, keys: usize, columns: Columns) -> Self {
        let columns = columns.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect();
        self.datasets.insert(name.to_owned(), Dataset { columns, keys, version: 1, rows: BTreeMap::new() });
        self
    }

    /// Insert or update a row. Values after the key, as CSV fields (NULL is `\N`).
    pub fn put(&mut self, dataset: &str, key: &[i64], values: &[&str]) {
        let values = values.iter().map(|it| (*it).to_owned()).collect();
        let xid = self.begin();
        self.dataset(dataset).rows.insert(key.to_vec(), Row { xid, deleted: false, values });
    }

    /// Mark a row as deleted.
    pub fn delete(&mut self, dataset: &str, key: &[i64]) {
        let xid = self.begin();
        let row = self.dataset(dataset).rows.get_mut(key).expect("a row to delete");
        (row.xid, row.deleted) = (xid, true);
    }

    /// Remove a row without a trace, as only a restored backup can.
    pub fn forget(&mut self, dataset: &str, key: &[i64]) {
        self.dataset(dataset).rows.remove(key).expect("a row to forget");
    }

    /// Correct one value of a row behind the feed's back: no transaction number moves.
    pub fn mend(&mut self, dataset: &str, key: &[i64], place: usize, value: &str) {
        let row = self.dataset(dataset).rows.get_mut(key).expect("a row to mend");
        value.clone_into(&mut row.values[place]);
    }

    /// Become another source: cursors of before are worth nothing.
    pub fn change_epoch(&mut self) {
        self.epoch += 1;
    }

    /// Add a column with the same value in every row, which moves no transaction number.
    pub fn add_column(&mut self, dataset: &str, name: &str, kind: &str, value: &str) {
        let dataset = self.dataset(dataset);
        dataset.columns.push((name.to_owned(), kind.to_owned()));
        dataset.version += 1;
        for row in dataset.rows.values_mut() {
            row.values.push(value.to_owned());
        }
    }

    /// Offer another dataset, as a later version does.
    pub fn add_dataset(&mut self, name: &str, keys: usize, columns: Columns) {
        *self = std::mem::take(self).with(name, keys, columns);
    }

    /// Begin a transaction that stays open: the horizon does not pass it.
    pub fn hold(&mut self) -> u64 {
        let xid = self.begin();
        self.held = Some(xid);
        xid
    }

    /// The open transaction writes this row and commits: late, under its early number.
    pub fn commit_held(&mut self, dataset: &str, key: &[i64], values: &[&str]) {
        let xid = self.held.take().expect("an open transaction");
        let values = values.iter().map(|it| (*it).to_owned()).collect();
        self.dataset(dataset).rows.insert(key.to_vec(), Row { xid, deleted: false, values });
    }

    /// Live rows as CSV lines, by key: what the lake must hold.
    pub fn live(&self, dataset: &str) -> Vec<String> {
        let rows = &self.datasets[dataset].rows;
        rows.iter().filter(|(_, row)| !row.deleted).map(|(key, row)| line(key, &row.values)).collect()
    }

    fn begin(&mut self) -> u64 {
        self.xid += 1;
        self.xid
    }

    fn dataset(&mut self, name: &str) -> &mut Dataset {
        self.datasets.get_mut(name).expect("a dataset of the model")
    }

    pub(super) fn horizon(&self) -> u64 {
        self.held.unwrap_or(self.xid + 1)
    }

    pub(super) fn epoch(&self) -> String {
        format!("test-{}", self.epoch)
    }

    pub(super) fn etag(&self) -> String {
        let versions: u32 = self.datasets.values().map(|it| it.version).sum();
        format!("\"{}-{}-{}-{versions}\"", self.epoch, self.xid, self.horizon())
    }

    pub(super) fn head(&self, as_of: &str) -> Value {
        let datasets: Vec<Value> = self.datasets.iter().map(|(name, it)| self.describe(name, it)).collect();
        let (epoch, horizon) = (self.epoch(), self.horizon().to_string());
        json!({
            "epoch": epoch, "head": format!("{}.{horizon}", self.epoch), "horizon": horizon, "as_of": as_of,
            "datasets": datasets,
        })
    }

    fn describe(&self, name: &str, dataset: &Dataset) -> Value {
        let columns: Vec<Value> =
            dataset.columns.iter().map(|(name, kind)| json!({ "name": name, "type": kind })).collect();
        let key: Vec<&String> = dataset.columns.iter().take(dataset.keys).map(|(name, _)| name).collect();
        let high = dataset.rows.values().map(|it| it.xid).max().map(|it| it.to_string());
        json!({ "name": name, "version": dataset.version, "key": key, "columns": columns, "high": high })
    }

    /// One page. A cursor reads `epoch.shape.xid.key,key`; the head's token `epoch.horizon`.
    pub(super) fn page(
        &self,
        dataset: &str,
        columns: &[&str],
        after: Option<&str>,
        head: &str,
        limit: usize,
    ) -> Result<Page, Refusal> {
        let dataset = self.datasets.get(dataset).ok_or(Refusal::UnknownDataset)?;
        let names: Vec<&str> = dataset.columns.iter().map(|(name, _)| name.as_str()).collect();
        let (key, rest) = names.split_at(dataset.keys);
        let asked: Vec<&str> = columns.iter().copied().filter(|it| !key.contains(it)).collect();
        let places: Option<Vec<usize>> = asked.iter().map(|it| rest.iter().position(|name| name == it)).collect();
        let places = places.ok_or(Refusal::UnknownColumn)?;
        let shape = format!("{}:{}", dataset.version, asked.join("|"));
        let (head_epoch, horizon) = head.split_once('.').expect("a head's token");
        let from = match after {
            Some(cursor) => self.position(cursor, &shape)?,
            None => (0, Vec::new()),
        };
        if head_epoch != self.epoch.to_string() {
            return Err(Refusal::Epoch);
        }
        let mut rows: Vec<(u64, &Vec<i64>, &Row)> = dataset.rows.iter().map(|(key, row)| (row.xid, key, row)).collect();
        rows.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        rows.retain(|(xid, key, _)| (*xid, *key) > (from.0, &from.1));
        let more = rows.len() > limit;
        rows.truncate(limit);
        let mut body = key.iter().chain(&asked).chain(&["deleted"]).copied().collect::<Vec<_>>().join(",");
        body.push('\n');
        for (_, key, row) in &rows {
            let values: Vec<String> = places.iter().map(|place| row.values[*place].clone()).collect();
            body.push_str(&format!("{},{}\n", line(key, &values), row.deleted));
        }
        let cursor = |xid: u64, key: &[i64]| {
            let key: Vec<String> = key.iter().map(i64::to_string).collect();
            format!("{}.{shape}.{xid}.{}", self.epoch, key.join(","))
        };
        let next = rows.last().filter(|_| more).map(|(xid, key, _)| cursor(*xid, key));
        let resume = cursor(horizon.parse::<u64>().expect("a horizon") - 1, &[i64::MAX]);
        Ok(Page { body, rows: rows.len(), next, resume })
    }

    fn position(&self, cursor: &str, shape: &str) -> Result<(u64, Vec<i64>), Refusal> {
        let parts: Vec<&str> = cursor.split('.').collect();
        let [epoch, cursor_shape, xid, key] = parts.as_slice() else { return Err(Refusal::Epoch) };
        if *epoch != self.epoch.to_string() {
            return Err(Refusal::Epoch);
        }
        if *cursor_shape != shape {
            return Err(Refusal::Shape);
        }
        let key = key.split(',').filter_map(|it| it.parse().ok()).collect();
        Ok((xid.parse().expect("a number"), key))
    }
}

fn line(key: &[i64], values: &[String]) -> String {
    let key: Vec<String> = key.iter().map(i64::to_string).collect();
    key.iter().chain(values).cloned().collect::<Vec<_>>().join(",")
}
