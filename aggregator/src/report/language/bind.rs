//! Binding parameters: values become literals in the parsed statement, never text in a string.
//!
//! The bound tree is printed, because polars takes text. The printer is not trusted (it leaves a
//! quote unescaped after a backslash, and a minus before a negative number makes a comment): what
//! was printed is parsed again and must be the very tree that was meant.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Expr, Query, Statement, UnaryOperator, Value as Literal, VisitMut, VisitorMut,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError, ParserOptions};

use super::diagnostic::Fault;
use super::value::Value;

/// Parses text as polars does, and takes exactly one query.
pub(crate) fn parse(sql: &str) -> Result<Query, Fault> {
    let options = ParserOptions { trailing_commas: true, ..ParserOptions::default() };
    let statements = Parser::new(&GenericDialect)
        .with_options(options)
        .try_with_sql(sql)
        .and_then(|mut parser| parser.parse_statements())
        .map_err(|error: ParserError| Fault::from(error))?;
    match <[Statement; 1]>::try_from(statements) {
        Ok([Statement::Query(query)]) => Ok(*query),
        Ok([_]) => Err(Fault::new("a report is one SELECT; other statements are refused")),
        Err(several) if several.is_empty() => Err(Fault::new("the file holds no statement")),
        Err(_) => Err(Fault::new("a report is exactly one statement")),
    }
}

/// A statement whose parameters are literals, as text that provably reads back as it was meant.
///
/// # Errors
/// When the printed text means something else than the bound tree; nothing has been executed.
pub(crate) fn bind(query: &Query, values: &BTreeMap<String, Value>) -> Result<(Query, String), Unfaithful> {
    let mut bound = query.clone();
    let mut binder = Binder { values };
    if let ControlFlow::Break(unbound) = bound.visit(&mut binder) {
        return Err(unbound);
    }
    let text = bound.to_string();
    let again = parse(&text).map_err(|_| Unfaithful::Changed)?;
    if again == bound { Ok((bound, text)) } else { Err(Unfaithful::Changed) }
}

/// Why a statement could not be bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfaithful {
    /// A placeholder has no value.
    #[error("${0} has no value")]
    Unbound(String),
    /// A list stands somewhere else than as the only element of an `IN (…)`.
    #[error("the list ${0} must stand alone in IN (${0})")]
    Misplaced(String),
    /// The printed statement is not the bound one.
    #[error("the statement does not survive being written down")]
    Changed,
}

struct Binder<'a> {
    values: &'a BTreeMap<String, Value>,
}

impl VisitorMut for Binder<'_> {
    type Break = Unfaithful;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Unfaithful> {
        if let Expr::InList { list, .. } = expr
            && let [only] = list.as_slice()
            && let Some(name) = placeholder(only)
            && let Some(Value::List(values)) = self.values.get(&name)
        {
            if values.is_empty() {
                *expr = no_filter();
            } else {
                *list = values.iter().filter_map(element).collect();
            }
            return ControlFlow::Continue(());
        }
        let Some(name) = placeholder(expr) else {
            return ControlFlow::Continue(());
        };
        let Some(value) = self.values.get(&name) else {
            return ControlFlow::Break(Unfaithful::Unbound(name));
        };
        match literal(value) {
            Some(literal) => {
                *expr = literal;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(Unfaithful::Misplaced(name)),
        }
    }

    /// Counts are 64 bits wide, as in every other engine: polars counts in 32 without a sign, so that a difference of
    /// counts could wrap.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Unfaithful> {
        let counts = |name: &str| ["count", "row_number", "rank", "dense_rank"].contains(&name);
        if matches!(expr, Expr::Function(function) if counts(&function.name.to_string().to_ascii_lowercase())) {
            let count = std::mem::replace(expr, Expr::value(Literal::Null));
            *expr = cast(count, DataType::BigInt(None));
        }
        ControlFlow::Continue(())
    }
}

fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(expr), data_type, array: false, format: None }
}

/// The name of a placeholder, without its `$`.
fn placeholder(expr: &Expr) -> Option<String> {
    let Expr::Value(value) = expr else { return None };
    let Literal::Placeholder(name) = &value.value else { return None };
    name.strip_prefix('$').map(str::to_owned)
}

/// The literal of a value; a list has none of its own.
fn literal(value: &Value) -> Option<Expr> {
    Some(match value {
        // A typed literal: polars folds it, so that files are skipped by their statistics. A bare text it
        // would parse again for every batch.
        Value::Date(day) => cast(text(day.to_string()), DataType::Date),
        Value::Int(number) => signed(*number < 0, number.unsigned_abs().to_string()),
        Value::Decimal(number) => signed(number.is_negative(), number.magnitude().to_string()),
        Value::Text(value) => text(value.clone()),
        Value::Bool(value) => Expr::value(Literal::Boolean(*value)),
        Value::List(_) => return None,
    })
}

/// A value inside `IN (…)`, where polars takes neither parentheses nor whole numbers beside fractions, and where a comma
/// keeps a minus from joining another.
fn element(value: &Value) -> Option<Expr> {
    let literal = match value {
        Value::Decimal(number) => signed(number.is_negative(), number.magnitude().with_point()),
        other => literal(other)?,
    };
    Some(if let Expr::Nested(inner) = literal { *inner } else { literal })
}

/// A number; a negative one in parentheses, so that no minus before it can join its own.
fn signed(negative: bool, digits: String) -> Expr {
    let number = Expr::value(Literal::Number(digits, false));
    if !negative {
        return number;
    }
    Expr::Nested(Box::new(Expr::UnaryOp { op: UnaryOperator::Minus, expr: Box::new(number) }))
}

fn text(value: String) -> Expr {
    Expr::value(Literal::SingleQuotedString(value))
}

/// A condition that holds for every row: `(1 = 1)`.
fn no_filter() -> Expr {
    let one = || Box::new(Expr::value(Literal::Number("1".to_owned(), false)));
    Expr::Nested(Box::new(Expr::BinaryOp { left: one(), op: BinaryOperator::Eq, right: one() }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Unfaithful, bind, parse};
    use crate::report::language::value::{Decimal, Value};

    fn bound(sql: &str, value: Value) -> Result<String, Unfaithful> {
        bind(&parse(sql).unwrap(), &BTreeMap::from([("p".to_owned(), value)])).map(|(_, text)| text)
    }

    #[test]
    fn every_type_is_a_literal() {
        let sql = "SELECT a FROM t WHERE a = $p";
        let cases = [
            (Value::Int(5), "5"),
            (Value::Int(-5), "(-5)"),
            (Value::Decimal(Decimal::parse("-0.50").unwrap()), "(-0.50)"),
            (Value::Text("it's".to_owned()), "'it''s'"),
            (Value::Bool(true), "true"),
            (Value::Date("2026-03-08".parse().unwrap()), "CAST('2026-03-08' AS DATE)"),
        ];
        for (value, expected) in cases {
            assert_eq!(bound(sql, value).unwrap(), format!("SELECT a FROM t WHERE a = {expected}"));
        }
    }

    #[test]
    fn a_minus_before_a_negative_number_is_no_comment() {
        let text = bound("SELECT a FROM t WHERE a = -$p ORDER BY a", Value::Int(-5)).unwrap();
        assert_eq!(text, "SELECT a FROM t WHERE a = -(-5) ORDER BY a");
    }

    #[test]
    fn a_list_fills_its_in_and_an_empty_one_filters_nothing() {
        let list = |items: &[i64]| Value::List(items.iter().map(|item| Value::Int(*item)).collect());
        let sql = "SELECT a FROM t WHERE a IN ($p)";
        assert_eq!(bound(sql, list(&[1, -2])).unwrap(), "SELECT a FROM t WHERE a IN (1, -2)");
        assert_eq!(bound(sql, list(&[])).unwrap(), "SELECT a FROM t WHERE (1 = 1)");
        assert_eq!(bound("SELECT a FROM t WHERE a = $p", list(&[1])), Err(Unfaithful::Misplaced("p".to_owned())));
    }

    #[test]
    fn a_text_that_the_printer_garbles_is_refused() {
        let sql = "SELECT a FROM t WHERE a = $p";
        assert_eq!(bound(sql, Value::Text("\\' OR 1=1 --".to_owned())), Err(Unfaithful::Changed));
    }

    /// No text may escape its literal, whatever is in it: either the statement reads back with one
    /// condition on one text, or it is refused.
    #[test]
    fn no_text_escapes() {
        let pieces = [
            "'", "\\", "\"", "--", "/*", "*/", ";", "$p", "\n", " OR 1=1", "''", "\\'", "\u{2019}", "x", "`", "E'",
            "\u{0}",
        ];
        let mut state = 0x5EED_u64;
        let (mut kept, mut refused) = (0, 0);
        for _ in 0..5_000 {
            let mut value = String::new();
            for _ in 0..6 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = usize::try_from(state >> 33).unwrap() % pieces.len();
                value.push_str(pieces[at]);
            }
            match bound("SELECT a FROM t WHERE a = $p", Value::Text(value.clone())) {
                Ok(text) => {
                    let again = parse(&text).unwrap().to_string();
                    assert_eq!(again, text);
                    let literal = format!("'{}'", value.replace('\'', "''"));
                    assert_eq!(text, format!("SELECT a FROM t WHERE a = {literal}"), "{value:?}");
                    kept += 1;
                }
                Err(_) => refused += 1,
            }
        }
        assert!(kept > 100 && refused > 100, "{kept} kept, {refused} refused");
    }
}
