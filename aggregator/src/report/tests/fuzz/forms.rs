//! Which forms stand in which, so that a count of statements is not mistaken for a proof.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, JoinOperator, OrderByExpr, OrderByKind, Query, Select, SetExpr, Visit as _, Visitor, WindowType,
};

/// A form, and the one around it.
pub(super) type Pair = (String, String);

/// Pairs, with how often they stood in statements.
#[derive(Debug, Default)]
pub(super) struct Forms(BTreeMap<Pair, usize>);

/// The pairs of a statement.
pub(super) fn pairs_of(query: &Query) -> Vec<Pair> {
    let mut walk = Walk { around: vec!["statement".to_owned()], found: Vec::new() };
    assert!(query.visit(&mut walk).is_continue());
    walk.found
}

impl Forms {
    pub(super) fn add(&mut self, query: &Query) {
        for pair in pairs_of(query) {
            *self.0.entry(pair).or_default() += 1;
        }
    }

    pub(super) fn join(&mut self, other: Self) {
        for (pair, count) in other.0 {
            *self.0.entry(pair).or_default() += count;
        }
    }

    /// Those of some pairs that stood less often.
    pub(super) fn below(&self, least: usize, of: impl Iterator<Item = Pair>) -> BTreeSet<Pair> {
        of.filter(|pair| self.0.get(pair).is_none_or(|count| *count < least)).collect()
    }

    pub(super) fn all(&self) -> BTreeSet<Pair> {
        self.0.keys().cloned().collect()
    }

    /// How often each form stood anywhere.
    pub(super) fn forms(&self) -> BTreeMap<&str, usize> {
        let mut forms = BTreeMap::new();
        for ((form, _), count) in &self.0 {
            *forms.entry(form.as_str()).or_default() += count;
        }
        forms
    }
}

struct Walk {
    around: Vec<String>,
    found: Vec<Pair>,
}

impl Walk {
    fn enter(&mut self, form: String) {
        self.found.push((form.clone(), self.around.last().unwrap().clone()));
        self.around.push(form);
    }
}

impl Visitor for Walk {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let form = match query.body.as_ref() {
            SetExpr::SetOperation { set_quantifier, .. } => format!("UNION {set_quantifier}"),
            _ => "SELECT".to_owned(),
        };
        self.enter(form);
        let is_plain = |by: &OrderByExpr| matches!(by.expr, Expr::Identifier(_) | Expr::Value(_));
        if let Some(OrderByKind::Expressions(by)) = query.order_by.as_ref().map(|order| &order.kind)
            && !by.iter().all(is_plain)
        {
            self.found.push(("ORDER BY expression".to_owned(), self.around.last().unwrap().clone()));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.around.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let around = self.around.last().unwrap().clone();
        let mut found = |form: &str| self.found.push((form.to_owned(), around.clone()));
        if select.distinct.is_some() {
            found("DISTINCT");
        }
        if select.having.is_some() {
            found("HAVING");
        }
        for join in select.from.iter().flat_map(|from| &from.joins) {
            found(match &join.join_operator {
                JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => "LEFT JOIN",
                JoinOperator::FullOuter(_) => "FULL JOIN",
                JoinOperator::CrossJoin(_) => "CROSS JOIN",
                _ => "JOIN",
            });
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if !matches!(expr, Expr::Nested(_)) {
            self.enter(name(expr));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if !matches!(expr, Expr::Nested(_)) {
            self.around.pop();
        }
        ControlFlow::Continue(())
    }
}

fn name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => "column".to_owned(),
        Expr::Value(_) => "literal".to_owned(),
        Expr::BinaryOp { op, .. } => op.to_string(),
        Expr::UnaryOp { op, .. } => format!("unary {op}"),
        Expr::Cast { data_type, .. } => format!("CAST {data_type}"),
        Expr::Case { operand: Some(_), .. } => "CASE x".to_owned(),
        Expr::Case { .. } => "CASE".to_owned(),
        Expr::Between { .. } => "BETWEEN".to_owned(),
        Expr::InList { .. } => "IN list".to_owned(),
        Expr::InSubquery { .. } => "IN SELECT".to_owned(),
        Expr::Exists { .. } => "EXISTS".to_owned(),
        Expr::Like { .. } => "LIKE".to_owned(),
        Expr::Floor { .. } => "FLOOR".to_owned(),
        Expr::Ceil { .. } => "CEIL".to_owned(),
        Expr::Extract { .. } => "EXTRACT".to_owned(),
        Expr::Substring { .. } => "SUBSTR".to_owned(),
        Expr::Function(function) => {
            let over = match &function.over {
                Some(WindowType::WindowSpec(spec)) if spec.window_frame.is_some() => " OVER rows",
                Some(WindowType::WindowSpec(spec)) if !spec.order_by.is_empty() => " OVER order",
                Some(_) => " OVER",
                None => "",
            };
            format!("{}{over}", function.name)
        }
        Expr::IsNull(_) | Expr::IsNotNull(_) => "IS NULL".to_owned(),
        _ => "IS TRUE".to_owned(),
    }
}
