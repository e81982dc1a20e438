//! Functions over one row.

use polars::lazy::dsl::{max_horizontal, min_horizontal};
use polars::prelude::{Expr as Px, NULL, coalesce, lit, when};
use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments};

use super::super::diagnostic::Fault;
use super::expression::{as_text, both, plan as value};
use super::numbers;
use super::scope::Env;
use super::typed::{Kind, Literal, Typed, all_united, fault, united};

/// The arguments of a call; `*` is none.
pub(super) fn arguments(function: &Function) -> Vec<&Expr> {
    let FunctionArguments::List(list) = &function.args else { return Vec::new() };
    let expr = |argument| match argument {
        &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref expr)) => Some(expr),
        _ => None,
    };
    list.args.iter().filter_map(expr).collect()
}

/// The name of a function, in lower case.
pub(super) fn name_of(function: &Function) -> String {
    function.name.to_string().to_ascii_lowercase()
}

pub(super) fn plan(at: &Expr, function: &Function, env: Env<'_>) -> Result<Typed, Fault> {
    let name = name_of(function);
    if super::aggregate::is_aggregate(&name) || super::window::is_window(&name) || function.over.is_some() {
        let nested = if env.is_grouped || !env.computed.is_empty() { "within another" } else { "here" };
        return Err(fault(at, format!("{} cannot stand {nested}", function.name))
            .hint("compute it in a CTE, and use its column"));
    }
    let exprs = arguments(function);
    let arguments =
        if name == "coalesce" { alternatives(&exprs, env) } else { exprs.iter().map(|it| value(it, env)).collect() };
    let arguments: Vec<Typed> = arguments?;
    let count = arguments.len();
    let takes = |least: usize, most: usize, what: &str| {
        if (least..=most).contains(&count) {
            return Ok(());
        }
        Err(fault(at, format!("{} takes {what}", function.name.to_string().to_uppercase())))
    };
    match name.as_str() {
        "coalesce" => {
            takes(1, usize::MAX, "one value or more")?;
            let (values, kind) = all_united(at, arguments)?;
            Ok(if kind == Kind::Null { Typed::null() } else { Typed::new(coalesce(&values), kind) })
        }
        "greatest" | "least" => {
            takes(1, usize::MAX, "one value or more")?;
            extreme(at, arguments, &name)
        }
        "nullif" => {
            takes(2, 2, "two values")?;
            null_if(at, arguments)
        }
        "abs" => {
            takes(1, 1, "one number")?;
            let only = first(arguments);
            if !only.kind.is_number() {
                return Err(fault(at, format!("ABS takes a number, not {}", only.kind.name())));
            }
            Ok(if only.kind == Kind::Null { only } else { Typed::new(only.expr.abs(), only.kind) })
        }
        "concat" => {
            takes(1, usize::MAX, "one value or more")?;
            let texts = exprs.iter().zip(arguments).map(|(expr, it)| as_text(expr, it).map(or_nothing));
            let texts: Vec<Px> = texts.collect::<Result<_, _>>()?;
            Ok(Typed::new(texts.into_iter().reduce(|one, two| one + two).unwrap_or_else(|| lit("")), Kind::Text))
        }
        "length" => {
            takes(1, 1, "one text")?;
            let text = first(arguments).expect(at, Kind::Text, "what LENGTH counts")?;
            Ok(Typed::new(text.str().len_chars().cast(Kind::Int64.data_type()), Kind::Int64))
        }
        "lower" | "upper" => {
            takes(1, 1, "one text")?;
            let text = first(arguments).expect(at, Kind::Text, "the text")?;
            Ok(Typed::new(numbers::in_case(text, name == "upper"), Kind::Text))
        }
        "starts_with" => {
            takes(2, 2, "two texts")?;
            let mut texts = arguments.into_iter().map(|text| text.expect(at, Kind::Text, "both of STARTS_WITH"));
            match (texts.next(), texts.next()) {
                (Some(text), Some(start)) => Ok(Typed::bool(text?.str().starts_with(start?))),
                _ => Err(fault(at, "STARTS_WITH takes two texts")),
            }
        }
        _ => Err(fault(at, format!("the function {} is not in the shared subset", function.name))),
    }
}

fn extreme(at: &Expr, values: Vec<Typed>, name: &str) -> Result<Typed, Fault> {
    let (values, kind) = all_united(at, values)?;
    if matches!(kind, Kind::Text | Kind::Bool | Kind::Null) {
        return Err(fault(at, format!("GREATEST and LEAST take numbers or dates, not {}", kind.name()))
            .hint("CASE WHEN a > b THEN a ELSE b END"));
    }
    let found = if name == "greatest" { max_horizontal(values) } else { min_horizontal(values) };
    found.map(|expr| Typed::new(expr, kind)).map_err(|error| fault(at, error.to_string()))
}

fn null_if(at: &Expr, values: Vec<Typed>) -> Result<Typed, Fault> {
    let [one, two] = <[Typed; 2]>::try_from(values).map_err(|_| fault(at, "NULLIF takes two values"))?;
    let kind = one.kind;
    if kind == Kind::Null {
        return Ok(Typed::null());
    }
    let kept = one.expr.clone();
    let (one, two, _) = united(at, one, two)?;
    let nothing = lit(NULL).cast(kind.data_type());
    Ok(Typed::new(when(one.eq(two)).then(nothing).otherwise(kept), kind))
}

/// `SUBSTR`, which has a form of its own in the parser's tree.
pub(super) fn substring(at: &Expr, text: Typed, place: Typed, length: Option<Typed>) -> Result<Typed, Fault> {
    let text = text.expect(at, Kind::Text, "what SUBSTR cuts")?;
    let place = integer(at, place, 1)?;
    let length = length.map(|length| integer(at, length, 0)).transpose()?;
    let length = length.map_or_else(|| lit(NULL).cast(Kind::Int64.data_type()), lit);
    Ok(Typed::new(text.str().slice(lit(place - 1), length), Kind::Text))
}

/// Values of which each counts only where those before it are nothing.
fn alternatives(exprs: &[&Expr], env: Env<'_>) -> Result<Vec<Typed>, Fault> {
    let (mut found, mut left) = (Vec::with_capacity(exprs.len()), env.guard.cloned());
    for expr in exprs {
        let next = value(expr, Env { guard: left.as_ref(), ..env })?;
        left = Some(both(left, next.expr.clone().is_null()));
        found.push(next);
    }
    Ok(found)
}

fn first(arguments: Vec<Typed>) -> Typed {
    arguments.into_iter().next().unwrap_or_else(Typed::null)
}

fn or_nothing(text: Px) -> Px {
    text.fill_null(lit(""))
}

/// A whole number as it stands; engines differ on places before the first.
fn integer(at: &Expr, value: Typed, least: i64) -> Result<i64, Fault> {
    match value.literal {
        Some(Literal::Integer(value)) if value >= least => Ok(value),
        _ => Err(fault(at, "SUBSTR takes a place from 1 on and a length from 0 on, as numbers or parameters")
            .hint("engines differ on places before the first letter")),
    }
}
