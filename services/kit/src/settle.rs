//! How a document and its stock come to agree, though they live in two databases.
//!
//! What is owed to Inventory stands in `stock_tasks`, beside the documents: the row is written in the transaction
//! that decides something, and removed in the one that records Inventory's answer. A crash between the two leaves
//! the row, and recovery takes the same path again; both calls may be repeated without effect.
//!
//! | decided here | owed | Inventory's answer | then |
//! |---|---|---|---|
//! | a document is stored `pending` | `post` | applied | accepted |
//! | | | refused, and its refusal is final | rejected |
//! | | | refused, but not kept there | rejected, owes `reverse` |
//! | | | none | stays `pending`, recovery asks again |
//! | a document pending too long is given up: rejected | `reverse` | reversed | owes nothing |
//! | a person undoes a document | `reverse` | reversed | owes nothing |
//!
//! Invariants:
//! - A document leaves `pending` once: every change of [`Documents`] says `WHERE status = 'pending'`, and who comes
//!   second changes nothing and reads again. So a yes that arrives after a document was given up accepts nothing, and
//!   the reversal that is owed takes that stock back.
//! - A reversal closes its reference at Inventory for ever, also one never seen there, so a `post` delayed on its way
//!   cannot take stock for a rejected document.
//! - A document owes one thing at a time, and from `reverse` there is no way back to `post`.

mod config;
mod recovery;
mod stuck;
mod task;

use std::fmt::Display;
use std::future::Future;
use std::marker::PhantomData;

use sqlx::{PgPool, PgTransaction};

use crate::client::{GatewayClient, GatewayError};
use crate::error::ApiError;
use crate::id::{ProductId, StoreId};
use crate::metric::{self, Settlement};
use crate::stock::{self, Answer, Movement, Refusal, Silence, Validated};
pub use config::{Limits, StockConfig};
pub use recovery::Recovered;
pub use stuck::{Owed, StuckFilter};
pub use task::Step;

/// What a service says of its documents, so that a [`Ledger`] can keep them in agreement with the stock.
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
    /// Nothing is owed any more.
    Settled,
    /// Inventory did not answer; the debt stays for recovery.
    Silent,
}

/// What a service's documents owe to Inventory, and the way to pay it. Cheap to clone.
pub struct Ledger<D> {
    db: PgPool,
    gateway: GatewayClient,
    limits: Limits,
    documents: PhantomData<fn() -> D>,
}

impl<D> Clone for Ledger<D> {
    fn clone(&self) -> Self {
        Self { db: self.db.clone(), gateway: self.gateway.clone(), limits: self.limits, documents: PhantomData }
    }
}

impl<D: Documents> Ledger<D> {
    /// The ledger in the database of `db`, which has a table `stock_tasks`.
    ///
    /// # Errors
    /// The gateway's address is no URL.
    pub fn open(db: PgPool, config: &StockConfig) -> Result<Self, GatewayError> {
        metric::begin_settlements();
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
    /// 503: nothing was stored yet, so silence is a plain one.
    pub async fn validate(&self, products: &[ProductId], store: Option<StoreId>) -> Result<Validated, ApiError> {
        stock::validate(&self.gateway, products, store).await.map_err(|silence| ApiError::Unavailable {
            detail:
                "Inventory does not answer, so nothing was stored; try again, with the same Idempotency-Key if one \
                     was sent"
                    .to_owned(),
            retry_after: crate::error::RETRY_AFTER,
            extensions: serde_json::Map::new(),
            source: Some(Box::new(silence)),
        })
    }

    /// Writes down what a document owes, in the transaction that decides it. Recovery leaves it to the request that
    /// does so for [`Limits::grace`]. A `post` that is still owed becomes the reversal.
    ///
    /// # Errors
    /// The database's.
    pub async fn owe(&self, tx: &mut PgTransaction<'_>, id: D::Id, step: Step) -> Result<(), sqlx::Error> {
        task::owe(tx, id.into(), step, self.limits.grace).await
    }

    /// Pays what the document owes, if anything.
    ///
    /// # Errors
    /// The database's only; Inventory's silence is an [`Outcome`].
    pub async fn settle(&self, id: D::Id) -> Result<Outcome, ApiError> {
        let Some(step) = task::step(&self.db, id.into()).await? else { return Ok(Outcome::Settled) };
        let movement = D::movement(&self.db, id).await?;
        if step == Step::Post {
            match stock::post(&self.gateway, &movement).await {
                Ok(Answer::Applied) => self.accept(id).await?,
                Ok(Answer::Refused(refusal)) => self.reject(id, &refusal).await?,
                Err(silence) => return self.note(id, &silence).await,
            }
            // A refusal that Inventory does not keep, or a document undone meanwhile, leaves a reversal owed.
            if task::step(&self.db, id.into()).await? != Some(Step::Reverse) {
                return Ok(Outcome::Settled);
            }
        }
        match stock::reverse(&self.gateway, &movement.reference).await {
            Ok(()) => {
                task::pay(&self.db, id.into(), Step::Reverse).await?;
                metric::settled(Settlement::Reversed);
                Ok(Outcome::Settled)
            }
            Err(silence) => self.note(id, &silence).await,
        }
    }

    /// Gives up a document that Inventory has left without an answer: rejected here and now, its reversal owed.
    /// False where there was nothing to give up.
    async fn give_up(&self, id: D::Id) -> Result<bool, sqlx::Error> {
        let mut tx = crate::db::begin(&self.db).await?;
        let given_up = D::give_up(&mut tx, id).await?;
        if given_up {
            task::turn(&mut tx, id.into()).await?;
        }
        tx.commit().await?;
        if given_up {
            metric::settled(Settlement::GivenUp);
        }
        Ok(given_up)
    }

    async fn accept(&self, id: D::Id) -> Result<(), sqlx::Error> {
        let mut tx = crate::db::begin(&self.db).await?;
        let accepted = D::accept(&mut tx, id).await?;
        if accepted {
            task::pay(&mut *tx, id.into(), Step::Post).await?;
        }
        tx.commit().await?;
        if accepted {
            metric::settled(Settlement::Accepted);
        }
        Ok(())
    }

    async fn reject(&self, id: D::Id, refusal: &Refusal) -> Result<(), sqlx::Error> {
        let mut tx = crate::db::begin(&self.db).await?;
        let rejected = D::reject(&mut tx, id, refusal).await?;
        match rejected {
            true if refusal.is_kept() => task::pay(&mut *tx, id.into(), Step::Post).await?,
            true => task::turn(&mut tx, id.into()).await?,
            false => {}
        }
        tx.commit().await?;
        if rejected {
            metric::settled(Settlement::Rejected);
        }
        Ok(())
    }

    /// Keeps the reason where the list of stuck documents shows it, and lets recovery try soon.
    async fn note(&self, id: D::Id, silence: &Silence) -> Result<Outcome, ApiError> {
        let error = crate::telemetry::chain(silence);
        tracing::warn!(document = %id, error, "inventory did not answer; recovery goes on");
        metric::settled(Settlement::Silent);
        task::note(&self.db, id.into(), &silence.to_string()).await?;
        Ok(Outcome::Silent)
    }
}
