//! Taking and giving stock: all lines of a document or none, once per reference, and the answer kept for ever.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, NaiveDateTime, SubsecRound as _, Utc};
use kit::error::ApiError;
use kit::extract::Json;
use kit::fact;
use kit::id::{LocationId, ProductId};
use kit::idempotency::Digest;
use kit::text::{Reference, TextError, Zone};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use utoipa::ToSchema;

use super::adjust::{book_shortfall, counted_since, offset};
use super::document::{self, Document, Line, Outcome};
use super::refusal::{Refusal, Short};
use super::{MAX_QUANTITY, Reason};
use crate::App;
use crate::metric;

/// Most lines of one document.
const MOST_LINES: usize = 500;
/// Most pieces of one product at one location; the constraint `stock_on_hand_bounded` says the same.
const MOST_ON_HAND: i64 = 1_000_000_000_000;

/// A document that moves stock at one location.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MovementRequest {
    /// Names the document for ever, and makes the request safe to repeat.
    reference: Reference,
    reason: Reason,
    location_id: LocationId,
    /// On a transfer: where the goods arrive. Its lines then give the pieces that leave `location_id`, above zero, and
    /// arrive here; both happen or none. Without it a transfer tells one side only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to_location_id: Option<LocationId>,
    /// When it happened; now where absent.
    occurred_at: Option<DateTime<Utc>>,
    /// IANA zone where it happened; UTC where absent.
    time_zone: Option<Zone>,
    /// Whether a sale takes what is not there, too: goods that have left already. The shortfall is booked as an adjustment
    /// of its own, listed by `GET /stock-movements?reason=adjustment` with a reference that begins with `shortfall-`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    allow_shortfall: bool,
    /// A product may come in several lines; its quantities are added.
    #[schema(min_items = 1, max_items = 500)]
    lines: Vec<Line>,
}

/// Move stock. The first answer to a reference is its answer for ever: repeat it as often as you like.
#[utoipa::path(post, path = "/stock-movements", tag = "stock movements", request_body = MovementRequest,
    responses((status = 201, description = "Applied, now or when it was asked before", body = Document),
              (status = 409, description = "`insufficient-stock` with `short`, `too-much-stock`, or `reference-closed`")))]
pub(super) async fn create_movements(
    State(app): State<App>,
    Json(mut request): Json<MovementRequest>,
) -> Result<(StatusCode, Json<Document>), ApiError> {
    // The database keeps microseconds; a caller who stored the time and repeats it must find the same digest.
    request.occurred_at = request.occurred_at.map(|at| at.trunc_subsecs(6));
    let quantities = check(&request)?;
    if let Some(zone) = &request.time_zone
        && !fact::is_known_to_database(&app.db, zone.as_str()).await?
    {
        return Err(ApiError::invalid("time_zone", TextError::Zone.to_string()));
    }
    let digest = Digest::of(&request);

    let mut transaction = kit::db::begin(&app.db).await?;
    if let Some((occurred_at, time_zone)) = claim(&mut transaction, &request, digest).await? {
        let local_time = fact::local_time(&time_zone, occurred_at)?;
        let taken = take(&mut transaction, &request, &quantities, local_time).await?;
        if let Err(refusal) = &taken {
            refuse(&mut transaction, &request.reference, refusal).await?;
        }
        transaction.commit().await?;
        metric::document(request.reason.as_str(), taken.is_ok());
    } else {
        transaction.rollback().await?;
    }
    // First or repeated, the answer is read from what is kept, so that it cannot differ.
    let document = document::read(&app.db, request.reference.as_str()).await?;
    answer(document, digest).map(|document| (StatusCode::CREATED, Json(document)))
}

/// Checks all that needs no database; gives the quantity of each product, in the order in which rows are locked.
fn check(request: &MovementRequest) -> Result<BTreeMap<ProductId, i64>, ApiError> {
    if request.lines.is_empty() || request.lines.len() > MOST_LINES {
        return Err(ApiError::invalid("lines", format!("a document has 1 to {MOST_LINES} lines")));
    }
    if let Some(at) = request.occurred_at {
        kit::moment::check(at).map_err(|reason| ApiError::invalid("occurred_at", reason))?;
    }
    if request.allow_shortfall && request.reason != Reason::Sale {
        return Err(ApiError::invalid("allow_shortfall", "only a sale takes what is not there"));
    }
    let moves_between = request.to_location_id.is_some();
    if moves_between && (request.reason != Reason::Transfer || request.to_location_id == Some(request.location_id)) {
        return Err(ApiError::invalid("to_location_id", "only a transfer arrives somewhere, and somewhere else"));
    }
    let mut quantities = BTreeMap::new();
    for (at, line) in request.lines.iter().enumerate() {
        let field = || format!("lines[{at}].quantity");
        if !(-MAX_QUANTITY..=MAX_QUANTITY).contains(&line.quantity) {
            return Err(ApiError::invalid(field(), format!("a line moves at most {MAX_QUANTITY} pieces")));
        }
        if !request.reason.allows(line.quantity) {
            return Err(ApiError::invalid(
                field(),
                "a sale takes (below zero), a return or replenishment gives (above zero), nothing moves zero",
            ));
        }
        if moves_between && line.quantity < 0 {
            return Err(ApiError::invalid(field(), "pieces of a transfer to somewhere are above zero"));
        }
        *quantities.entry(line.product_id).or_insert(0) += line.quantity;
    }
    if let Some((product, _)) = quantities.iter().find(|(_, quantity)| **quantity == 0 || quantity.abs() > MAX_QUANTITY)
    {
        let detail = format!("the lines of product {product} add up to nothing, or to more than {MAX_QUANTITY}");
        return Err(ApiError::invalid("lines", detail));
    }
    Ok(quantities)
}

/// Writes down that this request decides the reference, and answers when and in which zone it happened. Nothing where
/// another one did; a concurrent one is waited for.
async fn claim(
    db: &mut PgConnection,
    request: &MovementRequest,
    digest: Digest,
) -> Result<Option<(DateTime<Utc>, String)>, sqlx::Error> {
    let claimed = sqlx::query!(
        r#"INSERT INTO movement_documents (reference, outcome, reason, location_id, to_location_id, occurred_at, time_zone,
                                         request_digest)
         VALUES ($1, 'applied', $2, $3, $4, coalesce($5, now()), coalesce($6, 'UTC'), $7)
         ON CONFLICT (reference) DO UPDATE SET outcome = 'applied', reason = excluded.reason,
            location_id = excluded.location_id, to_location_id = excluded.to_location_id,
            occurred_at = excluded.occurred_at, time_zone = excluded.time_zone, request_digest = excluded.request_digest,
            imported = false, import_id = NULL, withdrawn = false
         WHERE movement_documents.withdrawn
         RETURNING occurred_at AS "occurred_at!", time_zone AS "time_zone!""#,
        request.reference.as_str(),
        request.reason as _,
        request.location_id.0,
        request.to_location_id.map(i64::from),
        request.occurred_at,
        &request.time_zone as _,
        digest.as_bytes()
    )
    .fetch_optional(db)
    .await?;
    Ok(claimed.map(|it| (it.occurred_at, it.time_zone)))
}

/// Moves the stock, or says why not and moves none.
async fn take(
    db: &mut PgConnection,
    request: &MovementRequest,
    quantities: &BTreeMap<ProductId, i64>,
    local_time: NaiveDateTime,
) -> Result<Result<(), Refusal>, sqlx::Error> {
    if let Some(refusal) = unknown(db, request, quantities).await? {
        return Ok(Err(refusal));
    }
    let ids: Vec<ProductId> = quantities.keys().copied().collect();
    let deltas = |sign: i64| quantities.values().map(|pieces| sign * pieces).collect::<Vec<i64>>();
    // All is locked and found possible before anything changes. Every writer of stock locks in the order of locations,
    // and within one of products.
    let mut late = BTreeMap::new();
    for (location, sign) in legs(request) {
        // A shortfall needs a row to be booked on, where a movement that takes needs none.
        let made = if request.allow_shortfall { vec![1; ids.len()] } else { deltas(sign) };
        let on_hand = lock(db, location, &ids, &made).await?;
        let counted = counted_since(db, location, &ids, request.occurred_at).await?;
        let felt: Vec<i64> =
            ids.iter().zip(deltas(sign)).map(|(id, delta)| if counted.contains(id) { 0 } else { delta }).collect();
        if request.allow_shortfall {
            let on_hand = |id: &ProductId| on_hand.get(id).copied().unwrap_or(0);
            let left = ids.iter().zip(&felt).map(|(id, delta)| (*id, on_hand(id) + delta));
            book_shortfall(db, &request.reference, location, left, local_time).await?;
        } else if let Some(refusal) = impossible(&on_hand, &ids, &felt) {
            return Ok(Err(refusal));
        }
        late.insert(location, (felt, counted));
    }
    for (location, sign) in legs(request) {
        let (felt, counted) = late.remove(&location).unwrap_or_default();
        change(db, location, &ids, &felt).await?;
        if !counted.is_empty() {
            let (ids, deltas): (Vec<ProductId>, Vec<i64>) =
                ids.iter().zip(deltas(-sign)).filter(|(id, _)| counted.contains(id)).unzip();
            offset(db, location, &ids, &deltas).await?;
        }
        sqlx::query!(
            "INSERT INTO stock_movements (reference, product_id, location_id, quantity, reason, occurred_at, time_zone, local_time)
             SELECT d.reference, line.product_id, $2, line.quantity, d.reason, d.occurred_at, d.time_zone, $5
             FROM movement_documents d, unnest($3::bigint[], $4::bigint[]) AS line (product_id, quantity)
             WHERE d.reference = $1
             ORDER BY line.product_id",
            request.reference.as_str(),
            location.0,
            &ids as _,
            &deltas(sign),
            local_time
        )
        .execute(&mut *db)
        .await?;
    }
    Ok(Ok(()))
}

/// Why the deltas cannot be applied to what is on hand at a location.
fn impossible(on_hand: &BTreeMap<ProductId, i64>, ids: &[ProductId], deltas: &[i64]) -> Option<Refusal> {
    let left = |id: ProductId| on_hand.get(&id).copied().unwrap_or(0);
    let lines = || ids.iter().copied().zip(deltas.iter().copied());
    let short: Vec<Short> = lines()
        .filter(|(id, delta)| left(*id) + delta < 0)
        .map(|(id, delta)| Short { product_id: id, requested: -delta, on_hand: left(id) })
        .collect();
    if !short.is_empty() {
        return Some(Refusal::InsufficientStock { short });
    }
    let (product_id, _) = lines().find(|(id, delta)| left(*id) + delta > MOST_ON_HAND)?;
    Some(Refusal::TooMuchStock { product_id })
}

/// Where the document moves stock, and with which sign, in the order of locking.
fn legs(request: &MovementRequest) -> Vec<(LocationId, i64)> {
    let mut legs = match request.to_location_id {
        None => vec![(request.location_id, 1)],
        Some(to) => vec![(request.location_id, -1), (to, 1)],
    };
    legs.sort_unstable();
    legs
}

/// What the document names and nobody knows.
async fn unknown(
    db: &mut PgConnection,
    request: &MovementRequest,
    quantities: &BTreeMap<ProductId, i64>,
) -> Result<Option<Refusal>, sqlx::Error> {
    for (location, _) in legs(request) {
        let known: bool = sqlx::query_scalar!(
            r#"SELECT EXISTS (SELECT FROM locations WHERE id = $1 AND NOT deleted) AS "known!""#,
            location.0
        )
        .fetch_one(&mut *db)
        .await?;
        if !known {
            return Ok(Some(Refusal::UnknownLocation { location_id: location }));
        }
    }
    let known: Vec<ProductId> = sqlx::query_scalar!(
        r#"SELECT id AS "id: ProductId" FROM products WHERE id = ANY($1) AND NOT deleted"#,
        &quantities.keys().map(|id| id.0).collect::<Vec<_>>()
    )
    .fetch_all(db)
    .await?;
    let line = request.lines.iter().enumerate().find(|(_, asked)| !known.contains(&asked.product_id));
    Ok(line.map(|(line, asked)| Refusal::UnknownProduct { line, product_id: asked.product_id }))
}

/// Locks the stock rows of the products, which it makes where something is added to none, and reads what they hold.
///
/// Every writer of stock locks in the order of product ids, so that no two wait for each other.
pub(super) async fn lock(
    db: &mut PgConnection,
    location: LocationId,
    ids: &[ProductId],
    deltas: &[i64],
) -> Result<BTreeMap<ProductId, i64>, sqlx::Error> {
    sqlx::query!(
        "INSERT INTO stock (product_id, location_id, on_hand)
         SELECT line.product_id, $1, 0 FROM unnest($2::bigint[], $3::bigint[]) AS line (product_id, quantity)
         WHERE line.quantity > 0 ORDER BY line.product_id
         ON CONFLICT (product_id, location_id) DO NOTHING",
        location.0,
        ids as _,
        deltas
    )
    .execute(&mut *db)
    .await?;
    let rows: Vec<(ProductId, i64)> = sqlx::query_as(
        "SELECT product_id, on_hand FROM stock WHERE location_id = $1 AND product_id = ANY($2)
         ORDER BY product_id FOR NO KEY UPDATE",
    )
    .bind(location)
    .bind(ids)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().collect())
}

/// Adds the deltas to rows that [`lock`] has locked.
pub(super) async fn change(
    db: &mut PgConnection,
    location: LocationId,
    ids: &[ProductId],
    deltas: &[i64],
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE stock SET on_hand = stock.on_hand + line.quantity
         FROM unnest($2::bigint[], $3::bigint[]) AS line (product_id, quantity)
         WHERE stock.location_id = $1 AND stock.product_id = line.product_id",
        location.0,
        ids as _,
        deltas
    )
    .execute(db)
    .await?;
    Ok(())
}

async fn refuse(db: &mut PgConnection, reference: &Reference, refusal: &Refusal) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE movement_documents SET outcome = 'refused', refusal = $2 WHERE reference = $1",
        reference.as_str(),
        sqlx::types::Json(refusal) as _
    )
    .execute(db)
    .await?;
    Ok(())
}

/// What a reference answers to a request with this digest.
fn answer(stored: document::Stored, digest: Digest) -> Result<Document, ApiError> {
    let closed = || ApiError::conflict("reference-closed", "this reference was reversed, and takes no stock any more");
    match stored.document.outcome {
        // Closed before it was asked: there is no earlier body to compare with.
        Outcome::Closed => Err(closed()),
        Outcome::Reversed => stored.must_equal(digest).and(Err(closed())),
        Outcome::Applied => stored.must_equal(digest).map(|()| stored.document),
        Outcome::Refused => {
            stored.must_equal(digest)?;
            Err(stored.refusal.map_or_else(closed, |refusal| refusal.0.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(reason: &str, lines: &[(i64, i64)]) -> MovementRequest {
        let lines: Vec<_> =
            lines.iter().map(|(id, quantity)| serde_json::json!({"product_id": id, "quantity": quantity})).collect();
        serde_json::from_value(serde_json::json!({
            "reference": "r-1", "reason": reason, "location_id": 1, "lines": lines,
        }))
        .unwrap()
    }

    #[test]
    fn lines_of_one_product_are_added_and_ordered() {
        let quantities = check(&request("sale", &[(9, -1), (2, -3), (9, -2)])).unwrap();
        assert_eq!(quantities.into_iter().collect::<Vec<_>>(), [(ProductId(2), -3), (ProductId(9), -3)]);
    }

    #[test]
    fn a_bad_line_is_named() {
        type Lines<'a> = &'a [(i64, i64)];
        let cases: [(&str, Lines<'_>, &str); 7] = [
            ("sale", &[], "lines"),
            ("sale", &[(1, -1), (2, 1)], "lines[1].quantity"),
            ("return", &[(1, -1)], "lines[0].quantity"),
            ("adjustment", &[(1, 0)], "lines[0].quantity"),
            ("transfer", &[(1, MAX_QUANTITY + 1)], "lines[0].quantity"),
            ("adjustment", &[(1, 5), (1, -5)], "lines"),
            ("adjustment", &[(1, MAX_QUANTITY), (1, 1)], "lines"),
        ];
        for (reason, lines, field) in cases {
            let problem = check(&request(reason, lines)).unwrap_err().problem();
            assert_eq!((problem.status, problem.field.as_deref()), (422, Some(field)), "{reason} {lines:?}");
        }
    }
}
