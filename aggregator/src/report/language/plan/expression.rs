//! Expressions over one row.

use polars::prelude::{Expr as Px, LiteralValue, NULL, PlSmallStr, Scalar, Series, lit, when};
use sqlparser::ast::{BinaryOperator, CaseWhen, DataType, DateTimeField, Expr, Spanned as _, UnaryOperator, Value};

use super::super::diagnostic::Fault;
use super::cure::{Cure, is_reverted};
use super::numbers;
use super::scope::{Env, bare};
use super::typed::{Kind, Literal, Typed, all_united, date, day_literal, fault, united};

type Planned = Result<Typed, Fault>;

/// Plans an expression, without its subqueries: these were computed before.
pub(super) fn plan(expr: &Expr, env: Env<'_>) -> Planned {
    match env.known(expr) {
        Some(known) => Ok(known),
        None => {
            let before = env.scope.weight.get();
            let value = meaning(expr, env)?;
            env.scope.weigh_expr(expr, &value.expr, before)?;
            value.folded(expr)
        }
    }
}

fn meaning(expr: &Expr, env: Env<'_>) -> Planned {
    match expr {
        Expr::Nested(inner) => plan(inner, env),
        Expr::Identifier(name) => named(expr, std::slice::from_ref(name), env),
        Expr::CompoundIdentifier(path) => named(expr, path, env),
        Expr::Value(value) => literal(expr, &value.value),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner } => negative(expr, plan(inner, env)?),
        Expr::UnaryOp { op: UnaryOperator::Not, expr: inner } => Ok(Typed::bool(condition(inner, env)?.not())),
        Expr::BinaryOp { left, op, right } => operation(expr, left, op, right, env),
        Expr::IsNull(inner) => Ok(Typed::bool(plan(inner, env)?.expr.is_null())),
        Expr::IsNotNull(inner) => Ok(Typed::bool(plan(inner, env)?.expr.is_not_null())),
        Expr::IsTrue(inner) => Ok(Typed::bool(condition(inner, env)?.fill_null(lit(false)))),
        Expr::IsNotTrue(inner) => Ok(Typed::bool(condition(inner, env)?.fill_null(lit(false)).not())),
        Expr::IsFalse(inner) => Ok(Typed::bool(condition(inner, env)?.not().fill_null(lit(false)))),
        Expr::IsNotFalse(inner) => Ok(Typed::bool(condition(inner, env)?.fill_null(lit(true)))),
        Expr::InList { expr: inner, list, negated } => in_list(expr, plan(inner, env)?, list, *negated, env),
        Expr::Between { expr: inner, negated, low, high } => {
            let value = plan(inner, env)?;
            let from = compare(expr, value.clone(), &BinaryOperator::GtEq, plan(low, env)?)?;
            let to = compare(expr, value, &BinaryOperator::LtEq, plan(high, env)?)?;
            let within = from.and(to);
            Ok(Typed::bool(if *negated { within.not() } else { within }))
        }
        Expr::Like { negated, expr: inner, pattern, .. } => like(plan(inner, env)?, pattern, *negated, env, expr),
        Expr::Case { operand, conditions, else_result, .. } => {
            case(expr, operand.as_deref(), conditions, else_result.as_deref(), env)
        }
        Expr::Cast { expr: inner, data_type, .. } => cast(expr, plan(inner, env)?, data_type, env),
        Expr::Floor { expr: inner, .. } => {
            Ok(Typed::new(fraction(expr, plan(inner, env)?, "FLOOR")?.floor(), Kind::Float))
        }
        Expr::Ceil { expr: inner, .. } => {
            Ok(Typed::new(fraction(expr, plan(inner, env)?, "CEIL")?.ceil(), Kind::Float))
        }
        Expr::Extract { field: DateTimeField::Epoch, expr: inner, .. } => {
            let moment = plan(inner, env)?;
            if !matches!(moment.kind, Kind::Date | Kind::Moment | Kind::Null) {
                return Err(fault(expr, format!("EXTRACT takes a date or a timestamp, not {}", moment.kind.name())));
            }
            let micros = moment.widened(Kind::Moment).cast(Kind::Int64.data_type()).cast(Kind::Float.data_type());
            Ok(Typed::new(numbers::divide(micros, lit(1_000_000.0)), Kind::Float))
        }
        Expr::Function(function) => super::function::plan(expr, function, env),
        Expr::Substring { expr: text, substring_from: Some(place), substring_for, .. } => {
            let length = substring_for.as_deref().map(|length| plan(length, env)).transpose()?;
            super::function::substring(expr, plan(text, env)?, plan(place, env)?, length)
        }
        Expr::InSubquery { .. } | Expr::Exists { .. } => {
            Err(fault(expr, "IN (SELECT …) and EXISTS stand in WHERE alone")
                .hint("a LEFT JOIN with a SELECT DISTINCT, and IS NOT NULL"))
        }
        // The allow-list has no other.
        _ => Err(fault(expr, format!("`{expr}` is not in the shared subset"))),
    }
}

/// Plans what must be true, false or NULL.
pub(super) fn condition(expr: &Expr, env: Env<'_>) -> Result<Px, Fault> {
    plan(expr, env)?.expect(expr, Kind::Bool, "a condition")
}

fn named(at: &Expr, path: &[sqlparser::ast::Ident], env: Env<'_>) -> Planned {
    let column = env.scope.require(at, path)?;
    if env.is_grouped {
        return Err(fault(at, format!("{at} is neither in GROUP BY nor in an aggregate"))
            .hint("write it in GROUP BY as it stands here, not by a name or place; or take its MIN or MAX"));
    }
    Ok(column)
}

fn literal(at: &Expr, value: &Value) -> Planned {
    match value {
        Value::Null => Ok(Typed::null()),
        Value::Boolean(value) => Ok(Typed::bool(Px::Literal(LiteralValue::Scalar(Scalar::from(*value))))),
        Value::SingleQuotedString(text) => Ok(Typed::text(text)),
        Value::Number(digits, _) if digits.contains(['.', 'e', 'E']) => match digits.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Typed::new(lit(value), Kind::Float)),
            _ => Err(fault(at, format!("{digits} is no number that an engine can hold"))),
        },
        Value::Number(digits, _) => match digits.parse() {
            Ok(value) => Ok(Typed::integer(value)),
            Err(_) => Err(fault(at, format!("{digits} is beyond the whole numbers of an engine"))),
        },
        _ => Err(fault(at, "only numbers, 'text', TRUE, FALSE and NULL are literals")),
    }
}

fn negative(at: &Expr, value: Typed) -> Planned {
    match value {
        Typed { literal: Some(Literal::Integer(value)), .. } => Ok(Typed::integer(-value)),
        Typed { kind, expr, .. } if kind.is_number() && kind != Kind::Null => {
            Ok(Typed::new(Typed::integer(0).widened(kind) - expr, kind))
        }
        Typed { kind: Kind::Null, .. } => Ok(value),
        other => Err(fault(at, format!("a minus stands before {}", other.kind.name()))),
    }
}

fn operation(at: &Expr, left: &Expr, operator: &BinaryOperator, right: &Expr, env: Env<'_>) -> Planned {
    use BinaryOperator as Op;
    match operator {
        Op::And => Ok(Typed::bool(condition(left, env)?.and(condition(right, env)?))),
        Op::Or => Ok(Typed::bool(condition(left, env)?.or(condition(right, env)?))),
        Op::StringConcat => {
            let (left, right) = (as_text(left, plan(left, env)?)?, as_text(right, plan(right, env)?)?);
            Ok(Typed::new(left + right, Kind::Text))
        }
        Op::Divide => {
            let dividend = fraction(at, plan(left, env)?, "a division")?;
            let divisor = fraction(at, plan(guarded(right), env)?, "a division")?;
            Ok(Typed::new(numbers::divide(dividend, divisor), Kind::Float))
        }
        Op::Plus | Op::Minus | Op::Multiply => {
            let (left, right) = (plan(left, env)?, plan(right, env)?);
            if !left.kind.is_number() || !right.kind.is_number() {
                let other = if left.kind.is_number() { right.kind } else { left.kind };
                return Err(fault(at, format!("{operator} takes numbers, not {}", other.name()))
                    .hint("a day under [derived], or the calendar, for sums of days"));
            }
            let (left, right, kind) = united(at, left, right)?;
            let result = match operator {
                Op::Plus => left + right,
                Op::Minus => left - right,
                _ => left * right,
            };
            Ok(if kind == Kind::Null { Typed::null() } else { Typed::new(result, kind) })
        }
        _ => Ok(Typed::bool(compare(at, plan(left, env)?, operator, plan(right, env)?)?)),
    }
}

/// What a divisor is without the guard that the binder gave it: a quotient by zero is nothing here in any case.
fn guarded(divisor: &Expr) -> &Expr {
    use sqlparser::ast::{FunctionArg, FunctionArgExpr, FunctionArguments};
    let Expr::Function(function) = bare(divisor) else { return divisor };
    let FunctionArguments::List(list) = &function.args else { return divisor };
    match list.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(value)), FunctionArg::Unnamed(FunctionArgExpr::Expr(zero))]
            if function.name.to_string().eq_ignore_ascii_case("nullif") && zero.to_string() == "0" =>
        {
            value
        }
        _ => divisor,
    }
}

/// A condition by which rows are dropped.
///
/// An inequality of two columns is hidden from the optimiser: it would make one above a cross join a range join, which the
/// streaming engine was built without.
pub(super) fn filter(expr: &Expr, env: Env<'_>) -> Result<Px, Fault> {
    let holds = condition(expr, env)?;
    if is_null(&holds) {
        return Ok(lit(false));
    }
    let is_equality = matches!(expr, Expr::BinaryOp { op: BinaryOperator::Eq, .. });
    let mut columns: Vec<&PlSmallStr> =
        (&holds).into_iter().filter_map(|part| if let Px::Column(name) = part { Some(name) } else { None }).collect();
    columns.sort_unstable();
    columns.dedup();
    if is_equality || columns.len() < 2 || is_reverted(Cure::RangeJoin) {
        return Ok(holds);
    }
    Ok(holds.map(Ok, |_, field| Ok(field.clone())))
}

fn is_null(value: &Px) -> bool {
    match value {
        Px::Literal(LiteralValue::Scalar(scalar)) => scalar.is_null(),
        Px::Cast { expr, .. } => matches!(&**expr, Px::Literal(LiteralValue::Scalar(scalar)) if scalar.is_null()),
        _ => false,
    }
}

pub(super) fn compare(at: &Expr, left: Typed, operator: &BinaryOperator, right: Typed) -> Result<Px, Fault> {
    let (left, right, kind) = united(at, left, right)?;
    // The streaming engine fails on a condition that it finds to hold for no row only while it runs.
    if kind == Kind::Null || is_null(&left) || is_null(&right) {
        return Ok(lit(NULL).cast(Kind::Bool.data_type()));
    }
    Ok(match operator {
        BinaryOperator::Eq => left.eq(right),
        BinaryOperator::NotEq => left.neq(right),
        BinaryOperator::Lt => left.lt(right),
        BinaryOperator::LtEq => left.lt_eq(right),
        BinaryOperator::Gt => left.gt(right),
        BinaryOperator::GtEq => left.gt_eq(right),
        other => return Err(fault(at, format!("the operator {other} is not in the shared subset"))),
    })
}

/// A number as a fraction.
pub(super) fn fraction(at: &Expr, value: Typed, what: &str) -> Result<Px, Fault> {
    if value.kind.is_number() {
        return Ok(value.widened(Kind::Float));
    }
    Err(fault(at, format!("{what} takes numbers, not {}", value.kind.name())))
}

/// A value as every engine writes it.
pub(super) fn as_text(at: &Expr, value: Typed) -> Result<Px, Fault> {
    match value.kind {
        Kind::Text | Kind::Null | Kind::Int32 | Kind::Int64 | Kind::Date | Kind::Bool => Ok(value.widened(Kind::Text)),
        Kind::Float | Kind::Moment => Err(fault(at, format!("{} has no text of its own", value.kind.name()))
            .hint("engines write it differently: keep it in a column of its own")),
    }
}

fn in_list(at: &Expr, value: Typed, list: &[Expr], negated: bool, env: Env<'_>) -> Planned {
    let items: Vec<Typed> = list.iter().map(|item| plan(item, env)).collect::<Result<_, _>>()?;
    let mut all = vec![value];
    all.extend(items);
    let (mut all, kind) = all_united(at, all)?;
    let value = all.remove(0);
    if kind == Kind::Null {
        return Ok(Typed::bool(lit(NULL).cast(Kind::Bool.data_type())));
    }
    let constants: Option<Vec<_>> = all
        .iter()
        .map(|item| match item {
            Px::Literal(LiteralValue::Scalar(scalar)) if !scalar.is_null() => Some(scalar.value().clone()),
            _ => None,
        })
        .collect();
    let found = match constants {
        Some(values) => {
            let series = Series::from_any_values_and_dtype(PlSmallStr::EMPTY, &values, &kind.data_type(), true);
            let series = series.map_err(|error| fault(at, error.to_string()))?;
            value.is_in(lit(series).implode(true), false)
        }
        None => all.into_iter().map(|item| value.clone().eq(item)).reduce(Px::or).unwrap_or_else(|| lit(false)),
    };
    Ok(Typed::bool(if negated { found.not() } else { found }))
}

fn like(value: Typed, pattern: &Expr, negated: bool, env: Env<'_>, at: &Expr) -> Planned {
    let Some(Literal::Text(pattern)) = plan(pattern, env)?.literal else {
        return Err(fault(at, "the pattern of LIKE must be a text in quotes or a parameter"));
    };
    let value = value.expect(at, Kind::Text, "what LIKE looks at")?;
    let found = value.str().contains(lit(numbers::like(&pattern)), true);
    Ok(Typed::bool(if negated { found.not() } else { found }))
}

fn case(at: &Expr, operand: Option<&Expr>, whens: &[CaseWhen], other: Option<&Expr>, env: Env<'_>) -> Planned {
    let operand = operand.map(|operand| plan(operand, env)).transpose()?;
    let mut conditions = Vec::with_capacity(whens.len());
    let mut results = Vec::with_capacity(whens.len() + 1);
    let mut left = env.guard.cloned();
    for CaseWhen { condition: holds, result } in whens {
        let env = Env { guard: left.as_ref(), ..env };
        let holds = match &operand {
            Some(operand) => compare(holds, operand.clone(), &BinaryOperator::Eq, plan(holds, env)?)?,
            None => condition(holds, env)?,
        };
        let here = both(left.clone(), holds.clone());
        results.push(plan(result, Env { guard: Some(&here), ..env })?);
        left = Some(both(left, holds.clone().fill_null(lit(false)).not()));
        conditions.push(holds);
    }
    let env = Env { guard: left.as_ref(), ..env };
    results.push(other.map_or_else(|| Ok(Typed::null()), |other| plan(other, env))?);
    let (mut results, kind) = all_united(at, results)?;
    let mut value = results.pop().unwrap_or_else(|| lit(NULL));
    for (condition, result) in conditions.into_iter().zip(results).rev() {
        value = when(condition).then(result).otherwise(value);
    }
    Ok(if kind == Kind::Null { Typed::null() } else { Typed::new(value, kind) })
}

/// The rows of a guard for which a condition holds too.
pub(super) fn both(guard: Option<Px>, holds: Px) -> Px {
    match guard {
        Some(guard) => guard.and(holds),
        None => holds,
    }
}

/// A cast that fails where a value does not fit; of rows that do not come to it, it sees nothing.
fn strict(value: Typed, to: Kind, env: Env<'_>) -> Px {
    let seen = match env.guard {
        Some(guard) if !value.is_constant() => {
            when(guard.clone()).then(value.expr).otherwise(lit(NULL).cast(value.kind.data_type()))
        }
        _ => value.expr,
    };
    let seen = if value.kind == Kind::Float { numbers::rounded(seen) } else { seen };
    seen.strict_cast(to.data_type())
}

fn cast(at: &Expr, value: Typed, to: &DataType, env: Env<'_>) -> Planned {
    let to = match to {
        DataType::Date => Kind::Date,
        DataType::BigInt(_) => Kind::Int64,
        DataType::Integer(_) => Kind::Int32,
        DataType::Double(_) => Kind::Float,
        _ => Kind::Text,
    };
    let expr = match (value.kind, to) {
        (same, to) if same == to => return Ok(value),
        (Kind::Null, _) => value.widened(to),
        (Kind::Text, Kind::Date) => match &value.literal {
            Some(Literal::Text(text)) => match date(text) {
                Some(day) => day_literal(day),
                None => return Err(fault(at, format!("'{text}' is no date")).hint("a date is written '2026-08-01'")),
            },
            _ => return Err(unreadable(at, "a date")),
        },
        (Kind::Text, _) => return Err(unreadable(at, to.name())),
        (_, Kind::Text) => as_text(at, value)?,
        (Kind::Float, Kind::Int32 | Kind::Int64) | (Kind::Int64, Kind::Int32) => strict(value, to, env),
        (Kind::Int32 | Kind::Int64, Kind::Int64 | Kind::Float) => value.widened(to),
        (Kind::Bool, Kind::Int32 | Kind::Int64 | Kind::Float) | (Kind::Moment, Kind::Date) => value.widened(to),
        (from, to) => return Err(fault(at, format!("{} is not cast to {}", from.name(), to.name()))),
    };
    Ok(Typed::new(expr, to))
}

fn unreadable(at: &Expr, what: &str) -> Fault {
    Fault::at(at.span().start, format!("a text is not read as {what}"))
        .hint("engines read it differently: declare the column with its type in the source")
}
