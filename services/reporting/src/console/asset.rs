//! Stylesheet, script and chart library: part of the program, named by their content, kept for ever by browsers.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::header,
    response::{IntoResponse, Response},
};
use kit::error::ApiError;

use super::BASE;

const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";

/// A file of the console.
struct Asset {
    /// `console.0123456789abcdef.css`: another content has another name.
    file: String,
    media_type: &'static str,
    bytes: &'static [u8],
}

impl Asset {
    fn new(name: &str, extension: &str, media_type: &'static str, bytes: &'static [u8]) -> Self {
        let hash = base::sha256_hex(bytes);
        Self { file: format!("{name}.{}.{extension}", hash.get(..16).unwrap_or_default()), media_type, bytes }
    }

    fn url(&self) -> String {
        format!("{BASE}/assets/{}", self.file)
    }
}

static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console", "css", CSS, include_bytes!("../../assets/console.css")));
static SCRIPT: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("console", "js", JS, include_bytes!("../../assets/console.js")));
static CHARTS: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("chart", "js", JS, include_bytes!("../../assets/chart.js/chart.umd.min.js")));
static ICON: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("icon", "svg", "image/svg+xml", include_bytes!("../../assets/icon.svg")));

/// URL of the stylesheet.
pub(super) fn style() -> String {
    STYLE.url()
}

/// URL of our script.
pub(super) fn script() -> String {
    SCRIPT.url()
}

/// URL of Chart.js, for pages with a chart.
pub(super) fn charts() -> String {
    CHARTS.url()
}

/// URL of the icon.
pub(super) fn icon() -> String {
    ICON.url()
}

/// One file.
pub(super) async fn get(Path(file): Path<String>) -> Result<Response, ApiError> {
    let all: [&Asset; 4] = [&STYLE, &SCRIPT, &CHARTS, &ICON];
    let Some(asset) = all.into_iter().find(|asset| asset.file == file) else {
        return Err(ApiError::not_found("such file; the pages name those there are"));
    };
    let headers =
        [(header::CONTENT_TYPE, asset.media_type), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")];
    Ok((headers, asset.bytes).into_response())
}
