//! `POST /imports/{id}/withdrawal`: sales and returns of an import are taken back.

use std::collections::{BTreeMap, HashMap};

use axum::extract::State;
use axum::response::Response;
use kit::error::ApiError;
use kit::extract::Path;
use kit::id::ProductId;
use kit::import::{Exchange, Report, Step, Sum, Withdrawal};
use sqlx::PgTransaction;

use super::document::Kind;
use super::left::left_to_return;
use crate::App;
use crate::ids::SaleId;

/// Documents taken back in one transaction.
const PART: i64 = 2_000;

/// What is taken back next. The import did it the other way round, so that each step leaves what had been before it.
#[derive(Clone, Copy)]
enum Stage {
    /// What a later import corrected: it will not come back.
    Corrected,
    Documents(Kind),
}

/// Where the withdrawal stands: behind a document, of those with falling ids.
struct Sales {
    stage: Stage,
    before: i64,
}

/// A document that is to go.
#[derive(sqlx::FromRow)]
struct Document {
    id: SaleId,
    reference: String,
    replaces: Option<SaleId>,
}

impl Withdrawal for Sales {
    const KINDS: &'static [&'static str] = &["sales"];

    async fn step(&mut self, tx: &mut PgTransaction<'_>, import_id: i64) -> Result<Step, ApiError> {
        let (last, refused) = match self.stage {
            Stage::Corrected => (self.forget_corrected(tx, import_id).await?, Vec::new()),
            Stage::Documents(kind) => self.take_back(tx, import_id, kind).await?,
        };
        if let Some(last) = last {
            self.before = last.0;
            return Ok(Step { done: false, refused });
        }
        let next = match self.stage {
            Stage::Corrected => Some(Kind::Return),
            Stage::Documents(Kind::Return) => Some(Kind::Sale),
            Stage::Documents(Kind::Sale) => None,
        };
        let done = next.is_none();
        *self = Self { stage: Stage::Documents(next.unwrap_or(Kind::Sale)), before: i64::MAX };
        Ok(Step { done, refused })
    }
}

impl Sales {
    /// Whoever took the place of a document of the import took that of the one before it.
    async fn forget_corrected(&self, tx: &mut PgTransaction<'_>, import_id: i64) -> Result<Option<SaleId>, ApiError> {
        let corrected: Vec<SaleId> = sqlx::query_scalar(
            "SELECT id FROM sales WHERE import_id = $1 AND id < $2 AND deleted ORDER BY id DESC LIMIT $3",
        )
        .bind(import_id)
        .bind(self.before)
        .bind(PART)
        .fetch_all(&mut **tx)
        .await?;
        sqlx::query!(
            "UPDATE sales s SET replaces = corrected.replaces FROM sales corrected \
             WHERE corrected.id = ANY($1) AND s.replaces = corrected.id",
            &corrected as _
        )
        .execute(&mut **tx)
        .await?;
        sqlx::query!("UPDATE sales SET replaces = NULL WHERE id = ANY($1) AND replaces IS NOT NULL", &corrected as _)
            .execute(&mut **tx)
            .await?;
        Ok(corrected.last().copied())
    }

    /// Answers the last of the documents, and which of them stay.
    async fn take_back(
        &self,
        tx: &mut PgTransaction<'_>,
        import_id: i64,
        kind: Kind,
    ) -> Result<(Option<SaleId>, Vec<String>), ApiError> {
        // The lock that returns and voids take too.
        let mut documents: Vec<Document> = sqlx::query_as(
            "SELECT id, reference, replaces FROM sales WHERE NOT deleted AND id IN ( \
               SELECT id FROM sales WHERE import_id = $1 AND id < $2 AND kind = $3 AND NOT deleted ORDER BY id DESC LIMIT $4) \
             ORDER BY id FOR NO KEY UPDATE",
        )
        .bind(import_id)
        .bind(self.before)
        .bind(kind)
        .bind(PART)
        .fetch_all(&mut **tx)
        .await?;
        let last = documents.first().map(|document| document.id);
        let mut stay = returned(tx, &documents).await?;
        documents.retain(|document| !stay.contains_key(&document.id));
        let originals = originals(tx, &documents, &mut stay).await?;
        documents.retain(|document| !stay.contains_key(&document.id));
        let ids: Vec<SaleId> = documents.iter().map(|document| document.id).collect();
        sqlx::query!("UPDATE sales SET deleted = true, replaces = NULL WHERE id = ANY($1)", &ids as _)
            .execute(&mut **tx)
            .await?;
        let (corrected, earlier): (Vec<SaleId>, Vec<SaleId>) =
            documents.iter().filter_map(|document| Some((document.id, document.replaces?))).unzip();
        if !earlier.is_empty() {
            let originals: Vec<Option<SaleId>> = corrected.iter().map(|id| originals.get(id).copied()).collect();
            sqlx::query!(
                "UPDATE sales SET deleted = false, original_sale_id = back.original \
                 FROM UNNEST($1::bigint[], $2::bigint[]) AS back (id, original) WHERE sales.id = back.id",
                &earlier as _,
                originals as _
            )
            .execute(&mut **tx)
            .await?;
            sqlx::query!(
                "UPDATE sales SET original_sale_id = moved.earlier \
                 FROM UNNEST($1::bigint[], $2::bigint[]) AS moved (corrected, earlier) \
                 WHERE original_sale_id = moved.corrected AND NOT deleted",
                corrected as _,
                earlier as _
            )
            .execute(&mut **tx)
            .await?;
        }
        Ok((last, stay.into_values().collect()))
    }
}

/// The documents that stay because of their returns, with the reason: these give back what was not there before.
async fn returned(tx: &mut PgTransaction<'_>, documents: &[Document]) -> Result<BTreeMap<SaleId, String>, ApiError> {
    let returned: Vec<(SaleId, String, bool)> = sqlx::query_as(
        "SELECT d.id, min(r.reference), b.id IS NOT NULL FROM sales d LEFT JOIN sales b ON b.id = d.replaces \
         JOIN (SELECT r.original_sale_id, l.product_id, min(r.reference) AS reference, -sum(l.quantity) AS pieces, \
                 -sum(l.net_cents) AS cents, min(r.occurred_at) AS first_at \
               FROM sales r JOIN sale_lines l ON l.sale_id = r.id AND l.quantity < 0 \
               WHERE r.original_sale_id = ANY($1) AND r.status IN ('pending', 'completed') AND NOT r.deleted GROUP BY 1, 2) AS r \
           ON r.original_sale_id = d.id \
         LEFT JOIN LATERAL (SELECT sum(l.quantity) AS pieces, sum(l.net_cents) AS cents FROM sale_lines l \
               WHERE l.sale_id = b.id AND l.product_id = r.product_id AND l.quantity > 0) AS sold ON true \
         WHERE d.id = ANY($1) AND (b.kind IS DISTINCT FROM 'sale' OR b.status <> 'completed' OR r.first_at < b.occurred_at \
           OR coalesce(sold.pieces, 0) < r.pieces OR coalesce(sold.cents, 0) < r.cents) GROUP BY 1, 3",
    )
    .bind(documents.iter().map(|document| document.id).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    let names: HashMap<SaleId, &str> = documents.iter().map(|it| (it.id, it.reference.as_str())).collect();
    let reason = |(id, back, corrected): (SaleId, String, bool)| {
        let why = if corrected { "would no longer fit what it was before" } else { "returns goods of it" };
        (id, format!("{} stays: {back} {why}", names.get(&id).copied().unwrap_or_default()))
    };
    Ok(returned.into_iter().map(reason).collect())
}

/// What a document gives back of a sale, line by line of a product.
#[derive(sqlx::FromRow)]
struct Part {
    id: SaleId,
    /// None where there is no completed sale of that reference any more, or it is later.
    original: Option<SaleId>,
    product_id: ProductId,
    pieces: i64,
    cents: i64,
}

/// The sale of each corrected document that was a return before; those stay of whose sale not so much is left.
async fn originals(
    tx: &mut PgTransaction<'_>,
    documents: &[Document],
    stay: &mut BTreeMap<SaleId, String>,
) -> Result<HashMap<SaleId, SaleId>, ApiError> {
    let corrected: Vec<SaleId> = documents.iter().filter(|it| it.replaces.is_some()).map(|it| it.id).collect();
    if corrected.is_empty() {
        return Ok(HashMap::new());
    }
    let names: HashMap<SaleId, &str> = documents.iter().map(|it| (it.id, it.reference.as_str())).collect();
    let unfit = |id| {
        let name = names.get(&id).copied().unwrap_or_default();
        format!("{name} stays: what it gave back before is no longer left of its sale")
    };
    // Locked, so that no other return or void of them comes in between.
    let locked: Vec<SaleId> = sqlx::query_scalar(
        "SELECT id FROM sales WHERE NOT deleted AND reference IN ( \
           SELECT split_part(o.reference, '~', 1) FROM sales d JOIN sales b ON b.id = d.replaces \
             JOIN sales o ON o.id IN (b.original_sale_id, d.original_sale_id) WHERE d.id = ANY($1)) \
         ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(&corrected)
    .fetch_all(&mut **tx)
    .await?;
    let takes: Vec<Part> = sqlx::query_as(
        "SELECT d.id, o.id AS original, l.product_id, (-sum(l.quantity))::bigint AS pieces, \
           (-sum(l.net_cents))::bigint AS cents FROM sales d JOIN sales b ON b.id = d.replaces \
         JOIN sales was ON was.id = b.original_sale_id JOIN sale_lines l ON l.sale_id = b.id AND l.quantity < 0 \
         LEFT JOIN sales o ON o.reference = split_part(was.reference, '~', 1) AND NOT o.deleted AND o.kind = 'sale' \
           AND o.status = 'completed' AND o.occurred_at <= b.occurred_at \
         WHERE d.id = ANY($1) GROUP BY 1, 2, 3",
    )
    .bind(&corrected)
    .fetch_all(&mut **tx)
    .await?;
    let gives: Vec<Part> = sqlx::query_as(
        "SELECT d.id, d.original_sale_id AS original, l.product_id, (-sum(l.quantity))::bigint AS pieces, \
           (-sum(l.net_cents))::bigint AS cents FROM sales d JOIN sale_lines l ON l.sale_id = d.id AND l.quantity < 0 \
         WHERE d.id = ANY($1) AND d.original_sale_id IS NOT NULL GROUP BY 1, 2, 3",
    )
    .bind(&corrected)
    .fetch_all(&mut **tx)
    .await?;
    let mut exchanges: BTreeMap<SaleId, Exchange<(SaleId, ProductId)>> = BTreeMap::new();
    let mut found = HashMap::new();
    for part in &takes {
        let Some(original) = part.original else {
            stay.insert(part.id, unfit(part.id));
            continue;
        };
        found.insert(part.id, original);
        exchanges.entry(part.id).or_default().takes.push(((original, part.product_id), part.sum()));
    }
    for part in gives.iter().filter(|part| !stay.contains_key(&part.id)) {
        let Some(original) = part.original else { continue };
        exchanges.entry(part.id).or_default().gives.push(((original, part.product_id), part.sum()));
    }
    let left = left_to_return(tx, &locked, &[]).await?;
    let (ids, exchanges): (Vec<SaleId>, Vec<_>) = exchanges.into_iter().unzip();
    let fits = kit::import::unfit(left, &exchanges);
    stay.extend(ids.into_iter().zip(fits).filter(|(_, is_unfit)| *is_unfit).map(|(id, _)| (id, unfit(id))));
    Ok(found)
}

impl Part {
    fn sum(&self) -> Sum {
        Sum { pieces: self.pieces, cents: self.cents }
    }
}

/// Withdraw an import of sales.
///
/// What it wrote is deleted, and what it had corrected is again what it was before, as if its file had never come. A document
/// stays, and is named among the refusals, where others depend on what the file made of it. Safe to repeat.
#[utoipa::path(post, path = "/imports/{id}/withdrawal", tag = "imports", params(("id" = i64, Path)),
    responses((status = 202, description = "Begun, or done before; `GET /imports/{id}` tells what comes of it", body = Report),
        (status = 409, description = "`import-running`, `not-withdrawable`")))]
pub(super) async fn withdraw_import(State(app): State<App>, Path(id): Path<i64>) -> Result<Response, ApiError> {
    app.imports.withdraw(id, Sales { stage: Stage::Corrected, before: i64::MAX }).await
}
