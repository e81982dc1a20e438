//! The About sheet: what the numbers are and where they come from.

use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};

use crate::column::Column;
use crate::provenance::Provenance;

pub(super) fn write(
    workbook: &mut Workbook,
    provenance: &Provenance,
    columns: &[Column],
    rows: u64,
) -> Result<(), XlsxError> {
    let sheet = workbook.add_worksheet();
    sheet.set_name("About")?;
    sheet.set_column_width(0, 24.0)?;
    sheet.set_column_width(1, 48.0)?;
    let bold = Format::new().set_bold();
    let mut lines = Lines { sheet, bold, row: 0 };
    lines.heading(&provenance.title)?;
    lines.pair("Report", &provenance.report)?;
    lines.pair("Currency", &provenance.currency)?;
    lines.pair("Generated at", &provenance.generated_at.to_rfc3339())?;
    lines.pair("Snapshot", &provenance.snapshot.to_string())?;
    if let Some(revision) = provenance.revision {
        lines.pair("Revision", &revision.to_string())?;
    }
    lines.pair("State", provenance.state.as_deref().unwrap_or("computed on demand"))?;
    lines.pair("Rows", &rows.to_string())?;
    lines.heading("Parameters")?;
    for (name, value) in &provenance.parameters {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        lines.pair(name, &text)?;
    }
    lines.heading("Sources")?;
    for source in &provenance.sources {
        let through = source.complete_through.map_or_else(|| "never polled".to_owned(), |moment| moment.to_rfc3339());
        let stale = if source.stale { " (stale)" } else { "" };
        lines.pair(&source.name, &format!("complete through {through}{stale}"))?;
        for absent in &source.absent {
            lines.pair(&source.name, &format!("its version does not offer {absent}"))?;
        }
    }
    lines.heading("Columns")?;
    for column in columns {
        lines.pair(&column.title, &format!("{} ({})", column.name, column.kind.name()))?;
    }
    Ok(())
}

/// Writes label and value line by line.
struct Lines<'a> {
    sheet: &'a mut Worksheet,
    bold: Format,
    row: u32,
}

impl Lines<'_> {
    fn heading(&mut self, text: &str) -> Result<(), XlsxError> {
        if self.row > 0 {
            self.row += 1;
        }
        self.sheet.write_string_with_format(self.row, 0, text, &self.bold)?;
        self.row += 1;
        Ok(())
    }

    fn pair(&mut self, label: &str, value: &str) -> Result<(), XlsxError> {
        self.sheet.write_string(self.row, 0, label)?;
        self.sheet.write_string(self.row, 1, value)?;
        self.row += 1;
        Ok(())
    }
}
