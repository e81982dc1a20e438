//! Which columns an expression can name.

use std::cell::Cell;
use std::convert::Infallible;
use std::ops::ControlFlow;

use polars::prelude::{Expr as Px, LazyFrame, PlSmallStr, col};
use sqlparser::ast::{Expr, Ident, Spanned, VisitMut as _, VisitorMut};

use super::super::diagnostic::Fault;
use super::typed::{Kind, Typed, fault};

/// A column of a FROM, or of what a SELECT gives.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// The table's alias.
    pub(super) table: Option<String>,
    pub(super) name: String,
    /// Its name in the frame.
    pub(super) frame_name: PlSmallStr,
    pub(super) kind: Kind,
}

/// Rows, and the names of their columns.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(super) frame: LazyFrame,
    pub(super) columns: Vec<Column>,
    /// Steps and parts of expressions of the plan, each as often as it stands in it.
    pub(super) weight: Cell<usize>,
}

/// Steps and parts of expressions of a plan: a text of a few lines can double one some forty times.
const HEAVIEST: usize = 100_000;

impl Scope {
    pub(super) const fn new(frame: LazyFrame, columns: Vec<Column>, weight: usize) -> Self {
        Self { frame, columns, weight: Cell::new(weight) }
    }

    /// Counts what the plan gets more of.
    ///
    /// # Errors
    /// When it would be larger than any that people write.
    pub(super) fn weigh(&self, at: &impl Spanned, more: usize) -> Result<(), Fault> {
        let weight = self.weight.get().saturating_add(more);
        if weight > HEAVIEST {
            return Err(too_large(at));
        }
        self.weight.set(weight);
        Ok(())
    }

    /// Counts an expression in the place of its operands, which weighed something `before` they were planned: each part as
    /// often as it is computed.
    pub(super) fn weigh_expr(&self, at: &Expr, expr: &Px, before: usize) -> Result<(), Fault> {
        self.weight.set(before);
        self.weigh(at, expr.into_iter().take(HEAVIEST + 1).count())
    }

    /// As a table under an alias.
    pub(super) fn under(mut self, alias: Option<&str>) -> Self {
        for column in &mut self.columns {
            column.table = alias.map(str::to_owned);
        }
        self
    }

    /// The column of that name, if one is; two of them are a fault, and one that is written otherwise is too: to other
    /// engines `Id` and `id` are one name.
    pub(super) fn find(&self, at: &Expr, path: &[Ident]) -> Result<Option<&Column>, Fault> {
        let (table, name) = match path {
            [name] => (None, name),
            [table, name] => (Some(table), name),
            _ => return Ok(None),
        };
        let is_of = |column: &&Column| match (table, &column.table) {
            (None, _) => true,
            (Some(table), Some(of)) => of.eq_ignore_ascii_case(&table.value),
            (Some(_), None) => false,
        };
        let mut found = self.columns.iter().filter(is_of).filter(|it| it.name.eq_ignore_ascii_case(&name.value));
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(fault(at, format!("the column {at} is ambiguous"))
                .hint("say which table it is of: name the table before it")),
            (Some(column), None) => {
                let table = table.and(column.table.as_deref());
                let is_as_written = column.name == name.value && table.is_none_or(|of| path[0].value == of);
                if is_as_written {
                    return Ok(Some(column));
                }
                let table = table.map(|table| format!("{table}.")).unwrap_or_default();
                Err(fault(at, format!("unknown column: {at}"))
                    .hint(format!("names are written as they are declared: {table}{}", column.name)))
            }
            (None, _) => Ok(None),
        }
    }

    pub(super) fn require(&self, at: &Expr, path: &[Ident]) -> Result<Typed, Fault> {
        match self.find(at, path)? {
            Some(column) => Ok(column.typed()),
            None => {
                let mut known: Vec<&str> = self.columns.iter().map(|column| column.name.as_str()).collect();
                known.sort_unstable();
                known.dedup();
                Err(Fault::at(at.span().start, format!("unknown column: {at}"))
                    .hint(format!("known here: {}", known.join(", "))))
            }
        }
    }
}

impl Column {
    pub(super) fn typed(&self) -> Typed {
        Typed::new(col(self.frame_name.clone()), self.kind)
    }
}

/// The fault of a statement that is short, and whose plan is not.
pub(super) fn too_large(at: &impl Spanned) -> Fault {
    fault(at, "the plan is too large: the same stands in it again and again").hint(
        "NULLIF, BETWEEN, IN and CASE x compute what stands before them for each comparison, and a table is computed as \
         often as it is named: compute it once, in a CTE that is named once",
    )
}

/// What an expression is planned in.
#[derive(Clone, Copy)]
pub(super) struct Env<'a> {
    pub(super) scope: &'a Scope,
    /// Expressions that were computed before, by their canonical text: keys, aggregates, windows, subqueries.
    pub(super) computed: &'a [(String, Typed)],
    /// Rows are groups, so that no other column can be named.
    pub(super) is_grouped: bool,
    /// For which rows the value counts, if not for all: those that come to this branch of a CASE or COALESCE. The engine
    /// computes every branch for all rows.
    pub(super) guard: Option<&'a Px>,
}

impl<'a> Env<'a> {
    pub(super) const fn plain(scope: &'a Scope) -> Self {
        Self { scope, computed: &[], is_grouped: false, guard: None }
    }

    /// What was computed before.
    pub(super) fn known(&self, expr: &Expr) -> Option<Typed> {
        if self.computed.is_empty() {
            return None;
        }
        let text = self.canonical(expr);
        self.computed.iter().find(|(known, _)| *known == text).map(|(_, typed)| typed.clone())
    }

    /// The text of an expression in which every column has one name.
    pub(super) fn canonical(&self, expr: &Expr) -> String {
        canonical(self.scope, expr)
    }
}

/// The text of an expression in which every column has one name.
pub(super) fn canonical(scope: &Scope, expr: &Expr) -> String {
    let mut own = bare(expr).clone();
    let ControlFlow::Continue(()) = own.visit(&mut Names(scope));
    own.to_string()
}

/// Puts the name in the frame in the place of each column.
struct Names<'a>(&'a Scope);

impl VisitorMut for Names<'_> {
    type Break = Infallible;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Infallible> {
        if let Some(path) = path(expr)
            && let Ok(Some(column)) = self.0.find(expr, path)
        {
            *expr = Expr::Identifier(Ident::with_quote('"', column.frame_name.as_str()));
        }
        ControlFlow::Continue(())
    }
}

/// The names of a column.
pub(super) fn path(expr: &Expr) -> Option<&[Ident]> {
    match expr {
        Expr::Identifier(name) => Some(std::slice::from_ref(name)),
        Expr::CompoundIdentifier(path) => Some(path),
        _ => None,
    }
}

/// Without the parentheses around it.
pub(super) fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        other => other,
    }
}
