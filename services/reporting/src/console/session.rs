//! Who somebody is: a cookie that only this service can have written.
//!
//! Nothing is stored: the cookie holds consumer, role and end, and an HMAC-SHA-256 over them. Signing out forgets the
//! cookie here for as long as it would have been good.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use moka::future::Cache;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

use super::{BASE, guard::Scheme};

/// How long a session is good: a working day, and a key taken back is out of the console by the next.
const LENGTH: Duration = Duration::from_secs(10 * 3_600);

/// The cookie's name.
const COOKIE: &str = "tributary_session";

/// What somebody may do, after the groups that the gateway knows a consumer by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// Reads reports and their revisions.
    Reader,
    /// Reads sources, jobs and exports too.
    Analyst,
    /// Runs, polls and replays besides.
    Operator,
}

impl Role {
    /// The role of a consumer in these groups; `None` for one who may not read reports.
    pub(super) fn of_groups<'a>(groups: impl Iterator<Item = &'a str>) -> Option<Self> {
        let role = |group: &str| match group {
            "operator" => Some(Self::Operator),
            "analyst" => Some(Self::Analyst),
            "backoffice" => Some(Self::Reader),
            _ => None,
        };
        groups.filter_map(role).max_by_key(|role| *role as u8)
    }

    /// Whether sources, jobs and exports are shown.
    pub(super) fn sees_operations(self) -> bool {
        matches!(self, Self::Analyst | Self::Operator)
    }

    /// Whether something may be set in motion.
    pub(super) fn operates(self) -> bool {
        self == Self::Operator
    }
}

/// Somebody who has signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    id: Uuid,
    /// The consumer's name at the gateway.
    pub(super) consumer: String,
    /// What it may do.
    pub(super) role: Role,
    /// When the session is over.
    ends: DateTime<Utc>,
}

impl Session {
    /// A new session of a consumer.
    pub(super) fn begin(consumer: String, role: Role, now: DateTime<Utc>) -> Self {
        let length = TimeDelta::from_std(LENGTH).unwrap_or_default();
        Self { id: Uuid::new_v4(), consumer, role, ends: now + length }
    }
}

/// Writes and reads sessions.
pub(super) struct Sessions {
    mac: Hmac<Sha256>,
    /// Sessions that were signed out of.
    over: Cache<Uuid, ()>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sessions")
    }
}

impl Sessions {
    pub(super) fn new(secret: &str) -> Self {
        let mac = Hmac::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
        Self { mac, over: Cache::builder().time_to_live(LENGTH).max_capacity(100_000).build() }
    }

    /// The `Set-Cookie` of a session. Strict: no other site's link or form ever brings it along.
    pub(super) fn cookie(&self, session: &Session, scheme: Scheme) -> String {
        let claims = BASE64.encode(serde_json::to_vec(session).unwrap_or_default());
        let seal = BASE64.encode(self.seal("session", &claims).finalize().into_bytes());
        attributes(&format!("{claims}.{seal}"), LENGTH.as_secs(), scheme)
    }

    /// The session of a request: sealed by us, not over, not signed out of.
    pub(super) fn of(&self, headers: &HeaderMap, now: DateTime<Utc>) -> Option<Session> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut ours = cookies
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('=').filter(|(name, _)| *name == COOKIE));
        let (claims, seal) = ours.next()?.1.split_once('.')?;
        // Compared in constant time by the crate.
        self.seal("session", claims).verify_slice(&BASE64.decode(seal).ok()?).ok()?;
        let session: Session = serde_json::from_slice(&BASE64.decode(claims).ok()?).ok()?;
        (session.ends > now && !self.over.contains_key(&session.id)).then_some(session)
    }

    /// Ends a session; the returned `Set-Cookie` makes the browser forget it.
    pub(super) async fn end(&self, session: Option<&Session>, scheme: Scheme) -> String {
        if let Some(session) = session {
            self.over.insert(session.id, ()).await;
        }
        attributes("", 0, scheme)
    }

    /// What every form of a session carries, so that no other page can make one.
    pub(super) fn form_token(&self, session: &Session) -> String {
        BASE64.encode(self.seal("form", &session.id.to_string()).finalize().into_bytes())
    }

    /// Whether a form came from one of our pages, as shown to this session.
    pub(super) fn made_form(&self, session: &Session, token: &str) -> bool {
        let Ok(token) = BASE64.decode(token) else { return false };
        self.seal("form", &session.id.to_string()).verify_slice(&token).is_ok()
    }

    /// Tells purposes apart, so that one seal is never good for another.
    fn seal(&self, purpose: &str, text: &str) -> Hmac<Sha256> {
        self.mac.clone().chain_update(purpose).chain_update([0]).chain_update(text)
    }
}

fn attributes(value: &str, seconds: u64, scheme: Scheme) -> String {
    let secure = if scheme == Scheme::Https { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path={BASE}/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn asking(cookie: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let pair = cookie.split(';').next().unwrap();
        headers.insert(header::COOKIE, HeaderValue::from_str(&format!("other=1; {pair}")).unwrap());
        headers
    }

    #[tokio::test]
    async fn a_session_comes_back_until_it_is_over() {
        let sessions = Sessions::new("0123456789abcdef");
        let now = Utc::now();
        let session = Session::begin("ann".to_owned(), Role::Analyst, now);
        let cookie = sessions.cookie(&session, Scheme::Https);
        assert!(cookie.contains("; HttpOnly; SameSite=Strict; Secure"), "{cookie}");
        let asked = asking(&cookie);
        assert_eq!(sessions.of(&asked, now), Some(session.clone()));
        assert_eq!(sessions.of(&asked, now + TimeDelta::hours(11)), None);
        assert_eq!(Sessions::new("another secret 00").of(&asked, now), None);
        sessions.end(Some(&session), Scheme::Https).await;
        assert_eq!(sessions.of(&asked, now), None);
    }

    #[test]
    fn nothing_of_a_cookie_can_be_changed() {
        let sessions = Sessions::new("0123456789abcdef");
        let now = Utc::now();
        let cookie = sessions.cookie(&Session::begin("ann".to_owned(), Role::Analyst, now), Scheme::Http);
        let value = cookie.split(';').next().unwrap();
        let operator =
            BASE64.encode(serde_json::to_vec(&Session::begin("ann".to_owned(), Role::Operator, now)).unwrap());
        let seal = value.rsplit('.').next().unwrap();
        assert_eq!(sessions.of(&asking(&format!("{COOKIE}={operator}.{seal}")), now), None);
        for (at, _) in value.char_indices().skip(COOKIE.len() + 1) {
            let mut changed: Vec<char> = value.chars().collect();
            changed[at] = if changed[at] == 'A' { 'B' } else { 'A' };
            let changed: String = changed.into_iter().collect();
            // The last character of each half also carries bits that mean nothing.
            let same = sessions.of(&asking(&changed), now);
            assert!(same.is_none() || same.unwrap().role == Role::Analyst, "{changed}");
        }
    }

    #[test]
    fn a_form_belongs_to_its_session() {
        let sessions = Sessions::new("0123456789abcdef");
        let begin = || Session::begin("ann".to_owned(), Role::Operator, Utc::now());
        let (one, other) = (begin(), begin());
        let token = sessions.form_token(&one);
        assert!(sessions.made_form(&one, &token));
        assert!(!sessions.made_form(&other, &token));
        assert!(!sessions.made_form(&one, ""));
    }

    #[test]
    fn the_highest_group_decides() {
        assert_eq!(Role::of_groups(["analyst", "operator"].into_iter()), Some(Role::Operator));
        assert_eq!(Role::of_groups(["backoffice"].into_iter()), Some(Role::Reader));
        assert_eq!(Role::of_groups(["pos"].into_iter()), None);
    }
}
