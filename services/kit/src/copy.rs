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
