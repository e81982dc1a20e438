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
    /// By the service that was asked.
    pub services: BTreeMap<String, Service>,
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

/// Requests to one service. Each try counts, those of one request too: availability is what a client without patience
/// would see.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// How many.
    pub asked: u64,
    /// Those that did not get the answer they should, by what the visitor did and by kind.
    pub failed: BTreeMap<(&'static str, String), u64>,
}

impl Service {
    /// Percent of the requests that got the answer they should.
    pub fn availability(&self) -> f64 {
        let failed: u64 = self.failed.values().sum();
        #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
        let share = self.asked.saturating_sub(failed) as f64 / self.asked.max(1) as f64;
        100.0 * share
    }
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
    /// The service that a path leads to.
    pub(super) fn service(&mut self, path: &str) -> &mut Service {
        let name = path.trim_start_matches('/').split('/').next().unwrap_or_default();
        self.services.entry(name.to_owned()).or_default()
    }

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
        let services = self.availability();
        format!(
            "{table}\n{services}{rate:.1} requests/s over {:.1} s, {} lost after every retry",
            self.seconds, self.lost
        )
    }

    /// A line for each service.
    pub fn availability(&self) -> String {
        let line = |(name, it): (&String, &Service)| {
            let failed: u64 = it.failed.values().sum();
            format!(
                "{name:<10} {:>7.3} % available: {} of {} requests\n",
                it.availability(),
                it.asked - failed,
                it.asked
            )
        };
        self.services.iter().map(line).collect()
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
        let service = |it: &Service| json!({"asked": it.asked, "available_percent": it.availability()});
        let services: BTreeMap<&String, Value> = self.services.iter().map(|(name, it)| (name, service(it))).collect();
        json!({
            "seconds": self.seconds, "lost": self.lost, "all": show(&self.total()), "actions": actions,
            "services": services,
        })
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

    #[test]
    fn availability_is_shown_by_service() {
        let mut tally = Tally::default();
        tally.service("/retail/api/v1/sales").asked = 8;
        tally.service("/inventory/api/v1/products").asked = 3;
        tally.service("/retail/api/v1/stores").failed.insert(("sale", "503".to_owned()), 1);
        let shown = tally.availability();
        assert!(shown.contains("inventory  100.000 % available: 3 of 3 requests\n"), "{shown}");
        assert!(shown.contains("retail      87.500 % available: 7 of 8 requests\n"), "{shown}");
        assert_eq!(tally.json()["services"]["retail"], json!({"asked": 8, "available_percent": 87.5}));
    }
}
