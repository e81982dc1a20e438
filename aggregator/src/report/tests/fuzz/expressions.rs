//! Expressions of a type over the columns of a scope.

use super::generate::Generator;
use crate::report::language::value::{Decimal, Value};

/// The types of generated expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum K {
    Whole,
    /// Computed alike by every engine, to the last bit.
    Fraction,
    Text,
    Day,
    Moment,
    Condition,
    /// A fraction of which engines add the parts in different orders: it is shown, and decides nothing.
    Tolerant,
}

impl K {
    pub(super) const EXACT: [Self; 6] =
        [Self::Whole, Self::Fraction, Self::Text, Self::Day, Self::Moment, Self::Condition];
}

#[derive(Debug, Clone)]
pub(super) struct Col {
    pub(super) sql: String,
    pub(super) kind: K,
}

/// A FROM, what can be named in it, and columns that tell its rows apart if they are known.
#[derive(Debug, Clone, Default)]
pub(super) struct Scope {
    pub(super) sql: String,
    pub(super) columns: Vec<Col>,
    pub(super) unique: Option<Vec<String>>,
    pub(super) tables: usize,
}

impl Scope {
    pub(super) fn of(sql: &str, alias: &str, columns: &[Col], unique: Option<Vec<String>>) -> Self {
        let columns = columns.iter().map(|it| Col { sql: format!("{alias}.{}", it.sql), kind: it.kind }).collect();
        Self { sql: sql.to_owned(), columns, unique, tables: 1 }
    }

    pub(super) fn of_table(table: &str, alias: &str) -> Self {
        let columns: &[(&str, K)] = match table {
            "t" => &[
                ("id", K::Whole),
                ("a", K::Whole),
                ("b", K::Whole),
                ("s", K::Text),
                ("d", K::Day),
                ("m", K::Moment),
                ("f", K::Condition),
            ],
            "u" => &[("id", K::Whole), ("t_id", K::Whole), ("n", K::Whole), ("s", K::Text), ("d", K::Day)],
            "v" => &[("id", K::Whole), ("k", K::Text), ("w", K::Whole)],
            _ => &[("id", K::Whole), ("x", K::Whole)],
        };
        let columns: Vec<Col> =
            columns.iter().map(|(name, kind)| Col { sql: (*name).to_owned(), kind: *kind }).collect();
        Self::of(&format!("{table} AS {alias}"), alias, &columns, Some(vec![format!("{alias}.id")]))
    }

    pub(super) fn has(&self, kind: K) -> bool {
        self.columns.iter().any(|it| it.kind == kind)
    }
}

const DAYS: [&str; 5] = ["2026-03-08", "2024-02-29", "1970-01-01", "2026-03-09", "2026-03-15"];
const TEXTS: [&str; 9] = ["", "a", "A", "é", "O''Hara", "a%b", "\\", "x", "%a_"];

impl Generator {
    /// One of some kinds; there is no literal of a moment, so it takes a column.
    pub(super) fn kind(&mut self, of: &[K], scope: &Scope) -> K {
        let kind = *self.rng.pick(of);
        if kind == K::Moment && !scope.has(kind) { K::Whole } else { kind }
    }

    pub(super) fn expression(&mut self, kind: K, depth: usize, scope: &Scope) -> String {
        let columns: Vec<&Col> = scope.columns.iter().filter(|it| it.kind == kind).collect();
        if !columns.is_empty() && (depth == 0 || self.rng.one_in(4)) {
            return self.rng.pick(&columns).sql.clone();
        }
        if depth == 0 {
            return self.literal(kind);
        }
        if kind != K::Tolerant {
            match self.rng.below(12) {
                0 => return self.case(kind, depth, scope),
                1 => {
                    let [one, two] = [kind; 2].map(|kind| self.expression(kind, depth - 1, scope));
                    return format!("COALESCE({one}, {two})");
                }
                2 => {
                    let [one, two] = [kind; 2].map(|kind| self.expression(kind, depth - 1, scope));
                    return format!("NULLIF({one}, {two})");
                }
                3 if matches!(kind, K::Whole | K::Fraction | K::Day | K::Moment) => {
                    let [one, two] = [kind; 2].map(|kind| self.expression(kind, depth - 1, scope));
                    return format!("{}({one}, {two})", self.rng.pick(&["GREATEST", "LEAST"]));
                }
                4 if kind != K::Moment => return self.literal(kind),
                _ => {}
            }
        }
        match kind {
            K::Whole => self.whole(depth - 1, scope),
            K::Fraction => self.fraction(depth - 1, scope),
            K::Text => self.text(depth - 1, scope),
            K::Day => match self.rng.below(2) {
                0 if scope.has(K::Moment) => format!("CAST({} AS DATE)", self.expression(K::Moment, depth - 1, scope)),
                _ => self.literal(K::Day),
            },
            K::Moment => self.rng.pick(&columns).sql.clone(),
            K::Condition => self.condition(depth - 1, scope),
            K::Tolerant => {
                let inner = columns.first().map_or_else(|| "1.5".to_owned(), |it| it.sql.clone());
                match self.rng.below(4) {
                    0 => format!("ABS({inner})"),
                    1 => format!("({inner} * 2)"),
                    2 => format!("COALESCE({inner}, 0)"),
                    _ => format!("({inner} / 4)"),
                }
            }
        }
    }

    fn literal(&mut self, kind: K) -> String {
        if self.rng.one_in(12) {
            return self.null(kind);
        }
        let parameter = self.rng.one_in(4);
        match kind {
            K::Whole => {
                let number = *self.rng.pick(&[0_i64, 1, 2, 3, 7, 49, 98, 100, -1, -7, 12, 86, 3_000_000_000]);
                if parameter {
                    self.parameter(Value::Int(number))
                } else if number < 0 {
                    format!("({number})")
                } else {
                    number.to_string()
                }
            }
            K::Fraction | K::Tolerant => {
                let number = *self.rng.pick(&["0.5", "1.5", "2.5", "0.1", "49.0", "3.25", "0.0", "7"]);
                if parameter {
                    let sign = self.rng.pick(&["", "-"]);
                    self.parameter(Value::Decimal(Decimal::parse(&format!("{sign}{number}")).unwrap()))
                } else {
                    if number == "7" { "7.0".to_owned() } else { number.to_owned() }
                }
            }
            K::Text => {
                let text = *self.rng.pick(&TEXTS);
                if parameter {
                    let value = text.replace("''", "'") + *self.rng.pick(&["", "", "'", "\\'", "--", ", b"]);
                    self.parameter(Value::Text(value))
                } else {
                    format!("'{text}'")
                }
            }
            K::Day => {
                let day = *self.rng.pick(&DAYS);
                if parameter {
                    self.parameter(Value::Date(day.parse().unwrap()))
                } else {
                    format!("CAST('{day}' AS DATE)")
                }
            }
            K::Moment => unreachable!("a moment is a column"),
            K::Condition => {
                let value = self.rng.one_in(2);
                if parameter { self.parameter(Value::Bool(value)) } else { value.to_string().to_uppercase() }
            }
        }
    }

    fn null(&self, kind: K) -> String {
        match kind {
            K::Whole => "CAST(NULL AS BIGINT)".to_owned(),
            K::Fraction | K::Tolerant => "CAST(NULL AS DOUBLE)".to_owned(),
            K::Text => "CAST(NULL AS VARCHAR)".to_owned(),
            K::Day => "CAST(NULL AS DATE)".to_owned(),
            K::Condition => "(NULL = 1)".to_owned(),
            K::Moment => unreachable!("a moment is a column"),
        }
    }

    fn case(&mut self, kind: K, depth: usize, scope: &Scope) -> String {
        let result =
            |it: &mut Self| if it.rng.one_in(6) { "NULL".to_owned() } else { it.expression(kind, depth - 1, scope) };
        let (one, two) = (self.expression(kind, depth - 1, scope), result(self));
        let other = if self.rng.one_in(3) { String::new() } else { format!(" ELSE {}", result(self)) };
        if self.rng.one_in(3) {
            let of = *self.rng.pick(&[K::Whole, K::Text, K::Day]);
            let [operand, first, second] = [of; 3].map(|of| self.expression(of, depth - 1, scope));
            return format!("CASE {operand} WHEN {first} THEN {one} WHEN {second} THEN {two}{other} END");
        }
        let [first, second] = [K::Condition; 2].map(|of| self.expression(of, depth - 1, scope));
        format!("CASE WHEN {first} THEN {one} WHEN {second} THEN {two}{other} END")
    }

    fn whole(&mut self, depth: usize, scope: &Scope) -> String {
        match self.rng.below(9) {
            0 | 1 => {
                let [one, two] = [K::Whole; 2].map(|of| self.expression(of, depth, scope));
                format!("({one} {} {two})", self.rng.pick(&["+", "-"]))
            }
            2 => format!("({} * {})", self.expression(K::Whole, depth, scope), self.rng.below(9)),
            3 => format!("(-{})", self.expression(K::Whole, depth, scope)),
            4 => format!("ABS({})", self.expression(K::Whole, depth, scope)),
            5 if self.rng.one_in(2) => self.guarded_cast(depth, scope),
            5 => format!("CAST({} AS BIGINT)", self.expression(K::Fraction, depth, scope)),
            6 => format!("LENGTH({})", self.expression(K::Text, depth, scope)),
            7 => format!(
                "CAST({} AS {})",
                self.expression(K::Condition, depth, scope),
                self.rng.pick(&["BIGINT", "INTEGER"])
            ),
            _ => format!("CAST({} AS BIGINT)", self.expression(K::Whole, depth, scope)),
        }
    }

    /// A cast that would fail for the rows that do not come to it.
    fn guarded_cast(&mut self, depth: usize, scope: &Scope) -> String {
        let of = *self.rng.pick(&[K::Whole, K::Fraction]);
        let (value, other) = (self.expression(of, depth, scope), self.expression(K::Whole, depth, scope));
        let cast = format!("CAST({value} AS INTEGER)");
        match self.rng.below(3) {
            0 => format!("CASE WHEN {value} BETWEEN -1000 AND 1000 THEN {cast} ELSE {other} END"),
            1 => format!("CASE WHEN {value} < -1000 OR {value} > 1000 THEN {other} ELSE {cast} END"),
            _ => format!("CASE WHEN {value} < -1000 OR {value} > 1000 THEN 0 WHEN {cast} > 7 THEN {other} END"),
        }
    }

    fn fraction(&mut self, depth: usize, scope: &Scope) -> String {
        let numeric = |it: &mut Self| *it.rng.pick(&[K::Whole, K::Whole, K::Fraction]);
        let (first, second) = (numeric(self), numeric(self));
        match self.rng.below(9) {
            0..=2 => {
                let dividend = self.expression(first, depth, scope);
                let divisor = match self.rng.below(3) {
                    0 => self.rng.pick(&["49", "98", "7", "100.0", "3", "60", "0", "(-7)", "0.1", "0e5"]).to_string(),
                    _ => self.expression(second, depth, scope),
                };
                format!("({dividend} / {divisor})")
            }
            3 | 4 => {
                let (one, two) = (self.expression(K::Fraction, depth, scope), self.expression(first, depth, scope));
                format!("({one} {} {two})", self.rng.pick(&["+", "-", "*"]))
            }
            5 => format!("FLOOR({})", self.expression(first, depth, scope)),
            6 => format!("CEIL({})", self.expression(first, depth, scope)),
            7 => format!("CAST({} AS DOUBLE)", self.expression(K::Whole, depth, scope)),
            _ => {
                let of = self.kind(&[K::Day, K::Moment], scope);
                let of = if of == K::Whole { K::Day } else { of };
                if scope.has(of) {
                    format!("EXTRACT(EPOCH FROM {})", self.expression(of, 0, scope))
                } else {
                    "0.5".to_owned()
                }
            }
        }
    }

    fn text(&mut self, depth: usize, scope: &Scope) -> String {
        match self.rng.below(7) {
            0 => format!("{}({})", self.rng.pick(&["UPPER", "LOWER"]), self.expression(K::Text, depth, scope)),
            1 => {
                let start = 1 + self.rng.below(4);
                let length = if self.rng.one_in(2) { format!(", {}", self.rng.below(4)) } else { String::new() };
                format!("SUBSTR({}, {start}{length})", self.expression(K::Text, depth, scope))
            }
            2 => {
                let [one, two] = [K::Text; 2].map(|of| self.expression(of, depth, scope));
                format!("({one} || {two})")
            }
            3 => {
                let of = *self.rng.pick(&[K::Whole, K::Text, K::Day]);
                let (one, two) = (self.expression(K::Text, depth, scope), self.expression(of, depth, scope));
                format!("CONCAT({one}, {two})")
            }
            4 => format!("CAST({} AS VARCHAR)", self.expression(K::Whole, depth, scope)),
            5 => format!("CAST({} AS VARCHAR)", self.expression(K::Day, depth, scope)),
            _ => format!("CAST({} AS VARCHAR)", self.expression(K::Condition, depth, scope)),
        }
    }

    fn condition(&mut self, depth: usize, scope: &Scope) -> String {
        let of = self.kind(&[K::Whole, K::Whole, K::Fraction, K::Text, K::Day, K::Moment, K::Condition], scope);
        match self.rng.below(12) {
            0..=2 => {
                let [one, two] = [of; 2].map(|of| self.expression(of, depth, scope));
                format!("({one} {} {two})", self.rng.pick(&["=", "<>", "<", "<=", ">", ">="]))
            }
            3 => {
                let [one, low, high] = [of; 3].map(|of| self.expression(of, depth, scope));
                format!("({one} {}BETWEEN {low} AND {high})", self.rng.pick(&["", "NOT "]))
            }
            4 => {
                let one = self.expression(of, depth, scope);
                if matches!(of, K::Whole | K::Text | K::Day) && self.rng.one_in(3) {
                    let value = Value::List((0..self.rng.below(4)).map(|_| self.listed(of)).collect());
                    let list = self.parameter(value);
                    return format!("({one} {}IN ({list}))", self.rng.pick(&["", "NOT "]));
                }
                let list: Vec<String> = (0..1 + self.rng.below(3)).map(|_| self.expression(of, depth, scope)).collect();
                let null = self.rng.pick(&["", "", "", ", NULL"]);
                format!("({one} {}IN ({}{null}))", self.rng.pick(&["", "NOT "]), list.join(", "))
            }
            5 => format!("({} IS {}NULL)", self.expression(of, depth, scope), self.rng.pick(&["", "NOT "])),
            6 => {
                let [one, two] = [K::Condition; 2].map(|of| self.expression(of, depth, scope));
                format!("({one} AND {two})")
            }
            7 => {
                let [one, two] = [K::Condition; 2].map(|of| self.expression(of, depth, scope));
                format!("({one} OR {two})")
            }
            8 => format!("(NOT {})", self.expression(K::Condition, depth, scope)),
            9 => {
                let is = *self.rng.pick(&["TRUE", "FALSE", "NOT TRUE", "NOT FALSE"]);
                format!("({} IS {is})", self.expression(K::Condition, depth, scope))
            }
            10 => {
                let pattern = *self.rng.pick(&["a%", "%", "_", "a_b", "%a%", "", "é", "\\%", "a\\_b", "%''%"]);
                let pattern = if self.rng.one_in(3) {
                    self.parameter(Value::Text(pattern.replace("''", "'")))
                } else {
                    format!("'{pattern}'")
                };
                format!("({} {}LIKE {pattern})", self.expression(K::Text, depth, scope), self.rng.pick(&["", "NOT "]))
            }
            _ => {
                let [one, two] = [K::Text; 2].map(|of| self.expression(of, depth, scope));
                format!("STARTS_WITH({one}, {two})")
            }
        }
    }

    fn listed(&mut self, of: K) -> Value {
        match of {
            K::Whole => Value::Int(*self.rng.pick(&[98, 1, -1, 49, 3])),
            K::Day => Value::Date(self.rng.pick(&DAYS).parse().unwrap()),
            _ => Value::Text((*self.rng.pick(&["a", "O'Hara", "a, b", "\\'", "é"])).to_owned()),
        }
    }
}
