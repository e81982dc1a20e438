//! Who a key belongs to, as the gateway says.

use axum::http::HeaderMap;
use kit::{error::ApiError, extract::Json};
use serde::Serialize;
use utoipa::ToSchema;

use super::reports::CONSUMER;

/// The consumer of the key that the request was made with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"consumer": "analyst", "groups": ["analyst"]}))]
pub struct Me {
    /// Its name at the gateway.
    pub consumer: String,
    /// The groups it is in, which decide what it may do.
    pub groups: Vec<String>,
}

/// Who you are. The gateway lets nobody through to here without a key, and says whose it is.
#[utoipa::path(get, path = "/me", tag = "me", responses((status = 200, body = Me)))]
pub async fn get(headers: HeaderMap) -> Result<Json<Me>, ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let consumer = text(CONSUMER).ok_or(ApiError::Forbidden)?.to_owned();
    let groups = text("x-consumer-groups").unwrap_or_default().split(',').map(str::trim);
    Ok(Json(Me { consumer, groups: groups.filter(|group| !group.is_empty()).map(str::to_owned).collect() }))
}
