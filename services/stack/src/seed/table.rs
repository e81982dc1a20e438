//! Documents as the CSV files that the import endpoints take: one row per line, a document's rows adjacent.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};

use super::company::{Company, Product};
use super::history::{Document, Line};
use super::orders::Order;
use crate::error::{Error, Result};

/// Documents per request: large enough to be quick, small enough that progress shows.
pub(super) const PART: usize = 4_000;

/// A CSV file in memory.
pub(super) struct Csv(csv::Writer<Vec<u8>>);

impl Csv {
    pub(super) fn new(header: &[&str]) -> Self {
        let mut csv = Self(csv::Writer::from_writer(Vec::new()));
        csv.row(header);
        csv
    }

    /// Adds a row. Writing to memory cannot fail, and every row of a file has its header's width.
    pub(super) fn row<'a>(&mut self, fields: impl IntoIterator<Item = impl AsRef<str> + 'a>) {
        self.0.write_record(fields.into_iter().map(|field| field.as_ref().as_bytes().to_vec())).ok();
    }

    pub(super) fn finish(self) -> String {
        String::from_utf8(self.0.into_inner().unwrap_or_default()).unwrap_or_default()
    }
}

/// An instant as the imports read it.
pub(super) fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// Rows of `sales/import`. A return's quantities and discounts are negative.
pub(super) fn sales_csv(company: &Company, documents: &[&Document], ids: &BTreeMap<String, i64>) -> Result<String> {
    let mut csv = Csv::new(&[
        "reference",
        "kind",
        "store_code",
        "register_number",
        "occurred_at",
        "time_zone",
        "original_reference",
        "line_no",
        "product_id",
        "sku",
        "product_name",
        "category",
        "quantity",
        "unit_price_cents",
        "unit_cost_cents",
        "discount_cents",
    ]);
    for document in documents {
        let store = &company.stores[document.store as usize];
        let (kind, sign) = if document.original.is_some() { ("return", -1) } else { ("sale", 1) };
        for (index, line) in document.lines.iter().enumerate() {
            let mut row = vec![
                document.reference.clone(),
                kind.to_owned(),
                store.code.clone(),
                document.register.to_string(),
                instant(document.at),
                store.zone.name().to_owned(),
                document.original.clone().unwrap_or_default(),
            ];
            row.extend(line_fields(company, index, line, sign, ids)?);
            csv.row(row);
        }
    }
    Ok(csv.finish())
}

/// Rows of `orders/import`.
pub(super) fn orders_csv(company: &Company, orders: &[&Order], ids: &BTreeMap<String, i64>) -> Result<String> {
    let mut csv = Csv::new(&[
        "reference",
        "customer_reference",
        "status",
        "payment_status",
        "occurred_at",
        "time_zone",
        "confirmed_at",
        "shipped_at",
        "delivered_at",
        "cancelled_at",
        "line_no",
        "product_id",
        "sku",
        "product_name",
        "category",
        "quantity",
        "unit_price_cents",
        "unit_cost_cents",
        "discount_cents",
    ]);
    for order in orders {
        let moment = |at: Option<DateTime<Utc>>| at.map(instant).unwrap_or_default();
        for (index, line) in order.lines.iter().enumerate() {
            let mut row = vec![
                order.reference.clone(),
                company.customers[order.customer as usize].reference.clone(),
                order.status.to_owned(),
                order.payment.to_owned(),
                instant(order.placed),
                order.zone.name().to_owned(),
                moment(order.confirmed),
                moment(order.shipped),
                moment(order.delivered),
                moment(order.cancelled),
            ];
            row.extend(line_fields(company, index, line, 1, ids)?);
            csv.row(row);
        }
    }
    Ok(csv.finish())
}

/// Rows of `refunds/import`: money without goods.
pub(super) fn refunds_csv(orders: &[Order]) -> String {
    let mut csv = Csv::new(&[
        "reference",
        "order_reference",
        "occurred_at",
        "time_zone",
        "line_no",
        "order_line_no",
        "amount_cents",
    ]);
    for order in orders {
        let Some(at) = order.refunded else { continue };
        let (reference, amount) = (order.reference.replacen("order", "refund", 1), order.allowance().to_string());
        csv.row([&reference, &order.reference, &instant(at), order.zone.name(), "1", "1", &amount]);
    }
    csv.finish()
}

/// The columns from `line_no` on, which both files share.
fn line_fields(
    company: &Company,
    index: usize,
    line: &Line,
    sign: i64,
    ids: &BTreeMap<String, i64>,
) -> Result<[String; 9]> {
    let product: &Product = &company.products[line.product as usize];
    let id = ids.get(&product.sku).ok_or_else(|| Error::Call {
        what: "seed".to_owned(),
        reason: format!("product {} was imported but is not listed", product.sku),
    })?;
    Ok([
        (index + 1).to_string(),
        id.to_string(),
        product.sku.clone(),
        product.name.clone(),
        product.category.to_owned(),
        (sign * line.quantity).to_string(),
        line.price.to_string(),
        line.cost.to_string(),
        (sign * line.discount).to_string(),
    ])
}
