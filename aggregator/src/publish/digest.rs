//! What makes two revisions the same: columns, rows, state and what is missing. Labels, which a reference gives to what
//! the key already tells apart, are no part of a figure: they are shown as they were when a revision was computed.

use polars::prelude::{AnyValue, ChunkCompareEq as _, Column, DataFrame, PolarsResult};
use sha2::{Digest, Sha256};

use super::{Missing, PublishedRows, State};
use crate::report::ReportResult;

/// How rows differ from those of a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Difference {
    None,
    /// Something has another name.
    Labels,
    Figures,
}

/// How a result differs from the rows that were published; blocks.
pub(super) fn difference(then: &PublishedRows, now: &ReportResult) -> PolarsResult<Difference> {
    let columns = || now.columns().iter();
    let same_columns = then.columns.iter().map(|it| (&it.name, it.kind)).eq(columns().map(|it| (&it.name, it.kind)));
    if !same_columns || then.frame.height() != now.frame.height() {
        return Ok(Difference::Figures);
    }
    let text = |column: &Column, row: usize| {
        let mut text = String::new();
        cell_text(&column.get(row)?, &mut text);
        PolarsResult::Ok(text)
    };
    let mut found = Difference::None;
    for ((then, now), column) in then.frame.columns().iter().zip(now.frame.columns()).zip(columns()) {
        // Most cells are the same to the last digit: only the others are written out.
        let equal = (then.dtype() == now.dtype()).then(|| then.equal_missing(now)).transpose()?;
        for row in 0..then.len() {
            if equal.as_ref().is_some_and(|equal| equal.get(row) == Some(true)) || text(then, row)? == text(now, row)? {
                continue;
            }
            if !column.label {
                return Ok(Difference::Figures);
            }
            found = Difference::Labels;
            break;
        }
    }
    Ok(found)
}

/// SHA-256 in hexadecimal. Floats count to nine digits: the order of an addition may move the last ones.
pub(super) fn of(result: &ReportResult, state: State, missing: &[Missing]) -> PolarsResult<String> {
    let mut hash = Sha256::new();
    let mut text = String::new();
    for column in result.columns() {
        field(&mut text, &column.name);
        field(&mut text, &format!("{:?}", column.kind));
    }
    field(&mut text, state.name());
    field(&mut text, &serde_json::to_string(missing).unwrap_or_default());
    for row in 0..result.frame.height() {
        row_text(&result.frame, row, &mut text)?;
        hash.update(text.as_bytes());
        text.clear();
    }
    hash.update(text.as_bytes());
    Ok(base::hex(&hash.finalize()))
}

fn row_text(frame: &DataFrame, row: usize, text: &mut String) -> PolarsResult<()> {
    for column in frame.columns() {
        cell_text(&column.get(row)?, text);
    }
    text.push('\n');
    Ok(())
}

/// A cell in a form in which equal cells are equal; floats to nine digits.
pub(super) fn cell_text(cell: &AnyValue<'_>, text: &mut String) {
    match cell {
        AnyValue::Null => text.push_str("~;"),
        AnyValue::Float64(value) => field(text, &format!("{value:.8e}")),
        AnyValue::String(value) => field(text, value),
        // As a column of one value for all rows holds it.
        AnyValue::StringOwned(value) => field(text, value),
        other => field(text, &other.to_string()),
    }
}

/// The length goes first, so that no two rows read the same with their cells shifted.
fn field(text: &mut String, value: &str) {
    text.push_str(&value.len().to_string());
    text.push(':');
    text.push_str(value);
    text.push(';');
}

#[cfg(test)]
mod tests {
    use polars::prelude::AnyValue;

    use super::cell_text;

    #[test]
    fn a_text_is_the_same_however_it_is_held() {
        let text = |cell| {
            let mut text = String::new();
            cell_text(&cell, &mut text);
            text
        };
        assert_eq!(text(AnyValue::String("Union Station")), text(AnyValue::StringOwned("Union Station".into())));
        assert_ne!(text(AnyValue::String("")), text(AnyValue::Null));
    }
}
