//! Categories: the groups that products stand in.

use axum::extract::State;
use axum::http::StatusCode;
use kit::error::{ApiError, OnConstraint};
use kit::extract::{Json, Path, Query};
use kit::idempotency::{self, IdempotencyKey, KeyedRequest};
use kit::page::{Cursor, Limit, Page};
use kit::text::Text;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::ids::CategoryId;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(list_categories, create_category))
        .routes(routes!(get_category, update_category))
}

/// A category.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct Category {
    id: CategoryId,
    name: String,
}

/// A new category, or the new name of one.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CategoryBody {
    /// Unique.
    name: Text,
}

/// Which categories to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CategoryFilter {
    /// The whole name.
    name: Option<String>,
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    limit: Limit,
    #[param(value_type = Option<String>)]
    after: Option<Cursor>,
}

/// List categories, oldest first.
#[utoipa::path(get, path = "/categories", tag = "categories", params(CategoryFilter),
    responses((status = 200, description = "A page of categories", body = Page<Category>)))]
async fn list_categories(
    State(app): State<App>,
    Query(filter): Query<CategoryFilter>,
) -> Result<Json<Page<Category>>, ApiError> {
    let after: Option<CategoryId> = Cursor::key(filter.after.as_ref())?;
    let categories = sqlx::query_as!(
        Category,
        "SELECT id, name FROM categories
         WHERE NOT deleted AND id > coalesce($1, 0) AND ($2::text IS NULL OR name = $2)
         ORDER BY id LIMIT $3",
        after as _,
        filter.name,
        filter.limit.fetch()
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(categories, filter.limit, |category: &Category| category.id)))
}

/// Create a category.
#[utoipa::path(post, path = "/categories", tag = "categories", params(IdempotencyKey), request_body = CategoryBody,
    responses((status = 201, description = "The category", body = Category), (status = 409, description = "`category-name-taken`")))]
async fn create_category(
    State(app): State<App>,
    key: Option<IdempotencyKey>,
    Json(body): Json<CategoryBody>,
) -> Result<(StatusCode, Json<Category>), ApiError> {
    let keyed = KeyedRequest::new(key, &body);
    let inserted = sqlx::query_as!(
        Category,
        "INSERT INTO categories (name, idempotency_key, request_digest) VALUES ($1, $2, $3)
         ON CONFLICT (idempotency_key) DO NOTHING RETURNING id, name",
        body.name.as_str(),
        keyed.key(),
        keyed.digest()
    )
    .fetch_optional(&app.db)
    .await;
    let earlier = keyed.earlier(&app.db, "SELECT request_digest, id, name FROM categories WHERE idempotency_key = $1");
    let category =
        idempotency::inserted_or_earlier(inserted, earlier).await.on_constraint("categories_name_key", name_taken)?;
    Ok((StatusCode::CREATED, Json(category)))
}

/// Read a category.
#[utoipa::path(get, path = "/categories/{id}", tag = "categories", params(("id" = CategoryId, Path)),
    responses((status = 200, description = "The category", body = Category)))]
async fn get_category(State(app): State<App>, Path(id): Path<CategoryId>) -> Result<Json<Category>, ApiError> {
    sqlx::query_as!(Category, "SELECT id, name FROM categories WHERE id = $1 AND NOT deleted", id.0)
        .fetch_optional(&app.db)
        .await?
        .map(Json)
        .ok_or_else(|| ApiError::not_found(format!("category {id}")))
}

/// Rename a category. Documents keep the name they were written with.
#[utoipa::path(patch, path = "/categories/{id}", tag = "categories", params(("id" = CategoryId, Path)),
    request_body = CategoryBody,
    responses((status = 200, description = "The category", body = Category), (status = 409, description = "`category-name-taken`")))]
async fn update_category(
    State(app): State<App>,
    Path(id): Path<CategoryId>,
    Json(body): Json<CategoryBody>,
) -> Result<Json<Category>, ApiError> {
    sqlx::query_as!(
        Category,
        "UPDATE categories SET name = $2 WHERE id = $1 AND NOT deleted RETURNING id, name",
        id.0,
        body.name.as_str()
    )
    .fetch_optional(&app.db)
    .await
    .on_constraint("categories_name_key", name_taken)?
    .map(Json)
    .ok_or_else(|| ApiError::not_found(format!("category {id}")))
}

fn name_taken() -> ApiError {
    ApiError::conflict("category-name-taken", "another category has this name")
}
