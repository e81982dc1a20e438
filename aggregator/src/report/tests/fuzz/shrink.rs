//! From a statement on which the engines differ to a small one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sqlparser::ast::{Expr, OrderByKind, Query, SetExpr, Value, VisitMut as _, VisitorMut};

use crate::report::language::bind::bind;

/// Takes away whatever can go: CTEs, limits, conditions, columns, then parts of expressions.
///
/// `differs` tells whether what is left still shows the difference.
pub(super) fn shrunk(query: &Query, mut differs: impl FnMut(&Query, &str) -> bool) -> (Query, String) {
    let (mut best, mut text) = bind(query, &BTreeMap::new()).unwrap();
    let mut budget = 400;
    loop {
        let mut has_shrunk = false;
        for smaller in candidates(&best) {
            budget -= 1;
            let Ok((smaller, shorter)) = bind(&smaller, &BTreeMap::new()) else { continue };
            if shorter.len() < text.len() && differs(&smaller, &shorter) {
                (best, text) = (smaller, shorter);
                has_shrunk = true;
                break;
            }
        }
        if !has_shrunk || budget < 0 {
            return (best, text);
        }
    }
}

fn candidates(query: &Query) -> Vec<Query> {
    let mut found = Vec::new();
    let mut change = |change: &dyn Fn(&mut Query) -> bool| {
        let mut smaller = query.clone();
        if change(&mut smaller) {
            found.push(smaller);
        }
    };
    change(&|it| it.with.take().is_some());
    change(&|it| it.limit_clause.take().is_some());
    if let SetExpr::SetOperation { left, right, .. } = query.body.as_ref() {
        change(&|it| {
            it.body.clone_from(left);
            true
        });
        change(&|it| {
            it.body.clone_from(right);
            true
        });
    }
    if let SetExpr::Select(select) = query.body.as_ref() {
        let with = |query: &mut Query, change: &dyn Fn(&mut sqlparser::ast::Select) -> bool| match query.body.as_mut() {
            SetExpr::Select(select) => change(select),
            _ => false,
        };
        change(&|it| with(it, &|select| select.selection.take().is_some()));
        change(&|it| with(it, &|select| select.having.take().is_some()));
        change(&|it| with(it, &|select| select.distinct.take().is_some()));
        change(&|it| with(it, &|select| select.from.iter_mut().any(|from| from.joins.pop().is_some())));
        for at in 0..select.projection.len() {
            change(&|it| {
                if let Some(OrderByKind::Expressions(by)) = it.order_by.as_mut().map(|order| &mut order.kind) {
                    let name = select.projection[at].to_string();
                    by.retain(|by| !name.ends_with(&format!(" AS {}", by.expr)) && !matches!(&by.expr, Expr::Value(_)));
                }
                with(it, &|select| {
                    select.projection.remove(at);
                    !select.projection.is_empty()
                })
            });
        }
    }
    for node in 0..60 {
        for part in 0..3 {
            let mut smaller = query.clone();
            if smaller.visit(&mut Replace { node, part }).is_break() {
                found.push(smaller);
            }
        }
    }
    found
}

/// Puts a part of an expression in its place, or NULL.
struct Replace {
    node: usize,
    part: usize,
}

impl VisitorMut for Replace {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.node > 0 {
            self.node -= 1;
            return ControlFlow::Continue(());
        }
        let parts: Vec<Expr> = crate::report::language::plan::walk::parts(expr).into_iter().cloned().collect();
        match parts.into_iter().nth(self.part) {
            Some(part) => *expr = part,
            None if self.part == 0 => *expr = Expr::value(Value::Null),
            None => return ControlFlow::Continue(()),
        }
        ControlFlow::Break(())
    }
}
