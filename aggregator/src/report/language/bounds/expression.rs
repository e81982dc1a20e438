//! How far an expression reaches, from what it is made of.

use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CaseWhen, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Query,
    UnaryOperator, Value, Visit as _, Visitor, WindowType,
};

use super::super::plan::aggregate::is_aggregate;
use super::super::plan::walk::parts;
use super::scope::Scope;
use super::{NARROW, Overflow, Prover, ValueRange, WIDE};

/// Seconds from the epoch to the year 9999, and characters of the longest text.
const SECONDS: f64 = 253_402_300_800.0;
const CHARACTERS: f64 = 1_073_741_824.0;

type Found = Result<Option<ValueRange>, Overflow>;

impl Prover<'_> {
    /// How far an expression reaches; `None` for what is no number.
    pub(super) fn range(&mut self, expr: &Expr, scope: &Scope<'_>) -> Found {
        Ok(self.unclipped(expr, scope)?.map(|range| range.within(scope.rows)))
    }

    fn unclipped(&mut self, expr: &Expr, scope: &Scope<'_>) -> Found {
        match expr {
            Expr::Identifier(name) => Ok(scope.range(std::slice::from_ref(name))),
            Expr::CompoundIdentifier(path) => Ok(scope.range(path)),
            Expr::Value(value) => Ok(literal(&value.value, scope.rows)),
            Expr::Nested(inner) | Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => self.range(inner, scope),
            Expr::BinaryOp { left, op, right } => self.operation(expr, (left, op, right), scope),
            Expr::Case { operand, conditions, else_result, .. } => {
                if let Some(operand) = operand {
                    self.range(operand, scope)?;
                }
                let mut range =
                    else_result.as_ref().map_or(Ok(Some(ValueRange::NOTHING)), |other| self.range(other, scope))?;
                for CaseWhen { condition, result } in conditions {
                    self.range(condition, scope)?;
                    range = either(range, self.range(result, scope)?);
                }
                Ok(range)
            }
            Expr::Cast { expr: inner, data_type, .. } => {
                let range = self.range(inner, scope)?;
                Ok(cast(range.unwrap_or(ValueRange::UNKNOWN), data_type))
            }
            // To the next whole number.
            Expr::Floor { expr: inner, .. } | Expr::Ceil { expr: inner, .. } => {
                let range = self.range(inner, scope)?;
                Ok(range.map(|it| ValueRange { max: it.max + 1.0, total: it.total + scope.rows, ..it }))
            }
            Expr::Extract { expr: inner, .. } => {
                self.range(inner, scope)?;
                Ok(Some(ValueRange { max: SECONDS, total: SECONDS * scope.rows, holds: WIDE }))
            }
            Expr::Function(function) => self.call(expr, function, scope),
            Expr::InSubquery { expr: inner, subquery, .. } => {
                self.range(inner, scope)?;
                self.query(subquery, Some(scope)).map(|_| None)
            }
            Expr::Exists { subquery, .. } => self.query(subquery, Some(scope)).map(|_| None),
            _ => {
                for part in parts(expr) {
                    self.range(part, scope)?;
                }
                Ok(None)
            }
        }
    }

    fn operation(&mut self, at: &Expr, of: (&Expr, &BinaryOperator, &Expr), scope: &Scope<'_>) -> Found {
        let (left, operator, right) = of;
        let (a, b) = match (self.range(left, scope)?, self.range(right, scope)?) {
            (None, None) => return Ok(None),
            (a, b) => (a.unwrap_or(ValueRange::UNKNOWN), b.unwrap_or(ValueRange::UNKNOWN)),
        };
        let holds = a.holds.max(b.holds);
        let range = match operator {
            BinaryOperator::Plus | BinaryOperator::Minus => {
                ValueRange { max: a.max + b.max, total: a.total + b.total, holds }.checked(at)?
            }
            BinaryOperator::Multiply => {
                let total = product(a.total, b.max).min(product(a.max, b.total));
                ValueRange { max: product(a.max, b.max), total, holds }.checked(at)?
            }
            BinaryOperator::Divide => {
                // A whole number that is not zero is at least one; a fraction can be as small as it likes.
                let least = match number(right) {
                    Some(number) if number != 0.0 => number.abs(),
                    _ if b.holds.is_finite() => 1.0,
                    _ => 0.0,
                };
                ValueRange { max: a.max / least, total: a.total / least, holds: f64::INFINITY }
            }
            _ => return Ok(None),
        };
        Ok(Some(range))
    }

    fn call(&mut self, at: &Expr, function: &Function, scope: &Scope<'_>) -> Found {
        let mut arguments = Vec::new();
        if let FunctionArguments::List(list) = &function.args {
            for argument in &list.args {
                if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = argument {
                    arguments.push(self.range(expr, scope)?);
                }
            }
        }
        if let Some(filter) = &function.filter {
            self.range(filter, scope)?;
        }
        if let Some(WindowType::WindowSpec(window)) = &function.over {
            for expr in window.partition_by.iter().chain(window.order_by.iter().map(|by| &by.expr)) {
                self.range(expr, scope)?;
            }
        }
        // A window repeats its value in every row.
        let spread = |range: ValueRange| {
            if function.over.is_some() { ValueRange { total: f64::INFINITY, ..range } } else { range }
        };
        let first = arguments.first().copied().flatten().unwrap_or(ValueRange::UNKNOWN);
        Ok(match function.name.to_string().to_ascii_lowercase().as_str() {
            "count" | "row_number" | "rank" | "dense_rank" => {
                Some(spread(ValueRange { max: scope.rows, total: scope.rows, holds: WIDE }))
            }
            "sum" => Some(spread(ValueRange { max: first.total, ..first }.checked(at)?)),
            "avg" | "median" => Some(spread(ValueRange { holds: f64::INFINITY, ..first })),
            // No more than twice the widest distance.
            "stddev" => Some(ValueRange { max: first.max * 4.0, total: f64::INFINITY, holds: f64::INFINITY }),
            "length" => Some(ValueRange { max: CHARACTERS, total: f64::INFINITY, holds: WIDE }),
            "min" | "max" | "first_value" | "lag" | "lead" | "coalesce" | "greatest" | "least" | "nullif" | "abs" => {
                arguments.into_iter().reduce(either).flatten().map(spread)
            }
            _ => None,
        })
    }
}

fn literal(value: &Value, rows: f64) -> Option<ValueRange> {
    match value {
        Value::Number(digits, _) => {
            let max = digits.parse::<f64>().unwrap_or(WIDE);
            let fraction = digits.contains(['.', 'e', 'E']);
            let holds = if fraction {
                f64::INFINITY
            } else if max <= NARROW {
                NARROW
            } else {
                WIDE
            };
            // A whole literal takes the type of what stands beside it; alone it is a small one, and cannot overflow it.
            Some(ValueRange { max, total: max * rows, holds })
        }
        Value::Null => Some(ValueRange::NOTHING),
        _ => None,
    }
}

/// The number that an expression is, if it is one as it stands.
fn number(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::Nested(inner)
        | Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner }
        | Expr::Cast { data_type: DataType::Double(_), expr: inner, .. } => number(inner),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// A cast that does not fit is an error of the engine, so what comes out fits.
fn cast(range: ValueRange, to: &DataType) -> Option<ValueRange> {
    let holding = |holds: f64| Some(ValueRange { max: range.max.min(holds), total: range.total, holds });
    match to {
        DataType::BigInt(_) => holding(WIDE),
        DataType::Integer(_) => holding(NARROW),
        DataType::Double(_) => holding(f64::INFINITY),
        _ => None,
    }
}

/// Zero times anything is zero, also times what has no bound.
fn product(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}

/// One of two; a number that may be something else is none.
fn either(one: Option<ValueRange>, two: Option<ValueRange>) -> Option<ValueRange> {
    Some(one?.or(two?))
}

/// The name that a column has when no alias names it.
pub(super) fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(name) => name.value.clone(),
        Expr::CompoundIdentifier(path) => path.last().map(|name| name.value.clone()).unwrap_or_default(),
        other => other.to_string(),
    }
}

/// Whether an expression makes one row of many.
pub(super) fn aggregates(expr: &Expr) -> bool {
    expr.visit(&mut Aggregates { depth: 0 }).is_break()
}

struct Aggregates {
    /// Of subqueries, whose aggregates are their own.
    depth: usize,
}

impl Visitor for Aggregates {
    type Break = ();

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let is_one = is_aggregate(&function.name.to_string().to_ascii_lowercase());
        if self.depth == 0 && is_one && function.over.is_none() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}
