//! Which columns an expression can name.

use std::convert::Infallible;
use std::ops::ControlFlow;

use polars::prelude::{LazyFrame, PlSmallStr, col};
use sqlparser::ast::{Expr, Ident, Spanned as _, VisitMut as _, VisitorMut};

use super::super::diagnostic::Fault;
use super::typed::{Kind, Typed, fault};

/// A column of a FROM, or of what a SELECT gives.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    /// The table's alias.
    pub(super) table: Option<String>,
    pub(super) name: String,
    /// Its name in the frame.
    pub(super) held: PlSmallStr,
    pub(super) kind: Kind,
}

/// Rows, and the names of their columns.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(super) frame: LazyFrame,
    pub(super) columns: Vec<Column>,
}

impl Scope {
    /// As a table under an alias.
    pub(super) fn under(mut self, alias: Option<&str>) -> Self {
        for column in &mut self.columns {
            column.table = alias.map(str::to_owned);
        }
        self
    }

    /// The column of that name, if one is; two of them are a fault.
    pub(super) fn find(&self, at: &Expr, path: &[Ident]) -> Result<Option<&Column>, Fault> {
        let mut found = self.columns.iter().filter(|column| match path {
            [name] => column.name == name.value,
            [table, name] => column.table.as_ref() == Some(&table.value) && column.name == name.value,
            _ => false,
        });
        match (found.next(), found.next()) {
            (Some(_), Some(_)) => Err(fault(at, format!("the column {at} is ambiguous"))
                .hint("say which table it is of: name the table before it")),
            (found, _) => Ok(found),
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
        Typed::new(col(self.held.clone()), self.kind)
    }
}

/// What an expression is planned in.
#[derive(Clone, Copy)]
pub(super) struct Env<'a> {
    pub(super) scope: &'a Scope,
    /// Expressions that were computed before, by their canonical text: keys, aggregates, windows, subqueries.
    pub(super) computed: &'a [(String, Typed)],
    /// Rows are groups, so that no other column can be named.
    pub(super) is_grouped: bool,
}

impl<'a> Env<'a> {
    pub(super) const fn plain(scope: &'a Scope) -> Self {
        Self { scope, computed: &[], is_grouped: false }
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
            *expr = Expr::Identifier(Ident::with_quote('"', column.held.as_str()));
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
