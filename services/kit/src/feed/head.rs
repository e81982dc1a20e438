//! `GET /changes`: where the feed stands.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::AssertSqlSafe;
use utoipa::ToSchema;
use uuid::Uuid;

use super::cursor::HeadToken;
use super::dataset::Dataset;
use super::error::FeedError;
use super::{Feed, identity, observe, sql};
use crate::error::ApiError;

/// Where the feed stands, and what it offers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Head {
    /// Identity of the database; another one means that everything must be read again.
    epoch: String,
    /// Hand this to every page of the poll that begins with this head.
    head: String,
    /// Every transaction below this number is finished.
    horizon: String,
    /// Every transaction that began before this moment is finished, and visible to the pages.
    as_of: DateTime<Utc>,
    /// Version of the zone data that local times are computed by, such as `2026f`.
    zone_data: &'static str,
    datasets: Vec<Offer>,
}

/// One dataset on offer.
#[derive(Debug, Serialize, ToSchema)]
struct Offer {
    name: &'static str,
    version: u32,
    key: &'static [&'static str],
    columns: Vec<OfferedColumn>,
    /// The highest change that is visible; null while there is none.
    high: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct OfferedColumn {
    name: &'static str,
    /// `int32`, `int64`, `string`, `bool`, `date`, `timestamp`, `local` (a timestamp without zone) or `money`.
    #[serde(rename = "type")]
    ty: &'static str,
}

/// Where the feed stands: horizon, completeness and the datasets on offer.
///
/// Send the `ETag` back as `If-None-Match`: 304 says that nothing changed, and its headers how far
/// the feed is complete now.
#[utoipa::path(get, path = "/changes", tag = "change feed",
    params(("If-None-Match" = Option<String>, Header, description = "The ETag of an earlier answer")),
    responses((status = 200, body = Head), (status = 304, description = "Nothing changed; see the headers"),
        (status = 503, description = "The database is away, or the role lacks a right")))]
pub(super) async fn get_changes(State(feed): State<Feed>, headers: HeaderMap) -> Result<Response, ApiError> {
    let pulse = identity::ensure(&feed).await?;
    pulse.rights()?;
    let (horizon, highs): (String, Vec<Option<String>>) =
        sqlx::query_as(AssertSqlSafe(sql::head(feed.inner.datasets))).fetch_one(&feed.inner.reader).await?;
    let horizon = number(&horizon)?;
    let highs =
        highs.iter().map(|high| high.as_deref().map(number).transpose()).collect::<Result<Vec<_>, FeedError>>()?;
    let digest = digest(&pulse.present, horizon, feed.inner.datasets, &highs);

    let mut answer = HeaderMap::new();
    let as_of = pulse.as_of.to_rfc3339_opts(SecondsFormat::Micros, true);
    insert(&mut answer, "tributary-as-of", &as_of)?;
    insert(&mut answer, "tributary-horizon", &horizon.to_string())?;
    insert(&mut answer, "tributary-epoch", &pulse.present)?;
    insert(&mut answer, header::CACHE_CONTROL.as_str(), "no-cache")?;

    if let Some(witness) = known_tag(&headers, &digest)
        && identity::remembers(&feed.inner.reader, witness).await?
    {
        insert(&mut answer, header::ETAG.as_str(), &tag(witness, &digest))?;
        observe::head(horizon, "304");
        return Ok((StatusCode::NOT_MODIFIED, answer).into_response());
    }

    let witness = identity::testify(&feed.inner.writer).await?;
    insert(&mut answer, header::ETAG.as_str(), &tag(witness, &digest))?;
    observe::head(horizon, "200");
    let head = HeadToken { epoch: pulse.present.clone(), witness, horizon }.encode();
    let datasets = feed.inner.datasets.iter().zip(highs).map(|(dataset, high)| offer(dataset, high)).collect();
    let (horizon, zone_data) = (horizon.to_string(), base::ZONE_DATA);
    let body = Head { epoch: pulse.present, head, horizon, as_of: pulse.as_of, zone_data, datasets };
    Ok((answer, Json(body)).into_response())
}

fn offer(dataset: &Dataset, high: Option<u64>) -> Offer {
    Offer {
        name: dataset.name,
        version: dataset.version,
        key: dataset.key,
        columns: dataset.columns.iter().map(|c| OfferedColumn { name: c.name, ty: c.ty.name() }).collect(),
        high: high.map(|high| high.to_string()),
    }
}

/// A digest of all that a poll could find new. The horizon belongs to it while some change is not
/// below it: a transaction that was open when that change was read may still commit a smaller
/// number, and would move no maximum. Once the horizon is above all changes, whatever commits later
/// must raise one of them, and a horizon that moves alone tells nothing.
fn digest(epoch: &str, horizon: u64, datasets: &[Dataset], highs: &[Option<u64>]) -> String {
    let mut hash = Sha256::new();
    hash.update(epoch);
    hash.update(base::ZONE_DATA);
    for (dataset, high) in datasets.iter().zip(highs) {
        hash.update(format!("\n{}/{}={high:?}", dataset.name, dataset.version));
        for column in dataset.columns {
            hash.update(format!(",{}:{}", column.name, column.ty.name()));
        }
    }
    if highs.iter().flatten().any(|high| *high >= horizon) {
        hash.update(format!("\nhorizon={horizon}"));
    }
    base::hex(hash.finalize().get(..12).unwrap_or_default())
}

/// The tag names the witness of the answer that it came with: in a copy restored in place, equal
/// numbers may stand for other changes, and only the witness tells.
fn tag(witness: Uuid, digest: &str) -> String {
    format!("\"{}-{digest}\"", witness.simple())
}

/// The witness of the first tag in `If-None-Match` that carries `digest`. A compressing proxy may
/// have made it weak, which changes nothing here.
fn known_tag(headers: &HeaderMap, digest: &str) -> Option<Uuid> {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split(','))
        .find_map(|tag| {
            let tag = tag.trim();
            let tag = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
            let (witness, rest) = tag.split_once('-')?;
            (rest == digest).then(|| Uuid::try_parse(witness).ok())?
        })
}

/// A transaction number from its decimal text.
pub(super) fn number(text: &str) -> Result<u64, FeedError> {
    text.parse().map_err(|_| FeedError::Broken { what: "a transaction number is no integer" })
}

/// Sets a header whose text is ours, hence valid.
pub(super) fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<(), FeedError> {
    let value =
        HeaderValue::from_str(value).map_err(|_| FeedError::Broken { what: "a header value has odd characters" })?;
    headers.insert(name, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETS: &[Dataset] = &[];

    #[test]
    fn the_horizon_counts_only_while_a_change_is_not_below_it() {
        let one = &[Dataset {
            name: "a",
            version: 1,
            from: "a a",
            lines: None,
            xid: "a.x",
            key: &[],
            columns: &[],
            deleted: "false",
        }];
        let at = |horizon, high| digest("1-1", horizon, one, &[Some(high)]);
        assert_eq!(at(12, 10), at(11, 10));
        assert_ne!(at(10, 10), at(9, 10));
        assert_ne!(at(10, 10), at(11, 10));
        assert_ne!(at(12, 10), at(12, 11));
        assert_ne!(digest("1-1", 5, SETS, &[]), digest("1-2", 5, SETS, &[]));
    }

    #[test]
    fn a_weakened_tag_among_others_is_found() {
        let witness = Uuid::from_u128(7);
        let mut headers = HeaderMap::new();
        let value = format!("\"x\", W/{}", tag(witness, "abc"));
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(&value).unwrap());
        assert_eq!(known_tag(&headers, "abc"), Some(witness));
        assert_eq!(known_tag(&headers, "abd"), None);
    }
}
