//! The rows of an answer: in memory, in the spool, or made now.
//!
//! Equal requests are made once: those who ask while it is computed share it, and whoever makes the file of a key takes
//! first the lock of that key. Many rows are encoded where they are computed. Few, and those that were published, are
//! encoded here, in a slot, so that a bounded number are.

use std::sync::Arc;

use ::exports::{Column, Provenance};
use ::jobs::document::{self, Document};
use aggregator::{
    Aggregator,
    report::{Bounds, Filed, Question, ReportError, ReportResult},
};
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;

use super::{
    AnswerError, Answers, OpenFile, ReportRequest, Spool,
    encode::{Content, Order},
    error::FileFault,
};

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

/// What was made of a question: few rows, or the file of many.
pub enum Output {
    /// In memory, and kept there for who asks the same.
    Rows(Arc<ReportResult>),
    /// In the spool.
    File(Box<Found>),
}

/// Rows from memory, else from the spool, else made now; many are encoded into the spool where they are computed.
///
/// # Errors
/// All slots stay taken, or what computing, encoding or reading them meets.
pub async fn of(answers: &Answers, request: &ReportRequest, content: Content, key: &str) -> Result<Rows, AnswerError> {
    if let Some(rows) = at_hand(answers, request, key).await {
        return Ok(rows);
    }
    let Some(question) = request.question() else {
        let turn = answers.spool.turn(key).await;
        if let Some(rows) = at_hand(answers, request, key).await {
            return Ok(rows);
        }
        let document = request.document(answers).await?;
        return Ok(Rows::Memory(Made { document, right: Some(turn) }));
    };
    let making = {
        let (aggregator, spool, key) = (Arc::clone(&answers.aggregator), answers.spool.clone(), key.to_owned());
        let question = question.clone();
        async move {
            let _turn = spool.turn(&key).await;
            match stored(&spool, &key).await {
                Some(found) => Ok(Arc::new(Output::File(Box::new(found)))),
                None => computed(&aggregator, &spool, &question, Bounds::ON_DEMAND, content, &key).await.map(Arc::new),
            }
        }
    };
    match &*answers.making.share(key.to_owned(), making).await? {
        Output::Rows(result) => {
            let document = request.as_of_now(document::of_result(&answers.aggregator, result));
            Ok(Rows::Memory(Made { document, right: None }))
        }
        Output::File(found) => {
            let (file, note) = &**found;
            let mut note = note.clone();
            request.refresh(&mut note.provenance);
            Ok(Rows::File((file.again().map_err(AnswerError::internal)?, note)))
        }
    }
}

/// The answer to a question, computed now and, unless it is of few rows that are kept, encoded into the spool where it is
/// computed, so that its rows are never in this process.
///
/// # Errors
/// What computing or encoding meets.
pub async fn computed(
    aggregator: &Aggregator,
    spool: &Spool,
    question: &Question,
    bounds: Bounds,
    content: Content,
    key: &str,
) -> Result<Output, ReportError> {
    let fault = |fault: FileFault| ReportError::File(fault.into_value());
    let unexpected = |error: serde_json::Error| fault(FileFault::Fault(error.to_string()));
    let (draft, (provenance, columns)) = (spool.draft(key), document::of_question(aggregator, question));
    let order = Order { draft: draft.0.clone(), content, provenance, columns };
    let order = serde_json::to_value(order).map_err(unexpected)?;
    let outcome = match aggregator.reports().file(question, bounds, order).await? {
        Filed::Rows(result) => return Ok(Output::Rows(result)),
        Filed::File(outcome) => outcome,
    };
    content.count(outcome);
    let (spool, key) = (spool.clone(), key.to_owned());
    let kept = tokio::task::spawn_blocking(move || spool.keep(&key, &draft)).await.map_err(|_| ReportError::Stopped)?;
    let (file, note) = kept.map_err(|error| fault(error.into()))?;
    Ok(Output::File(Box::new((file, serde_json::from_slice(&note).map_err(unexpected)?))))
}

/// The file of the answer to a question that nobody waits for. Of who makes the same it finds what he made, but as it may
/// take half an hour, it keeps nobody waiting.
///
/// # Errors
/// What computing or encoding meets.
pub async fn file(
    aggregator: &Aggregator,
    spool: &Spool,
    question: &Question,
    content: Content,
    key: &str,
) -> Result<Found, AnswerError> {
    drop(spool.turn(key).await);
    if let Some(found) = stored(spool, key).await {
        return Ok(found);
    }
    match computed(aggregator, spool, question, Bounds::IN_BACKGROUND, content, key).await? {
        Output::File(found) => Ok(*found),
        Output::Rows(result) => encoded(spool, key, content, document::of_result(aggregator, &result), ()).await,
    }
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
    content: Content,
    key: &str,
    made: Made,
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
    encoded(&answers.spool, key, content, document, (turn, slot)).await
}

/// Encodes a document into the spool. What is `held` is until the work ends, even if the client has left: the disk and the
/// cores are busy.
async fn encoded(
    spool: &Spool,
    key: &str,
    content: Content,
    document: Document,
    held: impl Send + 'static,
) -> Result<Found, AnswerError> {
    let (spool, key) = (spool.clone(), key.to_owned());
    let built = tokio::task::spawn_blocking(move || {
        let _held = held;
        let (note, text) = Note::of(&document)?;
        spool.build(&key, &text, |out| content.write(&document, out).map(drop)).map(|file| (file, note))
    });
    Ok(built.await.map_err(AnswerError::internal)??)
}
