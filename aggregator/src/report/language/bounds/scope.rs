//! The rows that an expression sees, and what a SELECT gives.

use std::collections::BTreeSet;

use sqlparser::ast::{Expr, Ident};

use super::expression::name_of;
use super::{Extent, ValueRange};

/// A column of a table in a FROM, or of what a SELECT gives.
#[derive(Debug, Clone)]
pub(super) struct Named {
    /// The table's alias; empty in what a SELECT gives.
    pub(super) table: String,
    pub(super) name: String,
    /// `None` for what is no number.
    pub(super) range: Option<ValueRange>,
    /// In what a SELECT gives: the column that is passed on unchanged.
    pub(super) origin: Option<(String, String)>,
}

impl Named {
    /// As `*` passes it on.
    pub(super) fn plain(&self) -> Self {
        Self { table: String::new(), name: self.name.clone(), range: self.range, origin: Some(self.place()) }
    }

    fn place(&self) -> (String, String) {
        (self.table.clone(), self.name.clone())
    }
}

/// What a SELECT gives.
#[derive(Debug, Clone, Default)]
pub(super) struct Relation {
    rows: f64,
    columns: Vec<Named>,
    /// Sets of unique columns.
    unique: Vec<BTreeSet<String>>,
}

impl Relation {
    pub(super) fn new(rows: f64, mut columns: Vec<Named>, unique: Vec<BTreeSet<String>>) -> Self {
        for column in &mut columns {
            column.range = column.range.map(|range| range.within(rows));
        }
        Self { rows, columns, unique }
    }

    pub(super) fn of(extent: &Extent) -> Self {
        let column = |(name, range): (&String, &Option<ValueRange>)| Named {
            table: String::new(),
            name: name.clone(),
            range: *range,
            origin: None,
        };
        let columns = extent.columns.iter().map(column).collect();
        let unique = if extent.key.is_empty() { Vec::new() } else { vec![extent.key.iter().cloned().collect()] };
        Self { rows: extent.rows, columns, unique }
    }

    /// What is known of it, as of a dataset.
    pub(super) fn extent(self) -> Extent {
        let key = self.unique.into_iter().next().unwrap_or_default().into_iter().collect();
        Extent { rows: self.rows, key, columns: self.columns.into_iter().map(|it| (it.name, it.range)).collect() }
    }

    /// The rows of both, as UNION ALL gives them: columns by their place.
    pub(super) fn above(mut self, below: Self) -> Self {
        self.rows += below.rows;
        for (column, other) in self.columns.iter_mut().zip(below.columns) {
            column.range = match (column.range, other.range) {
                (Some(one), Some(two)) => Some(one.or(two)),
                _ => None,
            };
        }
        self.unique.clear();
        self
    }

    /// As a table under an alias.
    pub(super) fn scope<'a>(self, alias: &str, outer: Option<&'a Scope<'a>>) -> Scope<'a> {
        let columns = self.columns.into_iter().map(|column| Named { table: alias.to_owned(), ..column }).collect();
        let named = |set: BTreeSet<String>| set.into_iter().map(|name| (alias.to_owned(), name)).collect();
        Scope { rows: self.rows, columns, unique: self.unique.into_iter().map(named).collect(), outer }
    }
}

/// The joined tables of a FROM.
#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    pub(super) rows: f64,
    pub(super) columns: Vec<Named>,
    /// Sets of unique columns, as table and name.
    pub(super) unique: Vec<BTreeSet<(String, String)>>,
    /// That of the statement around a subquery.
    pub(super) outer: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    /// What is known of a column; of one that is not found, nothing is.
    pub(super) fn range(&self, path: &[Ident]) -> Option<ValueRange> {
        match self.find(path) {
            Some(column) => column.range,
            None => self.outer.map_or(Some(ValueRange::UNKNOWN), |outer| outer.range(path)),
        }
    }

    pub(super) fn find(&self, path: &[Ident]) -> Option<&Named> {
        match path {
            [name] => self.columns.iter().find(|column| column.name == name.value),
            [table, name] => {
                self.columns.iter().find(|column| column.table == table.value && column.name == name.value)
            }
            _ => None,
        }
    }

    /// The table and name of a plain column of this scope.
    pub(super) fn origin(&self, expr: &Expr) -> Option<(String, String)> {
        match expr {
            Expr::Nested(inner) => self.origin(inner),
            Expr::CompoundIdentifier(path) => self.find(path).map(Named::place),
            Expr::Identifier(name) => self.find(std::slice::from_ref(name)).map(Named::place),
            _ => None,
        }
    }

    pub(super) fn columns_of(&self, table: &str) -> Vec<Named> {
        self.columns.iter().filter(|column| column.table == table).map(Named::plain).collect()
    }

    /// Which of the sets survive in what a SELECT without groups passes on.
    pub(super) fn unique_in(&self, given: &[Named]) -> Vec<BTreeSet<String>> {
        let passed = |column: &(String, String)| {
            given.iter().find(|it| it.origin.as_ref() == Some(column)).map(|it| it.name.clone())
        };
        self.unique.iter().filter_map(|set| set.iter().map(passed).collect()).collect()
    }
}

/// What GROUP BY tells apart, if all its keys are given.
pub(super) fn unique_by_group(keys: &[Expr], given: &[Named]) -> Vec<BTreeSet<String>> {
    let place = |key: &Expr| {
        let name = name_of(key);
        let by_origin = |it: &&Named| it.origin.as_ref().is_some_and(|(_, origin)| *origin == name);
        given.iter().find(|it| it.name == name).or_else(|| given.iter().find(by_origin)).map(|it| it.name.clone())
    };
    keys.iter().map(place).collect::<Option<BTreeSet<_>>>().into_iter().collect()
}
