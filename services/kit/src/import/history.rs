//! Documents of the past and their lines: how lines are told and compared, and how documents are written.

mod columns;

use std::collections::HashMap;

use sqlx::PgTransaction;

use super::report::Fault;
use super::withdrawal::Sum;
use crate::copy::{Field, Tuples};
use crate::error::ApiError;
use crate::id::ProductId;
pub use columns::LineColumns;

/// Pieces on one line of history: with the bound on prices it keeps every amount within 64 bits.
pub const MAX_PIECES: i64 = 10_000_000;

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

/// A line as a file tells it, and what of it the file says.
#[derive(Debug, Clone)]
pub struct ResolvedLine {
    /// Its line in the file.
    pub at: u64,
    pub line: Line,
    said: Said,
}

/// Which of the columns that need not be there are said.
#[derive(Debug, Clone, Copy)]
struct Said {
    name: bool,
    category: bool,
    cost: bool,
    discount: bool,
}

impl Line {
    fn gross(&self) -> i64 {
        self.quantity * self.unit_price_cents
    }

    /// What was paid for it, in minor units; negative where it was paid back.
    pub fn net(&self) -> i64 {
        self.gross() - self.discount_cents
    }

    /// Its pieces, and what was paid for them.
    pub fn sum(&self) -> Sum {
        Sum { pieces: self.quantity, cents: self.net() }
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

/// Spreads a discount on the whole ticket, where the file says one, over the lines that go its way, by their price; to the
/// cent, whatever the order of the rows.
///
/// # Errors
/// It is more than what they come to.
pub fn spread(lines: &mut [ResolvedLine], discount: Option<i64>, sign: i64) -> Result<(), Fault> {
    let Some(discount) = discount else { return Ok(()) };
    lines.iter_mut().for_each(|resolved| resolved.said.discount = true);
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

/// Keeps what is stored of a line where the file does not say it, and the product is the same.
///
/// # Errors
/// A discount that stays is more than the line's price now.
pub fn keep(resolved: &mut [ResolvedLine], stored: &[Line]) -> Result<(), Fault> {
    let stored: HashMap<i32, &Line> = stored.iter().map(|line| (line.line_no, line)).collect();
    for ResolvedLine { at, line, said } in resolved {
        let Some(old) = stored.get(&line.line_no).filter(|old| old.product_id == line.product_id) else { continue };
        if !said.name {
            line.product_name.clone_from(&old.product_name);
        }
        if !said.category {
            line.category.clone_from(&old.category);
        }
        if !said.cost {
            line.unit_cost_cents = old.unit_cost_cents;
        }
        if !said.discount {
            let (discount, gross) = (old.discount_cents.abs(), line.gross());
            if discount > gross.abs() {
                let reason = format!("stays {discount}, as no column says otherwise: more than the line's price");
                return Err(Fault { line: Some(*at), field: "discount_cents", reason });
            }
            line.discount_cents = discount * gross.signum();
        }
    }
    Ok(())
}

/// Checks that what the lines of a document come to is stored in 64 bits.
///
/// # Errors
/// It is not.
pub fn fits(lines: &[ResolvedLine]) -> Result<(), Fault> {
    let total: i128 = lines.iter().map(|resolved| i128::from(resolved.line.net())).sum();
    i64::try_from(total).map(drop).map_err(|_| Fault::new("quantity", "makes the total larger than 64 bits hold"))
}

/// The first difference between lines of a file, which [`keep`] has seen, and those that are stored. Discounts come last, for a
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
            ("sku", &old.sku, &new.sku),
            ("product_name", &old.product_name, &new.product_name),
            ("category", &old.category, &new.category),
        ];
        if let Some((field, old, new)) = texts.into_iter().find(|(_, old, new)| old != new) {
            return Some(Fault::differs(at, field, old, new));
        }
        let numbers = [
            ("product_id", old.product_id.0, new.product_id.0),
            ("quantity", old.quantity, new.quantity),
            ("unit_price_cents", old.unit_price_cents, new.unit_price_cents),
            ("unit_cost_cents", old.unit_cost_cents, new.unit_cost_cents),
        ];
        let (field, old, new) = numbers.into_iter().find(|(_, old, new)| old != new)?;
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
        ResolvedLine { at: 2, line, said: Said { name: true, category: true, cost: true, discount: true } }
    }

    #[test]
    fn a_ticket_discount_is_given_once_and_to_the_cent() {
        for order in [[1, 2, 3, 4], [4, 2, 1, 3]] {
            let mut lines: Vec<ResolvedLine> = order.map(|no| resolved(no, if no == 4 { -1 } else { 1 }, 100)).into();
            spread(&mut lines, Some(200), 1).unwrap();
            let given: Vec<i64> = lines.iter().map(|resolved| resolved.line.discount_cents).collect();
            assert_eq!(given, [66, 67, 67, 0]);
        }
        assert!(spread(&mut [resolved(1, 1, 100)], Some(101), 1).is_err());
    }

    #[test]
    fn a_difference_is_named_with_both_values() {
        let (one, two) = (resolved(1, 1, 100), resolved(2, 3, 100));
        let stored = [one.line.clone(), two.line.clone()];
        assert_eq!(difference(&[two.clone(), one.clone()], &stored), None);
        let fault = difference(&[one.clone(), resolved(2, 4, 100)], &stored).unwrap();
        assert_eq!((fault.field, fault.reason.as_str()), ("quantity", "is 4 in this file, but 3 is stored"));
        assert_eq!(difference(&[one], &stored).unwrap().reason, "is nothing in this file, but 2 is stored");
    }

    #[test]
    fn what_a_file_does_not_say_of_a_line_stays() {
        let old =
            Line { product_name: "Old".to_owned(), unit_cost_cents: 7, discount_cents: 50, ..resolved(1, 3, 100).line };
        let silent = Said { name: false, category: false, cost: false, discount: false };
        let mut lines = [
            ResolvedLine { said: silent, ..resolved(1, -1, 100) },
            ResolvedLine { said: silent, ..resolved(2, 1, 100) },
        ];
        keep(&mut lines, std::slice::from_ref(&old)).unwrap();
        let kept = |line: &Line| (line.product_name.clone(), line.unit_cost_cents, line.discount_cents, line.quantity);
        assert_eq!(kept(&lines[0].line), ("Old".to_owned(), 7, -50, -1));
        assert_eq!(kept(&lines[1].line), ("P".to_owned(), 0, 0, 1), "a new line has nothing to keep");
        let mut said = [resolved(1, 1, 100)];
        keep(&mut said, std::slice::from_ref(&old)).unwrap();
        assert_eq!(kept(&said[0].line), ("P".to_owned(), 0, 0, 1));
        let mut cheap = [ResolvedLine { said: silent, ..resolved(1, 1, 10) }];
        assert_eq!(keep(&mut cheap, &[old]).unwrap_err().field, "discount_cents");
    }
}
