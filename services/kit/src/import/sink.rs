//! From rows to pieces of the staging table, in the binary form that COPY takes.

use std::collections::{BTreeSet, HashSet};

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::MAX_ROWS;
use super::body::Message;
use super::column::Cells;
use super::record::{Record, Rules};
use super::report::RowError;
use crate::copy::{Field, Tuples};
use crate::error::ApiError;
use crate::id::ProductId;

/// Rows of one piece, at most.
const ROWS: u64 = 2_500;
/// Bytes of one piece, about.
const BYTES: usize = 1024 * 1024;
/// Bytes that a key may have; what is longer is none that a good row has.
const KEY_BYTES: usize = 600;

/// Some rows as the staging table takes them, and what came of the others.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// `document, line, pass, bad, cells` of each row.
    pub(super) tuples: Tuples,
    /// Rows of the body.
    pub(super) received: u64,
    pub(super) errors: Vec<RowError>,
    /// The products that are named.
    pub(super) products: HashSet<(Option<ProductId>, String)>,
    /// Bit n: rows of pass n.
    pub(super) passes: u8,
}

/// Why reading stops before the end.
pub(super) enum Stop {
    /// The handler went away.
    Gone,
    /// Nothing of the body can be taken.
    Refused(ApiError),
}

/// Takes rows in the order of the body, on the reading thread.
pub(super) struct Sink<T> {
    sender: mpsc::Sender<Message>,
    rules: Rules,
    piece: Piece,
    received: u64,
    digest: [u64; 4],
    keys: Vec<usize>,
    row: std::marker::PhantomData<fn() -> T>,
}

impl<T: Record> Sink<T> {
    pub(super) fn new(sender: mpsc::Sender<Message>, rules: Rules) -> Self {
        let at = |key: &&str| T::COLUMNS.iter().position(|column| column.name == *key);
        let keys = T::KEY.iter().filter_map(at).collect();
        Self {
            sender,
            rules,
            piece: Piece::default(),
            received: 0,
            digest: [0; 4],
            keys,
            row: std::marker::PhantomData,
        }
    }

    pub(super) fn send(&self, message: Message) -> Result<(), Stop> {
        self.sender.blocking_send(message).map_err(|_| Stop::Gone)
    }

    /// The key of a row: its columns with a mark between them that stands in none.
    fn key(&self, texts: &[Option<&str>]) -> Option<String> {
        let parts: Option<Vec<&str>> = self.keys.iter().map(|at| texts.get(*at).copied().flatten()).collect();
        let key = parts?.join("\u{1f}");
        (key.len() <= KEY_BYTES && !key.contains('\0')).then_some(key)
    }

    /// A row whose columns are known.
    pub(super) fn row(&mut self, line: u64, texts: &[Option<&str>]) -> Result<(), Stop> {
        let cells = Cells::encode(texts);
        let read = T::read(&mut Cells::new(&cells)).and_then(|row| row.check(self.rules).map(|()| row));
        match read {
            Ok(row) => {
                if let Some((id, name)) = row.product() {
                    self.piece.products.insert((id, name.to_owned()));
                }
                let key = self.key(texts).unwrap_or_default();
                self.add_to_digest(&cells);
                self.push(&key, line, row.pass(), false, &cells);
                self.count()
            }
            Err(refusal) => {
                let error = RowError { line, field: Some(refusal.field.to_owned()), reason: refusal.reason };
                self.refuse(texts, error)
            }
        }
    }

    /// The sum of the SHA-256 of each good row, in four parts: one for all files that say the same, in any order of rows and
    /// columns.
    pub(super) fn digest(&self) -> [u64; 4] {
        self.digest
    }

    fn add_to_digest(&mut self, cells: &[u8]) {
        let row = Sha256::digest(cells);
        for (sum, part) in self.digest.iter_mut().zip(row.as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*part));
        }
    }

    /// A row that is refused; its document goes with it, where the row can say which that is.
    pub(super) fn refuse(&mut self, texts: &[Option<&str>], error: RowError) -> Result<(), Stop> {
        self.refuse_either(&[texts], error)
    }

    /// A row that is refused, of which it is not known which of `readings` is right: the documents of all go with it.
    pub(super) fn refuse_either(&mut self, readings: &[&[Option<&str>]], error: RowError) -> Result<(), Stop> {
        if !T::ALONE {
            let keys: BTreeSet<String> = readings.iter().filter_map(|texts| self.key(texts)).collect();
            keys.iter().for_each(|key| self.push(key, error.line, 0, true, &[]));
        }
        self.piece.errors.push(error);
        self.count()
    }

    /// What is left, at the end of the body.
    pub(super) fn end(&mut self) -> Result<(), Stop> {
        self.flush()
    }

    fn count(&mut self) -> Result<(), Stop> {
        self.received += 1;
        self.piece.received += 1;
        if self.received > MAX_ROWS {
            let detail = format!("the body has more than {MAX_ROWS} rows; send it in several files");
            return Err(Stop::Refused(ApiError::invalid("body", detail)));
        }
        if self.piece.received >= ROWS || self.piece.tuples.size() >= BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Stop> {
        let piece = std::mem::take(&mut self.piece);
        self.send(Message::Piece(piece))
    }

    fn push(&mut self, key: &str, line: u64, pass: i16, bad: bool, cells: &[u8]) {
        self.piece.tuples.push(&[
            Field::Text(key),
            Field::Int8(line.cast_signed()),
            Field::Int2(pass),
            Field::Bool(bad),
            Field::Bytes(cells),
        ]);
        self.piece.passes |= 1 << pass.clamp(0, 7);
    }
}
