//! Calls that make one value of many rows: aggregates and windows.

use super::expressions::{Col, K, Scope};
use super::generate::Generator;

impl Generator {
    /// A call that makes one value of a group.
    pub(super) fn aggregate(&mut self, scope: &Scope) -> Col {
        let depth = self.rng.below(3);
        let filter = if self.rng.one_in(5) {
            format!(" FILTER (WHERE {})", self.expression(K::Condition, 1, scope))
        } else {
            String::new()
        };
        let of = self.kind(&K::EXACT, scope);
        let numeric = *self.rng.pick(&[K::Whole, K::Whole, K::Fraction]);
        match self.rng.below(10) {
            0 => Col { sql: format!("COUNT(*){filter}"), kind: K::Whole },
            1 => Col { sql: format!("COUNT({}){filter}", self.expression(of, depth, scope)), kind: K::Whole },
            2 => Col { sql: format!("COUNT(DISTINCT {}){filter}", self.expression(of, depth, scope)), kind: K::Whole },
            3 | 4 => Col { sql: format!("SUM({}){filter}", self.expression(K::Whole, depth, scope)), kind: K::Whole },
            5 => {
                let name = *self.rng.pick(&["SUM", "AVG", "STDDEV"]);
                Col {
                    sql: format!("{name}({}){filter}", self.expression(K::Fraction, depth, scope)),
                    kind: K::Tolerant,
                }
            }
            6 => Col { sql: format!("AVG({}){filter}", self.expression(numeric, depth, scope)), kind: K::Tolerant },
            7 => Col { sql: format!("MEDIAN({}){filter}", self.expression(numeric, depth, scope)), kind: K::Fraction },
            _ => {
                let name = *self.rng.pick(&["MIN", "MAX"]);
                Col { sql: format!("{name}({}){filter}", self.expression(of, depth, scope)), kind: of }
            }
        }
    }

    /// A call over a window.
    pub(super) fn window(&mut self, scope: &Scope) -> Option<Col> {
        let partition = match self.rng.below(3) {
            0 => String::new(),
            _ => {
                let of = *self.rng.pick(&[K::Whole, K::Text, K::Day, K::Condition]);
                format!("PARTITION BY {}", self.expression(of, 1, scope))
            }
        };
        let nulls = |it: &mut Self| {
            format!("{}{}", it.rng.pick(&["", " DESC"]), it.rng.pick(&["", "", "", " NULLS FIRST", " NULLS LAST"]))
        };
        let of = *self.rng.pick(&[K::Whole, K::Fraction, K::Text, K::Day, K::Condition]);
        let tied = format!("ORDER BY {}{}", self.expression(of, 1, scope), nulls(self));
        // Rows that a total order tells apart only by what they do not show are the same to whoever reads them.
        let rest: Vec<String> = match &scope.unique {
            Some(unique) => unique.clone(),
            None if scope.has(K::Tolerant) => Vec::new(),
            None => scope.columns.iter().map(|it| it.sql.clone()).collect(),
        };
        let is_total = !rest.is_empty();
        let total = rest.iter().fold(tied.clone(), |by, column| format!("{by}, {column}{}", nulls(self)));
        let frame = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW";
        let ranks = *self.rng.pick(&["RANK()", "DENSE_RANK()"]);
        if self.rng.one_in(3) {
            return Some(Col { sql: format!("{ranks} OVER ({partition} {tied})"), kind: K::Whole });
        }
        if is_total && self.rng.one_in(3) {
            let (call, kind) = match self.rng.below(3) {
                0 => ("ROW_NUMBER()".to_owned(), K::Whole),
                1 => {
                    let name = *self.rng.pick(&["LAG", "LEAD"]);
                    let offset = self.rng.pick(&["", ", 1", ", 2", ", 7"]);
                    (format!("{name}({}{offset})", self.expression(of, 1, scope)), of)
                }
                _ => (format!("FIRST_VALUE({})", self.expression(of, 1, scope)), of),
            };
            return Some(Col { sql: format!("{call} OVER ({partition} {total})"), kind });
        }
        let aggregate = self.aggregate(scope);
        let runs = !["MEDIAN", "STDDEV", "COUNT(DISTINCT"].iter().any(|name| aggregate.sql.starts_with(name))
            && (!aggregate.sql.starts_with("M") || matches!(aggregate.kind, K::Whole | K::Fraction));
        let over = match self.rng.below(3) {
            0 if runs => format!("{partition} {tied}"),
            1 if runs && is_total => format!("{partition} {total} {frame}"),
            _ => partition,
        };
        Some(Col { sql: format!("{} OVER ({over})", aggregate.sql), kind: aggregate.kind })
    }
}
