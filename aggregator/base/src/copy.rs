//! Rows in the binary form of COPY (PostgreSQL manual, COPY, "Binary Format"): nothing to escape, nothing to parse.

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

/// The beginning: signature, no flags, no extension.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// From 1970-01-01 to 2000-01-01, where PostgreSQL counts from.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Bytes that are sent at once.
const SENT: usize = 64 * 1024;

/// Rows for `COPY … FROM STDIN WITH (FORMAT binary)`.
#[derive(Debug)]
pub struct Tuples {
    bytes: Vec<u8>,
    rows: u64,
}

impl Default for Tuples {
    fn default() -> Self {
        Self { bytes: SIGNATURE.to_vec(), rows: 0 }
    }
}

/// A value of a column.
#[derive(Debug, Clone, Copy)]
pub enum Field<'a> {
    Null,
    Bool(bool),
    /// `smallint`.
    Int2(i16),
    /// `integer`.
    Int4(i32),
    /// `bigint`.
    Int8(i64),
    /// `double precision`.
    Float8(f64),
    /// `numeric`: so many units of the last of its decimals.
    Numeric {
        units: i64,
        decimals: u8,
    },
    /// `text`.
    Text(&'a str),
    /// `bytea`.
    Bytes(&'a [u8]),
    /// `timestamptz`.
    Moment(DateTime<Utc>),
    /// `timestamp`.
    Local(NaiveDateTime),
    /// `date`.
    Day(NaiveDate),
}

impl Tuples {
    /// Adds a row.
    pub fn push(&mut self, fields: &[Field<'_>]) {
        // A table has at most 1,600 columns, and no value of ours comes near 2 GiB.
        let count = i16::try_from(fields.len()).unwrap_or(i16::MAX);
        self.bytes.extend_from_slice(&count.to_be_bytes());
        for field in fields {
            match field {
                Field::Null => self.bytes.extend_from_slice(&(-1_i32).to_be_bytes()),
                Field::Bool(value) => self.value(&[u8::from(*value)]),
                Field::Int2(value) => self.value(&value.to_be_bytes()),
                Field::Int4(value) => self.value(&value.to_be_bytes()),
                Field::Int8(value) => self.value(&value.to_be_bytes()),
                Field::Float8(value) => self.value(&value.to_be_bytes()),
                Field::Numeric { units, decimals } => self.value(&numeric(*units, *decimals)),
                Field::Text(value) => self.value(value.as_bytes()),
                Field::Bytes(value) => self.value(value),
                Field::Moment(at) => self.micros(*at),
                Field::Local(local) => self.micros(local.and_utc()),
                Field::Day(day) => {
                    let days = day.to_epoch_days() - EPOCH_DAYS;
                    self.value(&days.to_be_bytes());
                }
            }
        }
        self.rows += 1;
    }

    fn micros(&mut self, at: DateTime<Utc>) {
        self.value(&(at.timestamp_micros() - EPOCH_MICROS).to_be_bytes());
    }

    fn value(&mut self, bytes: &[u8]) {
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(bytes);
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes so far.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// All of it.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&(-1_i16).to_be_bytes());
        self.bytes
    }

    /// Sends the rows by `statement`, a COPY with `FORMAT binary`, unless there are none.
    ///
    /// # Errors
    /// The database's.
    pub async fn copy(self, db: &mut sqlx::PgConnection, statement: &str) -> Result<(), sqlx::Error> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut copy = db.copy_in_raw(statement).await?;
        // Whatever is sent at once, the connection keeps a copy of.
        for part in self.finish().chunks(SENT) {
            copy.send(part).await?;
        }
        copy.finish().await?;
        Ok(())
    }
}

/// The binary form of a `numeric` (PostgreSQL's source, `numeric_send`): how many digits to the base of 10,000, the power of
/// the first of them, the sign, how many decimals are shown, and the digits.
fn numeric(units: i64, decimals: u8) -> Vec<u8> {
    const BASE: u128 = 10_000;
    let behind = decimals.div_ceil(4);
    let mut left = u128::from(units.unsigned_abs()) * 10_u128.pow((behind * 4 - decimals).into());
    let mut digits = Vec::new();
    while left > 0 {
        digits.push(u16::try_from(left % BASE).unwrap_or_default());
        left /= BASE;
    }
    digits.reverse();
    let count = i16::try_from(digits.len()).unwrap_or_default();
    let weight = if count == 0 { 0 } else { count - i16::from(behind) - 1 };
    let sign: u16 = if units < 0 { 0x4000 } else { 0 };
    let mut bytes = Vec::with_capacity(8 + 2 * digits.len());
    bytes.extend(count.to_be_bytes());
    bytes.extend(weight.to_be_bytes());
    bytes.extend(sign.to_be_bytes());
    bytes.extend(u16::from(decimals).to_be_bytes());
    bytes.extend(digits.into_iter().flat_map(u16::to_be_bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::numeric;

    /// As text: what PostgreSQL makes of the binary form.
    fn shown(bytes: &[u8]) -> String {
        let numbers: Vec<i16> = bytes.chunks(2).map(|it| i16::from_be_bytes([it[0], it[1]])).collect();
        let (weight, decimals) = (i32::from(numbers[1]), usize::try_from(numbers[3]).unwrap());
        let digit = |power: i32| usize::try_from(weight - power).ok().and_then(|at| numbers[4..].get(at)).copied();
        let group = |power: i32| format!("{:04}", digit(power).unwrap_or(0));
        let whole: String = (0..=weight.max(0)).rev().map(group).collect();
        let fraction: String = (1..=5).map(|power| group(-power)).collect();
        let fraction: String = fraction.chars().take(decimals).collect();
        let sign = if numbers[2] == 0x4000 { "-" } else { "" };
        let whole = whole.trim_start_matches('0');
        format!("{sign}{}.{}", if whole.is_empty() { "0" } else { whole }, fraction)
    }

    #[test]
    fn a_numeric_is_its_units() {
        for (units, decimals, text) in [
            (0, 2, "0.00"),
            (1, 2, "0.01"),
            (-1, 3, "-0.001"),
            (123_456, 2, "1234.56"),
            (-1_000_000, 2, "-10000.00"),
            (7, 0, "7."),
            (100_000_001, 4, "10000.0001"),
            (i64::MAX, 3, "9223372036854775.807"),
            (i64::MIN, 2, "-92233720368547758.08"),
        ] {
            assert_eq!(shown(&numeric(units, decimals)), text);
        }
    }
}
