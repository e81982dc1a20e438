//! Telling another system over HTTP: one POST of JSON, signed, under a key by which the receiver knows a repeat.
//!
//! | header | value |
//! |---|---|
//! | `Idempotency-Key` | the same for every attempt at the same message |
//! | `Tributary-Timestamp` | seconds since 1970 when it was sent |
//! | `Tributary-Signature` | `sha256=` and the HMAC-SHA256, in hexadecimal, of timestamp, `.` and body, under the shared secret |

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use chrono::Utc;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Serialize;
use sha2::Sha256;

/// How long one attempt may take, from connecting to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// After so many failed attempts, about two days, a message is given up.
pub(crate) const MOST_ATTEMPTS: i32 = 50;
/// The wait after the first failed attempt; doubled after each further one, up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(3_600);

/// Sends messages. Cheap to clone.
#[derive(Clone)]
pub struct Webhook {
    client: reqwest::Client,
    secret: Option<Arc<str>>,
}

impl Webhook {
    /// A sender that signs with a secret, where there is one.
    ///
    /// # Errors
    /// The HTTP client cannot be made.
    pub fn new(secret: Option<&str>) -> anyhow::Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            // A message goes where it was declared to go, and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("the webhook client could not be made")?;
        Ok(Self { client, secret: secret.map(Arc::from) })
    }

    /// Send one message; anything but a 2xx is a failure.
    ///
    /// # Errors
    /// A sentence that says what the receiver answered, without its body, or that there was no answer.
    pub(crate) async fn post(&self, url: &str, key: &str, message: &impl Serialize) -> anyhow::Result<()> {
        let body = serde_json::to_vec(message).context("the message could not be written")?;
        let at = Utc::now().timestamp().to_string();
        let mut request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .header("tributary-timestamp", &at);
        if let Some(secret) = &self.secret {
            request = request.header("tributary-signature", signature(secret, &at, &body)?);
        }
        let answer = request.body(body).send().await;
        // Its URL may hold a token of the receiver, and this text goes to logs, runs and notices.
        let answer = answer.map_err(reqwest::Error::without_url).context("the webhook did not answer")?;
        let status = answer.status();
        anyhow::ensure!(status.is_success(), "the webhook answered {status}");
        Ok(())
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("signs", &self.secret.is_some()).finish_non_exhaustive()
    }
}

/// What goes into `Tributary-Signature`.
///
/// # Errors
/// None that can occur: HMAC takes keys of every length.
pub fn signature(secret: &str, timestamp: &str, body: &[u8]) -> anyhow::Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).context("the secret cannot be a key")?;
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    Ok(format!("sha256={}", base::hex(&mac.finalize().into_bytes())))
}

/// The wait before the next attempt, after so many have failed.
pub(crate) fn wait_after(attempts: i32) -> Duration {
    base::backoff(FIRST_WAIT, u32::try_from(attempts).unwrap_or_default(), LONGEST_WAIT)
}

/// Whether an address can be used.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(crate) fn check(url: &str) -> Result<(), String> {
    let parsed = reqwest::Url::parse(url).map_err(|error| format!("`{url}` is no URL: {error}"))?;
    if parsed.scheme() == "http" && parsed.has_host() {
        return Ok(());
    }
    // Calls leave this process in plain HTTP, as to the gateway; whoever needs TLS puts a relay beside it.
    Err(format!("`{url}` must begin with http://; a relay in the private network carries it on over TLS"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_any_other_hmac() {
        // As `printf '1700000000.{}' | openssl dgst -sha256 -hmac secret` says.
        let expected = "sha256=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163";
        assert_eq!(signature("secret", "1700000000", b"{}").unwrap(), expected);
    }

    #[tokio::test]
    async fn a_failure_keeps_the_address_to_itself() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hooks/marker-of-a-token", listener.local_addr().unwrap());
        drop(listener);
        let error = Webhook::new(None).unwrap().post(&url, "key", &"message").await.unwrap_err();
        let text = format!("{error:#} {error:?}");
        assert!(text.contains("the webhook did not answer") && !text.contains("marker"), "{text}");
    }

    #[test]
    fn waits_double_up_to_an_hour() {
        let seconds: Vec<u64> = [1, 2, 3, 10, 11, 50].map(|attempts| wait_after(attempts).as_secs()).into();
        assert_eq!(seconds, [5, 10, 20, 2_560, 3_600, 3_600]);
    }

    #[test]
    fn an_address_must_be_one_that_can_be_called() {
        assert!(check("http://relay:8080/alerts").is_ok());
        for url in ["relay", "https://example.com/", "ftp://x/", "http://", "file:///etc/passwd"] {
            assert!(check(url).is_err(), "{url}");
        }
    }
}
