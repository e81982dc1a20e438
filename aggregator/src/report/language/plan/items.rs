//! What a SELECT lists: names, expressions, and `*` spelt out.

use sqlparser::ast::{Expr, Select, SelectItem, SelectItemQualifiedWildcardKind};
use sqlparser::tokenizer::Location;

use super::super::diagnostic::Fault;
use super::expression::plan;
use super::scope::{Column, Env, Scope, bare};
use super::typed::fault;

/// A column that a SELECT gives.
pub(super) enum Item<'q> {
    /// Of a `*`.
    Starred(Column, &'q SelectItem),
    Expr(String, &'q Expr),
}

/// What a SELECT names, with `*` spelt out.
pub(super) fn items<'q>(select: &'q Select, scope: &Scope) -> Result<Vec<Item<'q>>, Fault> {
    let mut items = Vec::new();
    for item in &select.projection {
        match item {
            SelectItem::ExprWithAlias { expr, alias } => items.push(Item::Expr(alias.value.clone(), expr)),
            SelectItem::UnnamedExpr(expr) => match bare(expr) {
                Expr::Identifier(name) => items.push(Item::Expr(name.value.clone(), expr)),
                Expr::CompoundIdentifier(path) => {
                    let name = path.last().map(|name| name.value.clone()).unwrap_or_default();
                    items.push(Item::Expr(name, expr));
                }
                other => items.push(Item::Expr(other.to_string(), expr)),
            },
            SelectItem::Wildcard(_) => items.extend(scope.columns.iter().map(|it| Item::Starred(it.clone(), item))),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(table), _) => {
                let name = table.0.last().and_then(|part| part.as_ident()).map(|name| name.value.clone());
                let before = items.len();
                let of_table = scope.columns.iter().filter(|it| it.table == name);
                items.extend(of_table.map(|it| Item::Starred(it.clone(), item)));
                if items.len() == before {
                    return Err(fault(item, format!("there is no table {table} in this FROM")));
                }
            }
            other => return Err(fault(other, "only columns, expressions and a plain `*` may be selected")),
        }
    }
    Ok(items)
}

/// Refuses a name that another column of the SELECT has, or one of either the SELECT or its FROM but for its case.
pub(super) fn one_name(at: Location, name: &str, given: &[Column], from: &Scope) -> Result<(), Fault> {
    if given.iter().any(|column| column.name == name) {
        return Err(Fault::at(at, format!("two columns of the SELECT are named {name}"))
            .hint("give one of them another name: … AS name"));
    }
    let mut known = given.iter().chain(&from.columns).map(|column| &column.name);
    match known.find(|known| *known != name && known.eq_ignore_ascii_case(name)) {
        Some(other) => Err(Fault::at(at, format!("{name} and {other} are one name to other engines"))
            .hint("write both alike, or give one of them another name: … AS name")),
        None => Ok(()),
    }
}

/// Looks at what a SELECT would give, of rows that nobody asks for: what EXISTS is about.
///
/// Columns are those of the FROM, or else of the row `around`.
pub(super) fn looked_at(select: &Select, from: &Scope, around: &Scope) -> Result<(), Fault> {
    let both = Scope { columns: [from.columns.as_slice(), &around.columns].concat(), ..from.clone() };
    for item in items(select, from)? {
        if let Item::Expr(_, expr) = item {
            plan(expr, Env::plain(from)).or_else(|fault| plan(expr, Env::plain(&both)).map_err(|_| fault))?;
        }
    }
    Ok(())
}
