//! The rows of an answer: in memory, in the spool, or made now.
//!
//! Whoever makes rows first takes the turn of their key, so that of those who want the same one works and the others
//! find; then a slot, so that a bounded number work and what waits holds no rows. Always in this order.

use std::io::Write;

use ::exports::{Column, Provenance};
use jobs::document::Document;
use kit::error::ApiError;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::OwnedMutexGuard;

use super::{
    asked::{self, Asked, Slot},
    error,
};
use crate::{
    State,
    download::{Coding, Whole, hex},
};

/// What is told about a spooled file, kept behind its bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Note {
    /// Where its rows come from.
    pub provenance: Provenance,
    /// What they are made of.
    pub columns: Vec<Column>,
}

impl Note {
    /// The note of a document, as the spool keeps it.
    ///
    /// # Errors
    /// When it cannot be encoded.
    pub fn of(document: &Document) -> ::exports::Result<(Self, Vec<u8>)> {
        let note = Self { provenance: document.provenance.clone(), columns: document.columns.clone() };
        let text = serde_json::to_vec(&note).map_err(|error| ::exports::Error::Rows(error.into()))?;
        Ok((note, text))
    }
}

/// A spooled file with its note.
pub type Found = (Whole, Note);

/// Where rows are.
pub enum Rows {
    /// At hand.
    Memory(Made),
    /// Encoded, in the spool.
    File(Found),
}

/// Rows at hand and, if they were made for this answer, the right to go on working.
pub struct Made {
    /// The rows.
    pub document: Document,
    /// Held until the work is done.
    pub right: Option<(OwnedMutexGuard<()>, Slot)>,
}

/// The name of a file in the spool.
#[must_use]
pub fn key(what: &str, coding: Option<Coding>, identity: &str) -> String {
    hex(&Sha256::digest(format!("{what} {} {identity}", coding.map_or("plain", Coding::name))))
}

/// Rows from memory, else from the spool, else made now.
///
/// # Errors
/// 503 while all slots are taken; what computing or reading them meets.
pub async fn of(state: &State, asked: &Asked, key: &str) -> Result<Rows, ApiError> {
    if let Some(rows) = at_hand(state, asked, key).await {
        return Ok(rows);
    }
    let turn = state.spool.turn(key).await;
    if let Some(rows) = at_hand(state, asked, key).await {
        return Ok(rows);
    }
    let slot = asked::slot(state).await?;
    let document = asked.document(state).await?;
    Ok(Rows::Memory(Made { document, right: Some((turn, slot)) }))
}

async fn at_hand(state: &State, asked: &Asked, key: &str) -> Option<Rows> {
    if let Some(document) = asked.held(state).await {
        return Some(Rows::Memory(Made { document, right: None }));
    }
    find(state, asked, key).await.map(Rows::File)
}

/// The file of a key, if it is in the spool.
pub async fn find(state: &State, asked: &Asked, key: &str) -> Option<Found> {
    let (spool, key) = (state.spool.clone(), key.to_owned());
    let (whole, note) = tokio::task::spawn_blocking(move || spool.find(&key)).await.ok()??;
    let mut note: Note = serde_json::from_slice(&note).ok()?;
    note.provenance.sources.clone_from(&asked.sources);
    Some((whole, note))
}

/// Build the file of a key, unless somebody did meanwhile.
///
/// # Errors
/// 503 while all slots are taken or the spool cannot be written; what the encoder meets.
pub async fn build(
    state: &State,
    asked: &Asked,
    key: &str,
    made: Made,
    encode: impl FnOnce(&Document, &mut (dyn Write + Send)) -> ::exports::Result<()> + Send + 'static,
) -> Result<Found, ApiError> {
    let Made { document, right } = made;
    let right = match right {
        Some(right) => right,
        None => {
            let turn = state.spool.turn(key).await;
            if let Some(found) = find(state, asked, key).await {
                return Ok(found);
            }
            (turn, asked::slot(state).await?)
        }
    };
    let (spool, key) = (state.spool.clone(), key.to_owned());
    let built = tokio::task::spawn_blocking(move || {
        // Held until the work ends, even if the client has left: the disk and the cores are busy.
        let _held = right;
        let (note, text) = Note::of(&document)?;
        spool.build(&key, &text, |out| encode(&document, out)).map(|whole| (whole, note))
    });
    built.await.map_err(ApiError::internal)?.map_err(error::of_spool)
}
