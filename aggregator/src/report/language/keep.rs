//! Views whose rows are kept by day, and what a view may do for that: of its rows of a day, each must come from rows of
//! that day alone, exactly and for good.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use lake::kept::KeptView;
use lake::{BUSINESS_DAY, Column, calendar};
use polars::prelude::{DataType, Schema};
use serde::Deserialize;
use sqlparser::ast::{
    BinaryOperator, DataType as SqlType, Expr, Function, GroupByExpr, Ident, Query, Select, SelectItem, SetExpr,
    SetOperator, SetQuantifier, Spanned, TableFactor, Value, Visit, Visitor,
};

use super::bind::printed;
use super::bounds::{self, Extent};
use super::catalogue::Schemas;
use super::diagnostic::Fault;

/// Raised when the engine gives a statement another meaning than before: rows that were kept by the old one are kept
/// anew.
const MEANING: u32 = 1;

/// How the rows of a view are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Keep {
    /// A business day at a time, once it has ended.
    Day,
}

/// A view whose rows are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What the lake knows of it.
    pub view: KeptView,
    /// The columns that tell its rows apart.
    pub key: Vec<String>,
    /// Whether the SELECT proves that they do.
    pub(crate) is_proved: bool,
}

/// What can be said of each name that a view may read: nothing against it, or why its rows are of no day.
pub(crate) type ByDay = BTreeMap<String, Result<(), String>>;

/// The datasets: those without days are references, of which another name would change days that are over.
pub(crate) fn datasets(schemas: &Schemas) -> ByDay {
    let by_day = |name: &String, schema: &Schema| {
        if name != calendar::NAME && schema.contains(BUSINESS_DAY) {
            Ok(())
        } else {
            Err(format!("the rows of \"{name}\" are of no day"))
        }
    };
    schemas.iter().map(|(name, schema)| (name.clone(), by_day(name, schema))).collect()
}

/// Looks whether each row that a statement gives comes from rows of its own day.
///
/// # Errors
/// What is against it, with its place.
pub(crate) fn by_day(query: &Query, known: &ByDay) -> Result<(), Fault> {
    Looking { known, ctes: BTreeSet::new() }.query(query).map(drop)
}

/// A view as one whose rows are kept; `select` is its statement with the views that it reads in their place.
///
/// # Errors
/// When its key or a column cannot be kept.
pub(crate) fn kept(
    (name, key): (&str, Vec<String>),
    select: &Query,
    schema: &Schema,
    inputs: BTreeSet<String>,
) -> Result<Kept, Fault> {
    if !key.iter().any(|column| column == BUSINESS_DAY) {
        return Err(Fault::new("`key` lacks business_day: rows are kept by day"));
    }
    if let Some(column) = key.iter().find(|column| !schema.contains(column)) {
        return Err(Fault::new(format!("`key` names {column}, which is no column")));
    }
    let columns = schema.iter().map(|(name, kind)| column(name, kind)).collect::<Result<Vec<_>, _>>()?;
    // How many rows there are tells nothing of what tells them apart.
    let extents = inputs.iter().map(|input| (input.clone(), Extent::default())).collect();
    let proved = bounds::prove(select, &extents).map(|extent| extent.key).unwrap_or_default();
    if let Some(column) = proved.iter().find(|column| !key.contains(column)) {
        return Err(Fault::new(format!("`key` lacks {column}, by which the rows are grouped")));
    }
    let select = printed(select);
    let digest = base::sha256_hex(format!("{MEANING}\n{name}\n{columns:?}\n{select}"));
    let view = KeptView { name: name.to_owned(), digest, select, columns, inputs: inputs.into_iter().collect() };
    Ok(Kept { view, key, is_proved: !proved.is_empty() })
}

fn column(name: &str, kind: &DataType) -> Result<Column, Fault> {
    let kind = match kind {
        DataType::Int32 => lake::ColumnType::Int32,
        DataType::Int64 => lake::ColumnType::Int64,
        DataType::String => lake::ColumnType::String,
        DataType::Boolean => lake::ColumnType::Bool,
        DataType::Date => lake::ColumnType::Date,
        DataType::Datetime(..) => lake::ColumnType::Timestamp,
        other => {
            return Err(Fault::new(format!("the column {name} is {other}, which is not kept: only exact values are")));
        }
    };
    Ok(Column { name: name.to_owned(), kind, nullable: true })
}

struct Looking<'a> {
    known: &'a ByDay,
    ctes: BTreeSet<String>,
}

fn refuse<T>(at: &impl Spanned, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::at(at.span().start, message))
}

impl Looking<'_> {
    /// The place of the day among the columns, where these are named.
    fn query(&mut self, query: &Query) -> Result<Option<usize>, Fault> {
        for cte in query.with.iter().flat_map(|with| &with.cte_tables) {
            self.query(&cte.query)?;
            self.ctes.insert(cte.alias.name.value.clone());
        }
        if query.limit_clause.is_some() {
            return refuse(query, "rows are not kept of a statement with LIMIT, which looks at all days");
        }
        self.body(&query.body)
    }

    fn body(&mut self, body: &SetExpr) -> Result<Option<usize>, Fault> {
        match body {
            SetExpr::Select(select) => self.select(select),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { op: SetOperator::Union, set_quantifier: SetQuantifier::All, left, right } => {
                match (self.body(left)?, self.body(right)?) {
                    (Some(one), Some(two)) if one == two => Ok(Some(one)),
                    (Some(_), Some(_)) => refuse(
                        &**right,
                        "under UNION ALL, business_day must stand in one place of all parts to be kept",
                    ),
                    _ => refuse(&**right, "under UNION ALL, columns must be named one by one to be kept, without `*`"),
                }
            }
            _ => refuse(body, "rows are kept of SELECT and UNION ALL only"),
        }
    }

    fn select(&self, select: &Select) -> Result<Option<usize>, Fault> {
        let [from] = select.from.as_slice() else {
            return refuse(
                select,
                "rows are kept of a statement that reads one dataset or view, and here it reads others too",
            );
        };
        if let Some(join) = from.joins.first() {
            return refuse(
                &join.relation,
                "rows are not kept of a join: what is joined may change after the day has ended",
            );
        }
        match &from.relation {
            TableFactor::Table { name, .. } => {
                let name = name.to_string();
                if let Some(Err(reason)) = self.known.get(&name).filter(|_| !self.ctes.contains(&name)) {
                    return refuse(&from.relation, format!("rows are not kept here: {reason}"));
                }
            }
            other => return refuse(other, "rows are not kept of a subquery; a CTE or a view says the same"),
        }
        let mut exact = Exact { aggregates: false };
        if let ControlFlow::Break(fault) = select.visit(&mut exact) {
            return Err(*fault);
        }
        let GroupByExpr::Expressions(keys, _) = &select.group_by else {
            return refuse(select, "rows are kept of GROUP BY with its columns");
        };
        if keys.is_empty() && exact.aggregates {
            return refuse(select, "rows are not kept of a total over all days: GROUP BY business_day");
        }
        if !keys.is_empty() && !keys.iter().any(is_day) {
            return refuse(select, "rows are kept by day, but GROUP BY lacks business_day");
        }
        self.place_of_day(select)
    }

    fn place_of_day(&self, select: &Select) -> Result<Option<usize>, Fault> {
        let (mut found, mut all) = (None, false);
        for (place, item) in select.projection.iter().enumerate() {
            match item {
                SelectItem::UnnamedExpr(expr) if is_day(expr) => found = Some(place),
                SelectItem::ExprWithAlias { expr, alias } if alias.value == BUSINESS_DAY => {
                    if !is_day(expr) {
                        return refuse(
                            item,
                            "rows are kept by the day of what is read, and business_day is another here",
                        );
                    }
                    found = Some(place);
                }
                SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => all = true,
                _ => {}
            }
        }
        match found {
            _ if all => Ok(None),
            Some(place) => Ok(Some(place)),
            None => refuse(select, "rows are kept by day, but no column is business_day"),
        }
    }
}

/// Whether an expression is the day of the rows that are read.
fn is_day(expr: &Expr) -> bool {
    match expr {
        Expr::Identifier(Ident { value, .. }) => value == BUSINESS_DAY,
        Expr::CompoundIdentifier(path) => path.last().is_some_and(|name| name.value == BUSINESS_DAY),
        _ => false,
    }
}

/// Looks for what is not exact, and for what looks beyond the rows of a group.
struct Exact {
    aggregates: bool,
}

impl Exact {
    fn function(&mut self, at: &Expr, function: &Function) -> Result<(), Fault> {
        let name = function.name.to_string().to_ascii_lowercase();
        if function.over.is_some() {
            return refuse(at, "rows are not kept of a window, which looks at other days");
        }
        match name.as_str() {
            "avg" | "median" | "stddev" => refuse(
                at,
                format!(
                    "{} gives a fraction, and only exact values are kept: keep sums and counts",
                    name.to_ascii_uppercase()
                ),
            ),
            "sum" | "count" | "min" | "max" => {
                self.aggregates = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn expr(&mut self, expr: &Expr) -> Result<(), Fault> {
        let fraction = |what: &str| refuse(expr, format!("{what} is a fraction, and only exact values are kept"));
        match expr {
            Expr::Subquery(_) | Expr::InSubquery { .. } | Expr::Exists { .. } => {
                refuse(expr, "rows are not kept of a subquery, which looks at other rows")
            }
            Expr::Function(function) => self.function(expr, function),
            Expr::BinaryOp { op: BinaryOperator::Divide, .. } => fraction("a quotient"),
            Expr::Cast { data_type: SqlType::Double(_), .. } => fraction("DOUBLE"),
            Expr::Extract { .. } => fraction("EXTRACT"),
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) if digits.contains(['.', 'e', 'E']) => fraction(digits),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl Visitor for Exact {
    type Break = Box<Fault>;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        match self.expr(expr) {
            Ok(()) => ControlFlow::Continue(()),
            Err(fault) => ControlFlow::Break(Box::new(fault)),
        }
    }
}
