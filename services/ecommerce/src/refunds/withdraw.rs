//! Refunds of an import are taken back, and those that they had corrected come in their place.

use std::collections::HashMap;

use kit::error::ApiError;
use kit::import::{Exchange, Sum, unfit};
use sqlx::PgTransaction;

use super::paid::paid;
use crate::ids::{OrderId, RefundId};

/// Documents taken back in one transaction.
pub(crate) const PART: i64 = 2_000;

/// A refund that is to go.
#[derive(sqlx::FromRow)]
struct Document {
    id: RefundId,
    reference: String,
    order_id: OrderId,
    replaces: Option<RefundId>,
    /// The order of the refund that it had corrected, where that is there, paid, and not later.
    earlier_order: Option<OrderId>,
}

/// Takes refunds back. Answers the last of them, and which stay: what they were before no longer fits.
pub(crate) async fn take_back(
    tx: &mut PgTransaction<'_>,
    import_id: i64,
    before: i64,
) -> Result<(Option<i64>, Vec<String>), ApiError> {
    let ids: Vec<RefundId> = sqlx::query_scalar(
        "SELECT id FROM refunds WHERE import_id = $1 AND id < $2 AND NOT deleted ORDER BY id DESC LIMIT $3",
    )
    .bind(import_id)
    .bind(before)
    .bind(PART)
    .fetch_all(&mut **tx)
    .await?;
    // Under the locks of their orders, as everything that refunds.
    let orders: Vec<OrderId> = sqlx::query_scalar(
        "SELECT id FROM orders WHERE NOT deleted AND reference IN ( \
           SELECT split_part(o.reference, '~', 1) FROM refunds r LEFT JOIN refunds b ON b.id = r.replaces \
             JOIN orders o ON o.id IN (r.order_id, b.order_id) WHERE r.id = ANY($1)) ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(&ids)
    .fetch_all(&mut **tx)
    .await?;
    let mut documents: Vec<Document> = sqlx::query_as(
        "SELECT r.id, r.reference, r.order_id, r.replaces, o.id AS earlier_order FROM refunds r \
         LEFT JOIN refunds b ON b.id = r.replaces LEFT JOIN orders was ON was.id = b.order_id \
         LEFT JOIN orders o ON o.reference = split_part(was.reference, '~', 1) AND NOT o.deleted \
           AND o.payment_status IN ('paid', 'refunded') AND o.occurred_at <= b.occurred_at \
         WHERE r.id = ANY($1) AND NOT r.deleted ORDER BY r.id",
    )
    .bind(&ids)
    .fetch_all(&mut **tx)
    .await?;
    let last = ids.last().map(|id| id.0);
    let mut stay = Vec::new();
    let mut keep = |document: &Document| {
        stay.push(format!("{} stays: what it paid back before is no longer left of its order", document.reference));
        false
    };
    documents.retain(|it| it.replaces.is_none() || it.earlier_order.is_some() || keep(it));
    let mut is_unfit = unfit_documents(tx, &documents, &orders).await?.into_iter();
    documents.retain(|it| !is_unfit.next().unwrap_or(false) || keep(it));
    let ids: Vec<RefundId> = documents.iter().map(|document| document.id).collect();
    sqlx::query!("UPDATE refunds SET deleted = true, replaces = NULL WHERE id = ANY($1)", &ids as _)
        .execute(&mut **tx)
        .await?;
    let (earlier, orders): (Vec<RefundId>, Vec<OrderId>) =
        documents.iter().filter_map(|it| it.replaces.zip(it.earlier_order)).unzip();
    if !earlier.is_empty() {
        sqlx::query!(
            "UPDATE refunds SET deleted = false, order_id = back.order_id \
             FROM UNNEST($1::bigint[], $2::bigint[]) AS back (id, order_id) WHERE refunds.id = back.id",
            earlier as _,
            orders as _
        )
        .execute(&mut **tx)
        .await?;
    }
    Ok((last, stay))
}

/// Which of the documents would leave less than nothing of their orders, if all became what they were before.
async fn unfit_documents(
    tx: &mut PgTransaction<'_>,
    documents: &[Document],
    orders: &[OrderId],
) -> Result<Vec<bool>, ApiError> {
    let ids: Vec<RefundId> = documents.iter().flat_map(|it| [Some(it.id), it.replaces]).flatten().collect();
    let lines: Vec<(RefundId, i32, i64, i64)> = sqlx::query_as(
        "SELECT refund_id, order_line_no, -quantity, -net_cents FROM refund_lines WHERE refund_id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(&mut **tx)
    .await?;
    let mut parts: HashMap<RefundId, Vec<(i32, Sum)>> = HashMap::new();
    for (id, line_no, pieces, cents) in lines {
        parts.entry(id).or_default().push((line_no, Sum { pieces, cents }));
    }
    let of = |refund: Option<RefundId>, order: Option<OrderId>| -> Vec<((OrderId, i32), Sum)> {
        let parts = refund.zip(order).and_then(|(refund, order)| Some((order, parts.get(&refund)?)));
        parts.map_or(Vec::new(), |(order, parts)| parts.iter().map(|(line, sum)| ((order, *line), *sum)).collect())
    };
    let exchange = |it: &Document| Exchange {
        gives: of(Some(it.id), Some(it.order_id)),
        takes: of(it.replaces, it.earlier_order),
    };
    let exchanges: Vec<_> = documents.iter().map(exchange).collect();
    let paid = paid(tx, orders).await?;
    let left = paid.values().flatten().map(|line| ((line.order_id, line.line_no), line.left())).collect();
    Ok(unfit(left, &exchanges))
}
