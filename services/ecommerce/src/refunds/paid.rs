//! What was paid for the lines of orders and what of it is left, and what a refund takes of that.
//!
//! Invariant: over all refunds of a line, neither pieces nor money exceed what was ordered and paid; where pieces come back
//! at their price, that adds up to what was paid for the line, whatever the split.

use std::collections::HashMap;

use kit::amount::share;
use kit::error::ApiError;
use kit::import::Sum;
use sqlx::PgTransaction;

use crate::ids::OrderId;

/// A line of an order, with what went back of it.
#[derive(Debug, Clone)]
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
    /// Minor units of the discount that these pieces carried, not negative.
    pub back_discount: i64,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
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
        // Beside what is back, not beside what came before: a refund before the last one may have been rejected.
        let (price, carried) = (pieces * self.unit_price_cents, share(self.discount_cents, upto, self.quantity));
        let discount = (carried - self.back_discount).clamp(0, price);
        let cents = cents.unwrap_or_else(|| (price - discount).min(left_cents).max(0));
        if cents > left_cents {
            return Err(Beyond::Cents { asked: cents, left: left_cents });
        }
        let (order_line_no, quantity) = (self.line_no, -pieces);
        let part = Part { order_line_no, quantity, discount_cents: -discount, net_cents: -cents };
        self.count(part);
        Ok(part)
    }

    /// Counts what a refund takes of this line, however much is left.
    pub(crate) fn count(&mut self, part: Part) {
        self.back_quantity -= part.quantity;
        self.back_discount -= part.discount_cents;
        self.back_cents -= part.net_cents;
    }

    /// Takes back what [`PaidLine::count`] did.
    pub(crate) fn give_back(&mut self, part: Part) {
        self.back_quantity += part.quantity;
        self.back_discount += part.discount_cents;
        self.back_cents += part.net_cents;
    }

    /// Whether more is counted than was ordered or paid.
    pub(crate) fn is_beyond(&self) -> bool {
        let left = self.left();
        left.pieces < 0 || left.cents < 0
    }

    /// Takes the money that is left, without goods; nothing where none is.
    pub(crate) fn rest(&mut self) -> Option<Part> {
        let cents = self.left_cents();
        (cents > 0).then(|| self.take(Wanted { pieces: 0, cents: Some(cents) }).ok()).flatten()
    }

    /// What is left of it.
    pub(crate) fn left(&self) -> Sum {
        Sum { pieces: self.quantity - self.back_quantity, cents: self.left_cents() }
    }

    fn left_cents(&self) -> i64 {
        self.quantity * self.unit_price_cents - self.discount_cents - self.back_cents
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
    let lines: Vec<PaidLine> = sqlx::query_as!(
        PaidLine,
        r#"SELECT p.order_id, p.line_no, p.product_id, p.sku, p.quantity, p.unit_price_cents, p.discount_cents,
             coalesce(-b.quantity, 0) AS "back_quantity!", coalesce(-b.discount_cents, 0) AS "back_discount!",
             coalesce(-b.net_cents, 0) AS "back_cents!" FROM order_lines p
             LEFT JOIN (SELECT r.order_id, l.order_line_no, sum(l.quantity)::bigint AS quantity,
               sum(l.discount_cents)::bigint AS discount_cents, sum(l.net_cents)::bigint AS net_cents
               FROM refunds r JOIN refund_lines l ON l.refund_id = r.id
               WHERE r.order_id = ANY($1) AND r.status <> 'rejected' AND NOT r.deleted GROUP BY 1, 2) AS b
             ON b.order_id = p.order_id AND b.order_line_no = p.line_no
             WHERE p.order_id = ANY($1) ORDER BY p.order_id, p.line_no"#,
        orders as _
    )
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
            back_discount: 0,
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
    fn pieces_add_up_to_what_was_paid_whichever_refund_falls_away() {
        for fallen in 0..3 {
            let mut paid = line(3, 1000, 200);
            let parts = [1, 1, 1].map(|pieces| paid.take(goods(pieces)).unwrap());
            paid.give_back(parts[fallen]);
            let last = paid.take(goods(1)).unwrap();
            assert_eq!(last.net_cents, parts[fallen].net_cents);
            assert_eq!((paid.back_discount, paid.back_cents), (200, 2800));

            let mut paid = line(5, 1000, 333);
            let parts = [1, 1, 1].map(|pieces| paid.take(goods(pieces)).unwrap());
            paid.give_back(parts[fallen]);
            let rest = [1, 2].map(|pieces| paid.take(goods(pieces)).unwrap());
            assert!(rest.iter().all(|part| part.discount_cents <= 0), "{rest:?}");
            assert_eq!((paid.back_quantity, paid.back_discount, paid.back_cents), (5, 333, 4667));
        }
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
