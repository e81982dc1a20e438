//! `reporting run-report`: compute one report, to the terminal or to a file.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
};

use aggregator::report;
use anyhow::{Context, bail};
use chrono::NaiveDate;
use clap::Args;
use exports::Format;
use jobs::document::Document;

use super::terminal::{print, table};
use crate::{Config, api::answer, wiring};

/// How many rows a table in the terminal shows.
const MOST_ROWS: usize = 200;

/// Compute a report and print it, or write it to a file.
///
/// Parameters are given as name=value; see `reporting check-catalog --list` for what there is. Dates may be relative:
/// `today`, `yesterday`, `today-30d`, `month_start`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  reporting run-report store_performance from=today-30d to=yesterday\n  \
                        reporting run-report store_performance --format parquet --output stores.parquet\n  \
                        reporting run-report store_performance --published 2026-03-08")]
pub(super) struct RunReport {
    /// The report.
    name: String,
    /// Its parameters, as name=value.
    #[arg(value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// json, ndjson, csv, csv-spreadsheet, parquet, xlsx or arrow; a table when absent.
    #[arg(long)]
    format: Option<String>,
    /// The file to write; standard output when absent.
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Show what was published for this business day instead of computing.
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with = "parameters")]
    published: Option<NaiveDate>,
}

impl RunReport {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let format = self.format()?;
        let mut parameters = BTreeMap::new();
        for text in &self.parameters {
            let (name, value) = text.split_once('=').with_context(|| format!("`{text}` is not name=value"))?;
            parameters.insert(name.to_owned(), value.to_owned());
        }
        let state = wiring::open(config).await?;
        if report::catalogue(&state.aggregator).get(&self.name).is_none() {
            bail!("there is no report `{}`; `reporting check-catalog --list` shows them", self.name);
        }
        let result = match self.published {
            Some(day) => answer::published(&state, &self.name, day, None).await,
            None => answer::computed(&state, &self.name, &parameters, None).await,
        };
        // The same refusals as over HTTP; the cause behind a 500 goes to the log there, and to the person here.
        let result = result.map_err(|error| anyhow::anyhow!(kit::telemetry::chain(&error)))?;
        let Some(format) = format else { return show(&result) };
        let rows = [Ok(result.frame.clone())];
        match &self.output {
            None => {
                exports::write(format, &result.provenance, &result.columns, rows, &mut std::io::stdout())?;
            }
            Some(path) => {
                let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
                let mut out = BufWriter::new(file);
                let written = exports::write(format, &result.provenance, &result.columns, rows, &mut out)?;
                out.flush().with_context(|| format!("{} cannot be written", path.display()))?;
                print(format!("{}: {} rows, {} bytes", path.display(), written.rows, written.bytes));
            }
        }
        Ok(())
    }

    fn format(&self) -> anyhow::Result<Option<Format>> {
        let Some(name) = self.format.as_deref().or(self.json.then_some("json")) else {
            // A file needs a format; its ending is a good guess.
            let ending = self.output.as_deref().and_then(|path| path.extension()).and_then(|it| it.to_str());
            return match (&self.output, ending) {
                (None, _) => Ok(None),
                (Some(path), ending) => match ending.and_then(Format::from_name) {
                    Some(format) => Ok(Some(format)),
                    None => bail!("what format is {}? Say --format", path.display()),
                },
            };
        };
        let known = || Format::ALL.map(Format::name).join(", ");
        match Format::from_name(name) {
            Some(format) => Ok(Some(format)),
            None => bail!("there is no format `{name}`; there are {}", known()),
        }
    }
}

fn show(result: &Document) -> anyhow::Result<()> {
    let titles: Vec<&str> = result.columns.iter().map(|column| column.title.as_str()).collect();
    let mut rows = table(&titles);
    let mut csv = Vec::new();
    let head = result.frame.head(Some(MOST_ROWS));
    let raw = Format::Csv(exports::CsvProfile::Raw);
    // The values exactly as the CSV writes them: one place decides how money and dates look.
    let provenance = exports::Provenance { row_count: None, ..result.provenance.clone() };
    exports::write(raw, &provenance, &result.columns, [Ok(head)], &mut csv)?;
    for record in csv::Reader::from_reader(csv.as_slice()).records() {
        rows.add_row(record?.iter());
    }
    print(&rows);
    let provenance = &result.provenance;
    let state = provenance.state.as_deref().unwrap_or("computed now");
    print(format!(
        "{} rows; {state}; snapshot {}; {}{}",
        result.frame.height(),
        provenance.snapshot,
        provenance.currency,
        if provenance.is_stale() { "; STALE: a source is behind, see `reporting poll --all`" } else { "" }
    ));
    if result.frame.height() > MOST_ROWS {
        print(format!("only the first {MOST_ROWS} are shown; use --format csv for all"));
    }
    Ok(())
}
