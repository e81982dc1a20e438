//! FROM: tables, and how their rows are joined.

use polars::prelude::{
    DataFrame, Expr as Px, IntoLazy as _, JoinCoalesce, JoinType, LazyFrame, PlSmallStr, col, df, lit,
};
use sqlparser::ast::{BinaryOperator, Expr, JoinConstraint, JoinOperator, TableAlias, TableFactor, TableWithJoins};

use super::super::diagnostic::Fault;
use super::cure::{Cure, is_reverted};
use super::expression::{filter, plan};
use super::scope::{Env, Scope, path};
use super::typed::{fault, united};
use super::{Planner, conjuncts, walk};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Inner,
    Left,
    Full,
}

/// The tables that an expression names columns of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sides {
    pub(super) left: bool,
    pub(super) right: bool,
}

impl Planner {
    pub(super) fn from(&mut self, tables: &[TableWithJoins]) -> Result<Scope, Fault> {
        let mut joined: Option<Scope> = None;
        for table in tables {
            let next = self.table(table)?;
            joined = Some(match joined {
                Some(before) => self.join(&table.relation, before, next, (Kind::Inner, None))?,
                None => next,
            });
        }
        // A SELECT without FROM is over one row.
        let one = || df!("#one" => [true]).unwrap_or_else(|_| DataFrame::empty()).lazy();
        Ok(joined.unwrap_or_else(|| Scope::new(one(), Vec::new(), 1)))
    }

    fn table(&mut self, table: &TableWithJoins) -> Result<Scope, Fault> {
        let mut scope = self.factor(&table.relation)?;
        for next in &table.joins {
            let right = self.factor(&next.relation)?;
            let known = |name: &str| {
                scope.columns.iter().any(|it| it.table.as_deref().is_some_and(|of| of.eq_ignore_ascii_case(name)))
            };
            if let Some(name) = right.columns.first().and_then(|column| column.table.as_deref())
                && known(name)
            {
                return Err(fault(&next.relation, format!("the name \"{name}\" is taken already in this FROM"))
                    .hint("give one of them an alias: AS other"));
            }
            let (kind, on) = match &next.join_operator {
                JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (Kind::Left, on),
                JoinOperator::FullOuter(on) => (Kind::Full, on),
                JoinOperator::Join(on) | JoinOperator::Inner(on) | JoinOperator::CrossJoin(on) => (Kind::Inner, on),
                _ => return Err(fault(&next.relation, "this kind of join is not in the shared subset")),
            };
            let on = if let JoinConstraint::On(on) = on { Some(on) } else { None };
            scope = self.join(&next.relation, scope, right, (kind, on))?;
        }
        Ok(scope)
    }

    fn factor(&mut self, factor: &TableFactor) -> Result<Scope, Fault> {
        let named = |alias: &Option<TableAlias>| match alias {
            Some(alias) if !alias.columns.is_empty() => {
                Err(fault(factor, "an alias names the table, not its columns")
                    .hint("name them in the SELECT: … AS name"))
            }
            Some(alias) => Ok(Some(alias.name.value.clone())),
            None => Ok(None),
        };
        match factor {
            TableFactor::Table { name, alias, .. } => {
                let alias = named(alias)?;
                let name = match name.0.last().and_then(|part| part.as_ident()) {
                    Some(name) => name.value.clone(),
                    None => name.to_string(),
                };
                let found = self.ctes.get(&name).or_else(|| self.tables.get(&name));
                let rows = found.ok_or_else(|| fault(factor, format!("there is no dataset or view \"{name}\"")))?;
                Ok(rows.clone().under(Some(alias.as_deref().unwrap_or(&name))))
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let alias = named(alias)?;
                Ok(self.query(subquery)?.under(alias.as_deref()))
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => self.table(table_with_joins),
            _ => Err(fault(factor, "this kind of table is refused")),
        }
    }

    fn join(
        &self,
        at: &TableFactor,
        mut left: Scope,
        right: Scope,
        (kind, on): (Kind, Option<&Expr>),
    ) -> Result<Scope, Fault> {
        let mut right = self.apart(&left, right);
        let both = Scope::new(left.frame.clone(), [left.columns.clone(), right.columns.clone()].concat(), 1);
        let (mut of_left, mut of_right, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for part in on.map(conjuncts).unwrap_or_default() {
            if let Some((one, two)) = equality(part, &left, &right) {
                let (one, two) = (plan(one, Env::plain(&left))?, plan(two, Env::plain(&right))?);
                let (one, two, _) = united(part, one, two)?;
                let (one, two) = (self.key(&mut left, one), self.key(&mut right, two));
                // The engine refuses an equality that is said twice.
                if !of_left.iter().zip(&of_right).any(|known| known == (&one, &two)) {
                    of_left.push(one);
                    of_right.push(two);
                }
                continue;
            }
            match (sides(part, &left, &right), kind) {
                // A row of one side that fails alone matches nothing.
                (Sides { left: false, right: true }, Kind::Inner | Kind::Left) => {
                    let holds = filter(part, Env::plain(&right))?;
                    right.frame = right.frame.filter(holds);
                }
                (Sides { left: true, right: false }, Kind::Inner) => {
                    let holds = filter(part, Env::plain(&left))?;
                    left.frame = left.frame.filter(holds);
                }
                _ => rest.push(filter(part, Env::plain(&both))?),
            }
        }
        let rest = rest.into_iter().reduce(Px::and);
        let sides = left.weight.get().saturating_add(right.weight.get());
        both.weigh(at, sides)?;
        let frame = match (kind, rest) {
            (Kind::Inner, rest) => {
                let matched = matched(left.frame, right.frame, of_left, of_right);
                match rest {
                    Some(rest) => matched.filter(rest),
                    None => matched,
                }
            }
            (_, None) if !of_left.is_empty() => {
                let how = if kind == Kind::Left { JoinType::Left } else { JoinType::Full };
                joined(left.frame, right.frame, of_left, of_right, how)
            }
            (_, Some(rest)) if is_reverted(Cure::OuterJoin) && !of_left.is_empty() => {
                joined(left.frame, right.frame, of_left, of_right, JoinType::Left).filter(rest)
            }
            (_, Some(rest)) if is_reverted(Cure::RangeJoin) && of_left.is_empty() => {
                matched(left.frame, right.frame, of_left, of_right).filter(rest)
            }
            (_, rest) => {
                // Both sides stand twice in the plan.
                both.weigh(at, sides)?;
                self.outer(&right, left.frame, kind, (of_left, of_right), rest.unwrap_or_else(|| lit(true)))
            }
        };
        Ok(Scope { frame, ..both })
    }

    /// An outer join by any condition: the pairs that match first, then the rows that none has.
    fn outer(&self, right: &Scope, left: LazyFrame, kind: Kind, keys: (Vec<Px>, Vec<Px>), rest: Px) -> LazyFrame {
        let (row, of_row, other, of_other) =
            (self.fresh.name(), self.fresh.name(), self.fresh.name(), self.fresh.name());
        // Read once: a second reading might number the rows otherwise.
        let left = left.with_row_index(row.clone(), None).cache();
        let of_right = || right.columns.iter().map(|column| col(column.frame_name.clone()));
        if kind == Kind::Left {
            let pairs = matched(left.clone(), right.frame.clone(), keys.0, keys.1).filter(rest);
            let pairs = pairs.select(of_right().chain([col(row.clone()).alias(of_row.clone())]).collect::<Vec<_>>());
            return joined(left, pairs, vec![col(row)], vec![col(of_row)], JoinType::Left);
        }
        let right = right.frame.clone().with_row_index(other.clone(), None).cache();
        let pairs = matched(left.clone(), right.clone(), keys.0, keys.1).filter(rest);
        let pairs = pairs.select([col(row.clone()).alias(of_row.clone()), col(other.clone()).alias(of_other.clone())]);
        let left = joined(left, pairs, vec![col(row)], vec![col(of_row)], JoinType::Left);
        joined(left, right, vec![col(of_other)], vec![col(other)], JoinType::Full)
    }

    /// The right side with names in its frame that the left has not.
    pub(super) fn apart(&self, left: &Scope, mut right: Scope) -> Scope {
        let taken = |name: &PlSmallStr| left.columns.iter().any(|column| column.frame_name == *name);
        let mut names = Vec::with_capacity(right.columns.len());
        for column in &mut right.columns {
            let old = column.frame_name.clone();
            if taken(&old) {
                column.frame_name = self.fresh.name();
                names.push(col(old).alias(column.frame_name.clone()));
            } else {
                names.push(col(old));
            }
        }
        // Also what is not named stays behind: it might meet its like.
        right.frame = right.frame.select(names);
        right
    }

    /// A key of a join as a column of its side.
    pub(super) fn key(&self, side: &mut Scope, key: Px) -> Px {
        if matches!(key, Px::Column(_)) {
            return key;
        }
        let name = self.fresh.name();
        side.frame = side.frame.clone().with_columns([key.alias(name.clone())]);
        col(name)
    }
}

fn matched(left: LazyFrame, right: LazyFrame, of_left: Vec<Px>, of_right: Vec<Px>) -> LazyFrame {
    if of_left.is_empty() {
        return left.cross_join(right, None);
    }
    joined(left, right, of_left, of_right, JoinType::Inner)
}

pub(super) fn joined(
    left: LazyFrame,
    right: LazyFrame,
    of_left: Vec<Px>,
    of_right: Vec<Px>,
    how: JoinType,
) -> LazyFrame {
    left.join_builder()
        .with(right)
        .left_on(of_left)
        .right_on(of_right)
        .how(how)
        .coalesce(JoinCoalesce::KeepColumns)
        .finish()
}

/// The two sides of an equality of one side's columns with the other's, left first.
pub(super) fn equality<'e>(part: &'e Expr, left: &Scope, right: &Scope) -> Option<(&'e Expr, &'e Expr)> {
    let Expr::BinaryOp { left: one, op: BinaryOperator::Eq, right: two } = part else { return None };
    let (of_one, of_two) = (sides(one, left, right), sides(two, left, right));
    let (here, there) = (Sides { left: true, right: false }, Sides { left: false, right: true });
    match (of_one, of_two) {
        _ if of_one == here && of_two == there => Some((one, two)),
        _ if of_one == there && of_two == here => Some((two, one)),
        _ => None,
    }
}

/// Which sides an expression names columns of; an ambiguous name is of both.
pub(super) fn sides(expr: &Expr, left: &Scope, right: &Scope) -> Sides {
    let mut found = Sides::default();
    for name in walk::all(expr, |expr| path(expr).is_some()) {
        let is_of = |scope: &Scope| path(name).is_some_and(|path| !matches!(scope.find(name, path), Ok(None)));
        found.left |= is_of(left);
        found.right |= is_of(right);
    }
    found
}
