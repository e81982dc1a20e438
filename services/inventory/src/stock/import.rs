//! `POST /stock/import`: a count, which is the opening stock of what was never counted, and an adjustment of what was.

use std::collections::{HashMap, HashSet};

use axum::extract::{Request, State};
use axum::response::Response;
use base::Tz;
use chrono::{DateTime, NaiveDateTime, Utc};
use kit::error::ApiError;
use kit::fact;
use kit::id::{LocationId, ProductId};
use kit::idempotency::Digest;
use kit::import::{Applying, Document, Fault, Kind, Moment, Options, Outcome, Record, Refusal, Report, Rules};
use kit::text::{Code, Sku, Zone};
use sqlx::{PgConnection, PgTransaction};

use crate::App;
use crate::movements::MAX_QUANTITY;
use crate::names::Names;

kit::columns! {
    /// What was counted of one product at one location; several rows of one are added up.
    pub(crate) struct CountRow {
        /// SKU of the product.
        sku: Sku = "TEA-1",
        /// Code of the location.
        location_code: Code = "NYC-01",
        /// Pieces, from 0 to 10000000.
        on_hand: i64 = "42",
        /// When it was counted: what moved since is kept. With offset, or local time of `time_zone`. Now where absent or
        /// empty; of a first count, which is opening stock, at no moment.
        counted_at: Option<Moment> = "2026-01-31T22:00:00-05:00",
        /// IANA zone of the location; UTC where absent or empty, and needed where `counted_at` has no offset.
        time_zone: Option<Zone> = "America/New_York",
    }
}

impl Record for CountRow {
    const KEY: &'static [&'static str] = &["sku", "location_code"];

    fn zone(&self) -> Option<&Zone> {
        self.time_zone.as_ref()
    }

    fn check(&self, _: Rules) -> Result<(), Refusal> {
        // The bound of a movement, for a second count is written down as one.
        if !(0..=MAX_QUANTITY).contains(&self.on_hand) {
            return Err(Refusal::new("on_hand", format!("must be from 0 to {MAX_QUANTITY} pieces")));
        }
        self.moment().map(drop)
    }
}

impl CountRow {
    fn moment(&self) -> Result<Option<DateTime<Utc>>, Refusal> {
        let Some(moment) = self.counted_at else { return Ok(None) };
        let zone = self.time_zone.as_ref().map(Zone::tz);
        if zone.is_none() && matches!(moment, Moment::Local(_)) {
            return Err(Refusal::new("counted_at", "is local time: give its offset, or a column time_zone"));
        }
        moment.within(zone.unwrap_or(Tz::UTC)).map(Some).map_err(|reason| Refusal::new("counted_at", reason))
    }
}

/// The import of a count.
struct Counts;

/// What was counted of one product at one location, over all rows.
struct Count<'a> {
    document: &'a Document<CountRow>,
    product: ProductId,
    location: LocationId,
    pieces: i64,
    at: Option<DateTime<Utc>>,
    zone: &'a str,
}

/// What is stored of it.
#[derive(sqlx::FromRow)]
struct Stored {
    location_id: LocationId,
    product_id: ProductId,
    on_hand: i64,
    counted_at: Option<DateTime<Utc>>,
    /// Pieces that moved after the count that comes now.
    since: i64,
}

impl Kind for Counts {
    type Row = CountRow;
    const NAME: &'static str = "stock";

    async fn apply(
        &self,
        tx: &mut PgTransaction<'_>,
        _: Applying,
        documents: &[Document<CountRow>],
        outcome: &mut Outcome,
    ) -> Result<(), ApiError> {
        let names = documents.iter().map(|document| (&document.head().sku, &document.head().location_code));
        let names = Names::look_up(tx, names).await?;
        let mut counts = Vec::with_capacity(documents.len());
        for document in documents {
            match count(&names, document) {
                Ok(count) => counts.push(count),
                Err(fault) => outcome.refuse(document, fault),
            }
        }
        // The order in which all writers of stock lock.
        counts.sort_by_key(|count| (count.location, count.product));
        let opened = open(tx, &counts).await?;
        let stored = stored(tx, &counts).await?;
        let mut off = Vec::new();
        for count in &counts {
            let key = (count.location, count.product);
            let Some(stored) = stored.get(&key).filter(|_| !opened.contains(&key)) else {
                outcome.apply(count.document);
                continue;
            };
            match judge(count, stored) {
                Err(fault) => outcome.refuse(count.document, fault),
                Ok(0) if count.at.is_some() && count.at <= stored.counted_at => outcome.unchanged(count.document),
                Ok(delta) => {
                    off.push((count, delta));
                    // It is as it was, but is known to be so until now.
                    if count.at.is_none() && delta == 0 {
                        outcome.unchanged(count.document);
                    } else {
                        outcome.apply(count.document);
                    }
                }
            }
        }
        adjust(tx, &off).await
    }
}

fn count<'a>(names: &Names, document: &'a Document<CountRow>) -> Result<Count<'a>, Fault> {
    let head = document.head();
    let (product, location) = names.ids(&head.sku, &head.location_code)?;
    let mut pieces = 0;
    for row in &document.rows {
        if row.value.counted_at != head.counted_at || row.value.time_zone != head.time_zone {
            return Err(row.fault("counted_at", "differs between the rows of one product at one location"));
        }
        pieces += row.value.on_hand;
        if pieces > MAX_QUANTITY {
            return Err(row.fault("on_hand", format!("the rows add up to more than {MAX_QUANTITY} pieces")));
        }
    }
    let at = head.moment().map_err(|refusal| Fault::new(refusal.field, refusal.reason))?;
    let zone = head.time_zone.as_ref().map_or("UTC", Zone::as_str);
    Ok(Count { document, product, location, pieces, at, zone })
}

/// By how much what is on hand is off.
fn judge(count: &Count<'_>, stored: &Stored) -> Result<i64, Fault> {
    if let Some((at, last)) = count.at.zip(stored.counted_at)
        && at < last
    {
        return Err(Fault::new(
            "counted_at",
            format!("is before the last count of this product here, which was at {last}"),
        ));
    }
    let target = count.pieces + if count.at.is_some() { stored.since } else { 0 };
    if target < 0 {
        let left = -stored.since;
        return Err(Fault::new("on_hand", format!("{left} pieces have left since, which is more than were counted")));
    }
    let off = target - stored.on_hand;
    if off.abs() > MAX_QUANTITY {
        let reason = format!(
            "is {} pieces off what is on hand, and an adjustment is of at most {MAX_QUANTITY}; count in steps, or move the rest",
            off.abs()
        );
        return Err(Fault::new("on_hand", reason));
    }
    Ok(off)
}

/// Counts as the statements take them.
struct Columns {
    products: Vec<ProductId>,
    locations: Vec<LocationId>,
    pieces: Vec<i64>,
    moments: Vec<Option<DateTime<Utc>>>,
}

impl Columns {
    fn of(counts: &[Count<'_>]) -> Self {
        Self {
            products: counts.iter().map(|count| count.product).collect(),
            locations: counts.iter().map(|count| count.location).collect(),
            pieces: counts.iter().map(|count| count.pieces).collect(),
            moments: counts.iter().map(|count| count.at).collect(),
        }
    }
}

/// Makes the rows that there were none of: opening stock, which no movement explains.
async fn open(db: &mut PgConnection, counts: &[Count<'_>]) -> Result<HashSet<(LocationId, ProductId)>, sqlx::Error> {
    let Columns { products, locations, pieces, moments } = Columns::of(counts);
    let opened = sqlx::query!(
        "INSERT INTO stock (product_id, location_id, on_hand, counted_at)
         SELECT product, location, counted, at
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[]) AS count (product, location, counted, at)
         ORDER BY location, product
         ON CONFLICT (product_id, location_id) DO NOTHING RETURNING location_id, product_id",
        products as _,
        locations as _,
        &pieces,
        moments as _
    )
    .fetch_all(db)
    .await?;
    Ok(opened.into_iter().map(|row| (LocationId(row.location_id), ProductId(row.product_id))).collect())
}

/// What is on hand, locked in the order that all writers of stock keep, and what moved since.
async fn stored(
    db: &mut PgConnection,
    counts: &[Count<'_>],
) -> Result<HashMap<(LocationId, ProductId), Stored>, sqlx::Error> {
    let Columns { products, locations, moments, .. } = Columns::of(counts);
    sqlx::query!(
        "SELECT FROM stock s JOIN unnest($1::bigint[], $2::bigint[]) AS count (product, location)
           ON s.product_id = count.product AND s.location_id = count.location
         ORDER BY s.location_id, s.product_id FOR NO KEY UPDATE OF s",
        &products as _,
        &locations as _
    )
    .execute(&mut *db)
    .await?;
    let rows: Vec<Stored> = sqlx::query_as(
        "SELECT s.location_id, s.product_id, s.on_hand, s.counted_at,
                CASE WHEN count.at IS NULL THEN 0 ELSE
                  (SELECT coalesce(sum(m.quantity), 0)::bigint FROM stock_movements m
                   WHERE m.product_id = s.product_id AND m.location_id = s.location_id AND m.occurred_at > count.at
                     AND NOT m.imported AND NOT m.deleted) END AS since
         FROM unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) AS count (product, location, at)
         JOIN stock s ON s.product_id = count.product AND s.location_id = count.location",
    )
    .bind(products)
    .bind(locations)
    .bind(moments)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.location_id, row.product_id), row)).collect())
}

/// Brings stock to what was counted, and writes each difference as a movement of the moment of the count, so that on hand
/// stays the opening plus the sum of movements.
async fn adjust(tx: &mut PgTransaction<'_>, off: &[(&Count<'_>, i64)]) -> Result<(), ApiError> {
    if off.is_empty() {
        return Ok(());
    }
    let products: Vec<ProductId> = off.iter().map(|(count, _)| count.product).collect();
    let locations: Vec<LocationId> = off.iter().map(|(count, _)| count.location).collect();
    let deltas: Vec<i64> = off.iter().map(|(_, delta)| *delta).collect();
    let moments: Vec<Option<DateTime<Utc>>> = off.iter().map(|(count, _)| count.at).collect();
    let zones: Vec<&str> = off.iter().map(|(count, _)| count.zone).collect();
    if deltas.iter().any(|delta| *delta != 0) {
        let digest =
            Digest::of(&off.iter().map(|(count, delta)| (count.location, count.product, *delta)).collect::<Vec<_>>());
        let document = sqlx::query!(
            r#"INSERT INTO movement_documents (reference, outcome, reason, occurred_at, time_zone, request_digest)
             VALUES ('count-' || gen_random_uuid(), 'applied', 'adjustment', now(), 'UTC', $1)
             RETURNING reference, occurred_at AS "now!""#,
            digest.as_bytes()
        )
        .fetch_one(&mut **tx)
        .await?;
        let happened = off.iter().map(|(count, _)| {
            let at = count.at.unwrap_or(document.now);
            Ok((at, fact::local_time(count.zone, at)?))
        });
        let (happened, local_times): (Vec<DateTime<Utc>>, Vec<NaiveDateTime>) =
            happened.collect::<Result<Vec<_>, ApiError>>()?.into_iter().unzip();
        sqlx::query!(
            "INSERT INTO stock_movements (reference, product_id, location_id, quantity, reason, occurred_at, time_zone, local_time)
             SELECT $1, product, location, delta, 'adjustment', at, zone, local_time
             FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::text[], $7::timestamp[])
                  AS off (product, location, delta, at, zone, local_time) WHERE delta <> 0",
            &document.reference,
            &products as _,
            &locations as _,
            &deltas,
            &happened,
            &zones as _,
            &local_times
        )
        .execute(&mut **tx)
        .await?;
    }
    sqlx::query!(
        "UPDATE stock SET on_hand = stock.on_hand + off.delta, counted_at = greatest(coalesce(off.at, now()), stock.counted_at)
         FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[]) AS off (product, location, delta, at)
         WHERE stock.product_id = off.product AND stock.location_id = off.location",
        &products as _,
        &locations as _,
        &deltas,
        &moments as _
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Import a count of stock.
///
/// CSV or NDJSON. The first count of a product at a location is its opening stock; a later one that differs writes the
/// difference as an adjustment. With `counted_at` what moved since is kept. Safe to repeat while nothing else moves, and
/// with `counted_at` always.
#[utoipa::path(post, path = "/stock/import", tag = "stock",
    request_body(content((String = "text/csv"), (CountRow = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report),
        (status = 202, description = "A large file, which is being applied; `Location` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`: another import runs")))]
pub(super) async fn import_stock(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    app.imports.run(request, Options::default(), Counts).await
}
