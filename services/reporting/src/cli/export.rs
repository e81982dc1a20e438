//! `reporting export`: the files of one day.

use chrono::{NaiveDate, Utc};
use clap::Args;
use serde_json::json;
use sqlx::FromRow;

use super::terminal::{grouped, print, print_json, run_job, table};
use crate::{Config, wiring};

/// Write the export pack of one business day from what is published.
///
/// Files that are already there are kept: a published revision never changes.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  reporting export --day 2026-03-08")]
pub(super) struct Export {
    /// The business day; yesterday in the company's zone when absent.
    #[arg(long, value_name = "YYYY-MM-DD")]
    day: Option<NaiveDate>,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(FromRow)]
struct Row {
    path: String,
    rows: i64,
    bytes: i64,
    sha256: String,
}

impl Export {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let day = self.day.unwrap_or_else(|| jobs::nightly::day_before(Utc::now(), config.days()));
        let state = wiring::open(config).await?;
        let row = run_job(&state, "export-pack", &json!({ "business_day": day })).await?;
        if self.json {
            return print_json(&row.outcome.unwrap_or_default());
        }
        let files: Vec<Row> = sqlx::query_as(
            "SELECT path, rows, bytes, sha256 FROM exports.file
              WHERE business_day = $1 AND removed_at IS NULL ORDER BY path",
        )
        .bind(day)
        .fetch_all(&state.pool)
        .await?;
        let mut rows = table(&["file", "rows", "bytes", "sha256"]);
        for file in files {
            let digest: String = file.sha256.chars().take(16).collect();
            rows.add_row([file.path, grouped(file.rows), grouped(file.bytes), digest]);
        }
        print(rows)
    }
}
