//! The rows of an answer: in memory, in the spool, or made now.
//!
//! Whoever makes rows takes first the lock of their key, so that equal requests are computed once; who encodes them then
//! takes a slot, so that a bounded number do. Of a run, which nobody waits for, rows are encoded where they are computed; it
//! waits for who makes the same and finds what he made, but as it may take half an hour, it keeps nobody waiting.

use std::io::Write;

use ::exports::{Column, Format, Provenance};
use ::jobs::document::{self, Document};
use aggregator::{
    Aggregator,
    report::{Bounds, Question},
};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use super::{AnswerError, Answers, Coding, OpenFile, ReportRequest, Spool, encode::Order};

/// The description of a spooled file, kept behind its bytes.
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
pub type Found = (OpenFile, Note);

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
    pub right: Option<OwnedMutexGuard<()>>,
}

/// The name of a file in the spool.
#[must_use]
pub fn key(what: &str, coding: Option<Coding>, identity: &str) -> String {
    base::sha256_hex(format!("{what} {} {identity}", coding.map_or("plain", Coding::name)))
}

/// Rows from memory, else from the spool, else made now.
///
/// # Errors
/// All slots stay taken, or what computing or reading them meets.
pub async fn of(answers: &Answers, request: &ReportRequest, key: &str) -> Result<Rows, AnswerError> {
    if let Some(rows) = at_hand(answers, request, key).await {
        return Ok(rows);
    }
    let turn = answers.spool.turn(key).await;
    if let Some(rows) = at_hand(answers, request, key).await {
        return Ok(rows);
    }
    let document = request.document(answers).await?;
    Ok(Rows::Memory(Made { document, right: Some(turn) }))
}

/// The file of the answer to a question: from the spool, else computed and encoded into it elsewhere, so that its rows are
/// never in this process.
///
/// # Errors
/// What computing or encoding meets.
pub async fn computed(
    aggregator: &Aggregator,
    spool: &Spool,
    question: &Question,
    bounds: Bounds,
    key: &str,
    format: Format,
) -> Result<Found, AnswerError> {
    drop(spool.turn(key).await);
    if let Some(found) = stored(spool, key).await {
        return Ok(found);
    }
    let draft = {
        let (spool, key) = (spool.clone(), key.to_owned());
        tokio::task::spawn_blocking(move || spool.draft(&key)).await.map_err(AnswerError::internal)??
    };
    let (provenance, columns) = document::of_question(aggregator, question);
    let order = Order {
        spool: spool.clone(),
        key: key.to_owned(),
        draft: draft.path.clone(),
        format: format.name().to_owned(),
        provenance,
        columns,
    };
    let order = serde_json::to_value(order).map_err(AnswerError::internal)?;
    aggregator.reports().file(question, bounds, order).await?;
    let spool = spool.clone();
    let built = tokio::task::spawn_blocking(move || {
        let built = draft.built();
        spool.tidy();
        built
    });
    let built = built.await.map_err(AnswerError::internal)?;
    let (file, note) =
        built.map_err(AnswerError::internal)?.ok_or_else(|| AnswerError::internal("no complete file"))?;
    Ok((file, serde_json::from_slice(&note).map_err(AnswerError::internal)?))
}

async fn at_hand(answers: &Answers, request: &ReportRequest, key: &str) -> Option<Rows> {
    if let Some(document) = request.cached(answers).await {
        return Some(Rows::Memory(Made { document, right: None }));
    }
    find(answers, request, key).await.map(Rows::File)
}

/// The file of a key, if it is in the spool.
pub async fn find(answers: &Answers, request: &ReportRequest, key: &str) -> Option<Found> {
    let (file, mut note) = stored(&answers.spool, key).await?;
    request.refresh(&mut note.provenance);
    Some((file, note))
}

async fn stored(spool: &Spool, key: &str) -> Option<Found> {
    let (spool, key) = (spool.clone(), key.to_owned());
    let (file, note) = tokio::task::spawn_blocking(move || spool.find(&key)).await.ok()??;
    Some((file, serde_json::from_slice(&note).ok()?))
}

/// Build the file of a key, unless somebody did meanwhile.
///
/// # Errors
/// All slots stay taken, the spool cannot be written, or what the encoder meets.
pub async fn build(
    answers: &Answers,
    request: &ReportRequest,
    key: &str,
    made: Made,
    encode: impl FnOnce(&Document, &mut (dyn Write + Send)) -> ::exports::Result<()> + Send + 'static,
) -> Result<Found, AnswerError> {
    let Made { document, right } = made;
    let turn = match right {
        Some(turn) => turn,
        None => {
            let turn = answers.spool.turn(key).await;
            if let Some(found) = find(answers, request, key).await {
                return Ok(found);
            }
            turn
        }
    };
    let slot = answers.slot().await?;
    let (spool, key) = (answers.spool.clone(), key.to_owned());
    let built = tokio::task::spawn_blocking(move || {
        // Held until the work ends, even if the client has left: the disk and the cores are busy.
        let _held = (turn, slot);
        let (note, text) = Note::of(&document)?;
        spool.build(&key, &text, |out| encode(&document, out)).map(|file| (file, note))
    });
    Ok(built.await.map_err(AnswerError::internal)??)
}
