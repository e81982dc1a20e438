//! `reporting run-report`: compute one report, to the terminal or to a file.

use std::{
    io::{BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use aggregator::report::Given;
use anyhow::{Context, bail};
use base::parse_span;
use chrono::NaiveDate;
use clap::Args;
use comfy_table::CellAlignment;
use exports::{Format, Kind};
use jobs::document::Document;

use super::terminal::{explained, grouped, patiently, print, table, unless_read_enough};
use crate::{
    Config, State,
    answer::{AnswerError, ReportRequest},
    wiring,
};

/// How many rows a table in the terminal shows.
const MOST_ROWS: usize = 200;

/// Compute a report and print it, or write it to a file.
///
/// Parameters are given as name=value; see `reporting check-catalog --list` for what there is. Dates may be relative:
/// `today`, `yesterday`, `today-30d`, `month_start`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  reporting run-report store_performance from=today-30d to=yesterday\n  \
                        reporting run-report store_performance --format parquet --output stores.parquet\n  \
                        reporting run-report store_performance --published 2026-03-08\n  \
                        reporting run-report store_performance --max-age 5m --json | jq .rows")]
pub(super) struct RunReport {
    /// The report.
    name: String,
    /// Its parameters, as name=value.
    #[arg(value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, String)>,
    /// json, ndjson, csv, csv-spreadsheet, csv-spreadsheet-comma, parquet, xlsx or arrow; a table when absent.
    #[arg(long, value_parser = format)]
    format: Option<Format>,
    /// The file to write, whole or not at all; standard output when absent. Its ending tells the format.
    #[arg(long, short)]
    output: Option<PathBuf>,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Show what was published for this business day instead of computing.
    #[arg(long, value_name = "YYYY-MM-DD", conflicts_with = "parameters")]
    published: Option<NaiveDate>,
    /// Which revision of that day; the newest when absent.
    #[arg(long, value_name = "N", requires = "published")]
    revision: Option<i32>,
    /// An earlier snapshot of the lake.
    #[arg(long, value_name = "N", conflicts_with = "published")]
    snapshot: Option<i64>,
    /// Poll first the sources that are older than this, such as 5m.
    #[arg(long, value_name = "SPAN", value_parser = parse_span, conflicts_with_all = ["published", "snapshot"])]
    max_age: Option<Duration>,
}

fn parameter(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a parameter is written name=value")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn format(name: &str) -> Result<Format, String> {
    Format::from_name(name).ok_or_else(|| format!("there are {}", Format::ALL.map(Format::name).join(", ")))
}

impl RunReport {
    pub(super) async fn run(self, config: Config) -> anyhow::Result<()> {
        let format = self.wanted()?;
        let parameters: Given = self.parameters.iter().cloned().collect();
        let state = wiring::open(config).await?;
        let work = async { self.request(&state, &parameters).await?.document(&state.answers).await };
        let document = patiently("computing", work).await.map_err(explained)?;
        let Some(format) = format else { return show(&document) };
        // Encoding is work of its own kind: the terminal's sign of life must go on meanwhile.
        let output = self.output.clone();
        let write = tokio::task::spawn_blocking(move || match &output {
            None => to_stdout(format, &document),
            Some(path) => to_file(format, &document, path),
        });
        patiently("writing", write).await?
    }

    async fn request(&self, state: &State, parameters: &Given) -> Result<ReportRequest, AnswerError> {
        let answers = &state.answers;
        if let Some(day) = self.published {
            return ReportRequest::published(answers, &self.name, day, self.revision).await;
        }
        match self.max_age {
            Some(most) => ReportRequest::fresh(answers, &self.name, parameters, most).await,
            None => ReportRequest::computed(answers, &self.name, parameters, self.snapshot).await,
        }
    }

    /// The format: as said, else as the file's ending says; none is a table.
    fn wanted(&self) -> anyhow::Result<Option<Format>> {
        let said = self.format.or(self.json.then_some(Format::Json));
        let format = match (said, &self.output) {
            (Some(format), _) => format,
            (None, None) => return Ok(None),
            (None, Some(path)) => {
                let ending = path.extension().and_then(|it| it.to_str()).unwrap_or_default();
                let unknown = || format!("what format is {}? Say --format", path.display());
                Format::from_name(ending).with_context(unknown)?
            }
        };
        if self.output.is_none() && format.is_binary() && std::io::stdout().is_terminal() {
            bail!("{} is not for a terminal; say --output FILE", format.name());
        }
        Ok(Some(format))
    }
}

fn encode(format: Format, document: &Document, out: &mut (dyn Write + Send)) -> exports::Result<exports::Written> {
    exports::write(format, &document.provenance, &document.columns, [Ok(document.frame().clone())], out)
}

fn to_stdout(format: Format, document: &Document) -> anyhow::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout());
    match encode(format, document, &mut out) {
        Err(exports::Error::Write(error)) => unless_read_enough(error)?,
        written => drop(written?),
    }
    Ok(())
}

/// Written beside its place and then moved there, so that what is there is whole, whatever happens.
fn to_file(format: Format, document: &Document, path: &Path) -> anyhow::Result<()> {
    let refused = || format!("{} cannot be written", path.display());
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().with_context(refused)?;
    let prefix = format!(".{}.", name.to_string_lossy());
    // Made as the user's other files are, not as private as a temporary one.
    let make = |path: &Path| std::fs::File::create_new(path);
    let draft = tempfile::Builder::new().prefix(&prefix).make_in(folder, make).with_context(refused)?;
    let mut out = BufWriter::with_capacity(1 << 16, draft);
    let written = encode(format, document, &mut out).with_context(refused)?;
    let draft = out.into_inner().map_err(std::io::IntoInnerError::into_error).with_context(refused)?;
    draft.persist(path).map_err(|error| error.error).with_context(refused)?;
    let count = |number: u64| grouped(i64::try_from(number).unwrap_or(i64::MAX));
    print(format!("{}: {} rows, {} bytes", path.display(), count(written.rows), count(written.bytes)))
}

/// A table of the first rows, and what is to be known about them.
fn show(document: &Document) -> anyhow::Result<()> {
    let titles: Vec<&str> = document.columns.iter().map(|column| column.title.as_str()).collect();
    let mut rows = table(&titles);
    for (column, place) in document.columns.iter().zip(rows.column_iter_mut()) {
        if matches!(column.kind, Kind::Int32 | Kind::Int64 | Kind::Float | Kind::Money { .. }) {
            place.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut csv = Vec::new();
    let head = document.frame().head(Some(MOST_ROWS));
    let raw = Format::Csv(exports::CsvProfile::Raw);
    // The values exactly as the CSV writes them: one place decides how money and dates look.
    let provenance = exports::Provenance { row_count: None, ..document.provenance.clone() };
    exports::write(raw, &provenance, &document.columns, [Ok(head)], &mut csv)?;
    for record in csv::Reader::from_reader(csv.as_slice()).records() {
        rows.add_row(record?.iter());
    }
    print(&rows)?;
    let provenance = &document.provenance;
    let state = match (&provenance.state, provenance.revision) {
        (Some(state), Some(revision)) => format!("revision {revision}, {state}"),
        _ => "computed now".to_owned(),
    };
    print(format!(
        "{} rows; {state}; snapshot {}; {}{}",
        document.frame().height(),
        provenance.snapshot,
        provenance.currency,
        if provenance.is_stale() { "; STALE: a source is behind, see `reporting poll --all`" } else { "" }
    ))?;
    if document.frame().height() > MOST_ROWS {
        print(format!("only the first {MOST_ROWS} are shown; use --format csv for all"))?;
    }
    Ok(())
}
