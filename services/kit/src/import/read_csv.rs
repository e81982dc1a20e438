//! CSV (RFC 4180) to rows: a byte order mark, CRLF and quoted newlines are all in order.

use csv::{ByteRecord, ReaderBuilder, StringRecord, Trim};

use super::field::column_at_fault;
use super::group::{Gone, Sink};
use super::source::Source;
use super::{Record, RowError};
use crate::error::ApiError;

/// Reads `source` to its end, or until nobody listens.
pub(super) fn read<T: Record>(source: Source, sink: &mut Sink<T>) -> Result<(), Gone> {
    let mut reader =
        ReaderBuilder::new().flexible(true).trim(Trim::Headers).buffer_capacity(64 * 1024).from_reader(source);
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => {
            let detail = format!("the header cannot be read: {error}");
            return sink.refuse_body(ApiError::BadRequest { field: None, detail });
        }
    };
    if let Err(error) = check_header::<T>(&header) {
        return sink.refuse_body(error);
    }
    sink.begin()?;
    let key_at = T::DOCUMENT.and_then(|name| header.iter().position(|column| column == name));

    // A row is judged when the next one is known: only then is it clear whether it is the last, whose
    // end may be missing.
    let (mut row, mut held) = (ByteRecord::new(), None::<ByteRecord>);
    loop {
        match reader.read_byte_record(&mut row) {
            Ok(true) => {
                let offset = row.position().map_or(0, csv::Position::byte);
                reader.get_mut().row_began(offset);
                count_line_ends(&mut row, reader.get_ref().tail());
                if let Some(earlier) = held.replace(std::mem::take(&mut row)) {
                    judge(&earlier, &header, key_at, sink)?;
                    // Its memory serves again.
                    row = earlier;
                }
            }
            Ok(false) => {
                let Some(last) = held else { return sink.end(None) };
                if is_cut(&last, &header, reader.get_ref().tail()) {
                    let reason = "the body ends within this row; it was not applied".to_owned();
                    return sink.end(Some(RowError { line: line(&last), field: None, reason }));
                }
                judge(&last, &header, key_at, sink)?;
                return sink.end(None);
            }
            Err(error) => {
                // What is held has been ended by the row that broke off.
                if let Some(last) = held {
                    judge(&last, &header, key_at, sink)?;
                }
                let reason = format!("the body broke off; nothing was read from here on: {error}");
                return sink.end(Some(RowError { line: reader.position().line(), field: None, reason }));
            }
        }
    }
}

/// Moves a row's position past the line ends before its first field: the parser leaves the LF of a CRLF, and empty
/// lines, to the row that follows, and would name the line before.
fn count_line_ends(row: &mut ByteRecord, from_row: &[u8]) {
    let before = from_row.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    let skipped: u64 = before.map(|byte| u64::from(*byte == b'\n')).sum();
    if let Some(mut position) = row.position().cloned() {
        position.set_line(position.line() + skipped);
        row.set_position(Some(position));
    }
}

fn check_header<T: Record>(header: &StringRecord) -> Result<(), ApiError> {
    let known = || T::REQUIRED.iter().chain(T::OPTIONAL).copied();
    if header.iter().all(str::is_empty) {
        return Err(ApiError::invalid("header", "the body is empty; its first line must name the columns"));
    }
    for (at, name) in header.iter().enumerate() {
        if !known().any(|column| column == name) {
            let list: Vec<&str> = known().collect();
            let detail = format!("the header has an unknown column {name:?}; known are {}", list.join(", "));
            return Err(ApiError::invalid(name.to_owned(), detail));
        }
        if header.iter().take(at).any(|earlier| earlier == name) {
            return Err(ApiError::invalid(name.to_owned(), format!("the header has column {name:?} twice")));
        }
    }
    match T::REQUIRED.iter().find(|column| !header.iter().any(|name| name == **column)) {
        Some(missing) => Err(ApiError::invalid(*missing, format!("the header lacks column {missing:?}"))),
        None => Ok(()),
    }
}

/// Hands a row on, parsed or refused.
fn judge<T: Record>(
    row: &ByteRecord,
    header: &StringRecord,
    key_at: Option<usize>,
    sink: &mut Sink<T>,
) -> Result<(), Gone> {
    let line = line(row);
    let key = key_at.and_then(|at| row.get(at)).and_then(|key| std::str::from_utf8(key).ok());
    if row.len() != header.len() {
        let reason = format!("the row has {} fields, the header {}", row.len(), header.len());
        return sink.refuse(key, RowError { line, field: None, reason });
    }
    let text = match StringRecord::from_byte_record(row.clone()) {
        Ok(text) => text,
        Err(error) => {
            let field = header.get(error.utf8_error().field()).map(ToOwned::to_owned);
            return sink.refuse(key, RowError { line, field, reason: "the field is not valid UTF-8".to_owned() });
        }
    };
    match text.deserialize::<T>(Some(header)) {
        Ok(value) => sink.row(line, value),
        Err(error) => sink.refuse(key, explain::<T>(line, header, &text, &error)),
    }
}

fn explain<T: Record>(line: u64, header: &StringRecord, row: &StringRecord, error: &csv::Error) -> RowError {
    let csv::ErrorKind::Deserialize { err, .. } = error.kind() else {
        return RowError { line, field: None, reason: error.to_string() };
    };
    let reason = err.kind().to_string();
    let at = err.field().and_then(|at| header.get(usize::try_from(at).ok()?)).map(ToOwned::to_owned);
    let field = at.or_else(|| super::read_ndjson::named_field(&reason)).or_else(|| column_at_fault::<T>(header, row));
    RowError { line, field, reason }
}

fn line(row: &ByteRecord) -> u64 {
    row.position().map_or(0, csv::Position::line)
}

/// Whether the last row was cut short: an unfinished quote, or fields missing where no line ends. A
/// row that is whole but lacks the final newline is legal, and common.
fn is_cut(row: &ByteRecord, header: &StringRecord, tail: &[u8]) -> bool {
    ends_in_quotes(tail) || (row.len() < header.len() && !tail.ends_with(b"\n"))
}

/// Whether `tail`, which begins with a row, ends within a quoted field.
fn ends_in_quotes(tail: &[u8]) -> bool {
    let (mut quoted, mut fresh) = (false, true);
    for byte in tail {
        match (quoted, byte) {
            // A quote within quotes ends them; the second half of a doubled one opens them again.
            (true, b'"') => (quoted, fresh) = (false, true),
            (true, _) => {}
            (false, b'"') if fresh => quoted = true,
            (false, byte) => fresh = matches!(byte, b',' | b'\n' | b'\r'),
        }
    }
    quoted
}
