//! Binding parameters: values become literals in the parsed statement, never text in a string.
//!
//! Our engine takes the tree; other engines take text. The parser's printer is not trusted with it (it leaves a quote
//! unescaped after a backslash, and a minus before a negative number makes a comment): texts are printed here, and what
//! was printed is parsed again and must be the very tree that was meant.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ops::ControlFlow;

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, OrderByExpr, OrderByKind, Query, Statement,
    UnaryOperator, Value as Literal, ValueWithSpan, VisitMut, VisitorMut, WindowType,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError, ParserOptions};

use super::diagnostic::Fault;
use super::size::bounded;
use super::value::Value;

/// Parses the statement of a file, and takes exactly one query that is not too large.
pub(crate) fn parse(sql: &str) -> Result<Query, Fault> {
    bounded(sql)?;
    read_back(sql)
}

/// Parses a statement that was printed here.
pub(crate) fn read_back(sql: &str) -> Result<Query, Fault> {
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
    let text = printed(&bound);
    let again = read_back(&text).map_err(|_| Unfaithful::Changed)?;
    if again == bound { Ok((bound, text)) } else { Err(Unfaithful::Changed) }
}

/// The text of a statement, its quotes doubled whatever stands before them.
pub(crate) fn printed(query: &Query) -> String {
    let mut marked = query.clone();
    let mut texts = Texts(Vec::new());
    let ControlFlow::Continue(()) = marked.visit(&mut texts);
    let mut text = String::new();
    let marked = marked.to_string();
    let mut rest = marked.as_str();
    for (number, literal) in texts.0.iter().enumerate() {
        let Some((before, after)) = rest.split_once(&format!("'{}'", Texts::mark(number))) else { continue };
        text.push_str(before);
        text.push('\'');
        text.push_str(&literal.replace('\'', "''"));
        text.push('\'');
        rest = after;
    }
    text + rest
}

/// Text literals, taken out in the order in which they are printed.
struct Texts(Vec<String>);

impl Texts {
    fn mark(number: usize) -> String {
        format!("{{text {number}}}")
    }
}

impl VisitorMut for Texts {
    type Break = Infallible;

    fn pre_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<Infallible> {
        if let Literal::SingleQuotedString(text) = &mut value.value {
            let mark = Self::mark(self.0.len());
            self.0.push(std::mem::replace(text, mark));
        }
        ControlFlow::Continue(())
    }
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

    /// What engines read differently is written so that they do not: a number with a point is a DOUBLE, not a DECIMAL,
    /// and a quotient by zero is NULL.
    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Unfaithful> {
        match expr {
            Expr::Value(value) if matches!(&value.value, Literal::Number(digits, _) if is_fraction(digits)) => {
                let number = std::mem::replace(expr, Expr::value(Literal::Null));
                *expr = cast(number, DataType::Double(ExactNumberInfo::None));
            }
            Expr::Function(Function { over: Some(WindowType::WindowSpec(window)), .. }) => {
                nulls_last(&mut window.order_by)
            }
            Expr::BinaryOp { op: BinaryOperator::Divide, right, .. } if !is_no_zero(right) => {
                let divisor = std::mem::replace(&mut **right, Expr::value(Literal::Null));
                **right = or_null_if_zero(divisor);
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// NULL comes last in either direction, for engines do not agree on where it comes.
    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<Unfaithful> {
        if let Some(OrderByKind::Expressions(by)) = query.order_by.as_mut().map(|order| &mut order.kind) {
            nulls_last(by);
        }
        ControlFlow::Continue(())
    }
}

fn nulls_last(by: &mut [OrderByExpr]) {
    for by in by {
        by.options.nulls_first.get_or_insert(false);
    }
}

fn is_fraction(digits: &str) -> bool {
    digits.contains(['.', 'e', 'E'])
}

/// Whether a divisor is a number as it stands, other than zero, or is guarded already.
fn is_no_zero(divisor: &Expr) -> bool {
    match divisor {
        Expr::Nested(inner)
        | Expr::UnaryOp { op: UnaryOperator::Minus, expr: inner }
        | Expr::Cast { data_type: DataType::Double(_), expr: inner, .. } => is_no_zero(inner),
        Expr::Value(value) => {
            matches!(&value.value, Literal::Number(digits, _) if digits.parse::<f64>().is_ok_and(|it| it != 0.0))
        }
        Expr::Function(function) => {
            let text = function.to_string().to_ascii_lowercase();
            text.starts_with("nullif(") && text.ends_with(", 0)")
        }
        _ => false,
    }
}

fn or_null_if_zero(divisor: Expr) -> Expr {
    let argument = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    let args = vec![argument(divisor), argument(Expr::value(Literal::Number("0".to_owned(), false)))];
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("NULLIF")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
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
        // With a point, so that its type does not hang on its value.
        Value::Decimal(number) => signed(number.is_negative(), number.magnitude().with_point()),
        Value::Text(value) => text(value.clone()),
        Value::Bool(value) => Expr::value(Literal::Boolean(*value)),
        Value::List(_) => return None,
    })
}

/// A value inside `IN (…)`, where a comma keeps a minus from joining another.
fn element(value: &Value) -> Option<Expr> {
    let literal = literal(value)?;
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
            (Value::Decimal(Decimal::parse("-0.50").unwrap()), "(-CAST(0.50 AS DOUBLE))"),
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
        assert_eq!(text, "SELECT a FROM t WHERE a = -(-5) ORDER BY a NULLS LAST");
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
    fn engines_read_fractions_quotients_and_the_order_of_null_alike() {
        let text = bound("SELECT a / b, 1.5 / 0.5 FROM t WHERE a = $p ORDER BY a DESC", Value::Int(1)).unwrap();
        let expected = "SELECT a / NULLIF(b, 0), CAST(1.5 AS DOUBLE) / CAST(0.5 AS DOUBLE) FROM t WHERE a = 1 \
                        ORDER BY a DESC NULLS LAST";
        assert_eq!(text, expected);
        // Zero, however it is written.
        let text = bound("SELECT a / 0e5, a / 0.0, a / 1e5 FROM t WHERE a = $p", Value::Int(1)).unwrap();
        let expected = "SELECT a / NULLIF(CAST(0e5 AS DOUBLE), 0), a / NULLIF(CAST(0.0 AS DOUBLE), 0), \
                        a / CAST(1e5 AS DOUBLE) FROM t WHERE a = 1";
        assert_eq!(text, expected);
        // Whatever the value, its type is one.
        let text = bound("SELECT a FROM t WHERE a = $p", Value::Decimal(Decimal::parse("5").unwrap())).unwrap();
        assert_eq!(text, "SELECT a FROM t WHERE a = CAST(5.0 AS DOUBLE)");
    }

    /// No text may escape its literal, whatever is in it: the statement reads back with one condition on one text.
    #[test]
    fn no_text_escapes() {
        let pieces = [
            "'", "\\", "\"", "--", "/*", "*/", ";", "$p", "\n", " OR 1=1", "''", "\\'", "\u{2019}", "x", "`", "E'",
            "\u{0}", "{text 0}",
        ];
        let mut state = 0x5EED_u64;
        for _ in 0..5_000 {
            let mut value = String::new();
            for _ in 0..6 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let at = usize::try_from(state >> 33).unwrap() % pieces.len();
                value.push_str(pieces[at]);
            }
            let text = bound("SELECT a FROM t WHERE a = $p AND b = '{text 0}'", Value::Text(value.clone())).unwrap();
            let literal = format!("'{}'", value.replace('\'', "''"));
            assert_eq!(text, format!("SELECT a FROM t WHERE a = {literal} AND b = '{{text 0}}'"), "{value:?}");
        }
    }
}
