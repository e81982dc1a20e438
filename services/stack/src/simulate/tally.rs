//! What the visitors met: how many requests, how long they took, what went wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

/// All requests of one simulation.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// By what the visitor did.
    pub actions: BTreeMap<&'static str, Action>,
    /// Requests that were given up after every retry. None are lost when a service is merely restarted.
    pub lost: u64,
    /// How long the simulation took.
    pub seconds: f64,
}

/// Requests of one kind.
#[derive(Debug, Clone, Default)]
pub struct Action {
    /// Time to the whole answer, in microseconds, of every request that got the answer it should.
    micros: Vec<u64>,
    /// Refusals that are part of life (sold out, no such product), by status.
    pub refused: BTreeMap<u16, u64>,
    /// Answers that should not be, and requests without one, by kind (`503`, `connect`, `timeout`).
    pub errors: BTreeMap<String, u64>,
}

impl Action {
    /// Requests that got the answer they should.
    pub fn answered(&self) -> usize {
        self.micros.len()
    }

    pub(super) fn took(&mut self, time: Duration) {
        self.micros.push(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
    }

    /// The time within which `percent` of the requests were answered, in milliseconds.
    pub fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.micros.clone();
        sorted.sort_unstable();
        percentile(&sorted, percent)
    }
}

/// Nearest rank; 0 when there is nothing.
fn percentile(sorted: &[u64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    #[expect(clippy::cast_precision_loss, reason = "microseconds of a request")]
    sorted.get(rank).map_or(0.0, |micros| *micros as f64 / 1_000.0)
}

impl Tally {
    /// All actions as one.
    pub fn total(&self) -> Action {
        let mut total = Action::default();
        for action in self.actions.values() {
            total.micros.extend(&action.micros);
            for (status, n) in &action.refused {
                *total.refused.entry(*status).or_default() += n;
            }
            for (kind, n) in &action.errors {
                *total.errors.entry(kind.clone()).or_default() += n;
            }
        }
        total
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_FULL_CONDENSED);
        table.set_header(["request", "answered", "refused", "errors", "p50 ms", "p95 ms", "p99 ms", "errors by kind"]);
        let total = self.total();
        for (name, action) in self.actions.iter().map(|(name, action)| (*name, action)).chain([("all", &total)]) {
            let kinds: Vec<String> = action.errors.iter().map(|(kind, n)| format!("{kind}: {n}")).collect();
            table.add_row([
                name.to_owned(),
                action.answered().to_string(),
                action.refused.values().sum::<u64>().to_string(),
                action.errors.values().sum::<u64>().to_string(),
                format!("{:.1}", action.percentile(50)),
                format!("{:.1}", action.percentile(95)),
                format!("{:.1}", action.percentile(99)),
                kinds.join(", "),
            ]);
        }
        for column in 1..7 {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
        let rate = total.answered() as f64 / self.seconds.max(0.001);
        format!("{table}\n{rate:.1} requests/s over {:.1} s, {} lost after every retry", self.seconds, self.lost)
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let show = |action: &Action| {
            json!({
                "answered": action.answered(),
                "refused": action.refused,
                "errors": action.errors,
                "p50_ms": action.percentile(50),
                "p95_ms": action.percentile(95),
                "p99_ms": action.percentile(99),
            })
        };
        let actions: BTreeMap<&str, Value> = self.actions.iter().map(|(name, action)| (*name, show(action))).collect();
        json!({"seconds": self.seconds, "lost": self.lost, "all": show(&self.total()), "actions": actions})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let sorted: Vec<u64> = (1..=100).map(|n| n * 1_000).collect();
        let all = [50, 95, 99, 100].map(|percent| percentile(&sorted, percent));
        assert_eq!(all, [50.0, 95.0, 99.0, 100.0]);
        assert_eq!(percentile(&[7_000], 50), 7.0);
        assert_eq!(percentile(&[], 99), 0.0);
    }

    #[test]
    fn the_total_adds_up() {
        let mut tally = Tally::default();
        for (name, errors) in [("sale", 2), ("browse", 1)] {
            let action = tally.actions.entry(name).or_default();
            action.took(Duration::from_millis(3));
            action.errors.insert("503".to_owned(), errors);
        }
        let total = tally.total();
        assert_eq!((total.answered(), total.errors["503"]), (2, 3));
        assert!(tally.table().contains("503: 3"), "{}", tally.table());
    }
}
