//! Statements of the shared language, at random: every form that the allow-list has, in every place that its type fits.

use std::collections::BTreeMap;

use super::expressions::{Col, K, Scope};
use crate::report::language::value::Value;

/// A statement, the values of its parameters, and which of its columns engines add up in different orders.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) values: BTreeMap<String, Value>,
    pub(super) tolerant: Vec<bool>,
}

/// A stream of choices, the same for the same seed.
pub(super) struct Rng(u64);

impl Rng {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15)
    }

    pub(super) fn below(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % sides
    }

    pub(super) fn one_in(&mut self, sides: usize) -> bool {
        self.below(sides) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

pub(super) struct Generator {
    pub(super) rng: Rng,
    pub(super) values: BTreeMap<String, Value>,
    names: usize,
    /// CTEs that can be named from here on.
    pub(super) ctes: Vec<(String, Vec<Col>)>,
    /// What an order of the statement generated last can be by, besides its columns.
    ordering: Scope,
}

pub(super) fn statement(seed: u64) -> Statement {
    let mut generator = Generator {
        rng: Rng::new(seed.wrapping_mul(0xD134_2543_DE82_EF95).wrapping_add(1)),
        values: BTreeMap::new(),
        names: 0,
        ctes: Vec::new(),
        ordering: Scope::default(),
    };
    let mut with = Vec::new();
    for _ in 0..[0, 0, 0, 1][generator.rng.below(4)] {
        let name = generator.name("c");
        let (sql, columns) = generator.query(2);
        with.push(format!("{name} AS ({sql})"));
        generator.ctes.push((name, columns));
    }
    let (body, columns) = generator.query(0);
    let with = if with.is_empty() { String::new() } else { format!("WITH {} ", with.join(", ")) };
    let order = generator.order(&columns);
    let limit = match generator.rng.below(6) {
        0 => format!(" LIMIT {}", generator.rng.below(6)),
        1 => {
            let rows = *generator.rng.pick(&[0_i64, 1, 2, 3, 5, 8, 13, -1, 5_000_000_000]);
            let name = generator.parameter(Value::Int(rows));
            format!(" LIMIT {name}")
        }
        _ => String::new(),
    };
    Statement {
        sql: format!("{with}{body}{order}{limit}"),
        values: generator.values,
        tolerant: columns.iter().map(|column| column.kind == K::Tolerant).collect(),
    }
}

/// Whether an expression names a column of a scope, so that it is no constant.
fn is_of(expr: &str, scope: &Scope) -> bool {
    scope.columns.iter().any(|it| expr.contains(&it.sql))
}

impl Generator {
    pub(super) fn name(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}{}", self.names)
    }

    pub(super) fn parameter(&mut self, value: Value) -> String {
        let name = self.name("p");
        self.values.insert(name.clone(), value);
        format!("${name}")
    }

    /// Every column, so that the order is total.
    fn order(&mut self, columns: &[Col]) -> String {
        let mut places: Vec<usize> = (0..columns.len()).collect();
        for at in (1..places.len()).rev() {
            places.swap(at, self.rng.below(at + 1));
        }
        // What is only nearly equal comes last.
        places.sort_by_key(|place| columns[*place].kind == K::Tolerant);
        let by = places.into_iter().map(|place| {
            let name = if self.rng.one_in(8) { (place + 1).to_string() } else { columns[place].sql.clone() };
            format!(
                "{name}{}{}",
                self.rng.pick(&["", " DESC", " ASC"]),
                self.rng.pick(&["", "", "", " NULLS FIRST", " NULLS LAST"])
            )
        });
        let mut by: Vec<String> = by.collect();
        let scope = if self.rng.one_in(3) {
            Scope { columns: columns.to_vec(), ..Scope::default() }
        } else {
            self.ordering.clone()
        };
        if self.rng.one_in(3) && !self.ordering.columns.is_empty() {
            let kind = self.kind(&K::EXACT, &scope);
            let first = self.expression(kind, 1, &scope);
            if is_of(&first, &scope) {
                by.insert(0, format!("{first}{}", self.rng.pick(&["", " DESC"])));
            }
        }
        format!(" ORDER BY {}", by.join(", "))
    }

    /// A query without order, and its columns by their bare names.
    pub(super) fn query(&mut self, depth: usize) -> (String, Vec<Col>) {
        let (sql, columns, ordering) = if depth < 3 && self.rng.one_in(6) {
            let (sql, columns) = self.union(depth);
            (sql, columns, Scope::default())
        } else {
            match self.rng.below(12) {
                0..=2 => self.grouped(depth),
                3 => self.star_of_groups(depth),
                4 | 5 => self.windowed(depth),
                _ => self.plain(depth),
            }
        };
        self.ordering = if sql.starts_with("SELECT DISTINCT") { Scope::default() } else { ordering };
        (sql, columns)
    }

    fn union(&mut self, depth: usize) -> (String, Vec<Col>) {
        let kinds: Vec<K> = (0..1 + self.rng.below(3))
            .map(|_| *self.rng.pick(&[K::Whole, K::Fraction, K::Text, K::Day, K::Condition]))
            .collect();
        let mut names = Vec::new();
        let mut parts = Vec::new();
        for part in 0..2 + self.rng.below(2) {
            let scope = self.from(depth + 1);
            let filter = self.filter(&scope);
            let items: Vec<String> = kinds
                .iter()
                .enumerate()
                .map(|(at, kind)| {
                    let kind = if *kind == K::Whole && self.rng.one_in(5) { K::Fraction } else { *kind };
                    let expr = self.expression(kind, 2, &scope);
                    if part == 0 {
                        names.push(self.name("o"));
                    }
                    format!("{expr} AS {}", names[at])
                })
                .collect();
            parts.push(format!("SELECT {} FROM {}{filter}", items.join(", "), scope.sql));
        }
        let mut sql = parts.remove(0);
        for part in parts {
            sql = format!("{sql} {} {part}", self.rng.pick(&["UNION ALL", "UNION", "UNION DISTINCT"]));
        }
        let columns = names.into_iter().zip(kinds).map(|(sql, kind)| {
            // A fraction below makes the whole column one.
            Col { sql, kind: if kind == K::Whole { K::Fraction } else { kind } }
        });
        (sql, columns.collect())
    }

    fn items(&mut self, scope: &Scope, least: usize) -> (Vec<String>, Vec<Col>) {
        let (mut items, mut columns) = (Vec::new(), Vec::new());
        for _ in 0..least + self.rng.below(2) {
            let kind =
                if scope.has(K::Tolerant) && self.rng.one_in(3) { K::Tolerant } else { self.kind(&K::EXACT, scope) };
            let depth = 1 + self.rng.below(3);
            let expr = self.expression(kind, depth, scope);
            let name = self.name("o");
            items.push(format!("{expr} AS {name}"));
            columns.push(Col { sql: name, kind });
        }
        (items, columns)
    }

    fn plain(&mut self, depth: usize) -> (String, Vec<Col>, Scope) {
        if self.rng.one_in(12) {
            let (items, columns) = self.items(&Scope::default(), 1);
            return (format!("SELECT {}", items.join(", ")), columns, Scope::default());
        }
        let scope = self.from(depth + 1);
        let filter = self.filter(&scope);
        if self.rng.one_in(14) && scope.tables == 1 {
            let columns = scope
                .columns
                .iter()
                .map(|it| Col { sql: it.sql.rsplit('.').next().unwrap().to_owned(), kind: it.kind });
            let columns: Vec<Col> = columns.collect();
            let star = if self.rng.one_in(2) {
                "*".to_owned()
            } else {
                format!("{}.*", scope.columns[0].sql.split('.').next().unwrap())
            };
            return (format!("SELECT {star} FROM {}{filter}", scope.sql), columns, scope);
        }
        let (items, columns) = self.items(&scope, 1);
        let distinct =
            if self.rng.one_in(5) && !columns.iter().any(|it| it.kind == K::Tolerant) { "DISTINCT " } else { "" };
        (format!("SELECT {distinct}{} FROM {}{filter}", items.join(", "), scope.sql), columns, scope)
    }

    fn filter(&mut self, scope: &Scope) -> String {
        if self.rng.one_in(2) {
            return String::new();
        }
        let condition = self.where_condition(scope);
        format!(" WHERE {condition}")
    }

    fn where_condition(&mut self, scope: &Scope) -> String {
        match self.rng.below(8) {
            0 => self.subquery(scope),
            1 => format!("{} AND {}", self.subquery(scope), self.expression(K::Condition, 2, scope)),
            2 => format!("({} OR {})", self.subquery(scope), self.expression(K::Condition, 2, scope)),
            3 => format!("NOT ({} OR {})", self.expression(K::Condition, 2, scope), self.subquery(scope)),
            _ => self.expression(K::Condition, 2, scope),
        }
    }

    fn subquery(&mut self, scope: &Scope) -> String {
        let not = *self.rng.pick(&["", "NOT "]);
        let (table, alias) = (*self.rng.pick(&["t", "u", "v", "e"]), self.name("q"));
        let inner = Scope::of_table(table, &alias);
        let own = if self.rng.one_in(2) {
            format!(" WHERE {}", self.expression(K::Condition, 1, &inner))
        } else {
            String::new()
        };
        if self.rng.one_in(2) {
            let kind = *self.rng.pick(&[K::Whole, K::Text, K::Day]);
            let value = self.expression(kind, 1, scope);
            let item = match self.rng.below(3) {
                0 if kind == K::Whole => format!("MAX({alias}.id)"),
                _ => self.expression(kind, 0, &inner),
            };
            return format!("{value} {not}IN (SELECT {item} AS x FROM {table} AS {alias}{own})");
        }
        let outer: Vec<&Col> = scope.columns.iter().filter(|it| it.kind == K::Whole && it.sql.contains('.')).collect();
        if outer.is_empty() || self.rng.one_in(4) {
            return format!("{not}EXISTS (SELECT 1 AS x FROM {table} AS {alias}{own})");
        }
        let outer = self.rng.pick(&outer).sql.clone();
        let keys: Vec<&Col> = inner.columns.iter().filter(|it| it.kind == K::Whole).collect();
        let key = self.rng.pick(&keys).sql.clone();
        let own = own.replacen(" WHERE ", " AND ", 1);
        format!("{not}EXISTS (SELECT 1 AS x FROM {table} AS {alias} WHERE {key} = {outer}{own})")
    }

    /// Every column as a key, by `*`.
    fn star_of_groups(&mut self, depth: usize) -> (String, Vec<Col>, Scope) {
        let scope = self.from(depth + 1);
        if scope.tables > 1 || scope.has(K::Tolerant) {
            return self.grouped(depth);
        }
        let filter = self.filter(&scope);
        let counted = Col { sql: self.name("o"), kind: K::Whole };
        let columns =
            scope.columns.iter().map(|it| Col { sql: it.sql.rsplit('.').next().unwrap().to_owned(), kind: it.kind });
        let columns = columns.chain([counted.clone()]).collect();
        let keys: Vec<&str> = scope.columns.iter().map(|it| it.sql.as_str()).collect();
        let star = "*";
        let sql = format!(
            "SELECT {star}, COUNT(*) AS {} FROM {}{filter} GROUP BY {}",
            counted.sql,
            scope.sql,
            keys.join(", ")
        );
        (sql, columns, scope)
    }

    fn grouped(&mut self, depth: usize) -> (String, Vec<Col>, Scope) {
        let scope = self.from(depth + 1);
        let filter = self.filter(&scope);
        let (mut keys, mut by, mut items, mut columns) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..self.rng.below(3) {
            let kind = *self.rng.pick(&[K::Whole, K::Text, K::Day, K::Condition, K::Fraction]);
            let depth = self.rng.below(2);
            let key = self.expression(kind, depth, &scope);
            // A constant groups nothing: GROUP BY 1 is a place.
            if !is_of(&key, &scope) {
                continue;
            }
            let name = self.name("o");
            items.push(format!("{key} AS {name}"));
            by.push(match self.rng.below(3) {
                0 => name.clone(),
                1 => items.len().to_string(),
                _ => key.clone(),
            });
            columns.push(Col { sql: name, kind });
            keys.push(Col { sql: key, kind });
        }
        let mut groups = Scope { columns: keys, ..Scope::default() };
        for _ in 0..1 + self.rng.below(3) {
            let aggregate = self.aggregate(&scope);
            groups.columns.push(aggregate);
        }
        let mut shown = groups.clone();
        if self.rng.one_in(4) && !by.is_empty() {
            shown.columns.extend(self.window(&groups));
        }
        let (more, others) = self.items(&shown, 1);
        items.extend(more);
        columns.extend(others);
        if !groups.columns.iter().any(|it| items.iter().any(|item| item.contains(&it.sql) && it.sql.ends_with(')')))
            && by.is_empty()
        {
            items.push("COUNT(*) AS counted".to_owned());
            columns.push(Col { sql: "counted".to_owned(), kind: K::Whole });
        }
        let having = if self.rng.one_in(4) && !by.is_empty() {
            format!(" HAVING {}", self.expression(K::Condition, 2, &groups))
        } else {
            String::new()
        };
        let by = if by.is_empty() { String::new() } else { format!(" GROUP BY {}", by.join(", ")) };
        // As a key and as a column: the texts of both must be equal.
        let sql = format!("SELECT {} FROM {}{filter}{by}{having}", items.join(", "), scope.sql);
        let ordering = if by.is_empty() { Scope::default() } else { groups };
        (sql, columns, ordering)
    }

    fn windowed(&mut self, depth: usize) -> (String, Vec<Col>, Scope) {
        let mut scope = self.from(depth + 1);
        let filter = self.filter(&scope);
        let rows = scope.clone();
        for _ in 0..1 + self.rng.below(2) {
            if let Some(window) = self.window(&rows) {
                scope.columns.insert(0, window.clone());
                scope.columns.insert(0, window);
            }
        }
        let (items, columns) = self.items(&scope, 2);
        let distinct =
            if self.rng.one_in(8) && !columns.iter().any(|it| it.kind == K::Tolerant) { "DISTINCT " } else { "" };
        (format!("SELECT {distinct}{} FROM {}{filter}", items.join(", "), scope.sql), columns, scope)
    }
}
