//! `GET /changes/{dataset}`: one page of rows, in the order of their last change.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Postgres};
use utoipa::IntoParams;
use uuid::Uuid;

use super::copy::{self, Lease};
use super::cursor::{Cursor, HeadToken, Key, shape};
use super::dataset::{Column, Dataset};
use super::error::FeedError;
use super::head::{insert, number};
use super::sql::Place;
use super::{Feed, identity, observe, sql};
use crate::error::ApiError;
use crate::extract::{Path, Query};

/// Rows in a page of JSON, which is built in memory.
const JSON_ROWS: (u64, u64) = (1_000, 10_000);
/// Rows in a page of CSV, which is streamed.
const CSV_ROWS: (u64, u64) = (100_000, 2_000_000);

/// What a page may be asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PageQuery {
    /// Names of columns, comma-separated; the key and `deleted` always come. Default: all.
    columns: Option<String>,
    /// `Tributary-Next` of the page before, or `Tributary-Resume` of the poll before.
    after: Option<String>,
    /// `head` of the head that this poll began with.
    head: Option<String>,
    /// Rows at most: up to 2,000,000 as CSV (default 100,000), 10,000 as JSON (1,000).
    limit: Option<u64>,
}

/// One page of a dataset's rows, in the order of their last change.
///
/// `text/csv` streams from the database; `application/json` is for people. Accept a page only when
/// its body ended properly and holds `Tributary-Rows` rows.
#[utoipa::path(get, path = "/changes/{dataset}", tag = "change feed",
    params(("dataset" = String, Path, description = "A name from the head"), PageQuery),
    responses((status = 200, description = "Rows; the headers tell how many, and where to go on"),
        (status = 400, description = "A bad cursor, column or parameter"), (status = 404, description = "No such dataset"),
        (status = 410, description = "Read again: everything (feed-epoch), or this dataset (feed-shape)"),
        (status = 503, description = "The database is away or too slow")))]
pub(super) async fn get_dataset_changes(
    State(feed): State<Feed>,
    Path(name): Path<String>,
    Query(query): Query<PageQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let dataset = feed.dataset(&name).ok_or(FeedError::UnknownDataset)?;
    let ask = Ask::parse(dataset, &query, PageFormat::accepted(&headers))?;

    let pulse = identity::ensure(&feed).await?;
    ask.check_identity(&pulse.present)?;
    let mut lease = Lease::begin(&feed.inner.reader).await?;
    let bounds = ask.bounds(lease.connection()?).await?;

    // The snapshot is taken, the answer has not left: this is where its witness belongs. A page
    // without rows sent nothing: what covers the position that it leads to covers all that was sent.
    let witness = match ask.witness() {
        Some(witness) if bounds.rows == 0 => witness,
        _ => identity::testify(&feed.inner.writer).await?,
    };
    let resume = Cursor {
        epoch: pulse.present.clone(),
        witness,
        shape: ask.shape.clone(),
        xid: ask.floor.unwrap_or(bounds.horizon),
        key: Vec::new(),
        floor: None,
    };
    let next = bounds.next.as_ref().map(|place| {
        Cursor { xid: place.xid, key: place.key.clone(), floor: Some(resume.xid), ..resume.clone() }.encode()
    });

    let mut answer = HeaderMap::new();
    insert(&mut answer, "tributary-epoch", &pulse.present)?;
    insert(&mut answer, "tributary-rows", &bounds.rows.to_string())?;
    insert(&mut answer, "tributary-resume", &resume.encode())?;
    insert(&mut answer, header::CACHE_CONTROL.as_str(), "no-store")?;
    if let Some(next) = &next {
        insert(&mut answer, "tributary-next", next)?;
    }
    observe::page(dataset.name, ask.format.name(), bounds.rows);

    if ask.format == PageFormat::Csv {
        insert(&mut answer, header::CONTENT_TYPE.as_str(), "text/csv; charset=utf-8; header=present")?;
        let statement = sql::copy(dataset, &ask.columns, ask.after.as_ref(), bounds.last.as_ref());
        return Ok((answer, copy::stream(lease, statement).await?).into_response());
    }
    insert(&mut answer, header::CONTENT_TYPE.as_str(), "application/json")?;
    let statement = sql::json(dataset, &ask.columns, ask.after.as_ref(), bounds.last.as_ref());
    let items: Vec<String> = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&mut **lease.connection()?).await?;
    lease.end().await?;
    let next = next.map_or("null".to_owned(), |next| format!("\"{next}\""));
    let body = format!("{{\"dataset\":\"{}\",\"items\":[{}],\"next\":{next}}}", dataset.name, items.join(","));
    Ok((answer, Body::from(body)).into_response())
}

/// A request for a page, checked as far as that goes without the database.
struct Ask {
    dataset: &'static Dataset,
    columns: Vec<&'static Column>,
    format: PageFormat,
    limit: u64,
    shape: String,
    /// Where to begin; none: at the dataset's first row.
    after: Option<Place>,
    /// The horizon that the finished poll may store; none: this page's own.
    floor: Option<u64>,
    cursor: Option<Cursor>,
    head: Option<HeadToken>,
}

/// What the page's snapshot holds for a request.
struct Bounds {
    rows: u64,
    /// The last row of the page; none when it is empty.
    last: Option<Place>,
    /// Where the next page begins; none when this one reached the end.
    next: Option<Place>,
    horizon: u64,
}

impl Ask {
    fn parse(dataset: &'static Dataset, query: &PageQuery, format: PageFormat) -> Result<Self, FeedError> {
        let columns = columns(dataset, query.columns.as_deref())?;
        let shape = shape(dataset, &columns);
        let (usual, most) = format.rows();
        let limit = query.limit.unwrap_or(usual);
        if limit == 0 || limit > most {
            return Err(FeedError::BadLimit { most });
        }
        let head = query.head.as_deref().map(HeadToken::decode).transpose()?;
        let cursor = query.after.as_deref().map(|text| Cursor::decode(text, dataset, &shape)).transpose()?;
        let after = cursor.as_ref().map(|cursor| Place { xid: cursor.xid, key: cursor.key.clone() });
        // In mid-poll the cursor knows the horizon that the poll began with; see `Cursor::floor`.
        let floors = [cursor.as_ref().and_then(|cursor| cursor.floor), head.as_ref().map(|head| head.horizon)];
        Ok(Self {
            dataset,
            columns,
            format,
            limit,
            shape,
            after,
            floor: floors.into_iter().flatten().min(),
            cursor,
            head,
        })
    }

    fn check_identity(&self, epoch: &str) -> Result<(), FeedError> {
        let cursor = self.cursor.as_ref();
        if cursor.is_some_and(|cursor| cursor.epoch != epoch)
            || self.head.as_ref().is_some_and(|head| head.epoch != epoch)
        {
            return Err(FeedError::OtherEpoch);
        }
        if cursor.is_some_and(|cursor| cursor.shape != self.shape) {
            return Err(FeedError::OtherShape);
        }
        Ok(())
    }

    /// The witness that covers all that was sent before this page, and the horizon that the poll ends at: the cursor's in the
    /// middle of a poll, and under a head that is older than the cursor, else the head's. A position never moves under the witness of an older one: a history
    /// that forked in between knows that one, and has other rows below the new position.
    fn witness(&self) -> Option<Uuid> {
        let behind = |cursor: &Cursor| self.head.as_ref().is_some_and(|head| head.horizon < cursor.xid);
        let kept = self.cursor.as_ref().filter(|cursor| cursor.floor.is_some() || behind(cursor));
        kept.map(|cursor| cursor.witness).or_else(|| self.head.as_ref().map(|head| head.witness))
    }

    /// Looks at the witnesses and finds where the page ends, in the transaction that will read it.
    async fn bounds(&self, connection: &mut PoolConnection<Postgres>) -> Result<Bounds, FeedError> {
        let horizon: String =
            sqlx::query_scalar!(r#"SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS "horizon!""#)
                .fetch_one(&mut **connection)
                .await?;
        let horizon = number(&horizon)?;
        let witnesses =
            [self.cursor.as_ref().map(|cursor| cursor.witness), self.head.as_ref().map(|head| head.witness)];
        for witness in witnesses.into_iter().flatten() {
            if !identity::remembers(&mut **connection, witness).await? {
                return Err(FeedError::OtherEpoch);
            }
        }
        // Horizons never go back in one history.
        let rests_at = self.cursor.as_ref().filter(|cursor| cursor.floor.is_none()).map(|cursor| cursor.xid);
        if self.floor.max(rests_at).is_some_and(|passed| passed > horizon) {
            return Err(FeedError::OtherEpoch);
        }
        let statement = sql::full_page(self.dataset, self.after.as_ref(), self.limit);
        let ends: Vec<(String, Vec<String>)> =
            sqlx::query_as(AssertSqlSafe(statement)).fetch_all(&mut **connection).await?;
        let more = ends.len() > 1;
        if let Some((xid, key)) = ends.into_iter().next() {
            let last = Some(self.place(&xid, key)?);
            let next = if more { last.clone() } else { None };
            return Ok(Bounds { rows: self.limit, last, next, horizon });
        }
        let statement = sql::last_page(self.dataset, self.after.as_ref());
        let end: Option<(i64, String, Vec<String>)> =
            sqlx::query_as(AssertSqlSafe(statement)).fetch_optional(&mut **connection).await?;
        let Some((count, xid, key)) = end else { return Ok(Bounds { rows: 0, last: None, next: None, horizon }) };
        Ok(Bounds { rows: count.unsigned_abs(), last: Some(self.place(&xid, key)?), next: None, horizon })
    }

    fn place(&self, xid: &str, key: Vec<String>) -> Result<Place, FeedError> {
        let key: Option<Vec<Key>> =
            key.into_iter().zip(self.dataset.key_columns()).map(|(text, column)| Key::parse(text, column)).collect();
        Ok(Place {
            xid: number(xid)?,
            key: key.ok_or(FeedError::Broken { what: "a key does not fit its declared type" })?,
        })
    }
}

/// The key's columns, then those asked for.
fn columns(dataset: &'static Dataset, asked: Option<&str>) -> Result<Vec<&'static Column>, FeedError> {
    let mut columns: Vec<&'static Column> = dataset.key_columns().collect();
    let Some(asked) = asked else {
        columns.extend(dataset.columns.iter().filter(|column| !dataset.key.contains(&column.name)));
        return Ok(columns);
    };
    for (at, name) in asked.split(',').enumerate() {
        let column = dataset.column(name).ok_or_else(|| FeedError::UnknownColumn { name: name.to_owned() })?;
        if asked.split(',').take(at).any(|earlier| earlier == name) {
            return Err(FeedError::RepeatedColumn { name: name.to_owned() });
        }
        if !dataset.key.contains(&name) {
            columns.push(column);
        }
    }
    Ok(columns)
}

/// The two forms of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PageFormat {
    Csv,
    Json,
}

impl PageFormat {
    /// CSV where the client names it, else JSON.
    fn accepted(headers: &HeaderMap) -> Self {
        let csv = headers
            .get_all(header::ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| value.contains("text/csv"));
        if csv { Self::Csv } else { Self::Json }
    }

    /// Rows of a page by default, and at most.
    const fn rows(self) -> (u64, u64) {
        match self {
            Self::Csv => CSV_ROWS,
            Self::Json => JSON_ROWS,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}
