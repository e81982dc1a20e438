//! CSV (RFC 4180) to rows: a byte order mark, CRLF and quoted newlines are all in order.

use csv::{ByteRecord, ReaderBuilder, StringRecord, Trim};

use super::MAX_BYTES;
use super::body::Message;
use super::record::Record;
use super::report::RowError;
use super::sink::{Sink, Stop};
use super::source::Source;
use crate::error::ApiError;

/// Which column each field of a row is.
struct Header {
    columns: Vec<usize>,
    width: usize,
}

/// Reads `source` to its end. Answers where and why it broke off, if it did.
pub(super) fn read<T: Record>(source: &mut Source, sink: &mut Sink<T>) -> Result<Option<RowError>, Stop> {
    let mut reader =
        ReaderBuilder::new().flexible(true).trim(Trim::Headers).buffer_capacity(64 * 1024).from_reader(source);
    let names = match reader.headers() {
        Ok(names) => names.clone(),
        Err(error) => {
            let detail = format!("the header cannot be read: {error}");
            return Err(Stop::Refused(ApiError::BadRequest { field: None, detail }));
        }
    };
    let header = header::<T>(&names).map_err(Stop::Refused)?;
    sink.send(Message::Begun)?;

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
                    judge(&earlier, &header, sink)?;
                    // Its memory serves again.
                    row = earlier;
                }
                if reader.get_ref().received() > MAX_BYTES {
                    let limit = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX);
                    return Err(Stop::Refused(ApiError::TooLarge { limit }));
                }
            }
            Ok(false) => {
                let Some(last) = held else { return Ok(None) };
                if is_cut(&last, header.width, reader.get_ref().tail()) {
                    let reason = "the body ends within this row; it was not applied".to_owned();
                    return Ok(Some(RowError { line: line(&last), field: None, reason }));
                }
                judge(&last, &header, sink)?;
                return Ok(None);
            }
            Err(error) => {
                // What is held has been ended by the row that broke off.
                if let Some(last) = held {
                    judge(&last, &header, sink)?;
                }
                let reason = format!("the body broke off; nothing was read from here on: {error}");
                return Ok(Some(RowError { line: reader.position().line(), field: None, reason }));
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

fn header<T: Record>(names: &StringRecord) -> Result<Header, ApiError> {
    let is_named = |column: &str| names.iter().any(|name| name == column);
    if names.iter().all(str::is_empty) {
        return Err(ApiError::invalid("header", "the body is empty; its first line must name the columns"));
    }
    if let Some(mark) = wrong_separator::<T>(names) {
        let detail = format!(
            "the columns are separated by {mark}; separate them with commas, and write decimals with a point \
             (in a spreadsheet: save as CSV UTF-8, comma delimited)"
        );
        return Err(ApiError::invalid("header", detail));
    }
    let mut columns: Vec<usize> = Vec::with_capacity(names.len());
    for name in names {
        if name.is_empty() {
            let detail = format!("column {} of the header has no name; is a comma too many?", columns.len() + 1);
            return Err(ApiError::invalid("header", detail));
        }
        let Some(at) = T::COLUMNS.iter().position(|column| column.name == name) else {
            let known: Vec<&str> = T::COLUMNS.iter().map(|column| column.name).collect();
            let detail = format!("the header has an unknown column {name:?}; known are {}", known.join(", "));
            return Err(ApiError::invalid(name.to_owned(), detail));
        };
        if columns.contains(&at) {
            return Err(ApiError::invalid(name.to_owned(), format!("the header has column {name:?} twice")));
        }
        columns.push(at);
    }
    if let Some(missing) = T::COLUMNS.iter().find(|column| column.needed && !is_named(column.name)) {
        return Err(ApiError::invalid(missing.name, format!("the header lacks column {:?}", missing.name)));
    }
    match T::ONE_OF.iter().find(|group| !group.iter().any(|column| is_named(column))) {
        Some(group) => {
            let detail = format!("the header lacks column {:?}, or {}", group[0], group[1..].join(", or "));
            Err(ApiError::invalid(group[0], detail))
        }
        None => Ok(Header { width: columns.len(), columns }),
    }
}

/// What separates the names of a header that commas do not.
fn wrong_separator<T: Record>(names: &StringRecord) -> Option<&'static str> {
    let [whole] = names.iter().collect::<Vec<_>>()[..] else { return None };
    [(';', "semicolons"), ('\t', "tabs"), ('|', "bars")].into_iter().find_map(|(mark, name)| {
        let is_column = |part: &str| T::COLUMNS.iter().any(|column| column.name == part.trim().trim_matches('"'));
        (whole.contains(mark) && whole.split(mark).any(is_column)).then_some(name)
    })
}

/// Hands a row on, with its texts or refused.
fn judge<T: Record>(row: &ByteRecord, header: &Header, sink: &mut Sink<T>) -> Result<(), Stop> {
    let line = line(row);
    let mut texts: Vec<Option<&str>> = vec![None; T::COLUMNS.len()];
    let mut bad = None;
    for (field, at) in row.iter().zip(&header.columns) {
        match std::str::from_utf8(field) {
            Ok(text) => texts[*at] = Some(text),
            Err(_) => bad = bad.or(Some(*at)),
        }
    }
    if row.len() != header.width {
        let reason = format!(
            "the row has {} fields, the header {}; a field with a comma stands in quotes, and decimals have a point",
            row.len(),
            header.width
        );
        // Counted from the end, too: a field is missing, or too many, before the key or behind it.
        let mut from_end: Vec<Option<&str>> = vec![None; T::COLUMNS.len()];
        for (at, column) in header.columns.iter().rev().enumerate() {
            let field = row.len().checked_sub(at + 1).and_then(|at| row.get(at));
            from_end[*column] = field.and_then(|field| std::str::from_utf8(field).ok());
        }
        return sink.refuse_either(&[&texts, &from_end], RowError { line, field: None, reason });
    }
    if let Some(at) = bad {
        let reason = "the field is not valid UTF-8; save the file as UTF-8".to_owned();
        return sink.refuse(&texts, RowError { line, field: Some(T::COLUMNS[at].name.to_owned()), reason });
    }
    sink.row(line, &texts)
}

fn line(row: &ByteRecord) -> u64 {
    row.position().map_or(0, csv::Position::line)
}

/// Whether the last row was cut short: an unfinished quote, or fields missing where no line ends. A
/// row that is whole but lacks the final newline is legal, and common.
fn is_cut(row: &ByteRecord, width: usize, tail: &[u8]) -> bool {
    ends_in_quotes(tail) || (row.len() < width && !tail.ends_with(b"\n"))
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
