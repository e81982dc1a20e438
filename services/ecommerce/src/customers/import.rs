//! `POST /customers/import`: customers of a retailer who arrives with history; the natural key is the reference.

use std::collections::{HashMap, HashSet};

use axum::extract::State;
use chrono::NaiveDate;
use kit::error::{ApiError, OnConstraint};
use kit::extract::Json;
use kit::import::{Batch, Import, Outcome, Record, Refusal, Report, Row};
use kit::text::{Reference, Text};
use serde::Deserialize;

use crate::App;

/// One customer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CustomerRow {
    reference: Reference,
    name: Text,
    email: Option<Text>,
    phone: Option<Text>,
    city: Option<Text>,
    country: Option<Text>,
    signup_day: NaiveDate,
}

impl Record for CustomerRow {
    const REQUIRED: &'static [&'static str] = &["reference", "name", "signup_day"];
    const OPTIONAL: &'static [&'static str] = &["email", "phone", "city", "country"];

    fn check(&self) -> Result<(), Refusal> {
        let address = self.email.as_ref().map_or("a@b", Text::as_str);
        let parts: Vec<&str> = address.split('@').collect();
        if parts.len() != 2 || parts.iter().any(|part| part.is_empty()) || address.contains(char::is_whitespace) {
            return Err(Refusal::new("email", "must be an e-mail address"));
        }
        if self.phone.as_ref().is_some_and(|phone| phone.as_str().chars().count() > 50) {
            return Err(Refusal::new("phone", "must be at most 50 characters"));
        }
        Ok(())
    }
}

impl CustomerRow {
    fn address(&self) -> Option<String> {
        self.email.as_ref().map(|email| email.as_str().to_lowercase())
    }
}

/// Import customers.
///
/// CSV or NDJSON. A known reference is updated, so it is safe to repeat; an erased customer is refused and stays erased.
#[utoipa::path(post, path = "/customers/import", tag = "customers", request_body(content((String = "text/csv"), (String = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report)))]
pub(super) async fn import_customers(
    State(app): State<App>,
    mut import: Import<CustomerRow>,
) -> Result<Json<Report>, ApiError> {
    while let Some(batch) = import.next().await {
        let outcome = write(&app, batch).await?;
        import.record(outcome);
    }
    Ok(Json(import.finish()))
}

async fn write(app: &App, mut batch: Batch<CustomerRow>) -> Result<Outcome, ApiError> {
    let mut outcome = Outcome { unchanged: batch.keep_last(|row| row.reference.clone()), ..Outcome::default() };
    let erased = erased(app, &batch).await?;
    let mut owners = owners_of_addresses(app, &batch).await?;
    let mut rows: Vec<&Row<CustomerRow>> = Vec::with_capacity(batch.rows.len());
    for row in &batch.rows {
        let reference = row.value.reference.as_str();
        if erased.contains(reference) {
            outcome
                .refused
                .push(row.refused("reference", "this customer was erased; an import does not bring a person back"));
            continue;
        }
        if let Some(address) = row.value.address() {
            let owner = owners.entry(address).or_insert_with(|| Some(reference.to_owned()));
            if owner.as_deref() != Some(reference) {
                outcome.refused.push(row.refused("email", "another customer has this e-mail address"));
                continue;
            }
        }
        rows.push(row);
    }
    outcome.applied = upsert(app, &rows).await?;
    outcome.unchanged += rows.len() as u64 - outcome.applied;
    Ok(outcome)
}

async fn erased(app: &App, batch: &Batch<CustomerRow>) -> Result<HashSet<String>, ApiError> {
    let references: Vec<&str> = batch.rows.iter().map(|row| row.value.reference.as_str()).collect();
    let erased: Vec<String> =
        sqlx::query_scalar("SELECT reference FROM customers WHERE reference = ANY($1) AND erased_at IS NOT NULL")
            .bind(references)
            .fetch_all(&app.db)
            .await?;
    Ok(erased.into_iter().collect())
}

/// Who has the addresses of the batch now: the customer's reference, or none where it never had one.
async fn owners_of_addresses(
    app: &App,
    batch: &Batch<CustomerRow>,
) -> Result<HashMap<String, Option<String>>, ApiError> {
    let addresses: Vec<String> = batch.rows.iter().filter_map(|row| row.value.address()).collect();
    let owners: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT lower(email), reference FROM customers WHERE lower(email) = ANY($1)")
            .bind(addresses)
            .fetch_all(&app.db)
            .await?;
    Ok(owners.into_iter().collect())
}

async fn upsert(app: &App, rows: &[&Row<CustomerRow>]) -> Result<u64, ApiError> {
    fn column<'a, T>(rows: &[&'a Row<CustomerRow>], value: impl Fn(&'a CustomerRow) -> T) -> Vec<T> {
        rows.iter().map(|row| value(&row.value)).collect()
    }
    let changed = sqlx::query(
        "INSERT INTO customers AS c (reference, name, email, phone, city, country, signup_day)
         SELECT r.reference, r.name, r.email, r.phone, r.city, r.country, r.signup_day
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::date[])
           AS r (reference, name, email, phone, city, country, signup_day)
         ON CONFLICT (reference) DO UPDATE SET name = excluded.name, email = excluded.email, phone = excluded.phone,
           city = excluded.city, country = excluded.country, signup_day = excluded.signup_day
         WHERE c.erased_at IS NULL AND (c.name, c.email, c.phone, c.city, c.country, c.signup_day)
           IS DISTINCT FROM (excluded.name, excluded.email, excluded.phone, excluded.city, excluded.country, excluded.signup_day)",
    )
    .bind(column(rows, |it| it.reference.as_str()))
    .bind(column(rows, |it| it.name.as_str()))
    .bind(column(rows, |it| it.email.as_ref().map(Text::as_str)))
    .bind(column(rows, |it| it.phone.as_ref().map(Text::as_str)))
    .bind(column(rows, |it| it.city.as_ref().map(Text::as_str)))
    .bind(column(rows, |it| it.country.as_ref().map(Text::as_str)))
    .bind(column(rows, |it| it.signup_day))
    .execute(&app.db)
    .await
    .on_constraint("customers_email_key", || {
        ApiError::unavailable("someone signed up with an address of this file just now; send the file again")
    })?;
    Ok(changed.rows_affected())
}
