//! Functions over windows: rows are put into the window's order once, and values run along them.

use polars::prelude::{
    Expr as Px, IdxSize, LazyFrame, NULL, PlSmallStr, SortMultipleOptions, col, int_range, len, lit, when,
};
use sqlparser::ast::{Expr, Function, OrderByExpr, WindowSpec, WindowType};

use super::super::diagnostic::Fault;
use super::aggregate::{self, Over};
use super::cure::{Cure, is_reverted};
use super::expression::plan;
use super::function::{arguments, name_of};
use super::numbers;
use super::scope::Env;
use super::typed::{Kind, Literal, Typed, fault};
use super::{Fresh, nulls_last};

const NAMES: [&str; 6] = ["dense_rank", "first_value", "lag", "lead", "rank", "row_number"];

pub(super) fn is_window(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Adds the values of window calls as columns.
///
/// Each is given with its canonical text; what comes back is the frame and the column of each text.
pub(super) fn add(
    mut frame: LazyFrame,
    calls: &[(String, &Expr)],
    env: Env<'_>,
    fresh: &Fresh,
) -> Result<(LazyFrame, Vec<(String, Typed)>), Fault> {
    let mut windows: Vec<Window> = Vec::new();
    let mut inputs = Inputs { fresh, columns: Vec::new() };
    let mut planned = Vec::with_capacity(calls.len());
    for (text, call) in calls {
        let Expr::Function(function) = call else { continue };
        let Some(WindowType::WindowSpec(spec)) = &function.over else { continue };
        let window = Window::plan(spec, env, &mut inputs)?;
        let at = windows.iter().position(|known| known.is_like(&window)).unwrap_or_else(|| {
            windows.push(window);
            windows.len() - 1
        });
        planned.push((text.clone(), at, Call::plan(Site { at: call, function, spec, env }, &mut inputs)?));
    }
    if !inputs.columns.is_empty() {
        frame = frame.with_columns(inputs.columns);
    }
    let mut found = Vec::with_capacity(planned.len());
    for (at, window) in windows.iter().enumerate() {
        if !window.order.is_empty() {
            frame = frame
                .sort_by_exprs(window.order.iter().map(|by| col(by.clone())).collect::<Vec<_>>(), window.sorting());
        }
        let mut stages: [Vec<Px>; 4] = Default::default();
        for (text, _, call) in planned.iter().filter(|(_, of, _)| *of == at) {
            let value = call.add(window, fresh, &mut stages);
            found.push((text.clone(), Typed::new(value, call.kind)));
        }
        for stage in stages.into_iter().filter(|stage| !stage.is_empty()) {
            frame = frame.with_columns(stage);
        }
    }
    Ok((frame, found))
}

/// A call over a window, and what its arguments are resolved in.
#[derive(Clone, Copy)]
struct Site<'a> {
    at: &'a Expr,
    function: &'a Function,
    spec: &'a WindowSpec,
    env: Env<'a>,
}

/// The columns that are added to the rows before the windows are computed.
struct Inputs<'a> {
    fresh: &'a Fresh,
    columns: Vec<Px>,
}

impl Inputs<'_> {
    /// The name of the column with this value, which is added unless it is a column already.
    fn column_of(&mut self, value: Typed) -> PlSmallStr {
        if let Some(name) = value.column() {
            return name.into();
        }
        let name = self.fresh.name();
        let expr = if value.kind == Kind::Null { value.widened(Kind::Int64) } else { value.expr };
        self.columns.push(expr.alias(name.clone()));
        name
    }
}

/// Partition and order, as columns.
struct Window {
    partition: Vec<PlSmallStr>,
    order: Vec<PlSmallStr>,
    descending: Vec<bool>,
    nulls_last: Vec<bool>,
    /// What the columns are of: windows with equal texts are one.
    text: String,
}

impl Window {
    fn plan(spec: &WindowSpec, env: Env<'_>, inputs: &mut Inputs<'_>) -> Result<Self, Fault> {
        let mut column = |expr: &Expr| Ok(inputs.column_of(plan(expr, env)?));
        let partition = spec.partition_by.iter().map(&mut column).collect::<Result<_, Fault>>()?;
        let order = spec.order_by.iter().map(|by| column(&by.expr)).collect::<Result<_, Fault>>()?;
        let is_descending = |by: &OrderByExpr| by.options.asc == Some(false);
        let of = |exprs: Vec<&Expr>| exprs.into_iter().map(|expr| env.canonical(expr)).collect::<Vec<_>>().join("\n");
        let text = format!(
            "{}\n\n{}\n\n{:?}",
            of(spec.partition_by.iter().collect()),
            of(spec.order_by.iter().map(|by| &by.expr).collect()),
            spec.order_by.iter().map(|by| by.options).collect::<Vec<_>>(),
        );
        Ok(Self {
            partition,
            order,
            descending: spec.order_by.iter().map(is_descending).collect(),
            nulls_last: spec.order_by.iter().map(nulls_last).collect(),
            text,
        })
    }

    fn is_like(&self, other: &Self) -> bool {
        self.text == other.text
    }

    fn sorting(&self) -> SortMultipleOptions {
        SortMultipleOptions::default()
            .with_order_descending_multi(self.descending.clone())
            .with_nulls_last_multi(self.nulls_last.clone())
    }

    /// A value in each partition.
    fn over(&self, value: Px) -> Px {
        over(value, &self.partition)
    }

    /// The value of the last row that the order does not tell from this one.
    fn of_peers(&self, value: Px) -> Px {
        let peers: Vec<PlSmallStr> = self.partition.iter().chain(&self.order).cloned().collect();
        over(value, &peers)
    }
}

fn over(value: Px, keys: &[PlSmallStr]) -> Px {
    if keys.is_empty() {
        return value;
    }
    let keys: Vec<Px> = keys.iter().cloned().map(col).collect();
    // Fails without keys alone.
    value.clone().over(keys).unwrap_or(value)
}

/// One call, its values in a column.
struct Call {
    name: String,
    kind: Kind,
    values: Option<PlSmallStr>,
    is_distinct: bool,
    /// In the window's order, up to each row.
    is_running: bool,
    /// Rows that the order does not tell apart have one value.
    is_by_peers: bool,
    offset: i64,
}

impl Call {
    fn plan(site: Site<'_>, inputs: &mut Inputs<'_>) -> Result<Self, Fault> {
        let Site { function, spec, .. } = site;
        let name = name_of(function);
        let is_running = !spec.order_by.is_empty();
        let call = Self {
            is_by_peers: is_running && spec.window_frame.is_none() && !is_reverted(Cure::Peers),
            name,
            kind: Kind::Int64,
            values: None,
            is_distinct: false,
            is_running,
            offset: 0,
        };
        if aggregate::is_aggregate(&call.name) { call.aggregate(site, inputs) } else { call.of_window(site, inputs) }
    }

    /// An aggregate over the partition, or along its order.
    fn aggregate(mut self, site: Site<'_>, inputs: &mut Inputs<'_>) -> Result<Self, Fault> {
        let Site { at, function, spec, env } = site;
        let over = aggregate::over(at, function, env)?;
        self.kind = aggregate::kind(&self.name, &over);
        self.is_distinct = matches!(over, Over::Distinct(_));
        let runs = match (self.name.as_str(), &over) {
            ("median" | "stddev", _) | (_, Over::Distinct(_)) => false,
            ("min" | "max", Over::Values(value)) => value.kind.is_number(),
            _ => true,
        };
        if self.is_running && !runs {
            let shown = function.name.to_string().to_uppercase();
            return Err(fault(at, format!("{shown} does not run along an order")).hint(
                "leave out ORDER BY for the value of the whole partition, or join the rows up to each day and group",
            ));
        }
        if !self.is_running && spec.window_frame.is_some() {
            return Err(fault(at, "a frame needs an ORDER BY"));
        }
        if let Over::Values(value) | Over::Distinct(value) = over {
            self.values = Some(inputs.column_of(value));
        }
        Ok(self)
    }

    /// A function that only windows have: a rank, or the value of another row.
    fn of_window(mut self, site: Site<'_>, inputs: &mut Inputs<'_>) -> Result<Self, Fault> {
        let Site { at, function, spec, env } = site;
        let shown = function.name.to_string().to_uppercase();
        if !is_window(&self.name) {
            return Err(fault(at, format!("{shown} takes no OVER")));
        }
        if !self.is_running {
            return Err(fault(at, format!("{shown} needs an ORDER BY in its OVER")));
        }
        if spec.window_frame.is_some() && self.name != "first_value" {
            return Err(fault(at, format!("{shown} takes no frame")));
        }
        if function.filter.is_some() {
            return Err(fault(at, format!("{shown} takes no FILTER")));
        }
        let mut arguments = arguments(function).into_iter();
        if matches!(self.name.as_str(), "first_value" | "lag" | "lead") {
            let value = arguments.next().ok_or_else(|| fault(at, format!("{shown} takes a value")))?;
            let value = plan(value, env)?;
            self.kind = if value.kind == Kind::Null { Kind::Int64 } else { value.kind };
            self.values = Some(inputs.column_of(value));
        }
        if matches!(self.name.as_str(), "lag" | "lead") {
            self.offset = match arguments.next().map(|offset| plan(offset, env)).transpose()?.map(|it| it.literal) {
                None => 1,
                Some(Some(Literal::Integer(offset))) if offset > 0 => offset,
                Some(_) => return Err(fault(at, format!("{shown} goes by a number of rows from 1 on"))),
            };
        }
        match arguments.next() {
            Some(_) => {
                Err(fault(at, format!("{shown} takes fewer values")).hint("COALESCE gives what stands for nothing"))
            }
            None => Ok(self),
        }
    }

    /// The expression of the value, once the columns of all stages were added.
    fn add(&self, window: &Window, fresh: &Fresh, stages: &mut [Vec<Px>; 4]) -> Px {
        let mut put = |stage: usize, value: Px| {
            let name = fresh.name();
            stages[stage].push(value.alias(name.clone()));
            col(name)
        };
        let values = || col(self.values.clone().unwrap_or_default());
        let wide = |number: Px| number.cast(Kind::Int64.data_type());
        let number = || int_range(lit(1), len() + lit::<IdxSize>(1), 1, Kind::Int64.data_type());
        let settled = |put: &mut dyn FnMut(usize, Px) -> Px, value: Px| {
            if self.is_by_peers { put(1, window.of_peers(value.last())) } else { value }
        };
        match self.name.as_str() {
            "row_number" => put(0, window.over(number())),
            "rank" => {
                let number = put(0, window.over(number()));
                put(1, window.of_peers(number.first()))
            }
            "dense_rank" => {
                let number = put(0, window.over(number()));
                let rank = put(1, window.of_peers(number.clone().first()));
                let starts = put(2, wide(number.eq(rank)));
                put(3, window.over(starts.cum_sum(false)))
            }
            "first_value" => put(0, window.over(values().first())),
            "lag" => put(0, window.over(values().shift(lit(self.offset)))),
            "lead" => put(0, window.over(values().shift(lit(-self.offset)))),
            name if !self.is_running || (name == "avg" && is_reverted(Cure::RunningAverage)) => {
                let value = |kind: Kind| Typed::new(values(), kind);
                let over = match (&self.values, self.is_distinct) {
                    (None, _) => Over::Rows,
                    (Some(_), true) => Over::Distinct(value(self.kind)),
                    (Some(_), false) => Over::Values(value(self.kind)),
                };
                let (parts, whole) = aggregate::parts(name, over, || fresh.name());
                stages[0].extend(parts.into_iter().map(|part| match part {
                    Px::Alias(part, name) => window.over((*part).clone()).alias(name),
                    other => window.over(other),
                }));
                whole
            }
            "count" => {
                let count = match self.values {
                    None => put(0, window.over(number())),
                    Some(_) => put(0, window.over(wide(values().is_not_null()).cum_sum(false))),
                };
                settled(&mut put, count)
            }
            "min" | "max" => {
                let reached = if self.name == "min" { values().cum_min(false) } else { values().cum_max(false) };
                let reached = reached.fill_null_with_strategy(polars::prelude::FillNullStrategy::Forward(None));
                let reached = put(0, window.over(reached));
                settled(&mut put, reached)
            }
            name => {
                let count = put(0, window.over(wide(values().is_not_null()).cum_sum(false)));
                let sum = put(0, window.over(values().fill_null(lit(0)).cum_sum(false)));
                let (count, sum) = (settled(&mut put, count), settled(&mut put, sum));
                if name == "avg" {
                    let wide = |number: Px| number.cast(Kind::Float.data_type());
                    return numbers::divide(wide(sum), wide(count));
                }
                when(count.gt(lit(0))).then(sum).otherwise(lit(NULL).cast(self.kind.data_type()))
            }
        }
    }
}
