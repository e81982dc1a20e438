//! From a request to an import that runs: the lease, the staging, and the queue behind which it is applied.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base::AdvisoryLock;
use serde::Deserialize;
use sqlx::PgPool;
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc, oneshot};
use tokio::time::Instant;
use utoipa::IntoParams;

use super::apply::{Staged, apply, lost};
use super::body::{Incoming, Message};
use super::record::{Applying, Kind, OnDifference, Rules};
use super::report::{Outcome, RowError};
use super::{SMALL, status};
use crate::error::ApiError;
use crate::extract::Json;
use crate::idempotency::Digest;

/// The lock of the import that runs.
const LOCK: &str = "import";
/// How long an import waits for the one before it.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it asks whether an import of another replica has ended.
const PAUSE: Duration = Duration::from_millis(100);

/// What a client may say of an import of documents.
#[derive(Debug, Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Options {
    /// What happens to a document that is stored otherwise: `refuse`, or `replace` the imported one.
    #[serde(default)]
    #[param(inline)]
    pub on_difference: OnDifference,
}

type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The imports of one database. Cheap to clone.
#[derive(Clone)]
pub struct Imports {
    inner: Arc<Inner>,
}

struct Inner {
    db: PgPool,
    rules: Rules,
    /// Held by the import of this process that runs; it spares the database the asking.
    alone: Arc<Mutex<()>>,
    jobs: mpsc::UnboundedSender<Job>,
    queue: Mutex<mpsc::UnboundedReceiver<Job>>,
}

/// The right to be the one import that runs; without its lock, its row in `imports` belongs to nobody.
pub(super) struct Lease {
    pub(super) db: PgPool,
    pub(super) id: i64,
    lock: Arc<AdvisoryLock>,
    _alone: OwnedMutexGuard<()>,
}

impl Imports {
    /// The imports of the database of `db`, which has the tables of `migrations/*/0006_imports.sql`.
    #[must_use]
    pub fn new(db: PgPool, rules: Rules) -> Self {
        let (jobs, queue) = mpsc::unbounded_channel();
        let alone = Arc::new(Mutex::new(()));
        Self { inner: Arc::new(Inner { db, rules, alone, jobs, queue: Mutex::new(queue) }) }
    }

    pub(super) fn db(&self) -> &PgPool {
        &self.inner.db
    }

    /// Writes down which imports an earlier process left; before serving.
    ///
    /// # Errors
    /// The database's.
    pub async fn prepare(&self) -> Result<(), sqlx::Error> {
        self.sweep().await
    }

    /// Applies what was staged, for as long as the service runs: no client that leaves ends an import.
    pub async fn work(&self) {
        if let Err(error) = self.sweep().await {
            tracing::warn!(
                error = crate::telemetry::chain(&error),
                "imports of an earlier process cannot be looked at"
            );
        }
        let mut queue = self.inner.queue.lock().await;
        while let Some(job) = queue.recv().await {
            job.await;
        }
    }

    /// Takes in the body of a request and answers what came of it: 200 when it is done, 202 for a large one.
    ///
    /// # Errors
    /// 409 while another import runs; 413, 415 and 422 for a body that is not read at all; 503.
    pub async fn run<K: Kind>(&self, request: Request, options: Options, mut kind: K) -> Result<Response, ApiError> {
        let (parts, body) = request.into_parts();
        let mut incoming = Incoming::open::<K::Row>(&parts.headers, body, self.inner.rules).await?;
        let lease = match self.lease(K::NAME).await {
            Ok(lease) => lease,
            Err(error) => {
                incoming.drain().await;
                return Err(error);
            }
        };
        let staged = match stage(&lease, &mut incoming, options.on_difference, &mut kind).await {
            Ok(staged) => staged,
            Err(error) => {
                lease.refuse(&error).await;
                incoming.drain().await;
                return Err(error);
            }
        };
        let id = lease.id;
        let small = staged.received <= SMALL;
        let import = Applying { id, on_difference: options.on_difference, rules: self.inner.rules };
        let (tell, told) = oneshot::channel();
        let job = async move {
            let applied = apply(&lease, import, kind, staged).await;
            lease.release().await;
            // Nobody waits for a large import.
            drop(tell.send(applied));
        };
        self.queue(job)?;
        let status = if small {
            told.await.map_err(|_| ApiError::unavailable("the service stopped; send the file again"))??;
            StatusCode::OK
        } else {
            StatusCode::ACCEPTED
        };
        let report = status::report(&self.inner.db, id).await?;
        let mut response = (status, Json(report)).into_response();
        if let Ok(location) = HeaderValue::from_str(&format!("../imports/{id}")) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }

    /// Waits a moment for the import that runs, and takes its place.
    async fn lease(&self, kind: &str) -> Result<Lease, ApiError> {
        let db = self.inner.db.clone();
        let (alone, lock) = self.alone().await?;
        let mut tx = crate::db::begin(&db).await?;
        interrupt(&mut tx).await?;
        sqlx::query!("SELECT import_clear()").execute(&mut *tx).await?;
        let id = sqlx::query_scalar!("INSERT INTO imports (kind, state) VALUES ($1, 'receiving') RETURNING id", kind)
            .fetch_one(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(Lease { db, id, lock, _alone: alone })
    }

    /// Takes up an import that has ended, to take back what it wrote.
    pub(super) async fn resume(&self, id: i64) -> Result<Lease, ApiError> {
        let db = self.inner.db.clone();
        let (alone, lock) = self.alone().await?;
        let mut tx = crate::db::begin(&db).await?;
        interrupt(&mut tx).await?;
        sqlx::query!(
            "UPDATE imports SET state = 'withdrawing', ended_at = NULL, detail = NULL, \
             unfinished_since = coalesce(unfinished_since, clock_timestamp()) WHERE id = $1",
            id
        )
        .execute(&mut *tx)
        .await?;
        // What stayed the last time may go now.
        sqlx::query!("DELETE FROM import_refusals WHERE import_id = $1 AND line = 0", id).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Lease { db, id, lock, _alone: alone })
    }

    /// Lets work go on without its client.
    pub(super) fn queue(&self, job: impl Future<Output = ()> + Send + 'static) -> Result<(), ApiError> {
        self.inner.jobs.send(Box::pin(job)).map_err(|_| ApiError::unavailable("the service stops"))
    }

    async fn alone(&self) -> Result<(OwnedMutexGuard<()>, Arc<AdvisoryLock>), ApiError> {
        let db = &self.inner.db;
        let until = Instant::now() + PATIENCE;
        let Ok(alone) = tokio::time::timeout_at(until, self.inner.alone.clone().lock_owned()).await else {
            return Err(busy(db).await);
        };
        loop {
            if let Some(lock) = AdvisoryLock::take(db, LOCK).await? {
                return Ok((alone, lock));
            }
            if Instant::now() >= until {
                return Err(busy(db).await);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Writes down that an import whose process has gone is interrupted; does nothing while one runs.
    pub(super) async fn sweep(&self) -> Result<(), sqlx::Error> {
        let Ok(_alone) = self.inner.alone.try_lock() else { return Ok(()) };
        let Some(lock) = AdvisoryLock::take(&self.inner.db, LOCK).await? else { return Ok(()) };
        let mut tx = crate::db::begin(&self.inner.db).await?;
        interrupt(&mut tx).await?;
        tx.commit().await?;
        lock.release().await;
        Ok(())
    }
}

/// Under the lock: whatever says that it runs does not. What it applied holds `as_of` back until the file came again.
async fn interrupt(tx: &mut sqlx::PgTransaction<'_>) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE imports SET state = 'interrupted', ended_at = now(), \
         detail = coalesce(detail, 'the service stopped, or its client left; send the file again to finish it'), \
         unfinished_since = CASE WHEN applied > 0 THEN unfinished_since END \
         WHERE state IN ('receiving', 'applying', 'withdrawing')"
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Whoever took the lease over has changed the import's state.
fn let_go() -> ApiError {
    ApiError::unavailable("the database let this import go; send the file again to finish it")
}

/// Another import runs.
async fn busy(db: &PgPool) -> ApiError {
    let running = sqlx::query_as::<_, (i64, String)>(
        "SELECT id, kind FROM imports WHERE state IN ('receiving', 'applying', 'withdrawing') ORDER BY id DESC LIMIT 1",
    );
    match running.fetch_optional(db).await {
        Ok(Some((id, kind))) => {
            let detail =
                format!("import {id} of {kind} is running, and one runs at a time; try again when it has ended");
            ApiError::conflict("import-running", detail).with("import_id", id)
        }
        Ok(None) => ApiError::conflict("import-running", "another import is running; try again when it has ended"),
        Err(error) => error.into(),
    }
}

/// Writes the body into the staging table, a piece in each transaction.
async fn stage<K: Kind>(
    lease: &Lease,
    incoming: &mut Incoming,
    on_difference: OnDifference,
    kind: &mut K,
) -> Result<Staged, ApiError> {
    let mut staged = Staged::default();
    loop {
        let piece = match incoming.next().await {
            Message::Begun => continue,
            Message::Refused(error) => return Err(error),
            Message::Piece(piece) => piece,
            Message::Ended { broken, digest } => {
                staged.complete = broken.is_none();
                // What an import that cannot be withdrawn leaves half done, any later one of its kind finishes.
                let file = K::WITHDRAWABLE.then(|| Digest::of(&(digest, on_difference)));
                lease.received(&staged, broken, file).await?;
                return Ok(staged);
            }
        };
        kind.meet(piece.products.into_iter().collect()).await?;
        let mut tx = crate::db::begin(&lease.db).await?;
        lease.hold(&mut tx, "receiving").await?;
        staged.rows += piece.tuples.rows();
        let copy = "COPY import_rows (document, line, pass, bad, cells) FROM STDIN WITH (FORMAT binary)";
        piece.tuples.copy(&mut tx, copy).await?;
        lease.note(&mut tx, &piece.errors).await?;
        tx.commit().await?;
        staged.received += piece.received;
        staged.refused += piece.errors.len() as u64;
        staged.passes |= piece.passes;
    }
}

impl Lease {
    /// Locks the import's row, in a transaction that writes for it; whoever took the lease over has changed its state.
    pub(super) async fn hold(&self, tx: &mut sqlx::PgTransaction<'_>, state: &str) -> Result<(), ApiError> {
        let ours: Option<i64> =
            sqlx::query_scalar("SELECT id FROM imports WHERE id = $1 AND state = $2 FOR NO KEY UPDATE")
                .bind(self.id)
                .bind(state)
                .fetch_optional(&mut **tx)
                .await?;
        ours.map(drop).ok_or_else(let_go)
    }

    /// Writes down what came of some documents, as the last statement of the transaction that wrote them: from here to its
    /// end no other page is counted.
    pub(super) async fn record(&self, tx: &mut sqlx::PgTransaction<'_>, outcome: Outcome) -> Result<(), ApiError> {
        self.note(tx, &outcome.errors).await?;
        let recorded = sqlx::query!(
            "UPDATE imports SET applied = applied + $2, unchanged = unchanged + $3, refused = refused + $4 \
             WHERE id = $1 AND state = 'applying'",
            self.id,
            outcome.applied.cast_signed(),
            outcome.unchanged.cast_signed(),
            outcome.refused.cast_signed()
        )
        .execute(&mut **tx)
        .await?;
        if recorded.rows_affected() == 0 { Err(let_go()) } else { Ok(()) }
    }

    /// Writes refusals down.
    pub(super) async fn note(&self, tx: &mut sqlx::PgTransaction<'_>, errors: &[RowError]) -> Result<(), sqlx::Error> {
        if errors.is_empty() {
            return Ok(());
        }
        let lines: Vec<i64> = errors.iter().map(|error| error.line.cast_signed()).collect();
        // What a client wrote may have what PostgreSQL keeps in no text.
        let reasons: Vec<String> = errors.iter().map(|error| error.reason.replace('\0', "\u{fffd}")).collect();
        let fields: Vec<Option<String>> =
            errors.iter().map(|error| error.field.as_ref().map(|field| field.replace('\0', "\u{fffd}"))).collect();
        sqlx::query!(
            "INSERT INTO import_refusals (import_id, line, field, reason) \
             SELECT $1, e.line, e.field, e.reason FROM UNNEST($2::bigint[], $3::text[], $4::text[]) AS e (line, field, reason)",
            self.id,
            &lines,
            fields as _,
            &reasons
        )
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    /// The body is all there: from here on the import goes on without its client.
    async fn received(&self, staged: &Staged, broken: Option<RowError>, file: Option<Digest>) -> Result<(), ApiError> {
        let mut tx = crate::db::begin(&self.db).await?;
        self.hold(&mut tx, "receiving").await?;
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM import_rows").fetch_one(&mut *tx).await?;
        if rows.cast_unsigned() != staged.rows {
            return Err(lost());
        }
        self.note(&mut tx, broken.as_slice()).await?;
        sqlx::query!(
            "UPDATE imports SET state = 'applying', received = $2, refused = $3, complete = $4, file = $5, \
             unfinished_since = clock_timestamp() WHERE id = $1",
            self.id,
            staged.received.cast_signed(),
            staged.refused.cast_signed(),
            staged.complete,
            file.as_ref().map(Digest::as_bytes)
        )
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Ends an import of which nothing was applied: refused for what is wrong with it, interrupted for what went wrong here.
    async fn refuse(self, error: &ApiError) {
        let ended = sqlx::query!(
            "UPDATE imports SET state = CASE WHEN $3 THEN 'interrupted' ELSE 'refused' END, detail = $2, \
             ended_at = now(), unfinished_since = NULL WHERE id = $1 AND state IN ('receiving', 'applying')",
            self.id,
            error.to_string(),
            error.problem().status >= 500
        )
        .execute(&self.db)
        .await;
        if let Err(error) = ended {
            tracing::warn!(error = crate::telemetry::chain(&error), "an import's end cannot be written down");
        }
        self.release().await;
    }

    /// Writes down that a withdrawal ended in between; asking for it again finishes it.
    pub(super) async fn interrupt(&self, error: &ApiError) {
        let ended = sqlx::query!(
            "UPDATE imports SET state = 'interrupted', detail = $2, ended_at = now() WHERE id = $1",
            self.id,
            format!("the withdrawal did not end: {error}")
        )
        .execute(&self.db)
        .await;
        if let Err(error) = ended {
            tracing::warn!(error = crate::telemetry::chain(&error), "an import's end cannot be written down");
        }
    }

    /// Lets the next import run.
    pub(super) async fn release(self) {
        self.lock.release().await;
    }
}
