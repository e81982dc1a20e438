//! What every request of the console passes: who is asking, whether a form is ours, and the headers for browsers.

use std::{collections::BTreeMap, time::Duration};

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, MatchedPath, Request, State as Of},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use chrono::Utc;
use kit::error::ApiError;
use maud::{DOCTYPE, html};

use super::{
    BASE,
    fault::{Fault, FaultPage},
    layout,
    session::Session,
};
use crate::State;

/// Nothing but our own files, and no script or style inside a page: what was injected would not run.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Headers of every response to a browser.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Adds the headers that every answer carries.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Finds out who is asking, refuses forms of other sites, and makes pages of faults.
pub(super) async fn guard(Of(state): Of<State>, mut request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let reads = matches!(method, Method::GET | Method::HEAD);
    let session = state.console.sessions.of(request.headers(), Utc::now());
    if session.is_none() && reads && comes_from_elsewhere(request.headers()) {
        return again();
    }
    if uri.path() == "/" && forwarded(request.headers(), "x-forwarded-path").is_some_and(|path| path == BASE) {
        // The cookie's path ends in a slash, so that no neighbour of ours is sent it.
        return Redirect::permanent(&format!("{BASE}/")).into_response();
    }
    // A path that does not exist is 404 whatever is asked of it.
    let exists = request.extensions().get::<MatchedPath>().is_none_or(|path| path.as_str() != NOTHING);
    let foreign = !reads && exists && !is_ours(request.headers());
    request.extensions_mut().insert(session.clone());
    let mut response = if foreign { Fault::Foreign.into_response() } else { next.run(request).await };
    if let Some(page) = response.extensions_mut().remove::<FaultPage>() {
        response = shown(&state, page, session.as_ref(), &uri, response);
    }
    // Figures of a company: no copy stays in a browser after its user has left.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Gives up on a page after `limit`. A report that it waited for goes on being computed, for whoever asks again.
pub(super) async fn within(limit: Duration, page: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(limit, page).await.unwrap_or_else(|_| Fault::Slow(limit).into_response())
}

/// The page of a fault, with the status and headers that the API would have sent.
fn shown(state: &State, page: FaultPage, session: Option<&Session>, uri: &Uri, plain: Response) -> Response {
    let problem = match page {
        FaultPage::SignIn => {
            let here = uri.path_and_query().map_or("/", |path| path.as_str());
            let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", here).finish();
            return Redirect::to(&format!("{BASE}/sign-in?{query}")).into_response();
        }
        FaultPage::Problem(problem) => problem,
    };
    let visitor = session.map(|session| Visitor::new(state, session.clone()));
    let mut response = Html(layout::problem(visitor.as_ref(), &problem).into_string()).into_response();
    *response.status_mut() = plain.status();
    if let Some(wait) = plain.headers().get(header::RETRY_AFTER) {
        response.headers_mut().insert(header::RETRY_AFTER, wait.clone());
    }
    response
}

/// The route of every path that the console does not have.
pub(super) const NOTHING: &str = "/{*rest}";

/// Answers on [`NOTHING`].
pub(super) async fn nothing_here(uri: Uri) -> Response {
    // Below /api it is a program that asks.
    let missing = ApiError::not_found("such path; /docs lists those there are");
    if uri.path().starts_with("/api") {
        return missing.into_response();
    }
    Fault::Api(ApiError::not_found("such page")).into_response()
}

/// Whether a form was sent from a page of this host. Browsers say so themselves; for older ones the origin does.
fn is_ours(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(header::ORIGIN) else { return false };
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    // The gateway forwards the host without its port, and its own port need not be the one that people use.
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |it| it.0);
    forwarded(headers, "x-forwarded-host").is_some_and(|ours| !name.is_empty() && ours.eq_ignore_ascii_case(name))
}

/// Whether somebody followed a link on another site: the browser keeps the cookie back then.
fn comes_from_elsewhere(headers: &HeaderMap) -> bool {
    let is = |name: &'static str, wanted: &str| headers.get(name).is_some_and(|value| value == wanted);
    is("sec-fetch-site", "cross-site") && is("sec-fetch-mode", "navigate")
}

/// Asks for the same page once more, from here: now the cookie comes along.
fn again() -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; meta http-equiv="refresh" content="0"; title { "Tributary" } }
            body {}
        }
    };
    Html(page.into_string()).into_response()
}

/// What the gateway says about the request as it came in.
pub(super) fn forwarded<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// How the browser reached the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        if forwarded(headers, "x-forwarded-proto") == Some("https") { Self::Https } else { Self::Http }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// Who is looking at a page. A request without a session is sent to the form for the key.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    pub(super) session: Session,
    /// What every form of a page carries.
    pub(super) form_token: String,
}

impl Visitor {
    fn new(state: &State, session: Session) -> Self {
        Self { form_token: state.console.sessions.form_token(&session), session }
    }

    /// The same, if the role reaches to sources, jobs and exports.
    pub(super) fn who_sees_operations(self) -> Result<Self, Fault> {
        if self.session.role.sees_operations() {
            return Ok(self);
        }
        Err(Fault::Role("your key may read reports and their revisions; sources, jobs and exports need an analyst's"))
    }
}

impl FromRequestParts<State> for Visitor {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Fault> {
        let session = parts.extensions.get::<Option<Session>>().cloned().flatten().ok_or(Fault::SignIn)?;
        Ok(Self::new(state, session))
    }
}

/// A form in which an operator sets something in motion: of their session, from one of our pages.
#[derive(Debug)]
pub(super) struct Order {
    /// The fields, without the token.
    pub(super) fields: BTreeMap<String, String>,
}

impl FromRequest<State> for Order {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &State) -> Result<Self, Fault> {
        let (mut parts, body) = request.into_parts();
        let Visitor { session, .. } = Visitor::from_request_parts(&mut parts, state).await?;
        let mut fields = fields(Request::from_parts(parts, body)).await?;
        let token = fields.remove("form").unwrap_or_default();
        if !state.console.sessions.made_form(&session, &token) {
            return Err(Fault::Foreign);
        }
        if !session.role.operates() {
            return Err(Fault::Role("only an operator's key may set something in motion"));
        }
        Ok(Self { fields })
    }
}

/// The fields of a form.
///
/// # Errors
/// 413 for a body that is too long.
pub(super) async fn fields(request: Request<Body>) -> Result<BTreeMap<String, String>, Fault> {
    let body = axum::body::Bytes::from_request(request, &()).await.map_err(|refused| match refused.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge { limit: super::FORM_LIMIT },
        _ => ApiError::BadRequest { field: None, detail: "the form could not be read; send it again".to_owned() },
    })?;
    Ok(form_urlencoded::parse(&body).into_owned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_page_that_does_not_come_is_given_up_and_says_what_to_do() {
        let mut answer = within(Duration::ZERO, std::future::pending()).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "2");
        let Some(FaultPage::Problem(problem)) = answer.extensions_mut().remove::<FaultPage>() else {
            panic!("no page")
        };
        assert!(problem.detail.contains("as a file"), "{}", problem.detail);
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn only_our_own_pages_send_forms() {
        let host = ("x-forwarded-host", "reports.example.com");
        for (pairs, ours) in [
            (vec![host, ("sec-fetch-site", "same-origin")], true),
            (vec![host, ("sec-fetch-site", "cross-site"), ("origin", "https://reports.example.com")], false),
            (vec![host, ("sec-fetch-site", "same-site")], false),
            (vec![host, ("origin", "https://reports.example.com")], true),
            (vec![host, ("origin", "https://reports.example.com:8443")], true),
            (vec![host, ("origin", "https://evil.example.com")], false),
            (vec![host, ("origin", "https://reports.example.com.evil.net")], false),
            (vec![host, ("origin", "null")], false),
            (vec![host], false),
            (vec![("origin", "https://")], false),
        ] {
            assert_eq!(is_ours(&headers(&pairs)), ours, "{pairs:?}");
        }
    }
}
