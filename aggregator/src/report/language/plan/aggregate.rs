//! Aggregates over groups of rows.

use polars::prelude::{Expr as Px, NULL, PlSmallStr, col, len, lit, when};
use sqlparser::ast::{DuplicateTreatment, Expr, Function, FunctionArguments};

use super::super::diagnostic::Fault;
use super::expression::{condition, plan};
use super::function::{arguments, name_of};
use super::scope::Env;
use super::typed::{Kind, Typed, fault};

const NAMES: [&str; 7] = ["avg", "count", "max", "median", "min", "stddev", "sum"];

/// Whether a function, in lower case, makes one value of many rows.
pub(crate) fn is_aggregate(name: &str) -> bool {
    NAMES.contains(&name)
}

/// What an aggregate is over.
pub(super) enum Over {
    /// `COUNT(*)`.
    Rows,
    /// The values of an expression; those of rows that FILTER leaves out are nothing.
    Values(Typed),
    /// `COUNT(DISTINCT …)`.
    Distinct(Typed),
}

/// The argument of an aggregate, checked.
pub(super) fn over(at: &Expr, function: &Function, env: Env<'_>) -> Result<Over, Fault> {
    let name = name_of(function);
    let distinct = matches!(
        &function.args,
        FunctionArguments::List(list) if list.duplicate_treatment == Some(DuplicateTreatment::Distinct)
    );
    if distinct && name != "count" {
        return Err(fault(at, format!("DISTINCT stands in COUNT alone, not in {}", function.name))
            .hint("SELECT DISTINCT in a CTE first"));
    }
    let kept = function.filter.as_ref().map(|filter| condition(filter, env)).transpose()?;
    let masked = |value: Typed| match &kept {
        Some(kept) => {
            let nothing = lit(NULL).cast(value.kind.data_type());
            Typed::new(when(kept.clone()).then(value.expr).otherwise(nothing), value.kind)
        }
        None => value,
    };
    match arguments(function).as_slice() {
        [] if name == "count" && !distinct => Ok(match kept {
            Some(kept) => Over::Values(Typed::bool(when(kept).then(lit(true)).otherwise(lit(NULL)))),
            None => Over::Rows,
        }),
        [only] => {
            let value = plan(only, env)?;
            let fits = match name.as_str() {
                "count" => true,
                "min" | "max" => value.kind != Kind::Null,
                _ => value.kind.is_number() && value.kind != Kind::Null,
            };
            if !fits {
                return Err(fault(at, format!("{} takes numbers, not {}", function.name, value.kind.name())));
            }
            let value = masked(value);
            Ok(if distinct { Over::Distinct(value) } else { Over::Values(value) })
        }
        _ => Err(fault(at, format!("{} takes one value", function.name))),
    }
}

/// The type of what an aggregate gives.
pub(super) fn kind(name: &str, over: &Over) -> Kind {
    match (name, over) {
        ("avg" | "median" | "stddev", _) => Kind::Float,
        ("sum" | "min" | "max", Over::Values(value)) => value.kind,
        _ => Kind::Int64,
    }
}

/// What the engine adds up for an aggregate, and the value that follows from the columns of these sums.
pub(super) fn parts(name: &str, over: Over, mut fresh: impl FnMut() -> PlSmallStr) -> (Vec<Px>, Px) {
    let count = |number: Px| number.cast(Kind::Int64.data_type());
    let (one, two) = (fresh(), fresh());
    let only = |part: Px| (vec![part.alias(one.clone())], col(one.clone()));
    match (name, over) {
        (_, Over::Rows) => {
            let (parts, value) = only(len());
            (parts, count(value))
        }
        (_, Over::Distinct(value)) => {
            let parts =
                vec![value.expr.clone().n_unique().alias(one.clone()), value.expr.null_count().alias(two.clone())];
            let nothing = when(col(two).gt(lit(0))).then(lit(1_i64)).otherwise(lit(0_i64));
            (parts, count(col(one)) - nothing)
        }
        ("count", Over::Values(value)) => {
            let (parts, number) = only(value.expr.count());
            (parts, count(number))
        }
        // The engine's sum of nothing is zero.
        ("sum", Over::Values(value)) => {
            let kind = value.kind.data_type();
            let parts = vec![value.expr.clone().sum().alias(one.clone()), value.expr.count().alias(two.clone())];
            (parts, when(col(two).gt(lit(0))).then(col(one)).otherwise(lit(NULL).cast(kind)))
        }
        ("avg", Over::Values(value)) => only(value.expr.mean()),
        ("median", Over::Values(value)) => only(value.expr.median()),
        ("stddev", Over::Values(value)) => only(value.expr.std(1)),
        ("min", Over::Values(value)) => only(value.expr.min()),
        (_, Over::Values(value)) => only(value.expr.max()),
    }
}
