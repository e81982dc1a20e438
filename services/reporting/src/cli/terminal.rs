//! What the commands share at a terminal: tables, progress, and following a run to its end.

use std::{
    io::{IsTerminal, Write as _},
    time::Duration,
};

use anyhow::bail;
use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use jobs::engine::{RunRow, RunStatus, history};
use serde_json::Value;

use crate::{
    State,
    answer::{self, AnswerError},
};

/// How long work must last before a progress bar shows.
const PATIENCE: Duration = Duration::from_secs(1);

/// A table as every command prints it.
pub(super) fn table(titles: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(titles);
    table
}

/// Print a line on standard output. A reader who has seen enough (`| head`) is no failure.
pub(super) fn print(text: impl std::fmt::Display) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").or_else(unless_read_enough)?;
    Ok(())
}

/// Ends the program in good order when standard output is read no further.
pub(super) fn unless_read_enough(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::BrokenPipe {
        std::process::exit(0);
    }
    Err(error)
}

/// Print JSON on standard output.
pub(super) fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    print(serde_json::to_string_pretty(value)?)
}

/// A bar on standard error, removed when its work is done. Nothing is shown where standard error is no terminal.
fn bar(template: &str, what: &str) -> ProgressBar {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(0) } else { ProgressBar::hidden() };
    let bar = bar.with_finish(ProgressFinish::AndClear).with_prefix(what.to_owned());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

/// Awaits work without known progress; a spinner shows if it lasts.
pub(super) async fn patiently<T>(what: &str, work: impl Future<Output = T>) -> T {
    let sign = async {
        tokio::time::sleep(PATIENCE).await;
        let bar = bar("{spinner} {prefix} ({elapsed})", what);
        bar.enable_steady_tick(Duration::from_millis(200));
        std::future::pending::<std::convert::Infallible>().await
    };
    tokio::select! {
        done = work => done,
        never = sign => match never {},
    }
}

/// The failure of an answer as the person at the terminal reads it: with its causes, and with where to look further.
pub(super) fn explained(error: AnswerError) -> anyhow::Error {
    let hint = match &error {
        AnswerError::UnknownReport { .. } => "; `reporting check-catalog --list` lists them",
        AnswerError::UnknownSource { .. } => "; `reporting poll --all` names them",
        AnswerError::UnknownDay { .. } => "; `reporting publish --day` publishes it",
        AnswerError::Unknown { .. }
        | AnswerError::UnknownFile { .. }
        | AnswerError::Parameter { .. }
        | AnswerError::Request { .. }
        | AnswerError::Arguments { .. }
        | AnswerError::ReportDisabled { .. }
        | AnswerError::NotPublished { .. }
        | AnswerError::Stale { .. }
        | AnswerError::Busy { .. }
        | AnswerError::Damaged { .. }
        | AnswerError::TimedOut { .. }
        | AnswerError::TooLarge { .. }
        | AnswerError::Spool(_)
        | AnswerError::Catalogue(_)
        | AnswerError::Lake(_)
        | AnswerError::Database(_)
        | AnswerError::Internal(_) => "",
    };
    anyhow::anyhow!("{}{hint}", kit::telemetry::chain(&error))
}

/// Run a job to its end with a progress bar, and fail if it did.
pub(super) async fn run_job(state: &State, job: &str, arguments: &Value) -> anyhow::Result<RunRow> {
    let row = answer::jobs::start(&state.runner, job, arguments).await.map_err(explained)?;
    let bar = async {
        tokio::time::sleep(PATIENCE).await;
        show_progress(state, row.id, job).await
    };
    let ended = tokio::select! {
        ended = state.runner.run_to_end(job, row.scheduled_for) => ended?,
        never = bar => never,
        signal = tokio::signal::ctrl_c() => {
            signal?;
            state.runner.stop().cancel();
            history::cancel(state.runner.pool(), row.id).await?;
            bail!("cancelled; what was published stays, and the same command goes on from there");
        }
    };
    match ended.status {
        RunStatus::Succeeded => Ok(ended),
        RunStatus::Queued | RunStatus::Waiting | RunStatus::Running => bail!("run {} of {job} has not ended", ended.id),
        RunStatus::Failed => bail!("run {} of {job} failed: {}", ended.id, ended.error.unwrap_or_default()),
        RunStatus::Skipped | RunStatus::Cancelled => {
            bail!("run {} of {job} was {}: {}", ended.id, ended.status.name(), ended.note.unwrap_or_default())
        }
    }
}

/// Show how far a run has come; never returns.
async fn show_progress(state: &State, run: i64, job: &str) -> ! {
    let bar = bar("{prefix} [{bar:30}] {pos}/{len} {msg} ({elapsed})", job);
    loop {
        if let Ok(row) = history::get(state.runner.pool(), run).await {
            let number = |name: &str| row.progress.as_ref().and_then(|it| it.get(name)).and_then(Value::as_u64);
            bar.set_length(number("total").unwrap_or(1));
            bar.set_position(number("done").unwrap_or(0));
            let at = row.progress.as_ref().and_then(|it| it.get("at")).and_then(Value::as_str).unwrap_or_default();
            bar.set_message(row.note.unwrap_or_else(|| at.to_owned()));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Fail, naming each report that could not be published; what could is published.
pub(super) fn print_failures(outcome: &Value) -> anyhow::Result<()> {
    let failed = outcome.get("failed").and_then(Value::as_object).filter(|failed| !failed.is_empty());
    let Some(failed) = failed else { return Ok(()) };
    let lines: Vec<String> = failed.iter().map(|(name, reason)| format!("{name}: {reason}")).collect();
    bail!("not published: {}", lines.join("; "))
}

/// A number with groups of thousands.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_grouped() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "-1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
