//! `POST /customers/import`: customers of a retailer who arrives with history; the natural key is the reference.

use std::collections::{HashMap, HashSet};

use axum::extract::{Request, State};
use axum::response::Response;
use chrono::NaiveDate;
use kit::error::ApiError;
use kit::import::{Applying, Document, Fault, Given, Kind, Options, Outcome, Record, Refusal, Report, Row, Rules};
use kit::text::{Reference, Text};
use sqlx::PgTransaction;

use crate::App;

kit::columns! {
    /// One customer.
    pub(crate) struct CustomerRow {
        /// The number the customer had before.
        reference: Reference = "C-1042",
        /// Name for people.
        name: Text = "Ann Other",
        /// E-mail address, which no other customer has, whatever its capitals; empty clears it.
        email: Given<Text> = "ann@example.com",
        /// Telephone number of at most 50 characters; empty clears it.
        phone: Given<Text> = "+1 212 555 0100",
        /// City; empty clears it.
        city: Given<Text> = "New York",
        /// Country; empty clears it.
        country: Given<Text> = "US",
        /// Local date of the sign-up in the company's zone.
        signup_day: NaiveDate = "2024-05-17",
    }
}

impl Record for CustomerRow {
    const KEY: &'static [&'static str] = &["reference"];
    const ALONE: bool = true;

    fn check(&self, _: Rules) -> Result<(), Refusal> {
        let address = self.email.value().map_or("a@b", Text::as_str);
        let parts: Vec<&str> = address.split('@').collect();
        if parts.len() != 2 || parts.iter().any(|part| part.is_empty()) || address.contains(char::is_whitespace) {
            return Err(Refusal::new("email", "must be an e-mail address"));
        }
        if self.phone.value().is_some_and(|phone| phone.as_str().chars().count() > 50) {
            return Err(Refusal::new("phone", "must be at most 50 characters"));
        }
        Ok(())
    }
}

impl CustomerRow {
    fn address(&self) -> Option<String> {
        self.email.value().map(|email| email.as_str().to_lowercase())
    }
}

/// The import of customers.
struct Customers;

impl Kind for Customers {
    type Row = CustomerRow;
    const NAME: &'static str = "customers";

    async fn apply(
        &self,
        tx: &mut PgTransaction<'_>,
        _: Applying,
        documents: &[Document<CustomerRow>],
        outcome: &mut Outcome,
    ) -> Result<(), ApiError> {
        let erased = erased(tx, documents).await?;
        let mut owners = owners_of_addresses(tx, documents).await?;
        let mut rows: Vec<&Row<CustomerRow>> = Vec::with_capacity(documents.len());
        let mut good = Vec::with_capacity(documents.len());
        for document in documents {
            let row = document.last();
            let reference = row.value.reference.as_str();
            let fault = |field, reason: &str| Fault { line: Some(row.line), ..Fault::new(field, reason) };
            if erased.contains(reference) {
                let reason = "this customer was erased; an import does not bring a person back";
                outcome.refuse(document, fault("reference", reason));
                continue;
            }
            if let Some(address) = row.value.address() {
                let owner = owners.entry(address).or_insert_with(|| Some(reference.to_owned()));
                if owner.as_deref() != Some(reference) {
                    outcome.refuse(document, fault("email", "another customer has this e-mail address"));
                    continue;
                }
            }
            rows.push(row);
            good.push(document);
        }
        let changed = upsert(tx, &rows).await?;
        for document in good {
            outcome.last(document, changed.contains(document.head().reference.as_str()));
        }
        Ok(())
    }
}

/// Those of the known customers who were erased; the others are locked until the end of the transaction.
async fn erased(tx: &mut PgTransaction<'_>, documents: &[Document<CustomerRow>]) -> Result<HashSet<String>, ApiError> {
    let references: Vec<&str> = documents.iter().map(|document| document.head().reference.as_str()).collect();
    let known: Vec<(String, bool)> = sqlx::query_as(
        "SELECT reference, erased_at IS NOT NULL FROM customers WHERE reference = ANY($1) ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(references)
    .fetch_all(&mut **tx)
    .await?;
    Ok(known.into_iter().filter(|(_, erased)| *erased).map(|(reference, _)| reference).collect())
}

/// Who has the addresses of the file now: the customer's reference, or none where it never had one.
async fn owners_of_addresses(
    tx: &mut PgTransaction<'_>,
    documents: &[Document<CustomerRow>],
) -> Result<HashMap<String, Option<String>>, ApiError> {
    let addresses: Vec<String> = documents.iter().filter_map(|document| document.last().value.address()).collect();
    let owners: Vec<(String, Option<String>)> =
        sqlx::query_as("SELECT lower(email), reference FROM customers WHERE lower(email) = ANY($1)")
            .bind(addresses)
            .fetch_all(&mut **tx)
            .await?;
    Ok(owners.into_iter().collect())
}

/// Writes the customers; answers the references of those that changed.
async fn upsert(tx: &mut PgTransaction<'_>, rows: &[&Row<CustomerRow>]) -> Result<HashSet<String>, ApiError> {
    fn column<'a, T>(rows: &[&'a Row<CustomerRow>], value: impl Fn(&'a CustomerRow) -> T) -> Vec<T> {
        rows.iter().map(|row| value(&row.value)).collect()
    }
    fn text(given: &Given<Text>) -> Option<&str> {
        given.value().map(Text::as_str)
    }
    let changed: Vec<Option<String>> = sqlx::query_scalar!(
        "INSERT INTO customers AS c (reference, name, email, phone, city, country, signup_day)
         SELECT r.reference, r.name, CASE WHEN r.says_email THEN r.email ELSE o.email END,
                CASE WHEN r.says_phone THEN r.phone ELSE o.phone END, CASE WHEN r.says_city THEN r.city ELSE o.city END,
                CASE WHEN r.says_country THEN r.country ELSE o.country END, r.signup_day
         FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::date[],
                     $8::bool[], $9::bool[], $10::bool[], $11::bool[])
           AS r (reference, name, email, phone, city, country, signup_day, says_email, says_phone, says_city, says_country)
         LEFT JOIN customers o ON o.reference = r.reference ORDER BY r.reference
         ON CONFLICT (reference) DO UPDATE SET name = excluded.name, email = excluded.email, phone = excluded.phone,
           city = excluded.city, country = excluded.country, signup_day = excluded.signup_day
         WHERE c.erased_at IS NULL AND (c.name, c.email, c.phone, c.city, c.country, c.signup_day)
           IS DISTINCT FROM (excluded.name, excluded.email, excluded.phone, excluded.city, excluded.country, excluded.signup_day)
         RETURNING reference",
        column(rows, |it| it.reference.as_str()) as _,
        column(rows, |it| it.name.as_str()) as _,
        column(rows, |it| text(&it.email)) as _,
        column(rows, |it| text(&it.phone)) as _,
        column(rows, |it| text(&it.city)) as _,
        column(rows, |it| text(&it.country)) as _,
        &column(rows, |it| it.signup_day),
        &column(rows, |it| it.email.is_said()),
        &column(rows, |it| it.phone.is_said()),
        &column(rows, |it| it.city.is_said()),
        &column(rows, |it| it.country.is_said())
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(changed.into_iter().flatten().collect())
}

/// Import customers.
///
/// CSV or NDJSON. A known reference is updated, and columns that the file lacks stay as they are, so it is safe to repeat;
/// an erased customer is refused and stays erased.
#[utoipa::path(post, path = "/customers/import", tag = "customers",
    request_body(content((String = "text/csv"), (CustomerRow = "application/x-ndjson"))),
    responses((status = 200, description = "What came of the rows", body = Report),
        (status = 202, description = "A large file, which is being applied; `Location` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`: another import runs")))]
pub(super) async fn import_customers(State(app): State<App>, request: Request) -> Result<Response, ApiError> {
    app.imports.run(request, Options::default(), Customers).await
}
