//! The peer: dlt polls the same feed as JSON through the same gateway, and writes Parquet.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use system_tests::{Stack, binaries};

const PACKAGE: &str = "dlt[filesystem,parquet]==1.31.0";

/// Rows per second of a first run over `rows` sale lines, extraction to written files.
pub(super) fn rows_per_second(stack: &Stack, rows: u64) -> Result<f64> {
    let python = environment()?;
    let state = stack.state();
    let feed = format!("{}/retail/api/v1/changes", state.gateway);
    let key = state.keys.get("aggregator").context("the aggregator's key")?;
    let folder = stack.folder().join("dlt");
    let output = Command::new(python)
        .args(["-I", "-c", include_str!("dlt.py"), &feed, key, &rows.to_string()])
        .arg(&folder)
        // Its own telemetry would be a call to an outside host.
        .env("RUNTIME__DLTHUB_TELEMETRY", "false")
        .env("RUNTIME__LOG_LEVEL", "ERROR")
        .output()?;
    ensure!(output.status.success(), "dlt failed: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    text.lines().last().unwrap_or_default().trim().parse().context("dlt's program prints rows per second")
}

/// A virtual environment of its own beside that of the tests, made once.
fn environment() -> Result<PathBuf> {
    let target = binaries::folder().parent().context("the programs lie in a target directory")?.to_owned();
    let folder = target.join("bench-venv");
    let python = folder.join("bin/python");
    if !folder.join("bin/dlt").exists() {
        for (program, args) in [
            (PathBuf::from("python3"), vec!["-m", "venv", folder.to_str().context("a path in UTF-8")?]),
            (python.clone(), vec!["-m", "pip", "--quiet", "install", PACKAGE]),
        ] {
            let status = Command::new(&program).args(&args).status()?;
            ensure!(status.success(), "{} {} failed: the peer cannot be installed", program.display(), args.join(" "));
        }
    }
    Ok(python)
}
