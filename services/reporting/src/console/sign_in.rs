//! Signing in with an API key, and out again.
//!
//! The key is shown to the gateway once, which alone judges keys, and is then forgotten.

use std::{
    sync::Arc,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use axum::{
    extract::{RawQuery, Request, State as Of},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use chrono::Utc;
use maud::{Markup, html};
use moka::future::Cache;
use serde::Deserialize;

use super::{
    BASE,
    fault::Fault,
    guard::{self, Scheme, Visitor},
    layout,
    session::{Role, Session},
};
use crate::State;

/// Failed attempts that one address has per minute.
const ATTEMPTS: u32 = 10;

/// The longest key that is worth showing to the gateway, in bytes.
const LONGEST_KEY: usize = 256;

/// Failed attempts of the last minute, by address.
#[derive(Debug)]
pub(super) struct Attempts(Cache<String, Arc<AtomicU32>>);

impl Default for Attempts {
    fn default() -> Self {
        Self(Cache::builder().time_to_live(Duration::from_secs(60)).max_capacity(10_000).build())
    }
}

impl Attempts {
    async fn of(&self, address: &str) -> Arc<AtomicU32> {
        self.0.get_with_by_ref(address, std::future::ready(Arc::default())).await
    }
}

/// The owner of a key, as `GET /me` answers.
#[derive(Deserialize)]
struct Consumer {
    consumer: String,
    groups: Vec<String>,
}

/// What the gateway said of a key.
enum Verdict {
    Known(Consumer),
    Unknown,
    MayNotRead,
    Away,
}

/// The form for the key.
pub(super) async fn page(RawQuery(query): RawQuery, visitor: Result<Visitor, Fault>) -> Response {
    let next = next_of(query.as_deref().unwrap_or_default());
    if visitor.is_ok() {
        return Redirect::to(&format!("{BASE}{next}")).into_response();
    }
    Html(form(&next, None).into_string()).into_response()
}

/// Takes a key, asks the gateway about it, and begins a session.
pub(super) async fn sign_in(Of(state): Of<State>, request: Request) -> Result<Response, Fault> {
    let headers = request.headers().clone();
    let mut fields = guard::fields(request).await?;
    let next = safe(fields.remove("next").unwrap_or_default());
    let key = fields.remove("key").unwrap_or_default();
    let refused = |status: StatusCode, text: &str| {
        let page = Html(form(&next, Some(text)).into_string());
        Ok((status, page).into_response())
    };
    let key = key.trim();
    if key.is_empty() || key.len() > LONGEST_KEY {
        return refused(StatusCode::UNPROCESSABLE_ENTITY, "Enter the API key that you were given.");
    }
    // Set by the gateway, whatever a client says.
    let address = guard::forwarded(&headers, "x-real-ip").unwrap_or_default().to_owned();
    // Counted before the answer is known, so that many at once are not many more.
    let attempts = state.console.attempts.of(&address).await;
    if attempts.fetch_add(1, Ordering::Relaxed) >= ATTEMPTS {
        let mut response = refused(StatusCode::TOO_MANY_REQUESTS, "Too many failed attempts. Wait a minute.")?;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        return Ok(response);
    }
    let me = match judged(&state, key).await {
        Verdict::Known(me) => me,
        Verdict::Unknown => return refused(StatusCode::UNAUTHORIZED, "The gateway does not know this key."),
        Verdict::MayNotRead => {
            return refused(StatusCode::FORBIDDEN, "This key is good, but it may not read reports.");
        }
        Verdict::Away => {
            attempts.fetch_sub(1, Ordering::Relaxed);
            return refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "The gateway cannot judge keys for the moment. Try again.",
            );
        }
    };
    let Some(role) = Role::of_groups(me.groups.iter().map(String::as_str)) else {
        return refused(StatusCode::FORBIDDEN, "This key is good, but it may not read reports.");
    };
    attempts.fetch_sub(1, Ordering::Relaxed);
    tracing::info!(consumer = me.consumer, "signed in to the console");
    let session = Session::begin(me.consumer, role, Utc::now());
    let cookie = state.console.sessions.cookie(&session, Scheme::of(&headers));
    Ok(with_cookie(Redirect::to(&format!("{BASE}{next}")), &cookie))
}

/// Ends the session.
pub(super) async fn sign_out(Of(state): Of<State>, visitor: Result<Visitor, Fault>, headers: HeaderMap) -> Response {
    let session = visitor.ok().map(|visitor| visitor.session);
    let cookie = state.console.sessions.end(session.as_ref(), Scheme::of(&headers)).await;
    with_cookie(Redirect::to(&format!("{BASE}/sign-in")), &cookie)
}

fn with_cookie(redirect: Redirect, cookie: &str) -> Response {
    let mut response = redirect.into_response();
    if let Ok(cookie) = HeaderValue::from_str(cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// Asks the gateway, by the route that only those who may read reports pass.
async fn judged(state: &State, key: &str) -> Verdict {
    let Ok(mut key) = HeaderValue::from_str(key) else { return Verdict::Unknown };
    key.set_sensitive(true);
    let url = format!("{}{BASE}/api/v1/me", state.config.gateway_url.trim_end_matches('/'));
    let answer = match state.console.gateway.get(url).header("apikey", key).send().await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::warn!(error = kit::telemetry::chain(&error), "the gateway could not be asked about a key");
            return Verdict::Away;
        }
    };
    match answer.status().as_u16() {
        200 => answer.json().await.map_or(Verdict::Away, Verdict::Known),
        401 => Verdict::Unknown,
        403 => Verdict::MayNotRead,
        status => {
            tracing::warn!(status, "the gateway gave no verdict on a key");
            Verdict::Away
        }
    }
}

/// Where to go afterwards, from the query.
fn next_of(query: &str) -> String {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    safe(pairs.find(|(name, _)| name == "next").map(|(_, next)| next.into_owned()).unwrap_or_default())
}

/// A path of this console, or its first page: nobody is led elsewhere by a link to the form.
fn safe(next: String) -> String {
    let inside = next.starts_with('/') && !next.starts_with("//") && !next.starts_with("/\\");
    if inside && !next.starts_with("/sign-") && !next.chars().any(char::is_control) { next } else { "/".to_owned() }
}

fn form(next: &str, error: Option<&str>) -> Markup {
    layout::bare(
        "Sign in",
        html! {
            form.sign-in.card method="post" action={ (BASE) "/sign-in" } {
                h1 { (layout::mark()) "Tributary" }
                p.soft { "Reports across the company’s services, as they were last night and as they are now." }
                @if let Some(error) = error {
                    p.notice.bad role="alert" id="error" { (error) }
                }
                input type="hidden" name="next" value=(next);
                label for="key" { "API key" }
                input #key type="password" name="key" required autofocus autocomplete="current-password"
                    maxlength=(LONGEST_KEY) aria-describedby=[error.map(|_| "error")];
                button.primary { "Sign in" }
                p.small.soft { "The key is shown to the gateway once and not kept. The session lasts ten hours." }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::safe;

    #[test]
    fn nobody_is_led_elsewhere() {
        for (next, kept) in [
            ("/reports/x?from=today", true),
            ("//evil.example", false),
            ("/\\evil.example", false),
            ("https://evil.example", false),
            ("/sign-out", false),
            ("", false),
            ("/a\r\nSet-Cookie: x", false),
        ] {
            assert_eq!(safe(next.to_owned()), if kept { next } else { "/" }, "{next}");
        }
    }
}
