//! The allow-list: what a report's SQL may be made of.
//!
//! What is not named here is refused, so a new form of the parser is refused until somebody has
//! tried it in every engine. Above all nothing may reach past the declared datasets: polars' table
//! functions read local files.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, Cte, DataType, DateTimeField, Distinct, Expr, GroupByExpr, Ident,
    JoinConstraint, JoinOperator, LimitClause, ObjectName, ObjectNamePart, OrderByKind, Query, Select, SelectFlavor,
    SelectItem, SetExpr, SetOperator, Spanned, TableFactor, UnaryOperator, Value, Visit, Visitor,
    WildcardAdditionalOptions,
};

use super::diagnostic::Fault;

mod call;
mod functions;

use call::call;

/// What a statement refers to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct References {
    /// Tables that are not the statement's own CTEs.
    pub(crate) tables: BTreeSet<String>,
    /// Names after `$`.
    pub(crate) placeholders: BTreeSet<String>,
}

/// Checks a statement against the allow-list; `known` are the datasets and views it may read.
pub(crate) fn check(query: &Query, known: &BTreeSet<String>) -> Result<References, Fault> {
    let mut checker = Checker { known, ctes: BTreeSet::new(), found: References::default() };
    match query.visit(&mut checker) {
        ControlFlow::Continue(()) => Ok(checker.found),
        ControlFlow::Break(fault) => Err(*fault),
    }
}

struct Checker<'a> {
    known: &'a BTreeSet<String>,
    ctes: BTreeSet<String>,
    found: References,
}

type Checked = ControlFlow<Box<Fault>>;

fn refuse(at: &impl Spanned, message: impl Into<String>) -> Checked {
    ControlFlow::Break(Box::new(Fault::at(at.span().start, message)))
}

fn refuse_with(at: &impl Spanned, message: impl Into<String>, hint: &str) -> Checked {
    ControlFlow::Break(Box::new(Fault::at(at.span().start, message).hint(hint)))
}

impl Visitor for Checker<'_> {
    type Break = Box<Fault>;

    fn pre_visit_query(&mut self, query: &Query) -> Checked {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        let extras = fetch.is_some()
            || !locks.is_empty()
            || for_clause.is_some()
            || settings.is_some()
            || format_clause.is_some()
            || !pipe_operators.is_empty();
        if extras {
            return refuse(query, "only WITH, SELECT, ORDER BY and LIMIT make a report");
        }
        if let Some(with) = with {
            if with.recursive {
                return refuse(query, "recursive CTEs are not in the shared subset");
            }
            for cte in &with.cte_tables {
                self.names_cte(cte)?;
            }
        }
        match limit_clause {
            None => {}
            Some(LimitClause::LimitOffset { offset: None, limit_by, .. }) if limit_by.is_empty() => {}
            Some(_) => return refuse(query, "only `LIMIT n` is allowed"),
        }
        if let Some(order) = order_by {
            let plain = order.interpolate.is_none()
                && matches!(&order.kind, OrderByKind::Expressions(list) if list.iter().all(|by| by.with_fill.is_none()));
            if !plain {
                return refuse(query, "ORDER BY must name its columns");
            }
        }
        match body.as_ref() {
            SetExpr::Select(_) | SetExpr::Query(_) | SetExpr::SetOperation { op: SetOperator::Union, .. } => {
                ControlFlow::Continue(())
            }
            _ => refuse(query, "a report is one SELECT, or several under UNION ALL"),
        }
    }

    fn pre_visit_select(&mut self, select: &Select) -> Checked {
        let extras = !select.optimizer_hints.is_empty()
            || select.select_modifiers.is_some()
            || select.top.is_some()
            || select.exclude.is_some()
            || select.into.is_some()
            || !select.lateral_views.is_empty()
            || select.prewhere.is_some()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || !select.named_window.is_empty()
            || select.qualify.is_some()
            || select.value_table_mode.is_some()
            || select.flavor != SelectFlavor::Standard;
        if extras {
            return refuse(select, "only SELECT, FROM, WHERE, GROUP BY and HAVING are in the shared subset");
        }
        if matches!(select.distinct, Some(Distinct::On(_))) {
            return refuse_with(
                select,
                "DISTINCT ON is not in the shared subset",
                "ROW_NUMBER() in a CTE, then WHERE number = 1",
            );
        }
        match &select.group_by {
            GroupByExpr::Expressions(_, modifiers) if modifiers.is_empty() => {}
            _ => {
                return refuse(
                    select,
                    "GROUP BY must name its columns; ROLLUP, CUBE and ALL are not in the shared subset",
                );
            }
        }
        for item in &select.projection {
            match item {
                SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. } => {}
                SelectItem::QualifiedWildcard(_, options) | SelectItem::Wildcard(options) if is_plain(options) => {}
                other => return refuse(other, "only columns, expressions and a plain `*` may be selected"),
            }
        }
        for join in select.from.iter().flat_map(|from| &from.joins) {
            if join.global || !is_known_join(&join.join_operator) {
                return refuse_with(
                    &join.relation,
                    "this kind of join is not in the shared subset",
                    "[INNER|LEFT|FULL] JOIN … ON …, or CROSS JOIN",
                );
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Checked {
        match factor {
            TableFactor::Table { args: Some(_), name, .. } => refuse_with(
                factor,
                format!("the table function {name} is refused"),
                "a report reads declared datasets and views only",
            ),
            TableFactor::Table {
                with_hints,
                version,
                with_ordinality,
                partitions,
                json_path,
                sample,
                index_hints,
                ..
            } => {
                let plain = with_hints.is_empty()
                    && version.is_none()
                    && !with_ordinality
                    && partitions.is_empty()
                    && json_path.is_none()
                    && sample.is_none()
                    && index_hints.is_empty();
                if plain {
                    ControlFlow::Continue(())
                } else {
                    refuse(factor, "a table is named without hints, versions or samples")
                }
            }
            TableFactor::Derived { lateral: false, sample: None, .. } | TableFactor::NestedJoin { .. } => {
                ControlFlow::Continue(())
            }
            _ => {
                refuse_with(factor, "this kind of table is refused", "a report reads declared datasets and views only")
            }
        }
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Checked {
        let [ObjectNamePart::Identifier(Ident { value, .. })] = relation.0.as_slice() else {
            return refuse(relation, format!("\"{relation}\" is not the name of a dataset or view"));
        };
        if self.ctes.contains(value) {
            return ControlFlow::Continue(());
        }
        if !self.known.contains(value) {
            let known: Vec<&str> = self.known.iter().map(String::as_str).collect();
            return refuse_with(
                relation,
                format!("there is no dataset or view \"{value}\""),
                &format!("known: {}", known.join(", ")),
            );
        }
        self.found.tables.insert(value.clone());
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Checked {
        match expr {
            Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::InList { .. }
            | Expr::InSubquery { .. }
            | Expr::Exists { .. }
            | Expr::Between { .. }
            | Expr::Nested(_)
            | Expr::Substring { substring_from: Some(_), .. }
            | Expr::Case { .. }
            | Expr::Like { any: false, escape_char: None, .. } => ControlFlow::Continue(()),
            Expr::Floor { field, .. } | Expr::Ceil { field, .. } => match field {
                CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) => ControlFlow::Continue(()),
                _ => refuse(expr, "FLOOR and CEIL take one number"),
            },
            Expr::Value(value) => self.value(expr, &value.value),
            Expr::BinaryOp { op, .. } => operator(expr, op),
            Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Not, .. } => ControlFlow::Continue(()),
            Expr::Cast { kind: CastKind::Cast, data_type, array: false, format: None, .. } => cast(expr, data_type),
            Expr::Function(function) => call(expr, function),
            Expr::Subquery(_) => {
                refuse_with(expr, "a subquery as a value is not in the shared subset", "a one-row CTE and CROSS JOIN")
            }
            Expr::Interval(_) => refuse_with(
                expr,
                "INTERVAL is not in the shared subset",
                "a day under [derived], such as before = \"$from - 1d\"",
            ),
            Expr::TypedString(_) => {
                refuse_with(expr, "typed literals are not in the shared subset", "CAST('2026-08-01' AS DATE)")
            }
            Expr::AtTimeZone { .. } => refuse_with(
                expr,
                "AT TIME ZONE is not in the shared subset",
                "business_day and business_hour are local already",
            ),
            Expr::Extract { field: DateTimeField::Epoch, .. } => ControlFlow::Continue(()),
            Expr::Extract { .. } => refuse_with(
                expr,
                "only EXTRACT(EPOCH FROM …) is in the shared subset",
                "join the calendar on business_day for parts of a date",
            ),
            _ => refuse(expr, format!("`{expr}` is not in the shared subset")),
        }
    }
}

impl Checker<'_> {
    fn names_cte(&mut self, cte: &Cte) -> Checked {
        let name = &cte.alias.name;
        let at = Expr::Identifier(name.clone());
        if cte.from.is_some() || cte.materialized.is_some() || !cte.alias.columns.is_empty() {
            return refuse(&at, "a CTE is written `name AS (SELECT …)`");
        }
        // To other engines, names that differ in case alone are one, and which of two counts is theirs to say.
        let is_like = |other: &String| other.eq_ignore_ascii_case(&name.value);
        let is_taken = self.known.iter().any(is_like) || self.ctes.iter().any(is_like);
        if is_taken || !self.ctes.insert(name.value.clone()) {
            return refuse(&at, format!("the name \"{}\" is taken already", name.value));
        }
        ControlFlow::Continue(())
    }

    fn value(&mut self, at: &Expr, value: &Value) -> Checked {
        match value {
            Value::Number(_, false) | Value::SingleQuotedString(_) | Value::Boolean(_) | Value::Null => {
                ControlFlow::Continue(())
            }
            Value::Placeholder(name) => match name.strip_prefix('$') {
                Some(name) if !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit()) => {
                    self.found.placeholders.insert(name.to_owned());
                    ControlFlow::Continue(())
                }
                _ => refuse(at, format!("a parameter is written $name, not {name}")),
            },
            _ => refuse(at, "only numbers, 'text', TRUE, FALSE and NULL are literals"),
        }
    }
}

fn operator(at: &Expr, operator: &BinaryOperator) -> Checked {
    match operator {
        BinaryOperator::Plus
        | BinaryOperator::Minus
        | BinaryOperator::Multiply
        | BinaryOperator::Divide
        | BinaryOperator::Eq
        | BinaryOperator::NotEq
        | BinaryOperator::Lt
        | BinaryOperator::LtEq
        | BinaryOperator::Gt
        | BinaryOperator::GtEq
        | BinaryOperator::And
        | BinaryOperator::Or
        | BinaryOperator::StringConcat => ControlFlow::Continue(()),
        // The engines disagree on the remainder of a negative number.
        other => refuse(at, format!("the operator {other} is not in the shared subset")),
    }
}

fn cast(at: &Expr, data_type: &DataType) -> Checked {
    match data_type {
        DataType::Date
        | DataType::BigInt(None)
        | DataType::Integer(None)
        | DataType::Double(_)
        | DataType::Varchar(None) => ControlFlow::Continue(()),
        other => refuse_with(
            at,
            format!("CAST to {other} is not in the shared subset"),
            "DATE, BIGINT, INTEGER, DOUBLE or VARCHAR",
        ),
    }
}

fn is_plain(options: &WildcardAdditionalOptions) -> bool {
    let WildcardAdditionalOptions {
        wildcard_token: _,
        opt_ilike,
        opt_exclude,
        opt_except,
        opt_replace,
        opt_rename,
        opt_alias,
    } = options;
    opt_ilike.is_none()
        && opt_exclude.is_none()
        && opt_except.is_none()
        && opt_replace.is_none()
        && opt_rename.is_none()
        && opt_alias.is_none()
}

fn is_known_join(join: &JoinOperator) -> bool {
    match join {
        JoinOperator::Join(on)
        | JoinOperator::Inner(on)
        | JoinOperator::Left(on)
        | JoinOperator::LeftOuter(on)
        | JoinOperator::FullOuter(on) => {
            matches!(on, JoinConstraint::On(_))
        }
        JoinOperator::CrossJoin(on) => matches!(on, JoinConstraint::None),
        _ => false,
    }
}
