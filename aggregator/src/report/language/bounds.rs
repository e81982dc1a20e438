//! Proving, before a statement runs, that no whole number in it can overflow its type.
//!
//! The engine's sums and products wrap silently. How many rows a dataset has and how far its numbers reach stand in the
//! lake's statistics; from them follows, by interval arithmetic over the statement, how far every sum and product can
//! reach. For the amounts of real trade that is a proof that costs nothing. Where it is none, the amounts are added up
//! (one pass over the rows) and the proof is tried again; then the statement is refused, and nothing wrong is shown.

mod expression;
mod join;
mod scope;

use std::collections::BTreeMap;

use polars::prelude::DataType;
use sqlparser::ast::{Distinct, Expr, GroupByExpr, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr};

use expression::{aggregates, name_of};
use scope::{Named, Relation, Scope};

/// What an `i64` can hold.
const WIDE: f64 = 9_223_372_036_854_775_807.0;
/// What an `i32` can hold.
const NARROW: f64 = 2_147_483_647.0;

/// The value ranges of a dataset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extent {
    pub(crate) rows: f64,
    /// The columns of its key.
    pub(crate) key: Vec<String>,
    /// `None` for what is no whole number.
    pub(crate) columns: BTreeMap<String, Option<ValueRange>>,
}

/// How far the values of a column or an expression reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ValueRange {
    /// No value is farther from zero.
    max: f64,
    /// The values of all rows together, signs dropped, are no more than this.
    total: f64,
    /// What its type can hold; infinite for fractions.
    holds: f64,
}

impl ValueRange {
    /// Of a column of that type, from its farthest value; `None` when it is no whole number.
    pub(crate) fn of(kind: &DataType, max: f64, rows: f64) -> Option<Self> {
        let holds = match kind {
            DataType::Int32 => NARROW,
            DataType::Int64 => WIDE,
            _ => return None,
        };
        Some(Self { max, total: max * rows, holds })
    }

    /// No value is farther from zero.
    pub(crate) const fn farthest(self) -> f64 {
        self.max
    }

    /// The same, once the values of all rows were added up.
    pub(crate) const fn with_total(self, total: f64) -> Self {
        Self { total, ..self }
    }

    /// What nothing is known of: its type's whole range in any number of rows.
    const UNKNOWN: Self = Self { max: WIDE, total: f64::INFINITY, holds: WIDE };
    /// Nothing at all, as of an unwritten ELSE.
    const NOTHING: Self = Self { max: 0.0, total: 0.0, holds: 0.0 };

    fn within(self, rows: f64) -> Self {
        // Infinite by nothing is not a number, and `min` then takes the other.
        Self { total: self.total.min(self.max * rows), ..self }
    }

    /// Either of two values in each row; or, of two tables, those of all rows.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { max: self.max.max(other.max), total: self.total + other.total, holds: self.holds.max(other.holds) }
    }

    /// The first to refuse: a number that its type may not hold.
    fn checked(self, expr: &Expr) -> Result<Self, Overflow> {
        // A quarter is left as a margin: the bounds are rounded themselves.
        if self.max <= self.holds * 0.75 {
            Ok(self)
        } else {
            Err(Overflow { expression: expr.to_string(), bound: self.max })
        }
    }
}

/// A sum or product that might not fit.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Overflow {
    pub(crate) expression: String,
    /// How far it might reach.
    pub(crate) bound: f64,
}

/// Proves that every whole number that the statement computes fits its type.
///
/// The answer is how far what it gives reaches.
///
/// # Errors
/// The first expression for which it cannot be proved.
pub(crate) fn prove(query: &Query, extents: &BTreeMap<String, Extent>) -> Result<Extent, Overflow> {
    Prover { extents, ctes: BTreeMap::new() }.query(query, None).map(Relation::extent)
}

struct Prover<'a> {
    extents: &'a BTreeMap<String, Extent>,
    /// Names are unique in a statement: the allow-list sees to it.
    ctes: BTreeMap<String, Relation>,
}

impl Prover<'_> {
    fn query(&mut self, query: &Query, outer: Option<&Scope<'_>>) -> Result<Relation, Overflow> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let relation = self.query(&cte.query, outer)?;
            self.ctes.insert(cte.alias.name.value.clone(), relation);
        }
        let by = match query.order_by.as_ref().map(|order| &order.kind) {
            Some(OrderByKind::Expressions(by)) => by.as_slice(),
            _ => &[],
        };
        match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, by, outer),
            // Its order is by columns that it gives.
            body => self.body(body, outer),
        }
    }

    fn body(&mut self, body: &SetExpr, outer: Option<&Scope<'_>>) -> Result<Relation, Overflow> {
        match body {
            SetExpr::Select(select) => self.select(select, &[], outer),
            SetExpr::Query(query) => self.query(query, outer),
            SetExpr::SetOperation { left, right, .. } => {
                let (left, right) = (self.body(left, outer)?, self.body(right, outer)?);
                Ok(left.above(right))
            }
            // The allow-list has no other; nothing is known of what it would give.
            _ => Ok(Relation::default()),
        }
    }

    fn select(&mut self, select: &Select, by: &[OrderByExpr], outer: Option<&Scope<'_>>) -> Result<Relation, Overflow> {
        let scope = self.from(&select.from, outer)?;
        for condition in select.selection.iter().chain(&select.having) {
            self.range(condition, &scope)?;
        }
        let keys = match &select.group_by {
            GroupByExpr::Expressions(keys, _) => keys.as_slice(),
            GroupByExpr::All(_) => &[],
        };
        for key in keys {
            self.range(key, &scope)?;
        }
        let (mut columns, mut is_grouped, mut of_groups) = (Vec::new(), !keys.is_empty(), Vec::new());
        for item in &select.projection {
            let (expr, name) = match item {
                SelectItem::UnnamedExpr(expr) => (expr, name_of(expr)),
                SelectItem::ExprWithAlias { expr, alias } => (expr, alias.value.clone()),
                SelectItem::QualifiedWildcard(kind, _) => {
                    columns.extend(scope.columns_of(&kind.to_string()));
                    continue;
                }
                _ => {
                    columns.extend(scope.columns.iter().map(Named::plain));
                    continue;
                }
            };
            let (origin, range) = (scope.origin(expr), self.range(expr, &scope)?);
            let column = Named { table: String::new(), name, range, origin };
            if aggregates(expr) {
                is_grouped = true;
            } else {
                of_groups.push(column.clone());
            }
            columns.push(column);
        }
        self.order(by, &scope, &columns)?;
        let rows = if is_grouped && keys.is_empty() { 1.0 } else { scope.rows };
        let mut unique = if is_grouped { scope::unique_by_group(keys, &of_groups) } else { scope.unique_in(&columns) };
        if matches!(select.distinct, Some(Distinct::Distinct)) {
            unique.push(columns.iter().map(|column| column.name.clone()).collect());
        }
        Ok(Relation::new(rows, columns, unique))
    }

    /// An order is by columns of the FROM and by those that the SELECT gives.
    fn order(&mut self, by: &[OrderByExpr], scope: &Scope<'_>, given: &[Named]) -> Result<(), Overflow> {
        let mut both = scope.clone();
        both.columns.extend_from_slice(given);
        by.iter().try_for_each(|by| self.range(&by.expr, &both).map(drop))
    }
}
