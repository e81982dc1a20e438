//! The transactional outbox: how a document and its stock come to agree, though they live in two databases.
//!
//! A message to Inventory stands in `stock_tasks`, beside the documents: the row is written in the transaction that
//! decides something, and removed in the one that records Inventory's answer. A crash between the two leaves the row,
//! and recovery takes the same path again; both calls may be repeated without effect.
//!
//! | decided here | message | Inventory's answer | then |
//! |---|---|---|---|
//! | a document is stored `pending` | `post` | applied | accepted |
//! | | | refused, and the refusal is final | rejected |
//! | | | refused, but not kept there | rejected, message `reverse` |
//! | | | none | stays `pending`, recovery delivers again |
//! | a document pending too long is given up: rejected | `reverse` | reversed | no message |
//! | a person undoes a document | `reverse` | reversed | no message |
//!
//! Invariants:
//! - A document leaves `pending` once: every change of [`Documents`] says `WHERE status = 'pending'`, and the second one
//!   changes nothing and reads again. So a yes that arrives after a document was given up accepts nothing, and the
//!   reversal in the outbox takes that stock back.
//! - A reversal closes its reference at Inventory for ever, also one never seen there, so a `post` delayed on its way
//!   cannot take stock for a rejected document.
//! - A document has one message at a time, and a `reverse` never becomes a `post` again.

use std::fmt::Display;
use std::future::Future;
use std::marker::PhantomData;

use sqlx::{PgPool, PgTransaction};

use super::client::{self, Answer, Movement, NoAnswer, Refusal, Validated};
use super::{Catalogue, Limits, Step, StockConfig, message};
use crate::client::{GatewayClient, GatewayError};
use crate::error::ApiError;
use crate::id::{ProductId, StoreId};
use crate::metric::{self, Delivery};

/// What a service says of its documents, so that an [`Outbox`] can keep them in agreement with the stock.
///
/// Each change answers whether it changed anything: false where the document is no longer pending.
pub trait Documents: Send + Sync + 'static {
    /// Numbers the documents.
    type Id: Copy + Display + Send + Sync + From<i64> + Into<i64>;

    /// The movement that a document asks for, the same whenever it is read.
    fn movement(db: &PgPool, id: Self::Id) -> impl Future<Output = Result<Movement, sqlx::Error>> + Send;

    /// From pending to the status that says that the stock has moved.
    fn accept(tx: &mut PgTransaction<'_>, id: Self::Id) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// From pending to the status that says that it has not, and why.
    fn reject(
        tx: &mut PgTransaction<'_>,
        id: Self::Id,
        refusal: &Refusal,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// [`Documents::reject`] for want of an answer; false also for a document that must wait for one however long.
    fn give_up(tx: &mut PgTransaction<'_>, id: Self::Id) -> impl Future<Output = Result<bool, sqlx::Error>> + Send {
        async move { Self::reject(tx, id, &Refusal::unanswered()).await }
    }
}

/// What one attempt came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The document has no message any more.
    Delivered,
    /// Inventory did not answer; the message stays for recovery.
    NoAnswer,
}

/// 503 for a document, named as in `order 7`, that waits for Inventory; `path` is where it is read.
pub fn unsettled(document: &str, path: &str) -> ApiError {
    ApiError::unavailable(format!(
        "Inventory does not answer, so {document} is pending and will be settled when it does; \
         repeat with the same Idempotency-Key or read {path} to learn what became of it"
    ))
}

/// The messages of a service's documents to Inventory, and the way to deliver them. Cheap to clone.
pub struct Outbox<D> {
    pub(super) db: PgPool,
    gateway: GatewayClient,
    pub(super) limits: Limits,
    documents: PhantomData<fn() -> D>,
}

impl<D> Clone for Outbox<D> {
    fn clone(&self) -> Self {
        Self { db: self.db.clone(), gateway: self.gateway.clone(), limits: self.limits, documents: PhantomData }
    }
}

impl<D: Documents> Outbox<D> {
    /// The outbox in the database of `db`, which has a table `stock_tasks`.
    ///
    /// # Errors
    /// The gateway's address is no URL.
    pub fn open(db: PgPool, config: &StockConfig) -> Result<Self, GatewayError> {
        metric::begin_deliveries();
        let gateway = GatewayClient::new(&config.gateway_url, config.gateway_key.expose(), config.call_timeout)?;
        Ok(Self { db, gateway, limits: config.limits, documents: PhantomData })
    }

    /// How long documents may wait.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Asks Inventory about products, at the store's location or, without a store, the warehouse's.
    ///
    /// # Errors
    /// 503 where Inventory does not answer; nothing is stored yet.
    pub async fn validate(&self, products: &[ProductId], store: Option<StoreId>) -> Result<Validated, ApiError> {
        client::validate(&self.gateway, products, store).await.map_err(|error| ApiError::Unavailable {
            detail:
                "Inventory does not answer, so nothing was stored; try again, with the same Idempotency-Key if one \
                     was sent"
                    .to_owned(),
            retry_after: crate::error::RETRY_AFTER,
            extensions: serde_json::Map::new(),
            source: Some(Box::new(error)),
        })
    }

    /// What Inventory knows of the products that imports name.
    pub fn catalogue(&self) -> Catalogue {
        Catalogue::new(self.gateway.clone())
    }

    /// Stores a document's message, in the transaction that decides it. Recovery leaves it to the request that does so
    /// for [`Limits::grace`]. A `post` that is still undelivered becomes the reversal.
    ///
    /// # Errors
    /// The database's.
    pub async fn enqueue(&self, tx: &mut PgTransaction<'_>, id: D::Id, step: Step) -> Result<(), sqlx::Error> {
        message::insert(tx, id.into(), step, self.limits.grace).await
    }

    /// Delivers the document's message, if it has one, and records the answer.
    ///
    /// # Errors
    /// The database's only; a missing answer is an [`Outcome`].
    pub async fn deliver(&self, id: D::Id) -> Result<Outcome, ApiError> {
        let Some(step) = message::step(&self.db, id.into()).await? else { return Ok(Outcome::Delivered) };
        let movement = D::movement(&self.db, id).await?;
        if step == Step::Post {
            match client::post(&self.gateway, &movement).await {
                Ok(Answer::Applied) => self.accept(id).await?,
                Ok(Answer::Refused(refusal)) => self.reject(id, &refusal).await?,
                Err(error) => return self.unanswered(id, &error).await,
            }
            // A refusal that Inventory does not keep, or a document undone meanwhile, leaves a reversal to deliver.
            if message::step(&self.db, id.into()).await? != Some(Step::Reverse) {
                return Ok(Outcome::Delivered);
            }
        }
        match client::reverse(&self.gateway, &movement.reference).await {
            Ok(()) => {
                message::remove(&self.db, id.into(), Step::Reverse).await?;
                metric::delivery(Delivery::Reversed);
                Ok(Outcome::Delivered)
            }
            Err(error) => self.unanswered(id, &error).await,
        }
    }

    /// Gives up a document that Inventory has left without an answer: rejected here and now, its reversal enqueued.
    /// False where there was nothing to give up.
    pub(super) async fn give_up(&self, id: D::Id) -> Result<bool, sqlx::Error> {
        let mut tx = crate::db::begin(&self.db).await?;
        let given_up = D::give_up(&mut tx, id).await?;
        if given_up {
            message::reverse(&mut tx, id.into()).await?;
        }
        tx.commit().await?;
        if given_up {
            metric::delivery(Delivery::GivenUp);
        }
        Ok(given_up)
    }

    async fn accept(&self, id: D::Id) -> Result<(), sqlx::Error> {
        let mut tx = crate::db::begin(&self.db).await?;
        let accepted = D::accept(&mut tx, id).await?;
        if accepted {
            message::remove(&mut *tx, id.into(), Step::Post).await?;
        }
        tx.commit().await?;
        if accepted {
            metric::delivery(Delivery::Accepted);
        }
        Ok(())
    }

    async fn reject(&self, id: D::Id, refusal: &Refusal) -> Result<(), sqlx::Error> {
        let mut tx = crate::db::begin(&self.db).await?;
        let rejected = D::reject(&mut tx, id, refusal).await?;
        match rejected {
            true if refusal.is_kept() => message::remove(&mut *tx, id.into(), Step::Post).await?,
            true => message::reverse(&mut tx, id.into()).await?,
            false => {}
        }
        tx.commit().await?;
        if rejected {
            metric::delivery(Delivery::Rejected);
        }
        Ok(())
    }

    /// Keeps the reason where the list of stuck documents shows it, and lets recovery try soon.
    async fn unanswered(&self, id: D::Id, error: &NoAnswer) -> Result<Outcome, ApiError> {
        tracing::warn!(
            document = %id,
            error = crate::telemetry::chain(error),
            "inventory did not answer; recovery delivers the message again"
        );
        metric::delivery(Delivery::NoAnswer);
        message::record_error(&self.db, id.into(), &error.to_string()).await?;
        Ok(Outcome::NoAnswer)
    }
}
