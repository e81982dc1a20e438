//! SELECT: rows, groups, windows, columns, order.

use polars::prelude::{Expr as Px, col, lit};
use sqlparser::ast::{Distinct, Expr, GroupByExpr, Ident, OrderByExpr, Select, SelectItem, Spanned as _, Value};

use super::super::diagnostic::Fault;
use super::aggregate::Over;
use super::expression::{filter, plan};
use super::function::name_of;
use super::items::{Item, items, one_name};
use super::scope::{Column, Env, Scope, bare, too_large};
use super::typed::{Typed, fault};
use super::{Planner, aggregate, distinct, ordered_by_output, output, sorted, walk, window};

/// Rows as groups; what stands for their keys and aggregates, by text; and the keys that are items, by their place.
type Grouped = (Scope, Vec<(String, Typed)>, Vec<(usize, Typed)>);

/// The keys of groups: their expressions, what stands for them by text, and those that are items by their place.
#[derive(Default)]
struct Keys {
    by: Vec<Px>,
    computed: Vec<(String, Typed)>,
    of_items: Vec<(usize, Typed)>,
}

impl Planner {
    pub(super) fn select(&mut self, select: &Select, by: &[OrderByExpr]) -> Result<Scope, Fault> {
        if self.fresh.is_used_up() {
            return Err(too_large(select));
        }
        let mut scope = self.from(&select.from)?;
        if let Some(by) = &select.selection {
            scope = self.filter(scope, by)?;
        }
        let items = items(select, &scope)?;
        let keys = match &select.group_by {
            GroupByExpr::Expressions(keys, _) => keys.as_slice(),
            GroupByExpr::All(_) => return Err(fault(select, "GROUP BY must name its columns")),
        };
        let exprs: Vec<&Expr> = items
            .iter()
            .filter_map(|item| if let Item::Expr(_, expr) = item { Some(*expr) } else { None })
            .chain(&select.having)
            .chain(by.iter().map(|by| &by.expr))
            .collect();
        let aggregates = calls(&exprs, is_aggregate);
        let is_grouped = !keys.is_empty() || !aggregates.is_empty() || select.having.is_some();
        let (mut computed, mut of_items) = (Vec::new(), Vec::new());
        if is_grouped {
            (scope, computed, of_items) = self.group(scope, keys, &items, &aggregates)?;
        }
        if let Some(having) = &select.having {
            let env = Env { scope: &scope, computed: &computed, is_grouped, guard: None };
            let holds = filter(having, env)?;
            scope.frame = scope.frame.filter(holds);
        }
        let windows = calls(&exprs, is_windowed);
        if !windows.is_empty() {
            let env = Env { scope: &scope, computed: &computed, is_grouped, guard: None };
            let windows: Vec<(String, &Expr)> = unique(windows.into_iter().map(|it| (env.canonical(it), it)));
            let (frame, added) = window::add(scope.frame.clone(), &windows, env, &self.fresh)?;
            computed.extend(added);
            scope.frame = frame;
        }
        let env = Env { scope: &scope, computed: &computed, is_grouped, guard: None };
        self.project(select, items, &of_items, by, env)
    }

    /// Rows as groups: their keys and aggregates by the text that stands for them.
    fn group(
        &self,
        mut scope: Scope,
        keys: &[Expr],
        items: &[Item<'_>],
        aggregates: &[&Expr],
    ) -> Result<Grouped, Fault> {
        let Keys { by, mut computed, of_items } = self.keys(&mut scope, keys, items)?;
        let (parts, values) = self.aggregates(&mut scope, aggregates, by.is_empty(), &mut computed)?;
        scope.frame = match (by.is_empty(), parts.is_empty()) {
            (true, true) => return Err(Fault::new("HAVING stands without a group")),
            (true, false) => scope.frame.select(parts),
            (false, true) => scope.frame.select(by).unique(None, polars::prelude::UniqueKeepStrategy::Any),
            (false, false) => scope.frame.group_by(by).agg(parts),
        };
        if !values.is_empty() {
            scope.frame = scope.frame.with_columns(values);
        }
        Ok((scope, computed, of_items))
    }

    fn keys(&self, scope: &mut Scope, keys: &[Expr], items: &[Item<'_>]) -> Result<Keys, Fault> {
        let Keys { mut by, mut computed, mut of_items } = Keys::default();
        for key in keys {
            let (key, item) = key_of(key, items, scope)?;
            let env = Env::plain(scope);
            let (text, value) = (env.canonical(key), plan(key, env)?);
            if computed.iter().any(|(known, _)| *known == text) {
                continue;
            }
            let name = self.fresh.name();
            let expr = if value.column().is_none() {
                // A constant is as long as the rows.
                scope.frame = scope.frame.clone().with_columns([value.expr.clone().alias(name.clone())]);
                col(name.clone())
            } else {
                value.expr.clone().alias(name.clone())
            };
            by.push(expr);
            let value = Typed::new(col(name), value.kind);
            match item {
                Some(item) if walk::parts(key).is_empty() => {
                    of_items.push((item, value.clone()));
                    computed.push((text, value));
                }
                Some(item) => of_items.push((item, value)),
                None => computed.push((text, value)),
            }
        }
        Ok(Keys { by, computed, of_items })
    }

    /// What is aggregated of each group, and the values that are made of it; the calls they are of go to `computed`.
    fn aggregates(
        &self,
        scope: &mut Scope,
        aggregates: &[&Expr],
        is_one_group: bool,
        computed: &mut Vec<(String, Typed)>,
    ) -> Result<(Vec<Px>, Vec<Px>), Fault> {
        let (mut parts, mut values, mut constants) = (Vec::new(), Vec::new(), Vec::new());
        let env = Env::plain(scope);
        for (text, call) in unique(aggregates.iter().map(|call| (env.canonical(call), *call))) {
            let Expr::Function(function) = call else { continue };
            let mut over = aggregate::over(call, function, env)?;
            if is_one_group && matches!(over, Over::Rows) {
                // The optimiser's shortcut for a count of rows cannot add up those of a UNION.
                over = Over::Values(Typed::bool(lit(true)));
            }
            if let Over::Values(value) | Over::Distinct(value) = &mut over
                && value.is_constant()
            {
                // The engine counts a constant once.
                let frame_name = self.fresh.name();
                constants.push(value.expr.clone().alias(frame_name.clone()));
                value.expr = col(frame_name);
            }
            let kind = aggregate::kind(&name_of(function), &over);
            let (sums, value) = aggregate::parts(&name_of(function), over, || self.fresh.name());
            let name = self.fresh.name();
            parts.extend(sums);
            values.push(value.alias(name.clone()));
            computed.push((text, Typed::new(col(name), kind)));
        }
        if !constants.is_empty() {
            scope.frame = scope.frame.clone().with_columns(constants);
        }
        Ok((parts, values))
    }

    fn project(
        &self,
        select: &Select,
        items: Vec<Item<'_>>,
        of_items: &[(usize, Typed)],
        by: &[OrderByExpr],
        env: Env<'_>,
    ) -> Result<Scope, Fault> {
        let mut columns: Vec<Column> = Vec::with_capacity(items.len());
        let mut given: Vec<Px> = Vec::with_capacity(items.len());
        let mut texts = Vec::with_capacity(items.len());
        for (place, item) in items.into_iter().enumerate() {
            let key = of_items.iter().find(|(of, _)| *of == place).map(|(_, value)| value.clone());
            let (name, value, at, text) = match item {
                Item::Starred(column, star) => {
                    let (value, text) = starred(&column, star, env)?;
                    (column.name, value, star.span().start, text)
                }
                Item::Expr(name, expr) => {
                    let value = key.map_or_else(|| plan(expr, env), Ok)?;
                    (name, value, expr.span().start, env.canonical(expr))
                }
            };
            one_name(at, &name, &columns, env.scope)?;
            let frame_name = self.fresh.name();
            given.push(value.expr.alias(frame_name.clone()));
            texts.push(text);
            columns.push(Column { table: None, name, frame_name, kind: value.kind });
        }
        if matches!(select.distinct, Some(Distinct::Distinct)) {
            let rows = rows(env, given, columns);
            return ordered_by_output(distinct(rows), by);
        }
        let mut order = Vec::with_capacity(by.len());
        let mut hidden = Vec::new();
        for by in by {
            let text = env.canonical(&by.expr);
            let same = texts.iter().position(|known| *known == text);
            let named = match output(&columns, &by.expr)? {
                Some(column) => Some(column),
                None => same.map(|same| &columns[same]),
            };
            order.push(match named {
                Some(column) => col(column.frame_name.clone()),
                None => {
                    let name = self.fresh.name();
                    let computed = with_outputs(&by.expr, env, &columns, &texts, &given)?;
                    hidden.push(plan(&by.expr, Env { computed: &computed, ..env })?.expr.alias(name.clone()));
                    col(name)
                }
            });
        }
        if order.is_empty() {
            return Ok(rows(env, given, columns));
        }
        let shown: Vec<Px> = columns.iter().map(|column| col(column.frame_name.clone())).collect();
        given.extend(hidden);
        let rows = rows(env, given, columns);
        Ok(Scope { frame: sorted(rows.frame, order, by).select(shown), ..rows })
    }
}

/// A column that `*` stands for: its value, and the text by which ORDER BY finds it.
fn starred(column: &Column, star: &SelectItem, env: Env<'_>) -> Result<(Typed, String), Fault> {
    let text = Expr::Identifier(Ident::with_quote('"', column.frame_name.as_str())).to_string();
    match env.computed.iter().find(|(known, _)| *known == text) {
        Some((_, key)) => Ok((key.clone(), text)),
        None if env.is_grouped => {
            let message = format!("{} is not in GROUP BY, and `*` names it", column.name);
            Err(fault(star, message).hint("name the keys one by one instead of `*`"))
        }
        None => Ok((column.typed(), text)),
    }
}

/// The rows of a SELECT: as many as of its FROM, also when no column of it is named.
fn rows(env: Env<'_>, given: Vec<Px>, columns: Vec<Column>) -> Scope {
    let frame = env.scope.frame.clone();
    let names_one = |expr: &Px| expr.into_iter().any(|part| matches!(part, Px::Column(_)));
    let frame = if given.iter().any(names_one) {
        frame.select(given)
    } else {
        let names: Vec<Px> = given
            .iter()
            .filter_map(|expr| if let Px::Alias(_, name) = expr { Some(col(name.clone())) } else { None })
            .collect();
        frame.with_columns(given).select(names)
    };
    Scope { frame, columns, weight: env.scope.weight.clone() }
}

/// What ORDER BY can name besides the columns of the FROM: those of the result, by names that the FROM has not.
fn with_outputs(
    by: &Expr,
    env: Env<'_>,
    columns: &[Column],
    texts: &[String],
    given: &[Px],
) -> Result<Vec<(String, Typed)>, Fault> {
    let names = walk::all(by, |expr| matches!(expr, Expr::Identifier(_)));
    let mut computed = env.computed.to_vec();
    for ((column, text), value) in columns.iter().zip(texts).zip(given) {
        let name = Expr::Identifier(Ident::new(column.name.as_str()));
        let Some(named) = names.iter().find(|named| named.to_string() == name.to_string()) else { continue };
        if env.scope.columns.iter().any(|known| known.name == column.name) {
            if env.canonical(named) != *text {
                return Err(fault(*named, format!("{named} is a column of the FROM and another one of the SELECT"))
                    .hint("give the column of the SELECT another name"));
            }
            continue;
        }
        let value = match value {
            Px::Alias(value, _) => (**value).clone(),
            other => other.clone(),
        };
        computed.push((name.to_string(), Typed::new(value, column.kind)));
    }
    Ok(computed)
}

/// What a key of GROUP BY is: an expression, the name of a column of the result, or its place.
///
/// A key that is said by name or place is known by these alone: other engines do not know its expression again elsewhere.
fn key_of<'q>(key: &'q Expr, items: &[Item<'q>], scope: &Scope) -> Result<(&'q Expr, Option<usize>), Fault> {
    let given = |name: &str| {
        items.iter().enumerate().find_map(|(at, item)| match item {
            Item::Expr(given, expr) if given == name => Some((*expr, Some(at))),
            _ => None,
        })
    };
    match bare(key) {
        Expr::Identifier(name) if scope.find(key, std::slice::from_ref(name))?.is_none() => {
            Ok(given(&name.value).unwrap_or((key, None)))
        }
        Expr::Value(value) => match &value.value {
            Value::Number(place, _) => {
                match place.parse::<usize>().ok().and_then(|it| Some((it, items.get(it.checked_sub(1)?)?))) {
                    Some((place, Item::Expr(_, expr))) => Ok((expr, Some(place - 1))),
                    _ => Err(fault(key, format!("there is no column {place} to group by"))),
                }
            }
            _ => Err(fault(key, "GROUP BY a constant groups nothing")),
        },
        _ => Ok((key, None)),
    }
}

fn is_aggregate(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(function) if function.over.is_none() && aggregate::is_aggregate(&name_of(function)))
}

fn is_windowed(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(function) if function.over.is_some())
}

/// Whether a SELECT has an aggregate among its columns.
pub(super) fn aggregates(select: &Select) -> bool {
    let exprs: Vec<&Expr> = select
        .projection
        .iter()
        .filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
            _ => None,
        })
        .collect();
    !calls(&exprs, is_aggregate).is_empty()
}

/// The calls of a kind in expressions, those of subqueries left out.
fn calls<'e>(exprs: &[&'e Expr], of_kind: fn(&Expr) -> bool) -> Vec<&'e Expr> {
    exprs.iter().flat_map(|expr| walk::all(expr, of_kind)).collect()
}

fn unique<'e>(calls: impl Iterator<Item = (String, &'e Expr)>) -> Vec<(String, &'e Expr)> {
    let mut known: Vec<(String, &Expr)> = Vec::new();
    for (text, call) in calls {
        if !known.iter().any(|(other, _)| *other == text) {
            known.push((text, call));
        }
    }
    known
}
