//! The console's first page of a company with ninety published days: how long, and how many bytes.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use reqwest::{Client, header, redirect::Policy};
use stack::state::State;
use system_tests::bench::{Row, Target};
use system_tests::{Folder, binaries};

/// Askings of the page, one after the other.
const ASKED: usize = 100;
/// What the page may take and weigh, its stylesheet and script included.
const MAY_TAKE_MS: f64 = 100.0;
const MAY_WEIGH: f64 = 100_000.0;

/// An analyst's session.
pub(crate) struct Console {
    client: Client,
    url: String,
    cookie: String,
}

impl Console {
    pub(crate) async fn sign_in(state: &State) -> Result<Self> {
        let url = format!("{}/reporting", state.gateway);
        let client = Client::builder().redirect(Policy::none()).no_proxy().build()?;
        let key = state.keys.get("analyst").context("the stack has an analyst's key")?;
        let signing = client.post(format!("{url}/sign-in")).header("sec-fetch-site", "same-origin");
        let signing = signing.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let signed = signing.body(format!("key={key}")).send().await?;
        let cookie = signed.headers().get(header::SET_COOKIE).context("the key signs in")?.to_str()?;
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Ok(Self { client, url, cookie })
    }

    pub(crate) async fn home(&self) -> Result<String> {
        let answer = self.client.get(format!("{}/", self.url)).header(header::COOKIE, &self.cookie).send().await?;
        ensure!(answer.status().is_success(), "the page answers {}", answer.status());
        Ok(answer.text().await?)
    }
}

/// Rows in milliseconds and bytes.
pub(crate) async fn run() -> Result<Vec<Row>> {
    let folder = Folder::new();
    let data = folder.path().to_string_lossy().into_owned();
    let demo = tokio::process::Command::new(binaries::program("stack"))
        .args(["demo", "--ports", "auto", "--data-dir", &data])
        .output()
        .await
        .context("the demo could not be started")?;
    ensure!(demo.status.success(), "the demo failed: {}", String::from_utf8_lossy(&demo.stderr));
    let state = stack::status::read(&stack::layout::Layout::new(folder.path())?)?;
    let console = Console::sign_in(&state).await?;
    let first = console.home().await?;
    let mut bytes = first.len();
    for file in first.split('"').filter(|text| text.starts_with("/reporting/assets/")) {
        bytes += console.client.get(format!("{}{file}", state.gateway)).send().await?.bytes().await?.len();
    }
    let mut times = Vec::with_capacity(ASKED);
    for asked in 0..ASKED {
        // An address may ask a hundred times a second at the gateway.
        if asked % 40 == 39 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let began = Instant::now();
        console.home().await?;
        times.push(began.elapsed().as_secs_f64() * 1_000.0);
    }
    times.sort_by(f64::total_cmp);
    let row = |work, value, unit, limit| Row::new(work, (value, unit), ("limit", limit), Target::AtMost(1.0));
    #[expect(clippy::cast_precision_loss, reason = "a page is smaller than 2^52 bytes")]
    let bytes = bytes as f64;
    Ok(vec![
        row("console, first page through the gateway, median", times[ASKED / 2], "ms", MAY_TAKE_MS),
        row("console, first page through the gateway, slowest of 100", times[ASKED - 1], "ms", MAY_TAKE_MS),
        row("console, first page with style, script and icon", bytes, "bytes", MAY_WEIGH),
    ])
}
