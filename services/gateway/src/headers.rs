//! Headers both ways: what an upstream learns of the client, and what a client learns of the upstream.

use std::net::IpAddr;

use hyper::Version;
use hyper::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, SERVER, TE,
    TRANSFER_ENCODING, UPGRADE, VIA,
};

use crate::reply::SERVER_NAME;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-kong-request-id");
pub(crate) const UPSTREAM_LATENCY: HeaderName = HeaderName::from_static("x-kong-upstream-latency");
pub(crate) const PROXY_LATENCY: HeaderName = HeaderName::from_static("x-kong-proxy-latency");
pub(crate) const RESPONSE_LATENCY: HeaderName = HeaderName::from_static("x-kong-response-latency");

/// What the upstream learns of the client's connection.
pub(crate) struct Peer<'a> {
    pub(crate) ip: IpAddr,
    /// The port this gateway listens on.
    pub(crate) port: u16,
    pub(crate) version: Version,
    /// As sent, without the query.
    pub(crate) path: &'a str,
    /// What the route stripped.
    pub(crate) prefix: Option<&'a str>,
    pub(crate) request_id: &'a str,
}

/// Makes the client's headers into the upstream's. No peer is trusted, so what a client says of
/// proxies before it is replaced; only `X-Forwarded-For` grows.
pub(crate) fn to_upstream(headers: &mut HeaderMap, peer: &Peer<'_>) {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).map(without_port).unwrap_or_default().to_owned();
    let trailers = headers.get(TE).is_some_and(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    drop_hop_by_hop(headers);
    for name in [
        TE,
        EXPECT,
        CONTENT_LENGTH,
        HOST,
        HeaderName::from_static("proxy"),
        HeaderName::from_static("x-forwarded-prefix"),
    ] {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let ip = peer.ip.to_string();
    append(headers, HeaderName::from_static("x-forwarded-for"), &ip);
    set(headers, HeaderName::from_static("x-real-ip"), &ip);
    set(headers, HeaderName::from_static("x-forwarded-proto"), "http");
    set(headers, HeaderName::from_static("x-forwarded-host"), &host);
    set(headers, HeaderName::from_static("x-forwarded-port"), &peer.port.to_string());
    set(headers, HeaderName::from_static("x-forwarded-path"), peer.path);
    if let Some(prefix) = peer.prefix {
        set(headers, HeaderName::from_static("x-forwarded-prefix"), prefix);
    }
    set(headers, REQUEST_ID, peer.request_id);
    append(headers, VIA, via(peer.version));
    headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
}

/// Makes the upstream's headers into the client's.
pub(crate) fn to_client(headers: &mut HeaderMap, version: Version) {
    drop_hop_by_hop(headers);
    append(headers, VIA, via(version));
    headers.entry(SERVER).or_insert(SERVER_NAME);
    if let Some(kind) = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok())
        && let Some(with_charset) = add_charset(kind)
    {
        set(headers, CONTENT_TYPE, &with_charset);
    }
}

/// nginx names the character set of the text types it knows, when the upstream did not.
fn add_charset(kind: &str) -> Option<String> {
    const KNOWN: [&str; 6] =
        ["text/html", "text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript", "application/rss+xml"];
    KNOWN.contains(&kind.trim().to_ascii_lowercase().as_str()).then(|| format!("{kind}; charset=UTF-8"))
}

/// Removes what concerns one connection only, and what `Connection` names.
fn drop_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .filter(|name| !name.is_empty() && !matches!(name.as_str(), "close" | "keep-alive"))
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection"] {
        headers.remove(name);
    }
}

/// Milliseconds as a header's value.
pub(crate) fn millis(duration: std::time::Duration) -> HeaderValue {
    HeaderValue::from(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

pub(crate) fn append(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    let earlier: Vec<&str> = headers.get_all(&name).iter().filter_map(|value| value.to_str().ok()).collect();
    let joined = if earlier.is_empty() { value.to_owned() } else { format!("{}, {value}", earlier.join(", ")) };
    if let Ok(joined) = HeaderValue::from_str(&joined) {
        headers.insert(name, joined);
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn via(version: Version) -> &'static str {
    if version == Version::HTTP_10 { "1.0 kong/3.9.3" } else { "1.1 kong/3.9.3" }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}
