//! What of sales has not come back yet.

use std::collections::HashMap;

use kit::error::ApiError;
use kit::id::ProductId;
use kit::import::Sum;
use sqlx::PgTransaction;

use crate::ids::SaleId;

/// What is left to return of each sale and product, as if the returns `without` had not been.
///
/// # Errors
/// The database's.
pub(crate) async fn left_to_return(
    tx: &mut PgTransaction<'_>,
    sales: &[SaleId],
    without: &[SaleId],
) -> Result<HashMap<(SaleId, ProductId), Sum>, ApiError> {
    let left: Vec<(SaleId, ProductId, i64, i64)> = sqlx::query_as(
        "SELECT sale_id, product_id, sum(quantity)::bigint, sum(net_cents)::bigint FROM ( \
           SELECT l.sale_id, l.product_id, l.quantity, l.net_cents FROM sale_lines l \
            WHERE l.sale_id = ANY($1) AND l.quantity > 0 \
           UNION ALL \
           SELECT r.original_sale_id, l.product_id, l.quantity, l.net_cents FROM sales r JOIN sale_lines l ON l.sale_id = r.id \
            WHERE r.original_sale_id = ANY($1) AND r.status IN ('pending', 'completed') AND NOT r.deleted \
            AND r.id <> ALL($2) AND l.quantity < 0) AS moved GROUP BY sale_id, product_id",
    )
    .bind(sales)
    .bind(without)
    .fetch_all(&mut **tx)
    .await?;
    Ok(left.into_iter().map(|(sale, product, pieces, cents)| ((sale, product), Sum { pieces, cents })).collect())
}
