//! FROM: tables, derived tables, CTEs, and how they are joined.

use super::expressions::{K, Scope};
use super::generate::Generator;

impl Generator {
    /// A FROM with its columns.
    pub(super) fn from(&mut self, depth: usize) -> Scope {
        let mut scope = self.factor(depth);
        let joins = [0, 0, 0, 1, 1, 2][self.rng.below(6)];
        for _ in 0..joins {
            let other = self.factor(depth + 1);
            let both = Scope { columns: [scope.columns.clone(), other.columns.clone()].concat(), ..Scope::default() };
            let kind = *self.rng.pick(&[
                "JOIN",
                "INNER JOIN",
                "LEFT JOIN",
                "LEFT JOIN",
                "LEFT OUTER JOIN",
                "FULL JOIN",
                "FULL OUTER JOIN",
                "CROSS JOIN",
                ",",
            ]);
            let on = if kind == "CROSS JOIN" || kind == "," {
                String::new()
            } else {
                format!(" ON {}", self.on(&scope, &other, &both))
            };
            let kind = if kind == "," { ", ".to_owned() } else { format!(" {kind} ") };
            let sql = format!("{}{kind}{}{on}", scope.sql, other.sql);
            scope = Scope {
                sql,
                columns: both.columns,
                unique: scope.unique.zip(other.unique).map(|(one, two)| [one, two].concat()),
                tables: scope.tables + other.tables,
            };
            // What follows a comma joins to its own table alone.
            if kind == ", " {
                break;
            }
        }
        scope
    }

    fn factor(&mut self, depth: usize) -> Scope {
        let alias = self.name("x");
        if depth < 3 && self.rng.one_in(6) {
            let (sql, columns) = self.query(depth + 1);
            return Scope::of(&format!("({sql}) AS {alias}"), &alias, &columns, None);
        }
        if !self.ctes.is_empty() && self.rng.one_in(2) {
            let (name, columns) = self.rng.pick(&self.ctes).clone();
            return Scope::of(&format!("{name} AS {alias}"), &alias, &columns, None);
        }
        let table = *self.rng.pick(&["t", "t", "t", "u", "u", "v", "e"]);
        Scope::of_table(table, &alias)
    }

    fn on(&mut self, left: &Scope, right: &Scope, both: &Scope) -> String {
        let kind = *self.rng.pick(&[K::Whole, K::Whole, K::Text, K::Day]);
        let equal = format!("{} = {}", self.expression(kind, 0, left), self.expression(kind, 0, right));
        match self.rng.below(9) {
            0..=2 => equal,
            3 => format!("{equal} AND {}", self.expression(K::Condition, 1, right)),
            4 => format!("{equal} AND {}", self.expression(K::Condition, 1, left)),
            5 => format!("{equal} AND {}", self.expression(K::Condition, 1, both)),
            6 => {
                let operator = *self.rng.pick(&["<", ">=", "<>", "<=", ">"]);
                format!("{} {operator} {}", self.expression(kind, 0, left), self.expression(kind, 0, right))
            }
            7 => format!(
                "{} BETWEEN {} AND {}",
                self.expression(kind, 0, right),
                self.expression(kind, 0, left),
                self.expression(kind, 0, both)
            ),
            _ => self.expression(K::Condition, 2, both),
        }
    }
}
