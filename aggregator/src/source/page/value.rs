//! One field, read by its declared type.

use chrono::NaiveDate;

use super::{Field, Reader};
use lake::ColumnType;

/// A field's value. Text stays where it is until the whole row is known to fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Int32(i32),
    Int64(i64),
    Bool(bool),
    Text(Field),
}

impl Value {
    /// The value as a key's part; `None` for NULL.
    pub(super) fn text(self, reader: &Reader<'_>) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Int32(value) => Some(value.to_string()),
            Self::Int64(value) => Some(value.to_string()),
            Self::Bool(value) => Some(value.to_string()),
            Self::Text(field) => Some(String::from_utf8_lossy(field.bytes(reader)).into_owned()),
        }
    }
}

/// Read a field; the error is the reason why it does not fit. `is_text`: it is known to be UTF-8 without NUL.
pub(super) fn read(
    kind: ColumnType,
    nullable: bool,
    field: Field,
    bytes: &[u8],
    is_text: bool,
) -> Result<Value, String> {
    if !field.quoted && bytes == b"\\N" {
        return if nullable { Ok(Value::Null) } else { Err("NULL where the declaration allows none".to_owned()) };
    }
    let read = match kind {
        ColumnType::Int64 | ColumnType::Money => integer(bytes).map(Value::Int64),
        ColumnType::Int32 => integer(bytes).and_then(|it| i32::try_from(it).ok()).map(Value::Int32),
        ColumnType::Date => date(bytes).map(Value::Int32),
        ColumnType::Timestamp => timestamp(bytes).map(Value::Int64),
        ColumnType::Local => local(bytes).map(Value::Int64),
        ColumnType::Bool => match bytes {
            b"true" | b"t" => Some(Value::Bool(true)),
            b"false" | b"f" => Some(Value::Bool(false)),
            _ => None,
        },
        ColumnType::String => {
            let fits = is_text || (!bytes.contains(&0) && std::str::from_utf8(bytes).is_ok());
            fits.then_some(Value::Text(field))
        }
    };
    read.ok_or_else(|| {
        let shown: String = String::from_utf8_lossy(bytes).chars().take(80).collect();
        format!("{shown:?} is no {}", kind.name())
    })
}

/// A decimal integer, all of it, within 64 bits.
pub(super) fn integer(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, bytes),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i64 = 0;
    for digit in digits {
        let digit = i64::from(digit.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        // Counted downwards: the lowest number has no positive twin.
        value = value.checked_mul(10)?.checked_sub(digit)?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// `YYYY-MM-DD` as days since 1970-01-01.
pub(super) fn date(bytes: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = bytes else { return None };
    let year = number(&[*y1, *y2, *y3, *y4])?;
    let (month, day) = (number(&[*m1, *m2])?, number(&[*d1, *d2])?);
    Some(NaiveDate::from_ymd_opt(year, month.cast_unsigned(), day.cast_unsigned())?.to_epoch_days())
}

/// An RFC 3339 instant as microseconds since 1970-01-01T00:00:00Z. Finer digits must be zero.
pub(super) fn timestamp(bytes: &[u8]) -> Option<i64> {
    let (local, rest) = clock(bytes)?;
    Some(local - offset_seconds(rest)? * 1_000_000)
}

/// What a clock showed, as [`timestamp`] without an offset: microseconds as if it stood in UTC.
pub(super) fn local(bytes: &[u8]) -> Option<i64> {
    clock(bytes).filter(|(_, rest)| rest.is_empty()).map(|(local, _)| local)
}

/// Date and time of day as microseconds, and what follows them.
fn clock(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (day, rest) = bytes.split_at_checked(10)?;
    let [b'T' | b't' | b' ', h1, h2, b':', m1, m2, b':', s1, s2, rest @ ..] = rest else { return None };
    let (hour, minute, second) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?, number(&[*s1, *s2])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (micros, rest) = fraction(rest)?;
    let seconds = i64::from(date(day)?) * 86_400 + i64::from(hour * 3600 + minute * 60 + second);
    Some((seconds * 1_000_000 + micros, rest))
}

fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let [b'.', digits @ ..] = bytes else { return Some((0, bytes)) };
    let length = digits.iter().take_while(|it| it.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at_checked(length)?;
    if length == 0 || digits.iter().skip(6).any(|it| *it != b'0') {
        return None;
    }
    let micros = (0..6).fold(0, |sum, place| sum * 10 + i64::from(digits.get(place).map_or(0, |it| it - b'0')));
    Some((micros, rest))
}

fn offset_seconds(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
            let seconds = i64::from(hours * 3600 + minutes * 60);
            (hours <= 23 && minutes <= 59).then_some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<i32> {
    digits.iter().try_fold(0, |sum, it| it.is_ascii_digit().then(|| sum * 10 + i32::from(it - b'0')))
}
