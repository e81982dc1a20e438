//! `IN (SELECT …)` and `EXISTS`, in WHERE.

use polars::prelude::{Expr as Px, JoinArgs, JoinType, NULL, UniqueKeepStrategy, col, len, lit, when};
use sqlparser::ast::{Expr, GroupByExpr, OrderByKind, Query, Select, SetExpr, UnaryOperator};

use super::super::diagnostic::Fault;
use super::expression::{filter, plan};
use super::from::{Sides, equality, joined, sides};
use super::items::looked_at;
use super::scope::{Env, Scope, bare, canonical, path};
use super::typed::{Typed, fault, united};
use super::{Planner, conjuncts, walk};

/// Rows, and the keys of the rows around them and of their own that must be equal.
type Correlated = (Scope, Vec<Px>, Vec<Px>);

impl Planner {
    /// Rows for which a condition holds.
    pub(super) fn filter(&mut self, mut scope: Scope, by: &Expr) -> Result<Scope, Fault> {
        let mut rest: Option<Px> = None;
        for part in conjuncts(by) {
            if let Some(filtered) = self.semi(&scope, part)? {
                scope = filtered;
                continue;
            }
            let mut computed = Vec::new();
            for inner in walk::outermost(part, is_subquery) {
                let (marked, value) = self.mark(scope.clone(), inner)?;
                computed.push((canonical(&scope, inner), value));
                scope = marked;
            }
            let env = Env { scope: &scope, computed: &computed, is_grouped: false, guard: None };
            let holds = filter(part, env)?;
            rest = Some(match rest {
                Some(rest) => rest.and(holds),
                None => holds,
            });
        }
        if let Some(rest) = rest {
            scope.frame = scope.frame.filter(rest);
        }
        Ok(scope)
    }

    /// The part as a join that keeps or drops rows, if it is one.
    fn semi(&mut self, scope: &Scope, part: &Expr) -> Result<Option<Scope>, Fault> {
        let (part, is_not) = match part {
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => (bare(expr), true),
            other => (other, false),
        };
        let mut outer = scope.clone();
        let (inner, keys, how) = match part {
            Expr::Exists { subquery, negated } => {
                let Some((inner, of_outer, of_inner)) = self.correlated(&mut outer, subquery)? else { return Ok(None) };
                let how = if *negated == is_not { JoinType::Semi } else { JoinType::Anti };
                (inner, (of_outer, of_inner), how)
            }
            Expr::InSubquery { expr, subquery, negated } if *negated == is_not => {
                let (mut inner, value) = self.single(part, subquery)?;
                let (one, two, _) = united(part, plan(expr, Env::plain(&outer))?, value)?;
                let keys = (vec![self.key(&mut outer, one)], vec![self.key(&mut inner, two)]);
                (inner, keys, JoinType::Semi)
            }
            _ => return Ok(None),
        };
        outer.weigh(part, inner.weight.get())?;
        let frame = outer.frame.join(inner.frame, keys.0, keys.1, JoinArgs::new(how));
        Ok(Some(Scope { frame, ..outer }))
    }

    /// The rows with the value of a subquery predicate in a column.
    fn mark(&mut self, mut outer: Scope, part: &Expr) -> Result<(Scope, Typed), Fault> {
        let mark = self.fresh.name();
        match part {
            Expr::Exists { subquery, negated } => {
                let frame = match self.correlated(&mut outer, subquery)? {
                    Some((inner, of_outer, of_inner)) => {
                        outer.weigh(part, inner.weight.get())?;
                        let marked = inner.frame.select(of_inner.clone());
                        let marked = marked.unique(None, UniqueKeepStrategy::Any);
                        let marked = marked.with_columns([lit(true).alias(mark.clone())]);
                        joined(outer.frame, marked, of_outer, of_inner, JoinType::Left)
                    }
                    None => {
                        let rows = self.query(subquery)?;
                        outer.weigh(part, rows.weight.get())?;
                        let found = rows.frame.select([len().gt(lit(0)).alias(mark.clone())]);
                        outer.frame.cross_join(found, None)
                    }
                };
                let found = col(mark).fill_null(lit(false));
                outer.frame = frame;
                Ok((outer, Typed::bool(if *negated { found.not() } else { found })))
            }
            Expr::InSubquery { expr, subquery, negated } => {
                let (mut inner, value) = self.single(part, subquery)?;
                let (one, two, _) = united(part, plan(expr, Env::plain(&outer))?, value)?;
                let (one, two) = (self.key(&mut outer, one), self.key(&mut inner, two));
                let (some, empty) = (self.fresh.name(), self.fresh.name());
                // Once for its values, and once for what is about them.
                outer.weigh(part, inner.weight.get().saturating_mul(2))?;
                let key = self.fresh.name();
                let inner = inner.frame.select([two.alias(key.clone())]);
                let about = inner.clone().select([
                    col(key.clone()).null_count().gt(lit(0)).alias(some.clone()),
                    len().eq(lit(0)).alias(empty.clone()),
                ]);
                let marked = inner.unique(None, UniqueKeepStrategy::Any).with_columns([lit(true).alias(mark.clone())]);
                let frame = joined(outer.frame, marked, vec![one.clone()], vec![col(key)], JoinType::Left);
                outer.frame = frame.cross_join(about, None);
                let unknown = one.is_null().or(col(some));
                let found = when(col(empty))
                    .then(lit(false))
                    .when(col(mark).is_not_null())
                    .then(lit(true))
                    .when(unknown)
                    .then(lit(NULL))
                    .otherwise(lit(false));
                Ok((outer, Typed::bool(if *negated { found.not() } else { found })))
            }
            other => Err(fault(other, "a subquery stands in IN or EXISTS")),
        }
    }

    /// The one column of a subquery.
    fn single(&mut self, at: &Expr, subquery: &Query) -> Result<(Scope, Typed), Fault> {
        let inner = self.query(subquery)?;
        match inner.columns.as_slice() {
            [only] => {
                let value = only.typed();
                Ok((inner, value))
            }
            several => Err(fault(at, format!("IN compares with one column, not with {}", several.len()))),
        }
    }

    /// The rows of a subquery that names columns of the row around it, and the keys of both that must be equal; `None`
    /// when it names none.
    fn correlated(&mut self, outer: &mut Scope, subquery: &Query) -> Result<Option<Correlated>, Fault> {
        let SetExpr::Select(select) = subquery.body.as_ref() else { return Ok(None) };
        let Some(by) = &select.selection else { return Ok(None) };
        if subquery.with.is_some() || subquery.limit_clause.is_some() || !is_plain(select) {
            return Ok(None);
        }
        let mut inner = self.from(&select.from)?;
        let outside = |part: &Expr| {
            let sides = sides(part, outer, &inner);
            sides.left && !within(part, &inner)
        };
        if !conjuncts(by).into_iter().any(outside) {
            return Ok(None);
        }
        looked_at(select, &inner, outer)?;
        if let Some(OrderByKind::Expressions(by)) = subquery.order_by.as_ref().map(|order| &order.kind)
            && let Some(by) = by.first()
        {
            return Err(fault(&by.expr, "an order within EXISTS changes nothing").hint("leave out ORDER BY"));
        }
        let (mut of_outer, mut of_inner, mut own) = (Vec::new(), Vec::new(), None::<Px>);
        for part in conjuncts(by) {
            if within(part, &inner) || sides(part, outer, &inner) == (Sides { left: false, right: false }) {
                let holds = filter(part, Env::plain(&inner))?;
                own = Some(own.map_or_else(|| holds.clone(), |own| own.and(holds.clone())));
                continue;
            }
            let Some((one, two)) = equality(part, outer, &inner) else {
                return Err(fault(part, "EXISTS compares with the row around it by `=` alone")
                    .hint("name the table before each column, or JOIN a SELECT DISTINCT"));
            };
            let (one, two) = (plan(one, Env::plain(outer))?, plan(two, Env::plain(&inner))?);
            let (one, two, _) = united(part, one, two)?;
            of_outer.push(self.key(outer, one));
            of_inner.push(self.key(&mut inner, two));
        }
        if let Some(own) = own {
            inner.frame = inner.frame.filter(own);
        }
        // Two keys of one name would meet.
        let mut names = Vec::with_capacity(of_inner.len());
        let keys: Vec<Px> = of_inner
            .into_iter()
            .map(|key| {
                let name = self.fresh.name();
                names.push(col(name.clone()));
                key.alias(name)
            })
            .collect();
        inner.frame = inner.frame.select(keys);
        Ok(Some((inner, of_outer, names)))
    }
}

/// A SELECT whose rows are those of its FROM, so that whether there is one depends on WHERE alone.
fn is_plain(select: &Select) -> bool {
    let is_ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    is_ungrouped && select.having.is_none() && !super::select::aggregates(select)
}

/// Whether an expression names columns, and all of them are of a scope.
fn within(expr: &Expr, scope: &Scope) -> bool {
    let names = walk::all(expr, |expr| path(expr).is_some());
    let is_of = |name: &&Expr| path(name).is_some_and(|path| !matches!(scope.find(name, path), Ok(None)));
    !names.is_empty() && names.iter().all(is_of)
}

/// Whether an expression is a subquery predicate.
fn is_subquery(expr: &Expr) -> bool {
    matches!(expr, Expr::InSubquery { .. } | Expr::Exists { .. })
}
