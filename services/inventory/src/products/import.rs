//! `POST /products/import`: the products of a retailer who arrives with history; the natural key is the SKU.

use axum::extract::State;
use kit::amount::{Price, ReorderPoint};
use kit::error::ApiError;
use kit::extract::Json;
use kit::import::{Batch, Import, Outcome, Record, Report};
use kit::text::{Sku, Text};
use serde::Deserialize;

use crate::App;

/// One product; its category is made where there is none of that name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProductRow {
    sku: Sku,
    name: Text,
    category: Text,
    unit_price_cents: Price,
    unit_cost_cents: Price,
    reorder_point: Option<ReorderPoint>,
    active: Option<bool>,
}

impl Record for ProductRow {
    const REQUIRED: &'static [&'static str] = &["sku", "name", "category", "unit_price_cents", "unit_cost_cents"];
    const OPTIONAL: &'static [&'static str] = &["reorder_point", "active"];
}

/// Import products.
///
/// CSV or NDJSON with `sku`, `name`, `category`, `unit_price_cents`, `unit_cost_cents` and, where wanted,
/// `reorder_point` (0) and `active` (true). A known SKU is updated, so it is safe to repeat.
#[utoipa::path(post, path = "/products/import", tag = "products",
    request_body(content((String = "text/csv"), (String = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report)))]
pub(super) async fn import_products(
    State(app): State<App>,
    mut import: Import<ProductRow>,
) -> Result<Json<Report>, ApiError> {
    while let Some(batch) = import.next().await {
        import.record(write(&app, batch).await?);
    }
    Ok(Json(import.finish()))
}

async fn write(app: &App, mut batch: Batch<ProductRow>) -> Result<Outcome, ApiError> {
    let repeated = batch.keep_last(|product| product.sku.clone());
    // In one order, so that two imports at once cannot wait for each other.
    batch.rows.sort_by(|a, b| a.value.sku.cmp(&b.value.sku));
    fn column<'a, V>(batch: &'a Batch<ProductRow>, value: impl Fn(&'a ProductRow) -> V) -> Vec<V> {
        batch.rows.iter().map(|row| value(&row.value)).collect()
    }
    let categories = column(&batch, |product| product.category.as_str());
    let mut transaction = kit::db::begin(&app.db).await?;
    // `ON CONFLICT` alone would use up an identity for each row of each repeat.
    sqlx::query(
        "INSERT INTO categories (name)
         SELECT DISTINCT name FROM unnest($1::text[]) AS given (name)
         WHERE NOT EXISTS (SELECT FROM categories c WHERE c.name = given.name)
         ORDER BY name ON CONFLICT (name) DO NOTHING",
    )
    .bind(&categories)
    .execute(&mut *transaction)
    .await?;
    let changed = sqlx::query(
        "INSERT INTO products AS p (sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active)
         SELECT given.sku, given.name, c.id, given.price, given.cost, given.reorder_point, given.active
         FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bool[])
              WITH ORDINALITY AS given (sku, name, category, price, cost, reorder_point, active, place)
         JOIN categories c ON c.name = given.category
         ORDER BY given.place
         ON CONFLICT (sku) DO UPDATE SET name = excluded.name, category_id = excluded.category_id,
            unit_price_cents = excluded.unit_price_cents, unit_cost_cents = excluded.unit_cost_cents,
            reorder_point = excluded.reorder_point, active = excluded.active
         WHERE (p.name, p.category_id, p.unit_price_cents, p.unit_cost_cents, p.reorder_point, p.active)
               IS DISTINCT FROM (excluded.name, excluded.category_id, excluded.unit_price_cents,
                                 excluded.unit_cost_cents, excluded.reorder_point, excluded.active)",
    )
    .bind(column(&batch, |product| product.sku.as_str()))
    .bind(column(&batch, |product| product.name.as_str()))
    .bind(&categories)
    .bind(column(&batch, |product| product.unit_price_cents))
    .bind(column(&batch, |product| product.unit_cost_cents))
    .bind(column(&batch, |product| product.reorder_point.unwrap_or_default()))
    .bind(column(&batch, |product| product.active.unwrap_or(true)))
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    let applied = changed.rows_affected();
    Ok(Outcome { applied, unchanged: batch.rows.len() as u64 - applied + repeated, refused: Vec::new() })
}
