//! NDJSON: one object per line, rows only; provenance travels beside it, in headers or a manifest.

use std::io::Write;

use polars::prelude::DataFrame;

use crate::cells::Cells;
use crate::column::Column;
use crate::error::{Error, Result};
use crate::json::{hand_over, keys, push_object};

pub(crate) fn write(
    columns: &[Column],
    batches: impl Iterator<Item = Result<DataFrame>>,
    out: &mut impl Write,
) -> Result<u64> {
    let keys = keys(columns);
    let mut rows = 0;
    let mut text = Vec::new();
    for batch in batches {
        let batch = batch?;
        let cells = Cells::of(&batch, columns)?;
        for row in 0..batch.height() {
            push_object(&mut text, &keys, &cells, row);
            text.push(b'\n');
            hand_over(&mut text, out)?;
        }
        rows += batch.height() as u64;
    }
    out.write_all(&text).map_err(Error::Write)?;
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use crate::{Format, samples, write};

    #[test]
    fn every_row_is_a_line_that_parses_alone() {
        let (provenance, columns, frame) = samples::all();
        let mut bytes = Vec::new();
        write(Format::Ndjson, &provenance, &columns, [Ok(frame)], &mut bytes).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let rows: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0]["store"], "Zürich \"1\"\n=A1");
        assert_eq!(rows[1]["n64"], "9007199254740992");
    }

    #[test]
    fn no_row_is_no_line() {
        let (provenance, columns, frame) = samples::all();
        let mut bytes = Vec::new();
        let written = write(Format::Ndjson, &provenance, &columns, [Ok(frame.clear())], &mut bytes).unwrap();
        assert_eq!((written.rows, bytes.len()), (0, 0));
    }
}
