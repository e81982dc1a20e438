//! `POST /products/import`: the products of a retailer who arrives with history; the natural key is the SKU.

use std::collections::HashSet;

use axum::extract::{Request, State};
use axum::response::Response;
use kit::amount::{Price, ReorderPoint};
use kit::error::ApiError;
use kit::import::{Applying, Document, Kind, Major, Options, Outcome, Record, Refusal, Report, Rules, amount};
use kit::text::{Sku, Text};
use sqlx::PgTransaction;

use crate::App;

kit::columns! {
    /// One product; its category is made where there is none of that name.
    pub(crate) struct ProductRow {
        /// Unique, and never changed.
        sku: Sku = "TEA-1",
        /// Name for people.
        name: Text = "Green tea",
        /// Name of its category.
        category: Text = "Tea",
        /// Price of one piece, in minor units.
        unit_price_cents: Option<Price> = "1250",
        /// The same in major units, with a decimal point.
        unit_price: Option<Major> = "12.50",
        /// Cost of one piece, in minor units.
        unit_cost_cents: Option<Price> = "500",
        /// The same in major units.
        unit_cost: Option<Major> = "5.00",
        /// With fewer pieces than this in all locations together it is time to order; 0 for a new product, and what is
        /// stored stays where absent or empty.
        reorder_point: Option<ReorderPoint> = "20",
        /// Whether it is sold; true for a new product, and what is stored stays where absent or empty.
        active: Option<bool> = "true",
    }
}

impl Record for ProductRow {
    const KEY: &'static [&'static str] = &["sku"];
    const ONE_OF: &'static [&'static [&'static str]] =
        &[&["unit_price_cents", "unit_price"], &["unit_cost_cents", "unit_cost"]];
    const ALONE: bool = true;

    fn check(&self, rules: Rules) -> Result<(), Refusal> {
        self.price(rules)?;
        self.cost(rules).map(drop)
    }
}

impl ProductRow {
    fn price(&self, rules: Rules) -> Result<Price, Refusal> {
        both(("unit_price_cents", self.unit_price_cents), ("unit_price", self.unit_price), rules)
    }

    fn cost(&self, rules: Rules) -> Result<Price, Refusal> {
        both(("unit_cost_cents", self.unit_cost_cents), ("unit_cost", self.unit_cost), rules)
    }
}

/// An amount in minor or in major units.
fn both(
    minor: (&'static str, Option<Price>),
    major: (&'static str, Option<Major>),
    rules: Rules,
) -> Result<Price, Refusal> {
    let given = amount((minor.0, minor.1.map(Price::get)), major, rules)?;
    let given = given.ok_or_else(|| Refusal::new(minor.0, format!("is needed, or {}", major.0)))?;
    Price::try_from(given).map_err(|error| Refusal::new(major.0, format!("{error} minor units")))
}

/// The import of products.
struct Products;

impl Kind for Products {
    type Row = ProductRow;
    const NAME: &'static str = "products";

    async fn apply(
        &self,
        tx: &mut PgTransaction<'_>,
        import: Applying,
        documents: &[Document<ProductRow>],
        outcome: &mut Outcome,
    ) -> Result<(), ApiError> {
        let rows: Vec<&ProductRow> = documents.iter().map(|document| &document.last().value).collect();
        let changed = upsert(tx, &rows, import.rules).await?;
        for document in documents {
            outcome.last(document, changed.contains(document.head().sku.as_str()));
        }
        Ok(())
    }
}

/// Writes the products; answers the SKUs of those that changed.
async fn upsert(tx: &mut PgTransaction<'_>, rows: &[&ProductRow], rules: Rules) -> Result<HashSet<String>, ApiError> {
    fn column<'a, V>(rows: &[&'a ProductRow], value: impl Fn(&'a ProductRow) -> V) -> Vec<V> {
        rows.iter().map(|row| value(row)).collect()
    }
    let skus = column(rows, |product| product.sku.as_str());
    let categories = column(rows, |product| product.category.as_str());
    // `ON CONFLICT` alone would use up an identity for each row of each repeat.
    sqlx::query!(
        "INSERT INTO categories (name)
         SELECT DISTINCT name FROM unnest($1::text[]) AS given (name)
         WHERE NOT EXISTS (SELECT FROM categories c WHERE c.name = given.name)
         ORDER BY name ON CONFLICT (name) DO NOTHING",
        &categories as _
    )
    .execute(&mut **tx)
    .await?;
    // What the file leaves open is read below, and must not change before it is written again.
    sqlx::query!("SELECT FROM products WHERE sku = ANY($1) ORDER BY sku FOR NO KEY UPDATE", &skus as _)
        .execute(&mut **tx)
        .await?;
    let changed: Vec<String> = sqlx::query_scalar!(
        "INSERT INTO products AS p (sku, name, category_id, unit_price_cents, unit_cost_cents, reorder_point, active)
         SELECT given.sku, given.name, c.id, given.price, given.cost, coalesce(given.reorder_point, o.reorder_point, 0),
                coalesce(given.active, o.active, true)
         FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bool[])
              AS given (sku, name, category, price, cost, reorder_point, active)
         JOIN categories c ON c.name = given.category
         LEFT JOIN products o ON o.sku = given.sku
         ORDER BY given.sku
         ON CONFLICT (sku) DO UPDATE SET name = excluded.name, category_id = excluded.category_id,
            unit_price_cents = excluded.unit_price_cents, unit_cost_cents = excluded.unit_cost_cents,
            reorder_point = excluded.reorder_point, active = excluded.active
         WHERE (p.name, p.category_id, p.unit_price_cents, p.unit_cost_cents, p.reorder_point, p.active)
               IS DISTINCT FROM (excluded.name, excluded.category_id, excluded.unit_price_cents,
                                 excluded.unit_cost_cents, excluded.reorder_point, excluded.active)
         RETURNING sku",
        &skus as _,
        column(rows, |product| product.name.as_str()) as _,
        &categories as _,
        // Rows are checked when they come in, so there is a price and a cost.
        column(rows, |product| product.price(rules).ok()) as _,
        column(rows, |product| product.cost(rules).ok()) as _,
        column(rows, |product| product.reorder_point) as _,
        column(rows, |product| product.active) as _
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(changed.into_iter().collect())
}

/// Import products.
///
/// CSV or NDJSON. A known SKU is updated, and columns that the file lacks stay as they are, so it is safe to repeat.
#[utoipa::path(post, path = "/products/import", tag = "products",
    request_body(content((String = "text/csv"), (ProductRow = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report),
        (status = 202, description = "A large file, which is being applied; `Location` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`: another import runs")))]
pub(super) async fn import_products(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    app.imports.run(request, Options::default(), Products).await
}
