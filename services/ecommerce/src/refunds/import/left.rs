//! What is left of orders while the refunds of a file are judged together.

use std::collections::HashMap;

use kit::import::Fault;

use super::judge::Resolved;
use super::known::Known;
use crate::ids::OrderId;
use crate::refunds::paid::{Beyond, PaidLine, Part};

/// The lines of orders, by order and in their order.
pub(super) struct Left(pub(super) HashMap<OrderId, Vec<PaidLine>>);

impl Left {
    pub(super) fn of(&self, order: OrderId) -> &[PaidLine] {
        self.0.get(&order).map_or(&[], Vec::as_slice)
    }

    /// A stored refund no longer counts.
    pub(super) fn give_back(&mut self, stored: &Known) {
        self.each(stored.order_id, stored.lines.iter().map(|line| line.part), PaidLine::give_back);
    }

    /// A stored refund counts after all, however much is left.
    pub(super) fn put_back(&mut self, stored: &Known) {
        self.each(stored.order_id, stored.lines.iter().map(|line| line.part), PaidLine::count);
    }

    /// Takes a refund from what is left; all of it or nothing.
    pub(super) fn take(&mut self, resolved: &mut Resolved<'_>) -> Result<(), Fault> {
        for wanted in &resolved.lines {
            let fault = |field, reason| Fault { line: Some(wanted.at), field, reason };
            let taken = match self.line(resolved.order_id, wanted.order_line_no) {
                None => Err(fault(wanted.found_by, "is of no line of the order".to_owned())),
                Some(line) => line.take(wanted.wanted).map_err(|beyond| match beyond {
                    Beyond::Pieces { asked, left } => fault(
                        "quantity",
                        format!("{asked} pieces come back, but only {left} of the order's line are left"),
                    ),
                    Beyond::Cents { asked, left } => fault(
                        "amount_cents",
                        format!(
                            "{asked} cents are paid back, but only {left} of what was paid for the order's line are left"
                        ),
                    ),
                }),
            };
            match taken {
                Ok(part) => resolved.parts.push(part),
                Err(fault) => {
                    self.leave(resolved);
                    return Err(fault);
                }
            }
        }
        Ok(())
    }

    /// Gives back what a refund of the file has taken.
    pub(super) fn leave(&mut self, resolved: &mut Resolved<'_>) {
        self.each(resolved.order_id, resolved.parts.drain(..), PaidLine::give_back);
    }

    /// Whether more is taken than there was of a line that a refund takes from.
    pub(super) fn is_beyond(&mut self, resolved: &Resolved<'_>) -> bool {
        let of_line =
            |part: &Part| self.line(resolved.order_id, part.order_line_no).is_some_and(|line| line.is_beyond());
        resolved.parts.iter().any(of_line)
    }

    fn each(&mut self, order: OrderId, parts: impl Iterator<Item = Part>, change: impl Fn(&mut PaidLine, Part)) {
        for part in parts {
            if let Some(line) = self.line(order, part.order_line_no) {
                change(line, part);
            }
        }
    }

    fn line(&mut self, order: OrderId, number: i32) -> Option<&mut PaidLine> {
        let lines = self.0.get_mut(&order)?;
        let at = lines.binary_search_by_key(&number, |line| line.line_no).ok()?;
        lines.get_mut(at)
    }
}
