//! Reports and files the way they are shown at the terminal.

use chrono::NaiveDate;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::state::State;

/// The reports of the demo, in the order in which they are shown.
pub(super) const REPORTS: [&str; 4] =
    ["store_performance", "product_performance", "inventory_status", "stock_reconciliation"];

/// Rows of a report at the terminal; the rest is a download away.
const ROWS: usize = 10;

/// A report answer as a table with its provenance.
pub(super) fn report(answer: &Value) -> String {
    let columns = answer["columns"].as_array().map(Vec::as_slice).unwrap_or_default();
    let rows = answer["rows"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut table = Table::new();
    table.load_preset(presets::UTF8_FULL_CONDENSED);
    table.set_header(columns.iter().map(|column| column["title"].as_str().unwrap_or_default().to_owned()));
    for (index, column) in columns.iter().enumerate() {
        let text = matches!(column["type"].as_str(), Some("string" | "date" | "timestamp" | "bool"));
        if let (false, Some(column)) = (text, table.column_mut(index)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for row in rows.iter().take(ROWS) {
        table.add_row(columns.iter().map(|column| {
            let value = &row[column["name"].as_str().unwrap_or_default()];
            match (column["type"].as_str(), value.as_f64()) {
                // JSON's reader drops the zero of 1234.50; a figure at a terminal has its two places.
                (Some("money"), Some(amount)) => format!("{amount:.2}"),
                _ => cell(value),
            }
        }));
    }
    let more = rows.len().saturating_sub(ROWS);
    let more = if more > 0 { format!("\n… and {more} rows more") } else { String::new() };
    format!(
        "\n{} — {}, revision {} ({}), snapshot {}, {}\n{table}{more}",
        text(&answer["report"]),
        answer["parameters"],
        text(&answer["revision"]),
        text(&answer["state"]),
        text(&answer["snapshot"]),
        text(&answer["currency"]),
    )
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        // A ratio of two counts needs no seventeen digits at a terminal; money comes with its two.
        Value::Number(number) if number.to_string().len() > 12 && number.is_f64() => {
            format!("{:.4}", number.as_f64().unwrap_or_default())
        }
        other => text(other),
    }
}

/// A string without its quotes, anything else as JSON.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The typed outcome of a run, short.
pub(super) fn outcome(run: &Value) -> String {
    match &run["outcome"] {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| value.is_number() || value.is_string() || value.is_boolean())
            .map(|(name, value)| format!("{name} {}", text(value)))
            .collect::<Vec<_>>()
            .join(", "),
        _ => text(&run["status"]),
    }
}

/// The exported files of a day, with size and digest.
pub(super) fn files(state: &State, day: NaiveDate) -> Result<Vec<String>> {
    let folder = state.exports.join(day.to_string());
    let mut lines = vec![format!("\nFiles of {day} in {}", folder.display())];
    let Ok(entries) = std::fs::read_dir(&folder) else {
        lines.push("  none".to_owned());
        return Ok(lines);
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.sort();
    let others = paths.len();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name == "manifest.json" || REPORTS.iter().any(|report| name.starts_with(&format!("{report}-")))
    });
    let others = others - paths.len();
    for path in paths {
        let bytes = std::fs::read(&path).map_err(Error::io("read", &path))?;
        let digest = base::sha256_hex(&bytes);
        let short = digest.get(..16).unwrap_or_default();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        lines.push(format!("  {name:<44} {:>9} bytes   sha256 {short}…", bytes.len()));
    }
    lines.push(format!("  … and {others} files of the other reports"));
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_is_shown_with_its_provenance_and_its_first_rows() {
        let rows: Vec<Value> =
            (0..12).map(|n| json!({"store": format!("S{n}"), "share": 1.0 / 3.0, "net": 1234.5})).collect();
        let answer = json!({
            "report": "store_performance", "parameters": {"from": "2026-11-21"}, "snapshot": 7, "revision": 1,
            "state": "final", "currency": "CAD", "rows": rows,
            "columns": [{"name": "store", "type": "string", "title": "Store"}, {"name": "share", "type": "float", "title": "Share"},
                        {"name": "net", "type": "money", "title": "Net"}],
        });
        let shown = report(&answer);
        assert!(
            shown.contains("store_performance") && shown.contains("revision 1 (final), snapshot 7, CAD"),
            "{shown}"
        );
        assert!(shown.contains("S9") && !shown.contains("S10") && shown.contains("and 2 rows more"), "{shown}");
        assert!(shown.contains("0.3333") && !shown.contains("0.33333") && shown.contains("1234.50"), "{shown}");
    }
}
