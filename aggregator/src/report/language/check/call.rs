//! Function calls and their windows.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectNamePart, WindowFrameBound,
    WindowFrameUnits, WindowSpec, WindowType,
};

use super::super::plan::aggregate::is_aggregate;
use super::{Checked, functions, refuse, refuse_with};

pub(super) fn call(at: &Expr, function: &Function) -> Checked {
    let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else {
        return refuse(at, format!("there is no function {}", function.name));
    };
    let lower = name.value.to_ascii_lowercase();
    if name.quote_style.is_some() || !functions::ALLOWED.contains(&lower.as_str()) {
        let refused = format!("the function {} is not in the shared subset", name.value);
        return match functions::instead_of(&lower) {
            Some(hint) => refuse_with(at, refused, hint),
            None => refuse(at, refused),
        };
    }
    let plain = !function.uses_odbc_syntax
        && matches!(function.parameters, FunctionArguments::None)
        && function.null_treatment.is_none()
        && function.within_group.is_empty();
    let arguments = match &function.args {
        FunctionArguments::List(list) => list.clauses.is_empty() && list.args.iter().all(is_plain_argument),
        FunctionArguments::None | FunctionArguments::Subquery(_) => false,
    };
    if !plain || !arguments {
        return refuse(at, format!("{} takes plain arguments only", name.value));
    }
    aggregate_alone(at, function, &lower)?;
    match &function.over {
        None => ControlFlow::Continue(()),
        Some(WindowType::WindowSpec(spec)) => window(at, spec),
        Some(WindowType::NamedWindow(_)) => refuse(at, "named windows are not in the shared subset"),
    }
}

/// What only aggregates take, and no engine of ours reads elsewhere: FILTER, DISTINCT, and the `*` of COUNT.
fn aggregate_alone(at: &Expr, function: &Function, lower: &str) -> Checked {
    let shown = lower.to_uppercase();
    let FunctionArguments::List(list) = &function.args else { return ControlFlow::Continue(()) };
    if !is_aggregate(lower) && function.filter.is_some() {
        let hint = "FILTER stands behind an aggregate: COALESCE(SUM(x) FILTER (WHERE …), 0)";
        return refuse_with(at, format!("{shown} takes no FILTER"), hint);
    }
    if !is_aggregate(lower) && list.duplicate_treatment.is_some() {
        return refuse_with(at, format!("{shown} takes no DISTINCT"), "SELECT DISTINCT in a CTE first");
    }
    let is_all = |argument: &FunctionArg| matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Wildcard));
    let counts = lower == "count" && list.args.len() == 1 && list.duplicate_treatment.is_none();
    if list.args.iter().any(is_all) && !counts {
        return refuse_with(at, format!("{shown} takes values, not `*`"), "only COUNT(*) counts rows");
    }
    ControlFlow::Continue(())
}

fn window(at: &Expr, spec: &WindowSpec) -> Checked {
    if spec.window_name.is_some() {
        return refuse(at, "named windows are not in the shared subset");
    }
    let Some(frame) = &spec.window_frame else {
        return ControlFlow::Continue(());
    };
    let running = matches!(frame.units, WindowFrameUnits::Rows)
        && matches!(frame.start_bound, WindowFrameBound::Preceding(None))
        && matches!(frame.end_bound, Some(WindowFrameBound::CurrentRow));
    if running {
        return ControlFlow::Continue(());
    }
    refuse_with(
        at,
        "only ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW is in the shared subset",
        "a moving sum is the running total minus LAG(running, n)",
    )
}

fn is_plain_argument(argument: &FunctionArg) -> bool {
    matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Expr(_) | FunctionArgExpr::Wildcard))
}
