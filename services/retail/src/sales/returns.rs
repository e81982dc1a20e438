//! `POST /sales/{id}/returns`: goods of a sale come back, on a document of their own.

use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, Utc};
use kit::amount::Pieces;
use kit::error::ApiError;
use kit::extract::{Json, Path};
use kit::id::{LocationId, ProductId};
use kit::idempotency::{IdempotencyKey, KeyedRequest};
use serde::{Deserialize, Serialize};
use sqlx::PgTransaction;
use utoipa::ToSchema;
use uuid::Uuid;

use super::allot::{self, Allotted, Returned, SoldLine, TooMany, Wanted};
use super::answer;
use super::document::{self, Kind, Sale, SaleLine, SaleWithLines, Status};
use super::place::{Place, ask, location_of, place};
use super::sell::{check_count, check_moment};
use super::write::{Draft, DraftLine, insert_pending};
use crate::App;
use crate::ids::{RegisterId, SaleId};
use crate::metric;

/// Goods that come back.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReturnRequest {
    /// Where they come back; default: the register of the sale. Stock goes to that register's store.
    pub register_id: Option<RegisterId>,
    /// When; default now. Not before the sale.
    pub occurred_at: Option<DateTime<Utc>>,
    #[schema(min_items = 1, max_items = 500)]
    pub lines: Vec<ReturnLine>,
}

/// Some pieces of one product.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReturnLine {
    pub product_id: ProductId,
    /// Which line of the sale; default: the lines of that product, in order.
    pub line_no: Option<i32>,
    /// Over all returns never more than were sold.
    pub quantity: Pieces,
}

/// Return goods of a completed sale.
///
/// The return keeps its own moment, zone and business day; price, cost and discount are those of the
/// sale. Over all returns no more can come back than was sold, however many are asked for at once.
#[utoipa::path(post, path = "/sales/{id}/returns", tag = "sales",
    params(("id" = SaleId, Path), IdempotencyKey), request_body = ReturnRequest,
    responses((status = 201, description = "Returned, stock given back", body = SaleWithLines),
        (status = 202, description = "Repeated, and still pending", body = SaleWithLines),
        (status = 409, description = "`more-than-sold`, `sale-voided`, `sale-pending`, `sale-not-completed`, `not-a-sale`, `store-inactive`, `register-inactive`, `no-stock-location`, or Inventory's refusal")))]
pub(super) async fn create_return(
    State(app): State<App>,
    Path(id): Path<SaleId>,
    key: Option<IdempotencyKey>,
    Json(request): Json<ReturnRequest>,
) -> Result<Response, ApiError> {
    let keyed = KeyedRequest::new(key, &(id, &request));
    if let Some(return_id) = answer::known(&app, &keyed).await? {
        return answer::present(&app, return_id).await;
    }
    check_count(request.lines.len())?;
    let wanted: Vec<Wanted> = request.lines.iter().map(ReturnLine::wanted).collect();
    let sale = document::find(&app.db, id).await?;
    refuse_unless_returnable(&sale)?;
    let occurred_at = check_moment(request.occurred_at)?;
    if occurred_at < sale.occurred_at {
        return Err(ApiError::invalid("occurred_at", format!("the sale itself was at {}", sale.occurred_at)));
    }
    let place = place(&app, request.register_id.unwrap_or(sale.register_id)).await?;
    let product_ids: Vec<ProductId> = wanted.iter().map(|it| it.product_id).collect();
    let location_id = location_of(&place, &ask(&app, &place, &product_ids).await?)?;

    let mut tx = kit::db::begin(&app.db).await?;
    let lines = match take_from_sold(&mut tx, id, &wanted).await {
        Ok(lines) => lines,
        Err(refused) => {
            tx.rollback().await?;
            // A twin of this request may have taken the last pieces while this one waited for the lock.
            return match answer::known(&app, &keyed).await? {
                Some(return_id) => answer::present(&app, return_id).await,
                None => Err(refused),
            };
        }
    };
    let draft = draft(&sale, place, location_id, occurred_at, lines);
    match insert_pending(&app, &mut tx, &draft, &keyed).await? {
        Some(return_id) => {
            tx.commit().await?;
            metric::document(Kind::Return);
            answer::deliver(&app, return_id).await
        }
        None => {
            tx.rollback().await?;
            answer::winner(&app, &keyed).await
        }
    }
}

impl ReturnLine {
    fn wanted(&self) -> Wanted {
        Wanted { product_id: self.product_id, line_no: self.line_no, quantity: self.quantity }
    }
}

fn refuse_unless_returnable(sale: &Sale) -> Result<(), ApiError> {
    let id = sale.id;
    match (sale.kind, sale.status) {
        (Kind::Return, _) => Err(ApiError::conflict("not-a-sale", format!("document {id} is itself a return"))),
        (Kind::Sale, Status::Completed) => Ok(()),
        (Kind::Sale, Status::Pending) => {
            let detail = format!("sale {id} is pending: Inventory has not answered yet; try again when it is settled");
            Err(ApiError::conflict("sale-pending", detail))
        }
        (Kind::Sale, Status::Rejected) => {
            Err(ApiError::conflict("sale-not-completed", format!("sale {id} was rejected: nothing was sold")))
        }
        (Kind::Sale, Status::Voided) => {
            Err(ApiError::conflict("sale-voided", format!("sale {id} was voided: its stock is given back already")))
        }
    }
}

/// Under the sale's row lock: what is left of it, and the lines of this return.
async fn take_from_sold(
    tx: &mut PgTransaction<'_>,
    sale_id: SaleId,
    wanted: &[Wanted],
) -> Result<Vec<(SaleLine, Allotted)>, ApiError> {
    // Every return and every void of this sale waits here, so what is counted below stays true.
    sqlx::query!("SELECT FROM sales WHERE id = $1 FOR NO KEY UPDATE", sale_id.0).execute(&mut **tx).await?;
    let status: Status =
        sqlx::query_scalar!(r#"SELECT status AS "status: Status" FROM sales WHERE id = $1 AND NOT deleted"#, sale_id.0)
            .fetch_optional(&mut **tx)
            .await?
            .ok_or_else(|| ApiError::not_found(format!("sale {sale_id}")))?;
    if status == Status::Voided {
        return Err(ApiError::conflict(
            "sale-voided",
            format!("sale {sale_id} was voided: its stock is given back already"),
        ));
    }
    let lines = document::lines(&mut **tx, sale_id).await?;
    let returned: Vec<Returned> = sqlx::query_as(
        "SELECT l.product_id, l.original_line_no, (-sum(l.quantity))::bigint AS quantity, \
         (-sum(l.discount_cents))::bigint AS discount_cents FROM sales r JOIN sale_lines l ON l.sale_id = r.id WHERE r.original_sale_id = $1 AND r.status IN ('pending', 'completed') AND NOT r.deleted \
         AND l.quantity < 0 GROUP BY l.product_id, l.original_line_no ORDER BY l.original_line_no NULLS LAST, l.product_id",
    )
    .bind(sale_id)
    .fetch_all(&mut **tx)
    .await?;
    // Lines that came back on the sale's own receipt were not sold.
    let mut sold: Vec<SoldLine> = lines
        .iter()
        .filter(|line| line.quantity > 0)
        .map(|line| SoldLine {
            line_no: line.line_no,
            product_id: line.product_id,
            quantity: line.quantity,
            unit_price_cents: line.unit_price_cents,
            discount_cents: line.discount_cents,
            returned: 0,
            returned_discount: 0,
        })
        .collect();
    allot::count_returned(&mut sold, &returned);
    let allotted = allot::allot(&mut sold, wanted).map_err(|it| too_many(sale_id, it))?;
    let line = |line_no| lines.iter().find(|line| line.line_no == line_no).cloned();
    Ok(allotted.into_iter().filter_map(|it| Some((line(it.line_no)?, it))).collect())
}

fn too_many(sale_id: SaleId, TooMany { product_id, asked, left }: TooMany) -> ApiError {
    let detail = format!(
        "{asked} of product {product_id} are to be returned, but only {left} of sale {sale_id} are left to return"
    );
    ApiError::conflict("more-than-sold", detail).with("product_id", product_id).with("left", left)
}

fn draft(
    sale: &Sale,
    place: Place,
    location_id: LocationId,
    occurred_at: DateTime<Utc>,
    lines: Vec<(SaleLine, Allotted)>,
) -> Draft {
    Draft {
        kind: Kind::Return,
        reference: format!("return-{}", Uuid::new_v4()),
        place,
        location_id,
        original_sale_id: Some(sale.id),
        offline: false,
        occurred_at,
        lines: lines
            .into_iter()
            .map(|(sold, it)| DraftLine {
                product_id: sold.product_id,
                sku: sold.sku,
                product_name: sold.product_name,
                category: sold.category,
                quantity: -it.quantity,
                unit_price_cents: sold.unit_price_cents,
                list_price_cents: None,
                unit_cost_cents: sold.unit_cost_cents,
                discount_cents: -it.discount_cents,
                original_line_no: Some(sold.line_no),
            })
            .collect(),
    }
}
