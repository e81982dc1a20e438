//! From a checked statement to a plan of the engine.
//!
//! The engine's own SQL is not asked: what it makes of joins, windows, divisions, casts and the order of NULL is not what
//! the other engines make of the same text (docs/catalogue.md lists how). Every form has its meaning here, with its
//! types, and what has none is refused by line and column. A statement is planned twice: over empty tables when it is
//! checked, and over a snapshot when it is computed.

pub(crate) mod aggregate;
pub(crate) mod cure;
mod expression;
mod from;
mod function;
mod items;
mod numbers;
mod scope;
mod select;
mod subquery;
pub(crate) mod typed;
pub(crate) mod walk;
mod window;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BTreeMap;

use polars::prelude::{Expr as Px, LazyFrame, PlSmallStr, Schema, SortMultipleOptions, UnionArgs, col, concat};
use sqlparser::ast::{
    Expr, Ident, LimitClause, OrderByExpr, OrderByKind, Query, SetExpr, SetOperator, SetQuantifier, Value,
};

use super::diagnostic::Fault;
use cure::{Cure, is_reverted};
use scope::{Column, Scope};
use typed::{Kind, fault};

/// The plan of a bound statement, and its columns in order.
///
/// # Errors
/// What a form cannot mean, with its place.
pub(crate) fn plan<'s>(
    query: &Query,
    tables: impl Iterator<Item = (&'s String, LazyFrame, &'s Schema)>,
) -> Result<(LazyFrame, Schema), Fault> {
    let mut planner = Planner { tables: BTreeMap::new(), ctes: BTreeMap::new(), fresh: Fresh::default() };
    for (name, frame, schema) in tables {
        let columns = schema.iter().filter_map(|(name, kind)| {
            Some(Column { table: None, name: name.to_string(), frame_name: name.clone(), kind: Kind::of(kind)? })
        });
        planner.tables.insert(name.clone(), Scope::new(frame, columns.collect(), 1));
    }
    let Scope { frame, columns, .. } = planner.query(query)?;
    let names = columns.iter().map(|column| {
        let value = column.typed();
        // A bare NULL is of some type to whoever reads it.
        let value = if column.kind == Kind::Null { value.widened(Kind::Int32) } else { value.expr };
        value.alias(column.name.as_str())
    });
    let schema = columns.iter().map(|column| {
        let kind = if column.kind == Kind::Null { Kind::Int32 } else { column.kind };
        (PlSmallStr::from(column.name.as_str()), kind.data_type())
    });
    let schema = schema.collect();
    Ok((frame.select(names.collect::<Vec<_>>()), schema))
}

/// Names for columns that no statement can name.
#[derive(Default)]
struct Fresh(Cell<u32>);

/// Names of columns of one plan: subqueries are planned more than once, and those within them more often.
const MOST_NAMES: u32 = 10_000;

impl Fresh {
    fn is_used_up(&self) -> bool {
        self.0.get() > MOST_NAMES
    }

    fn name(&self) -> PlSmallStr {
        self.0.set(self.0.get() + 1);
        format!("#{}", self.0.get()).into()
    }
}

struct Planner {
    tables: BTreeMap<String, Scope>,
    /// Names are unique in a statement: the allow-list sees to it.
    ctes: BTreeMap<String, Scope>,
    fresh: Fresh,
}

impl Planner {
    fn query(&mut self, query: &Query) -> Result<Scope, Fault> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            let rows = self.query(&cte.query)?;
            self.ctes.insert(cte.alias.name.value.clone(), rows);
        }
        let by = match query.order_by.as_ref().map(|order| &order.kind) {
            Some(OrderByKind::Expressions(by)) => by.as_slice(),
            _ => &[],
        };
        let rows = match query.body.as_ref() {
            SetExpr::Select(select) => self.select(select, by)?,
            other => {
                let rows = self.body(other)?;
                ordered_by_output(rows, by)?
            }
        };
        match &query.limit_clause {
            Some(LimitClause::LimitOffset { limit: Some(limit), .. }) => {
                Ok(Scope { frame: rows.frame.limit(count(limit)?), ..rows })
            }
            _ => Ok(rows),
        }
    }

    fn body(&mut self, body: &SetExpr) -> Result<Scope, Fault> {
        match body {
            SetExpr::Select(select) => self.select(select, &[]),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { op: SetOperator::Union, set_quantifier, left, right } => {
                let is_all = match set_quantifier {
                    SetQuantifier::All => true,
                    SetQuantifier::None | SetQuantifier::Distinct => false,
                    _ => return Err(fault(body, "UNION goes by the place of columns, not by name")),
                };
                let (above, below) = (self.body(left)?, self.body(right)?);
                let union = self.union(body, above, below)?;
                Ok(if is_all { union } else { distinct(union) })
            }
            _ => Err(fault(body, "a report is one SELECT, or several under UNION ALL")),
        }
    }

    fn union(&self, at: &SetExpr, above: Scope, below: Scope) -> Result<Scope, Fault> {
        if above.columns.len() != below.columns.len() {
            let (one, two) = (above.columns.len(), below.columns.len());
            return Err(fault(at, format!("UNION of {one} columns and {two}")));
        }
        let (mut columns, mut of_above, mut of_below) = (Vec::new(), Vec::new(), Vec::new());
        for (one, two) in above.columns.iter().zip(&below.columns) {
            let (left, right, kind) = typed::united(at, one.typed(), two.typed())?;
            let frame_name = self.fresh.name();
            of_above.push(left.alias(frame_name.clone()));
            of_below.push(right.alias(frame_name.clone()));
            columns.push(Column { table: None, name: one.name.clone(), frame_name, kind });
        }
        above.weigh(at, below.weight.get() + 2 * columns.len())?;
        let frames = [above.frame.select(of_above), below.frame.select(of_below)];
        let frame = concat(frames, UnionArgs::default()).map_err(|error| fault(at, error.to_string()))?;
        Ok(Scope { frame, columns, weight: above.weight })
    }
}

fn distinct(rows: Scope) -> Scope {
    let all: Vec<Px> = rows.columns.iter().map(|column| col(column.frame_name.clone())).collect();
    let frame = rows.frame.select(all).unique(None, polars::prelude::UniqueKeepStrategy::Any);
    Scope { frame, ..rows }
}

/// Rows in the order of columns that they have.
fn ordered_by_output(rows: Scope, by: &[OrderByExpr]) -> Result<Scope, Fault> {
    let mut keys = Vec::with_capacity(by.len());
    for by in by {
        let column = output(&rows.columns, &by.expr)?.ok_or_else(|| {
            fault(
                &by.expr,
                format!("ORDER BY {}: after DISTINCT or UNION only columns of the result can be named", by.expr),
            )
        })?;
        keys.push(column.typed().expr);
    }
    Ok(Scope { frame: sorted(rows.frame, keys, by), ..rows })
}

/// The column of a result that an expression of ORDER BY names, by its name or its place.
fn output<'c>(columns: &'c [Column], expr: &Expr) -> Result<Option<&'c Column>, Fault> {
    match expr {
        Expr::Identifier(Ident { value, .. }) => {
            let found = columns.iter().find(|column| column.name.eq_ignore_ascii_case(value));
            match found.filter(|column| column.name != *value) {
                Some(other) => Err(fault(expr, format!("ORDER BY {value}: the SELECT names it {}", other.name))
                    .hint("other engines take these for one name: write both alike")),
                None => Ok(found),
            }
        }
        Expr::Value(value) => match &value.value {
            Value::Number(place, _) => {
                let found = place.parse::<usize>().ok().and_then(|place| columns.get(place.checked_sub(1)?));
                found.map(Some).ok_or_else(|| fault(expr, format!("there is no column {place}")))
            }
            _ => Err(fault(expr, "ORDER BY a constant orders nothing")),
        },
        _ => Ok(None),
    }
}

/// NULL comes last, whatever the direction, unless the statement says otherwise. A key that stands before decides nothing
/// again, and the streaming engine's first rows of an order fail on it.
fn sorted(frame: LazyFrame, keys: Vec<Px>, by: &[OrderByExpr]) -> LazyFrame {
    let mut apart: Vec<(Px, &OrderByExpr)> = Vec::with_capacity(keys.len());
    for (key, by) in keys.into_iter().zip(by) {
        if !apart.iter().any(|(known, _)| *known == key) {
            apart.push((key, by));
        }
    }
    if apart.is_empty() {
        return frame;
    }
    let (keys, by): (Vec<Px>, Vec<&OrderByExpr>) = apart.into_iter().unzip();
    let options = SortMultipleOptions::default()
        .with_order_descending_multi(by.iter().map(|by| by.options.asc == Some(false)).collect::<Vec<_>>())
        .with_nulls_last_multi(by.iter().map(|by| nulls_last(by)).collect::<Vec<_>>());
    frame.sort_by_exprs(keys, options)
}

fn nulls_last(by: &OrderByExpr) -> bool {
    if is_reverted(Cure::NullsLast) {
        return by.options.asc != Some(false);
    }
    by.options.nulls_first != Some(true)
}

fn count(limit: &Expr) -> Result<u32, Fault> {
    let digits = match scope::bare(limit) {
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    };
    digits.ok_or_else(|| fault(limit, format!("LIMIT takes a number of rows from 0 on, not {limit}")))
}

/// The parts of a condition that all must hold.
fn conjuncts(condition: &Expr) -> Vec<&Expr> {
    let mut found = Vec::new();
    let mut open = vec![condition];
    while let Some(next) = open.pop() {
        match scope::bare(next) {
            Expr::BinaryOp { left, op: sqlparser::ast::BinaryOperator::And, right } => {
                open.push(right);
                open.push(left);
            }
            other => found.push(other),
        }
    }
    found
}
