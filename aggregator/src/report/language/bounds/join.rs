//! How often a join repeats a row: once where the other side has one row for it, else as often as it has rows.

use sqlparser::ast::{BinaryOperator, Expr, JoinConstraint, JoinOperator, TableFactor, TableWithJoins};

use super::scope::{Relation, Scope};
use super::{Overflow, Prover};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inner,
    Left,
    Full,
}

impl Prover<'_> {
    /// The rows of a FROM.
    pub(super) fn from<'o>(
        &mut self,
        tables: &[TableWithJoins],
        outer: Option<&'o Scope<'o>>,
    ) -> Result<Scope<'o>, Overflow> {
        let mut joined: Option<Scope<'o>> = None;
        for table in tables {
            let next = self.table(table, outer)?;
            joined = Some(match joined {
                Some(before) => join(before, next, None, Kind::Inner),
                None => next,
            });
        }
        // A SELECT without FROM gives one row.
        Ok(joined.unwrap_or(Scope { rows: 1.0, columns: Vec::new(), unique: Vec::new(), outer }))
    }

    fn table<'o>(&mut self, table: &TableWithJoins, outer: Option<&'o Scope<'o>>) -> Result<Scope<'o>, Overflow> {
        let mut scope = self.factor(&table.relation, outer)?;
        for next in &table.joins {
            let right = self.factor(&next.relation, outer)?;
            let (kind, on) = match &next.join_operator {
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (Kind::Left, on),
                JoinOperator::FullOuter(on) => (Kind::Full, on),
                JoinOperator::Join(on) | JoinOperator::Inner(on) | JoinOperator::CrossJoin(on) => (Kind::Inner, on),
                // The allow-list has no other.
                _ => (Kind::Full, &JoinConstraint::None),
            };
            let on = if let JoinConstraint::On(on) = on { Some(on) } else { None };
            scope = join(scope, right, on, kind);
            if let Some(on) = on {
                self.range(on, &scope)?;
            }
        }
        Ok(scope)
    }

    fn factor<'o>(&mut self, factor: &TableFactor, outer: Option<&'o Scope<'o>>) -> Result<Scope<'o>, Overflow> {
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let name = name.to_string();
                let relation = match (self.ctes.get(&name), self.extents.get(&name)) {
                    (Some(cte), _) => cte.clone(),
                    (None, Some(extent)) => Relation::of(extent),
                    (None, None) => Relation::default(),
                };
                Ok(relation.scope(alias.as_ref().map_or(&name, |alias| &alias.name.value), outer))
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let relation = self.query(subquery, outer)?;
                Ok(relation.scope(alias.as_ref().map_or("", |alias| &alias.name.value), outer))
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.table(table_with_joins, outer),
            // The allow-list has no other.
            _ => Ok(Relation::default().scope("", outer)),
        }
    }
}

fn join<'o>(mut left: Scope<'o>, mut right: Scope<'o>, on: Option<&Expr>, kind: Kind) -> Scope<'o> {
    let (mut of_left, mut of_right) = (Vec::new(), Vec::new());
    if let Some(on) = on {
        equal_columns(on, &left, &right, &mut of_left, &mut of_right);
    }
    let is_one = |scope: &Scope<'_>, equal: &[(String, String)]| {
        scope.rows <= 1.0 || scope.unique.iter().any(|set| set.iter().all(|column| equal.contains(column)))
    };
    let (left_is_one, right_is_one) = (is_one(&left, &of_left), is_one(&right, &of_right));
    let times_left = if right_is_one { right.rows.min(1.0) } else { right.rows };
    let times_right = if left_is_one { left.rows.min(1.0) } else { left.rows };
    let matched = (left.rows * times_left).min(right.rows * times_right);
    let rows = match kind {
        Kind::Inner => matched,
        Kind::Left => (matched + left.rows).min(left.rows * times_left.max(1.0)),
        Kind::Full => matched + left.rows + right.rows,
    };
    for (scope, times) in [(&mut left, times_left), (&mut right, times_right)] {
        for column in &mut scope.columns {
            // A row that matches nothing still comes once from an outer join.
            let times = if kind == Kind::Inner { times } else { times.max(1.0) };
            column.range = column.range.map(|range| range.with_total(range.total * times).within(rows));
        }
    }
    let mut unique = Vec::new();
    if right_is_one && kind != Kind::Full {
        unique.append(&mut left.unique);
    }
    if left_is_one && kind == Kind::Inner {
        unique.append(&mut right.unique);
    }
    left.columns.append(&mut right.columns);
    Scope { rows, columns: left.columns, unique, outer: left.outer }
}

/// The columns of both sides that a condition demands to be equal.
fn equal_columns(
    on: &Expr,
    left: &Scope<'_>,
    right: &Scope<'_>,
    of_left: &mut Vec<(String, String)>,
    of_right: &mut Vec<(String, String)>,
) {
    match on {
        Expr::Nested(inner) => equal_columns(inner, left, right, of_left, of_right),
        Expr::BinaryOp { left: one, op: BinaryOperator::And, right: two } => {
            equal_columns(one, left, right, of_left, of_right);
            equal_columns(two, left, right, of_left, of_right);
        }
        Expr::BinaryOp { left: one, op: BinaryOperator::Eq, right: two } => {
            // Either may stand first; two columns of one side tell nothing of the other.
            for (one, two) in [(one, two), (two, one)] {
                if let (Some(here), Some(there)) = (left.origin(one), right.origin(two)) {
                    of_left.push(here);
                    of_right.push(there);
                }
            }
        }
        _ => {}
    }
}
