//! What was paid for the lines of orders and what of it is left, and what a refund takes of that.
//!
//! Invariant: over all refunds of a line, neither pieces nor money exceed what was ordered and paid; where pieces come back
//! at their price, that adds up to what was paid for the line, whatever the split.

use std::collections::HashMap;

use kit::error::ApiError;
use sqlx::PgTransaction;

use crate::ids::OrderId;

/// A line of an order, with what went back of it.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct PaidLine {
    pub order_id: OrderId,
    pub line_no: i32,
    pub product_id: kit::id::ProductId,
    pub sku: String,
    /// Pieces ordered, above zero.
    pub quantity: i64,
    pub unit_price_cents: i64,
    /// Minor units taken off the whole line.
    pub discount_cents: i64,
    /// Pieces that came back, not negative.
    pub back_quantity: i64,
    /// Minor units that were paid back, not negative.
    pub back_cents: i64,
}

/// What is to go back of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Pieces, not negative.
    pub pieces: i64,
    /// Minor units, not negative; none: what the pieces cost, as far as it is left.
    pub cents: Option<i64>,
}

/// What goes back of a line, with the signs that it is stored with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub order_line_no: i32,
    pub quantity: i64,
    pub discount_cents: i64,
    pub net_cents: i64,
}

/// More was asked than is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Beyond {
    Pieces { asked: i64, left: i64 },
    Cents { asked: i64, left: i64 },
}

impl PaidLine {
    /// Takes what is wanted; all of it or nothing.
    pub(crate) fn take(&mut self, Wanted { pieces, cents }: Wanted) -> Result<Part, Beyond> {
        let (left, left_cents) = (self.quantity - self.back_quantity, self.left_cents());
        if pieces > left {
            return Err(Beyond::Pieces { asked: pieces, left });
        }
        let upto = self.back_quantity + pieces;
        let discount = self.discount_of(upto) - self.discount_of(self.back_quantity);
        let cents = cents.unwrap_or_else(|| (pieces * self.unit_price_cents - discount).min(left_cents));
        if cents > left_cents {
            return Err(Beyond::Cents { asked: cents, left: left_cents });
        }
        self.back_quantity = upto;
        self.back_cents += cents;
        Ok(Part { order_line_no: self.line_no, quantity: -pieces, discount_cents: -discount, net_cents: -cents })
    }

    /// Takes the money that is left, without goods; nothing where none is.
    pub(crate) fn rest(&mut self) -> Option<Part> {
        let cents = self.left_cents();
        (cents > 0).then(|| self.take(Wanted { pieces: 0, cents: Some(cents) }).ok()).flatten()
    }

    fn left_cents(&self) -> i64 {
        self.quantity * self.unit_price_cents - self.discount_cents - self.back_cents
    }

    /// The discount that the first `pieces` carry: cumulative, so that no cent is lost or given twice.
    fn discount_of(&self, pieces: i64) -> i64 {
        let share = i128::from(self.discount_cents) * i128::from(pieces) / i128::from(self.quantity);
        i64::try_from(share).expect("a share is not above the whole, which is an i64")
    }
}

/// The lines of orders, which the caller has locked, by order and in their order.
///
/// # Errors
/// The database's.
pub(crate) async fn paid(
    tx: &mut PgTransaction<'_>,
    orders: &[OrderId],
) -> Result<HashMap<OrderId, Vec<PaidLine>>, ApiError> {
    let lines: Vec<PaidLine> = sqlx::query_as(
        "SELECT p.order_id, p.line_no, p.product_id, p.sku, p.quantity, p.unit_price_cents, p.discount_cents, \
         coalesce(-b.quantity, 0) AS back_quantity, coalesce(-b.net_cents, 0) AS back_cents FROM order_lines p \
         LEFT JOIN (SELECT r.order_id, l.order_line_no, sum(l.quantity)::bigint AS quantity, \
             sum(l.net_cents)::bigint AS net_cents FROM refunds r JOIN refund_lines l ON l.refund_id = r.id \
           WHERE r.order_id = ANY($1) AND r.status <> 'rejected' AND NOT r.deleted GROUP BY 1, 2) AS b \
           ON b.order_id = p.order_id AND b.order_line_no = p.line_no \
         WHERE p.order_id = ANY($1) ORDER BY p.order_id, p.line_no",
    )
    .bind(orders)
    .fetch_all(&mut **tx)
    .await?;
    let mut paid: HashMap<OrderId, Vec<PaidLine>> = HashMap::with_capacity(orders.len());
    for line in lines {
        paid.entry(line.order_id).or_default().push(line);
    }
    Ok(paid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(quantity: i64, unit_price_cents: i64, discount_cents: i64) -> PaidLine {
        PaidLine {
            order_id: OrderId(1),
            line_no: 1,
            product_id: kit::id::ProductId(7),
            sku: "S".to_owned(),
            quantity,
            unit_price_cents,
            discount_cents,
            back_quantity: 0,
            back_cents: 0,
        }
    }

    fn goods(pieces: i64) -> Wanted {
        Wanted { pieces, cents: None }
    }

    fn money(cents: i64) -> Wanted {
        Wanted { pieces: 0, cents: Some(cents) }
    }

    #[test]
    fn pieces_add_up_to_what_was_paid_whatever_the_split() {
        let mut paid = line(3, 1000, 200);
        let parts = [1, 1, 1].map(|pieces| paid.take(goods(pieces)).unwrap());
        assert_eq!(parts.map(|part| part.discount_cents), [-66, -67, -67]);
        assert_eq!(parts.map(|part| part.net_cents), [-934, -933, -933]);
        assert_eq!(paid.take(goods(1)), Err(Beyond::Pieces { asked: 1, left: 0 }));
        assert_eq!(paid.rest(), None);
    }

    #[test]
    fn money_without_goods_leaves_the_pieces() {
        let mut paid = line(2, 1000, 0);
        let part = paid.take(money(1500)).unwrap();
        assert_eq!(part, Part { order_line_no: 1, quantity: 0, discount_cents: 0, net_cents: -1500 });
        assert_eq!(paid.take(money(501)), Err(Beyond::Cents { asked: 501, left: 500 }));
        // The pieces come back all the same, for what is left of their price.
        assert_eq!([1, 1].map(|pieces| paid.take(goods(pieces)).unwrap().net_cents), [-500, 0]);
    }

    #[test]
    fn pieces_may_come_back_for_less_than_they_cost() {
        let mut paid = line(2, 1000, 100);
        let part = paid.take(Wanted { pieces: 1, cents: Some(700) }).unwrap();
        assert_eq!((part.quantity, part.discount_cents, part.net_cents), (-1, -50, -700));
        assert_eq!(paid.rest().map(|part| (part.quantity, part.net_cents)), Some((0, -1200)));
    }
}
