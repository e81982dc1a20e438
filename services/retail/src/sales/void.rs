//! `POST /sales/{id}/void`: undoes a sale that should not have been.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kit::error::ApiError;
use kit::extract::{Json, Path};
use kit::stock::{Outcome, Step};

use super::document::{Kind, SaleWithLines, Status, find_with_lines};
use crate::App;
use crate::ids::SaleId;
use crate::metric;

struct Locked {
    kind: Kind,
    status: Status,
    imported: bool,
    returns: Vec<SaleId>,
}

/// Void a sale and give its stock back.
///
/// The void is decided at once and cannot be taken back; repeating it answers the voided sale. 202 says
/// that Inventory has not confirmed the stock yet: it follows by itself.
#[utoipa::path(post, path = "/sales/{id}/void", tag = "sales", params(("id" = SaleId, Path)),
    responses((status = 200, description = "Voided, stock given back", body = SaleWithLines),
        (status = 202, description = "Voided, stock being given back", body = SaleWithLines),
        (status = 409, description = "`sale-pending`, `sale-not-completed`, `sale-has-returns`, `sale-imported`, `not-a-sale`")))]
pub(super) async fn void_sale(State(app): State<App>, Path(id): Path<SaleId>) -> Result<Response, ApiError> {
    decide(&app, id).await?;
    let outcome = app.outbox.deliver(id).await?;
    let status = match outcome {
        Outcome::Delivered => StatusCode::OK,
        Outcome::NoAnswer => StatusCode::ACCEPTED,
    };
    Ok((status, Json(find_with_lines(&app.db, id).await?)).into_response())
}

async fn decide(app: &App, id: SaleId) -> Result<(), ApiError> {
    let mut tx = kit::db::begin(&app.db).await?;
    // The lock that a return takes too: either it sees the void, or the void sees the return.
    sqlx::query!("SELECT FROM sales WHERE id = $1 FOR NO KEY UPDATE", id.0).execute(&mut *tx).await?;
    let sale: Locked = sqlx::query_as!(
        Locked,
        r#"SELECT kind AS "kind: _", status AS "status: _", imported,
             ARRAY(SELECT r.id FROM sales r WHERE r.original_sale_id = s.id
               AND r.status IN ('pending', 'completed') AND NOT r.deleted ORDER BY r.id) AS "returns!: _"
             FROM sales s WHERE id = $1 AND NOT deleted"#,
        id.0
    )
    .fetch_optional(&mut *tx)
    .await?
    .ok_or_else(|| ApiError::not_found(format!("sale {id}")))?;
    if sale.status == Status::Voided {
        return Ok(());
    }
    refuse_unless_voidable(id, &sale)?;
    sqlx::query!("UPDATE sales SET status = 'voided', voided_at = now() WHERE id = $1 AND status = 'completed'", id.0)
        .execute(&mut *tx)
        .await?;
    app.outbox.enqueue(&mut tx, id, Step::Reverse).await?;
    tx.commit().await?;
    metric::void();
    Ok(())
}

fn refuse_unless_voidable(id: SaleId, sale: &Locked) -> Result<(), ApiError> {
    if sale.kind == Kind::Return {
        return Err(ApiError::conflict("not-a-sale", format!("document {id} is a return; only sales can be voided")));
    }
    match sale.status {
        Status::Completed => {}
        Status::Pending => {
            let detail = format!("sale {id} is pending: Inventory has not answered yet; try again when it is settled");
            return Err(ApiError::conflict("sale-pending", detail));
        }
        Status::Rejected | Status::Voided => {
            return Err(ApiError::conflict(
                "sale-not-completed",
                format!("sale {id} was rejected: there is nothing to void"),
            ));
        }
    }
    if sale.imported {
        let detail = format!("sale {id} is imported history that moved no stock here; record a return instead");
        return Err(ApiError::conflict("sale-imported", detail));
    }
    if !sale.returns.is_empty() {
        let detail = format!("sale {id} has returns, so it can no longer be voided; return the rest instead");
        return Err(ApiError::conflict("sale-has-returns", detail)
            .with("return_ids", sale.returns.iter().map(|id| id.0).collect::<Vec<_>>()));
    }
    Ok(())
}
