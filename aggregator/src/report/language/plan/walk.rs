//! The parts of an expression, as far as the allow-list lets expressions have parts.

use sqlparser::ast::{Expr, WindowType};

use super::function::arguments;

/// The expressions that an expression is made of; the statements of its subqueries are their own business.
pub(crate) fn parts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Nested(inner)
        | Expr::IsNull(inner)
        | Expr::IsNotNull(inner)
        | Expr::IsTrue(inner)
        | Expr::IsNotTrue(inner)
        | Expr::IsFalse(inner)
        | Expr::IsNotFalse(inner)
        | Expr::UnaryOp { expr: inner, .. }
        | Expr::Cast { expr: inner, .. }
        | Expr::Floor { expr: inner, .. }
        | Expr::Ceil { expr: inner, .. }
        | Expr::Extract { expr: inner, .. }
        | Expr::InSubquery { expr: inner, .. } => vec![inner],
        Expr::Substring { expr: inner, substring_from, substring_for, .. } => {
            let places = [substring_from, substring_for].into_iter().filter_map(|place| place.as_deref());
            std::iter::once(&**inner).chain(places).collect()
        }
        Expr::BinaryOp { left, right, .. } => vec![left, right],
        Expr::Between { expr: inner, low, high, .. } => vec![inner, low, high],
        Expr::InList { expr: inner, list, .. } => std::iter::once(&**inner).chain(list).collect(),
        Expr::Like { expr: inner, pattern, .. } => vec![inner, pattern],
        Expr::Case { operand, conditions, else_result, .. } => {
            let whens = conditions.iter().flat_map(|when| [&when.condition, &when.result]);
            operand.as_deref().into_iter().chain(whens).chain(else_result.as_deref()).collect()
        }
        Expr::Function(function) => {
            let mut found = arguments(function);
            found.extend(function.filter.as_deref());
            if let Some(WindowType::WindowSpec(window)) = &function.over {
                found.extend(window.partition_by.iter().chain(window.order_by.iter().map(|by| &by.expr)));
            }
            found
        }
        _ => Vec::new(),
    }
}

/// The outermost expressions of a kind.
pub(super) fn outermost(expr: &Expr, of_kind: fn(&Expr) -> bool) -> Vec<&Expr> {
    if of_kind(expr) {
        return vec![expr];
    }
    parts(expr).into_iter().flat_map(|part| outermost(part, of_kind)).collect()
}

/// All expressions of a kind, also within each other.
pub(super) fn all(expr: &Expr, of_kind: fn(&Expr) -> bool) -> Vec<&Expr> {
    let within = parts(expr).into_iter().flat_map(|part| all(part, of_kind));
    of_kind(expr).then_some(expr).into_iter().chain(within).collect()
}
