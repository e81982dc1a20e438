//! Which lines of a sale a return gives back, and at what price: pure arithmetic.
//!
//! Invariant: over all returns of a line, quantities never exceed what was sold and discounts add
//! up to exactly the discount that was given, whatever the split and whichever return is rejected.

use kit::amount::{Pieces, share};
use kit::id::ProductId;

/// A line of the original sale with what earlier returns took from it.
#[derive(Debug, Clone)]
pub(super) struct SoldLine {
    pub line_no: i32,
    pub product_id: ProductId,
    /// Pieces sold, above zero.
    pub quantity: i64,
    /// Minor units; below zero for a coupon.
    pub unit_price_cents: i64,
    /// Minor units taken off the whole line, with the sign of its price.
    pub discount_cents: i64,
    /// Pieces already given back, not above `quantity`.
    pub returned: i64,
    /// Minor units of the discount that those carried.
    pub returned_discount: i64,
}

/// What a client wants to give back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub product_id: ProductId,
    /// Names one line where a product was sold on several.
    pub line_no: Option<i32>,
    pub quantity: Pieces,
}

/// What earlier returns gave back of a line, or of a product without naming a line.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub(super) struct Returned {
    pub product_id: ProductId,
    pub original_line_no: Option<i32>,
    /// Pieces, above zero.
    pub quantity: i64,
    /// Minor units of the sold discount that they carried, with the sign of the price.
    pub discount_cents: i64,
}

/// A line of the return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allotted {
    pub line_no: i32,
    /// Pieces, above zero; the document stores them negative.
    pub quantity: i64,
    /// Minor units of the sold discount that these pieces carried, with the sign of the price.
    pub discount_cents: i64,
}

/// More was asked than is left of what was sold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany {
    pub product_id: ProductId,
    pub asked: i64,
    /// Pieces that could still be returned; 0 also for a product that was not on the sale.
    pub left: i64,
}

/// Spreads the wanted pieces over the sold lines in line order.
pub(super) fn allot(sold: &mut [SoldLine], wanted: &[Wanted]) -> Result<Vec<Allotted>, TooMany> {
    let mut allotted = Vec::new();
    for want in wanted {
        let asked = want.quantity.get();
        let mut left = asked;
        for line in sold.iter_mut().filter(|line| matches(line, want)) {
            let quantity = left.min(line.quantity - line.returned);
            if quantity == 0 {
                continue;
            }
            allotted.push(Allotted { line_no: line.line_no, quantity, discount_cents: line.take(quantity) });
            left -= quantity;
        }
        if left > 0 {
            return Err(TooMany { product_id: want.product_id, asked, left: asked - left });
        }
    }
    Ok(allotted)
}

/// Counts what came back against the sold lines: on the line that a return names, as long as that is of its product and has
/// so many pieces; else on any of the product. Imported returns name none, and a corrected sale may have other lines.
pub(super) fn count_returned(sold: &mut [SoldLine], returned: &[Returned]) {
    let mut elsewhere = Vec::new();
    for back in returned {
        let fits = |line: &&mut SoldLine| {
            Some(line.line_no) == back.original_line_no
                && line.product_id == back.product_id
                && line.quantity - line.returned >= back.quantity
        };
        match sold.iter_mut().find(fits) {
            Some(line) => {
                line.returned += back.quantity;
                line.returned_discount += back.discount_cents;
            }
            None => elsewhere.push(back),
        }
    }
    for back in elsewhere {
        let mut left = back.quantity;
        for line in sold.iter_mut().filter(|line| line.product_id == back.product_id) {
            let pieces = left.min(line.quantity - line.returned);
            line.take(pieces);
            left -= pieces;
        }
    }
}

impl SoldLine {
    /// Takes pieces that are left, and answers the discount that they carry: never more than they cost.
    fn take(&mut self, pieces: i64) -> i64 {
        self.returned += pieces;
        let price = pieces * self.unit_price_cents;
        // Beside what is back, not beside what came before: a return before the last one may have been rejected.
        let carried = share(self.discount_cents, self.returned, self.quantity) - self.returned_discount;
        let discount = carried.clamp(price.min(0), price.max(0));
        self.returned_discount += discount;
        discount
    }
}

fn matches(line: &SoldLine, want: &Wanted) -> bool {
    line.product_id == want.product_id && want.line_no.is_none_or(|line_no| line_no == line.line_no)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line_no: i32, product_id: i64, quantity: i64, discount_cents: i64) -> SoldLine {
        SoldLine {
            line_no,
            product_id: ProductId(product_id),
            quantity,
            unit_price_cents: 1000,
            discount_cents,
            returned: 0,
            returned_discount: 0,
        }
    }

    fn returned(product_id: i64, original_line_no: Option<i32>, quantity: i64) -> Returned {
        Returned { product_id: ProductId(product_id), original_line_no, quantity, discount_cents: 0 }
    }

    fn want(product_id: i64, quantity: i64) -> Wanted {
        Wanted { product_id: ProductId(product_id), line_no: None, quantity: Pieces::try_from(quantity).unwrap() }
    }

    #[test]
    fn discounts_add_up_whatever_the_split() {
        let mut sold = vec![line(1, 7, 3, 200)];
        let cents: Vec<i64> = (0..3).map(|_| allot(&mut sold, &[want(7, 1)]).unwrap()[0].discount_cents).collect();
        assert_eq!(cents, [66, 67, 67]);
        assert!(allot(&mut sold, &[want(7, 1)]).is_err());
    }

    #[test]
    fn discounts_add_up_whichever_return_falls_away() {
        for fallen in 0..3 {
            let mut sold = vec![line(1, 7, 3, 200)];
            let cents = [66, 67, 67];
            assert_eq!([1, 1, 1].map(|pieces| sold[0].take(pieces)), cents);
            sold[0].returned -= 1;
            sold[0].returned_discount -= cents[fallen];
            let last = allot(&mut sold, &[want(7, 1)]).unwrap();
            assert_eq!((last[0].discount_cents, sold[0].returned_discount), (cents[fallen], 200));
        }
    }

    #[test]
    fn pieces_spread_over_lines_of_one_product() {
        let mut sold = vec![line(1, 7, 2, 0), line(2, 8, 5, 0), line(3, 7, 2, 10)];
        let got = allot(&mut sold, &[want(7, 3)]).unwrap();
        assert_eq!(
            got.iter().map(|it| (it.line_no, it.quantity, it.discount_cents)).collect::<Vec<_>>(),
            [(1, 2, 0), (3, 1, 5)]
        );
        assert_eq!(allot(&mut sold, &[want(7, 2)]), Err(TooMany { product_id: ProductId(7), asked: 2, left: 1 }));
    }

    #[test]
    fn a_named_line_bounds_the_return() {
        let mut sold = vec![line(1, 7, 2, 0), line(2, 7, 2, 0)];
        let named = Wanted { line_no: Some(2), ..want(7, 3) };
        assert_eq!(allot(&mut sold, &[named]), Err(TooMany { product_id: ProductId(7), asked: 3, left: 2 }));
    }

    #[test]
    fn two_wishes_for_one_product_share_what_is_left() {
        let mut sold = vec![line(1, 7, 3, 0)];
        assert_eq!(
            allot(&mut sold, &[want(7, 2), want(7, 2)]),
            Err(TooMany { product_id: ProductId(7), asked: 2, left: 1 })
        );
    }

    #[test]
    fn a_product_that_was_not_sold_has_nothing_left() {
        assert_eq!(allot(&mut [], &[want(9, 1)]), Err(TooMany { product_id: ProductId(9), asked: 1, left: 0 }));
    }

    #[test]
    fn returns_without_a_line_count_against_the_product() {
        let mut sold = vec![line(1, 7, 2, 0), line(2, 7, 2, 0)];
        count_returned(&mut sold, &[returned(7, None, 3)]);
        assert_eq!(allot(&mut sold, &[want(7, 1)]).unwrap(), [Allotted { line_no: 2, quantity: 1, discount_cents: 0 }]);
    }

    #[test]
    fn returns_count_once_however_the_lines_of_a_corrected_sale_are_numbered() {
        // Line 1 was what is line 2 now, or line 1 was longer.
        for lines in [[(1, 8, 1), (2, 7, 2)], [(1, 7, 1), (2, 7, 1)]] {
            let mut sold: Vec<_> =
                lines.map(|(line_no, product_id, pieces)| line(line_no, product_id, pieces, 0)).into();
            count_returned(&mut sold, &[returned(7, Some(1), 2)]);
            let left = TooMany { product_id: ProductId(7), asked: 1, left: 0 };
            assert_eq!(allot(&mut sold, &[want(7, 1)]), Err(left), "{lines:?}");
        }
    }
}
