//! Customers. Their personal data never leaves this service; erasing a customer empties it and keeps the row.

mod import;

use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, NaiveDate, Utc};
use kit::error::{ApiError, OnConstraint};
use kit::extract::{Json, Path, Query};
use kit::idempotency::{self, IdempotencyKey, KeyedRequest};
use kit::page::{Cursor, Limit, Page};
use kit::text::{Reference, Text};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::App;
use crate::ids::CustomerId;

pub(crate) fn router() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(list_customers, create_customer)).routes(routes!(
        get_customer,
        update_customer,
        erase_customer
    ))
}

/// The bulk import, which streams.
pub(crate) fn imports() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(import::import_customers))
}

/// A customer.
#[derive(Debug, Serialize, ToSchema, sqlx::FromRow)]
pub(crate) struct Customer {
    id: CustomerId,
    /// The number an imported customer had before.
    reference: Option<String>,
    /// Absent once erased, as are e-mail and phone.
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    city: Option<String>,
    country: Option<String>,
    signup_day: NaiveDate,
    erased_at: Option<DateTime<Utc>>,
    created_at: DateTime<Utc>,
}

/// A new customer.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewCustomer {
    reference: Option<Reference>,
    name: Text,
    /// Unique, whatever its capitals.
    email: Option<Text>,
    phone: Option<Text>,
    city: Option<Text>,
    country: Option<Text>,
    /// Default: today in the company's zone.
    signup_day: Option<NaiveDate>,
}

/// What may change about a customer; absent fields stay.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CustomerChange {
    name: Option<Text>,
    email: Option<Text>,
    phone: Option<Text>,
    city: Option<Text>,
    country: Option<Text>,
}

/// Which customers to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CustomerFilter {
    reference: Option<String>,
    /// The whole address, in any case.
    email: Option<String>,
    city: Option<String>,
    country: Option<String>,
    /// Part of a name or address, in any case.
    q: Option<String>,
    #[serde(default)]
    #[param(value_type = Option<i64>, minimum = 1, maximum = 500)]
    limit: Limit,
    #[param(value_type = Option<String>)]
    after: Option<Cursor>,
}

/// List customers, oldest first.
#[utoipa::path(get, path = "/customers", tag = "customers", params(CustomerFilter),
    responses((status = 200, description = "A page of customers", body = Page<Customer>)))]
async fn list_customers(
    State(app): State<App>,
    Query(filter): Query<CustomerFilter>,
) -> Result<Json<Page<Customer>>, ApiError> {
    let after: Option<CustomerId> = Cursor::key(filter.after.as_ref())?;
    let customers = sqlx::query_as!(
        Customer,
        "SELECT id, reference, name, email, phone, city, country, signup_day, erased_at, created_at FROM customers
         WHERE NOT deleted AND id > coalesce($1, 0) AND ($2::text IS NULL OR reference = $2)
         AND ($3::text IS NULL OR lower(email) = lower($3)) AND ($4::text IS NULL OR city = $4)
         AND ($5::text IS NULL OR country = $5)
         AND ($6::text IS NULL OR position(lower($6) IN lower(concat_ws(' ', name, email))) > 0)
         ORDER BY id LIMIT $7",
        after as _,
        filter.reference,
        filter.email,
        filter.city,
        filter.country,
        filter.q,
        filter.limit.fetch()
    )
    .fetch_all(&app.db)
    .await?;
    Ok(Json(Page::of(customers, filter.limit, |customer: &Customer| customer.id)))
}

/// Sign a customer up.
#[utoipa::path(post, path = "/customers", tag = "customers", params(IdempotencyKey), request_body = NewCustomer,
    responses((status = 201, description = "The customer", body = Customer), (status = 409, description = "`customer-email-taken`, `customer-reference-taken`")))]
async fn create_customer(
    State(app): State<App>,
    key: Option<IdempotencyKey>,
    Json(new): Json<NewCustomer>,
) -> Result<(StatusCode, Json<Customer>), ApiError> {
    let keyed = KeyedRequest::new(key, &new);
    let today = app.time_zone.today();
    let signup_day = new.signup_day.unwrap_or(today);
    if signup_day > today {
        return Err(ApiError::invalid("signup_day", "it is in the future"));
    }
    let inserted = sqlx::query_as!(
        Customer,
        "INSERT INTO customers (reference, name, email, phone, city, country, signup_day, idempotency_key, idempotency_digest)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (idempotency_key) DO NOTHING
         RETURNING id, reference, name, email, phone, city, country, signup_day, erased_at, created_at",
        &new.reference as _,
        new.name.as_str(),
        &new.email as _,
        &new.phone as _,
        &new.city as _,
        &new.country as _,
        signup_day,
        keyed.key(),
        keyed.digest()
    )
    .fetch_optional(&app.db)
    .await;
    let earlier = keyed.earlier(
        &app.db,
        "SELECT id, reference, name, email, phone, city, country, signup_day, erased_at, created_at,
         idempotency_digest AS request_digest FROM customers WHERE idempotency_key = $1",
    );
    let customer = personal(idempotency::inserted_or_earlier(inserted, earlier).await)?;
    Ok((StatusCode::CREATED, Json(customer)))
}

/// Read a customer.
#[utoipa::path(get, path = "/customers/{id}", tag = "customers", params(("id" = CustomerId, Path)),
    responses((status = 200, description = "The customer", body = Customer)))]
async fn get_customer(State(app): State<App>, Path(id): Path<CustomerId>) -> Result<Json<Customer>, ApiError> {
    sqlx::query_as(
        "SELECT id, reference, name, email, phone, city, country, signup_day, erased_at, created_at FROM customers
         WHERE id = $1 AND NOT deleted",
    )
    .bind(id)
    .fetch_optional(&app.db)
    .await?
    .map(Json)
    .ok_or_else(|| not_found(id))
}

/// Change a customer.
#[utoipa::path(patch, path = "/customers/{id}", tag = "customers", params(("id" = CustomerId, Path)), request_body = CustomerChange,
    responses((status = 200, description = "The customer", body = Customer), (status = 409, description = "`customer-email-taken`, `customer-erased`")))]
async fn update_customer(
    State(app): State<App>,
    Path(id): Path<CustomerId>,
    Json(change): Json<CustomerChange>,
) -> Result<Json<Customer>, ApiError> {
    let changed: Option<Customer> = personal(
        sqlx::query_as!(
            Customer,
            "UPDATE customers SET name = coalesce($2, name), email = coalesce($3, email), phone = coalesce($4, phone),
             city = coalesce($5, city), country = coalesce($6, country)
             WHERE id = $1 AND NOT deleted AND erased_at IS NULL
             RETURNING id, reference, name, email, phone, city, country, signup_day, erased_at, created_at",
            id.0,
            change.name as _,
            change.email as _,
            change.phone as _,
            change.city as _,
            change.country as _
        )
        .fetch_optional(&app.db)
        .await
        .map_err(ApiError::from),
    )?;
    match changed {
        Some(customer) => Ok(Json(customer)),
        None => {
            get_customer(State(app), Path(id)).await?;
            Err(ApiError::conflict("customer-erased", format!("customer {id} was erased and stays empty")))
        }
    }
}

/// Erase a customer's personal data.
///
/// Name, e-mail and phone go, the row and its orders stay. Repeating it changes nothing.
#[utoipa::path(delete, path = "/customers/{id}", tag = "customers", params(("id" = CustomerId, Path)),
    responses((status = 200, description = "What is left of the customer", body = Customer)))]
async fn erase_customer(State(app): State<App>, Path(id): Path<CustomerId>) -> Result<Json<Customer>, ApiError> {
    // The digest of the sign-up was made from personal data, so it goes too, and the key with it.
    sqlx::query_as!(
        Customer,
        "UPDATE customers SET name = NULL, email = NULL, phone = NULL, erased_at = coalesce(erased_at, now()),
         idempotency_key = NULL, idempotency_digest = NULL WHERE id = $1 AND NOT deleted
         RETURNING id, reference, name, email, phone, city, country, signup_day, erased_at, created_at",
        id.0
    )
    .fetch_optional(&app.db)
    .await?
    .map(Json)
    .ok_or_else(|| not_found(id))
}

fn not_found(id: CustomerId) -> ApiError {
    ApiError::not_found(format!("customer {id}"))
}

/// What a broken constraint of the table means.
fn personal<T>(result: Result<T, ApiError>) -> Result<T, ApiError> {
    result
        .on_constraint("customers_email_key", || {
            ApiError::conflict("customer-email-taken", "a customer with this e-mail address exists already")
        })
        .on_constraint("customers_reference_key", || {
            ApiError::conflict("customer-reference-taken", "a customer with this reference exists already")
        })
        .on_constraint("customers_email_shape", || ApiError::invalid("email", "must be an e-mail address"))
        .on_constraint("customers_phone_length", || ApiError::invalid("phone", "must be at most 50 characters"))
}
