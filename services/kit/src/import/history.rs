//! Documents of the past and their lines: how a row is read, priced and compared, and how documents are written.

use std::collections::HashMap;

use sqlx::PgTransaction;

use super::record::Rules;
use super::report::{Fault, Refusal};
use super::value::{Major, Minor};
use super::{Given, amount};
use crate::amount::Price;
use crate::copy::{Field, Tuples};
use crate::error::ApiError;
use crate::id::ProductId;
use crate::stock::Catalogue;
use crate::text::Text;

/// Pieces on one line of history: with the bound on prices it keeps every amount within 64 bits.
pub const MAX_PIECES: i64 = 10_000_000;

/// The columns of a line, as a row has them.
#[derive(Debug, Clone, Copy)]
pub struct LineCells<'a> {
    pub line_no: i32,
    pub product_id: Option<ProductId>,
    pub sku: &'a Text,
    pub product_name: Option<&'a Text>,
    pub category: Option<&'a Text>,
    pub quantity: i64,
    pub unit_price_cents: Option<Minor>,
    pub unit_price: Option<Major>,
    pub unit_cost_cents: Option<Price>,
    pub unit_cost: Option<Major>,
    pub discount_cents: &'a Given<Minor>,
    pub discount: &'a Given<Major>,
}

/// A line as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Line {
    pub line_no: i32,
    pub product_id: ProductId,
    pub sku: String,
    pub product_name: String,
    pub category: String,
    /// Pieces, signed.
    pub quantity: i64,
    pub unit_price_cents: i64,
    pub unit_cost_cents: i64,
    /// Minor units, with the sign of the line's price.
    pub discount_cents: i64,
}

/// A line of a file with its product resolved, and which of its values the file leaves open.
#[derive(Debug, Clone)]
pub struct ResolvedLine {
    /// Its line in the file.
    pub at: u64,
    pub line: Line,
    names: bool,
    category: bool,
    cost: bool,
}

impl LineCells<'_> {
    /// Price of one piece in minor units; not negative unless it is the line of a coupon.
    ///
    /// # Errors
    /// The column at fault and why.
    pub fn price(&self, rules: Rules) -> Result<i64, Refusal> {
        let minor = ("unit_price_cents", self.unit_price_cents.map(|price| price.0));
        let price = amount(minor, ("unit_price", self.unit_price), rules)?;
        let field = if self.unit_price_cents.is_some() { minor.0 } else { "unit_price" };
        let price = price.ok_or_else(|| Refusal::new("unit_price_cents", "is needed, or unit_price"))?;
        let most = Price::MAX.get();
        if (-most..=most).contains(&price) {
            Ok(price)
        } else {
            Err(Refusal::new(field, format!("must be from {} to {most} minor units", -most)))
        }
    }

    fn cost(&self, rules: Rules) -> Result<Option<i64>, Refusal> {
        let minor = ("unit_cost_cents", self.unit_cost_cents.map(Price::get));
        let cost = amount(minor, ("unit_cost", self.unit_cost), rules)?;
        match cost {
            Some(cost) if Price::try_from(cost).is_err() => {
                Err(Refusal::new("unit_cost", format!("must be from 0 to {} minor units", Price::MAX.get())))
            }
            cost => Ok(cost),
        }
    }

    /// Minor units taken off the line, whatever sign the file gives them.
    fn discount(&self, rules: Rules) -> Result<i64, Refusal> {
        let minor = ("discount_cents", self.discount_cents.value().map(|amount| amount.0));
        let discount = amount(minor, ("discount", self.discount.value().copied()), rules)?;
        Ok(discount.unwrap_or(0))
    }

    /// Checks what the types alone cannot.
    ///
    /// # Errors
    /// The column at fault and why.
    pub fn check(&self, rules: Rules) -> Result<(), Refusal> {
        if self.line_no < 1 {
            return Err(Refusal::new("line_no", "must be above zero"));
        }
        if self.quantity == 0 {
            return Err(Refusal::new("quantity", "must not be zero"));
        }
        if self.quantity.saturating_abs() > MAX_PIECES {
            return Err(Refusal::new("quantity", "is more than a line holds"));
        }
        let price = self.price(rules)?;
        self.cost(rules)?;
        if self.discount(rules)?.saturating_abs() > (self.quantity * price).abs() {
            return Err(Refusal::new("discount_cents", "is more than the line's price"));
        }
        Ok(())
    }

    /// The line with its product resolved; `quantity` has the sign that it is stored with.
    ///
    /// # Errors
    /// The column at fault and why.
    pub fn resolve(
        &self,
        at: u64,
        quantity: i64,
        catalogue: &Catalogue,
        rules: Rules,
    ) -> Result<ResolvedLine, Refusal> {
        let (product_id, known) = catalogue.resolve(self.product_id, self.sku.as_str())?;
        let text = |given: Option<&Text>, known: Option<&String>, column| {
            let text = given.map(|text| text.as_str().to_owned()).or_else(|| known.cloned());
            text.ok_or_else(|| Refusal::new(column, "is needed: Inventory does not know the product"))
        };
        let cost = self.cost(rules)?;
        let cost_known = cost.or(known.map(|known| known.unit_cost_cents));
        let unit_price_cents = self.price(rules)?;
        let line = Line {
            line_no: self.line_no,
            product_id,
            sku: self.sku.as_str().to_owned(),
            product_name: text(self.product_name, known.map(|known| &known.name), "product_name")?,
            category: text(self.category, known.map(|known| &known.category), "category")?,
            quantity,
            unit_price_cents,
            unit_cost_cents: cost_known
                .ok_or_else(|| Refusal::new("unit_cost_cents", "is needed: Inventory does not know the product"))?,
            discount_cents: self.discount(rules)?.saturating_abs() * (quantity * unit_price_cents).signum(),
        };
        let (names, category) = (self.product_name.is_some(), self.category.is_some());
        Ok(ResolvedLine { at, line, names, category, cost: cost.is_some() })
    }
}

impl Line {
    /// What was paid for it, in minor units; negative where it was paid back.
    pub fn net(&self) -> i64 {
        self.quantity * self.unit_price_cents - self.discount_cents
    }

    /// Adds it to the lines of a COPY: the document's id, then the fields in their order.
    pub fn push(&self, document: i64, lines: &mut Tuples) {
        lines.push(&[
            Field::Int8(document),
            Field::Int4(self.line_no),
            Field::Int8(self.product_id.0),
            Field::Text(&self.sku),
            Field::Text(&self.product_name),
            Field::Text(&self.category),
            Field::Int8(self.quantity),
            Field::Int8(self.unit_price_cents),
            Field::Int8(self.unit_cost_cents),
            Field::Int8(self.discount_cents),
        ]);
    }
}

/// The ids of that many new documents, from their sequence.
///
/// # Errors
/// The database's.
pub async fn ids(tx: &mut PgTransaction<'_>, sequence: &str, documents: usize) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar("SELECT nextval($1::text::regclass) FROM generate_series(1, $2) ORDER BY 1")
        .bind(sequence)
        .bind(i64::try_from(documents).unwrap_or(i64::MAX))
        .fetch_all(&mut **tx)
        .await
}

/// Writes new documents, headers before lines, by the COPY statement beside each.
///
/// # Errors
/// The database's.
pub async fn write(tx: &mut PgTransaction<'_>, headers: (Tuples, &str), lines: (Tuples, &str)) -> Result<(), ApiError> {
    headers.0.copy(tx, headers.1).await?;
    // The lines are of headers that this transaction just made.
    sqlx::query("SELECT set_config('feed.new_headers', pg_current_xact_id()::text, true)").execute(&mut **tx).await?;
    lines.0.copy(tx, lines.1).await?;
    Ok(())
}

/// Spreads a discount on the whole ticket over the lines that go its way, by their price; to the cent, whatever the
/// order of the rows.
///
/// # Errors
/// It is more than what they come to.
pub fn spread(lines: &mut [ResolvedLine], discount: i64, sign: i64) -> Result<(), Fault> {
    if discount == 0 {
        return Ok(());
    }
    let discount = i128::from(discount.saturating_abs());
    lines.sort_by_key(|resolved| resolved.line.line_no);
    let share = |resolved: &ResolvedLine| i128::from((resolved.line.net() * sign).max(0));
    let whole: i128 = lines.iter().map(share).sum();
    if discount > whole {
        return Err(Fault::new("ticket_discount_cents", "is more than the ticket's price"));
    }
    let (mut before, mut given) = (0, 0);
    for resolved in lines {
        before += share(resolved);
        let upto = discount * before / whole;
        let part = i64::try_from(upto - given).unwrap_or(0);
        resolved.line.discount_cents += sign * part;
        given = upto;
    }
    Ok(())
}

/// The first difference between lines of a file and those that are stored, if there is one. Discounts come last, for a
/// discount on the ticket is spread anew when anything else differs.
pub fn difference(resolved: &[ResolvedLine], stored: &[Line]) -> Option<Fault> {
    let mut left: HashMap<i32, &Line> = stored.iter().map(|line| (line.line_no, line)).collect();
    let mut pairs = Vec::with_capacity(resolved.len());
    for new in resolved {
        let Some(old) = left.remove(&new.line.line_no) else {
            return Some(Fault::differs(Some(new.at), "line_no", "", new.line.line_no));
        };
        pairs.push((new, old));
    }
    if let Some(missing) = left.into_keys().min() {
        return Some(Fault::differs(None, "line_no", missing, ""));
    }
    let discount = |(new, old): &(&ResolvedLine, &Line)| {
        (new.line.discount_cents != old.discount_cents)
            .then(|| Fault::differs(Some(new.at), "discount_cents", old.discount_cents, new.line.discount_cents))
    };
    pairs.iter().find_map(|(new, old)| new.difference(old)).or_else(|| pairs.iter().find_map(discount))
}

impl ResolvedLine {
    fn difference(&self, old: &Line) -> Option<Fault> {
        let (at, new) = (Some(self.at), &self.line);
        let texts = [
            ("sku", true, &old.sku, &new.sku),
            ("product_name", self.names, &old.product_name, &new.product_name),
            ("category", self.category, &old.category, &new.category),
        ];
        if let Some((field, _, old, new)) = texts.into_iter().find(|(_, said, old, new)| *said && old != new) {
            return Some(Fault::differs(at, field, old, new));
        }
        let numbers = [
            ("product_id", true, old.product_id.0, new.product_id.0),
            ("quantity", true, old.quantity, new.quantity),
            ("unit_price_cents", true, old.unit_price_cents, new.unit_price_cents),
            ("unit_cost_cents", self.cost, old.unit_cost_cents, new.unit_cost_cents),
        ];
        let (field, _, old, new) = numbers.into_iter().find(|(_, said, old, new)| *said && old != new)?;
        Some(Fault::differs(at, field, old, new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(line_no: i32, quantity: i64, price: i64) -> ResolvedLine {
        let line = Line {
            line_no,
            product_id: ProductId(1),
            sku: "S".to_owned(),
            product_name: "P".to_owned(),
            category: "C".to_owned(),
            quantity,
            unit_price_cents: price,
            unit_cost_cents: 0,
            discount_cents: 0,
        };
        ResolvedLine { at: 2, line, names: true, category: true, cost: true }
    }

    #[test]
    fn a_ticket_discount_is_given_once_and_to_the_cent() {
        for order in [[1, 2, 3, 4], [4, 2, 1, 3]] {
            let mut lines: Vec<ResolvedLine> = order.map(|no| resolved(no, if no == 4 { -1 } else { 1 }, 100)).into();
            spread(&mut lines, 200, 1).unwrap();
            let given: Vec<i64> = lines.iter().map(|resolved| resolved.line.discount_cents).collect();
            assert_eq!(given, [66, 67, 67, 0]);
        }
        assert!(spread(&mut [resolved(1, 1, 100)], 101, 1).is_err());
    }

    #[test]
    fn a_difference_is_named_with_both_values() {
        let (one, two) = (resolved(1, 1, 100), resolved(2, 3, 100));
        let stored = [one.line.clone(), two.line.clone()];
        assert_eq!(difference(&[two.clone(), one.clone()], &stored), None);
        let fault = difference(&[one.clone(), resolved(2, 4, 100)], &stored).unwrap();
        assert_eq!((fault.field, fault.reason.as_str()), ("quantity", "is 4 in this file, but 3 is stored"));
        assert_eq!(difference(&[one], &stored).unwrap().reason, "is nothing in this file, but 2 is stored");
        let renamed = ResolvedLine {
            names: false,
            line: Line { product_name: "Q".to_owned(), ..two.line },
            ..resolved(2, 3, 100)
        };
        assert_eq!(difference(&[resolved(1, 1, 100), renamed], &stored), None);
    }
}
