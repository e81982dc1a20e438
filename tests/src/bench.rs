//! What every bench prints: a figure beside its peer or limit, both measured in the same run, and the target between
//! them; as a table for a reader and as JSON for a machine.

use std::fmt;

use serde::Serialize;

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was done, in a few words.
    pub work: String,
    /// The measured figure, in `unit`.
    pub value: f64,
    /// The unit of both figures, such as `ms` or `rows/s`.
    pub unit: &'static str,
    /// What it stands beside: a peer's name, or `limit`.
    pub peer: String,
    /// The peer's figure, or the limit, in `unit`.
    pub beside: f64,
    /// What `value / beside` should be.
    pub target: Target,
}

/// The bound on `value / beside`.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// At most this ratio: times, bytes.
    AtMost(f64),
    /// At least this ratio: rates.
    AtLeast(f64),
    /// Only to be known.
    Informative,
}

impl Row {
    /// A figure with its unit, beside that of a peer or a limit.
    pub fn new(
        work: impl Into<String>,
        (value, unit): (f64, &'static str),
        (peer, beside): (impl Into<String>, f64),
        target: Target,
    ) -> Self {
        Self { work: work.into(), value, unit, peer: peer.into(), beside, target }
    }

    /// `value / beside`.
    pub fn ratio(&self) -> f64 {
        self.value / self.beside
    }

    /// Whether the target is met; `None` where there is none.
    pub fn met(&self) -> Option<bool> {
        match self.target {
            Target::AtMost(bound) => Some(self.ratio() <= bound),
            Target::AtLeast(bound) => Some(self.ratio() >= bound),
            Target::Informative => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "≤ {bound} x"),
            Self::AtLeast(bound) => write!(f, "≥ {bound} x"),
            Self::Informative => f.write_str("-"),
        }
    }
}

/// Prints the rows of one topic, and the same as one line of JSON.
#[expect(clippy::print_stdout, reason = "a bench is read on a terminal")]
pub fn print(topic: &str, rows: &[Row]) {
    println!("\n{:<58} {:>14} {:<8} {:>14} {:<30} {:>8} {:>9}", topic, "measured", "", "beside", "", "ratio", "target");
    for row in rows {
        let verdict = match row.met() {
            Some(true) => " met",
            Some(false) => " MISSED",
            None => "",
        };
        println!(
            "{:<58} {:>14} {:<8} {:>14} {:<30} {:>8.3} {:>9}{verdict}",
            row.work,
            figure(row.value),
            row.unit,
            figure(row.beside),
            row.peer,
            row.ratio(),
            row.target.to_string(),
        );
    }
    let rows: Vec<_> =
        rows.iter().map(|row| serde_json::json!({"row": row, "ratio": row.ratio(), "met": row.met()})).collect();
    println!("{}", serde_json::json!({"bench": topic, "rows": rows}));
}

/// Few digits where the figure is large, enough where it is small.
fn figure(value: f64) -> String {
    let digits = match value.abs() {
        it if it >= 100.0 => 0,
        it if it >= 1.0 => 2,
        _ => 4,
    };
    format!("{value:.digits$}")
}
