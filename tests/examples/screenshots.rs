//! Pictures of the console for the README, and of every page for whoever works on it.
//!
//! `screenshots DATA OUT` takes the README's of the demo that runs in the data folder DATA; with a third word, `all`,
//! it takes every page, light and dark, wide and narrow; with paths, such as `/runs/1`, those. `make screenshots` starts
//! a demo and calls it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use system_tests::{Browser, Scheme};

/// What the README shows: file, page, height, colours.
const SHOWN: [(&str, &str, u32, Scheme); 3] = [
    ("home", "/", 900, Scheme::Light),
    ("report", "/reports/revenue_trend?from=today-60d&to=yesterday", 900, Scheme::Light),
    ("heat-map", "/reports/hour_heatmap", 760, Scheme::Dark),
];

/// Every kind of page.
const ALL: [(&str, &str); 17] = [
    ("home", "/"),
    ("reports", "/reports"),
    ("line", "/reports/revenue_trend"),
    ("bars", "/reports/product_performance"),
    ("grouped", "/reports/register_performance"),
    ("pie", "/reports/category_mix"),
    ("heat", "/reports/hour_heatmap"),
    ("cohorts", "/reports/customer_cohorts"),
    ("figures", "/reports/global_summary"),
    ("wrong", "/reports/product_ranking?limit=0"),
    ("check", "/reports/stock_reconciliation"),
    ("revisions", "/reports/store_performance/revisions"),
    ("sources", "/sources"),
    ("source", "/sources/retail"),
    ("jobs", "/jobs"),
    ("job", "/jobs/nightly"),
    ("exports", "/exports"),
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let (data, out, pages) = match words.as_slice() {
        [data, out, pages @ ..] => (data, PathBuf::from(out), pages),
        _ => bail!("usage: screenshots DATA OUT [all | PATH …]"),
    };
    let pages: Vec<(String, &str)> = match pages {
        [all] if all == "all" => ALL.map(|(name, path)| (name.to_owned(), path)).into(),
        paths => paths.iter().map(|path| (name(path), path.as_str())).collect(),
    };
    std::fs::create_dir_all(&out).with_context(|| format!("{} cannot be made", out.display()))?;
    let state = stack::status::read(&stack::layout::Layout::new(Path::new(data))?)?;
    let console = format!("{}/reporting", state.gateway);
    let key = state.keys.get("operator").context("the stack has an operator's key")?;
    let browser = Browser::start().await;
    if pages.is_empty() {
        for (name, path, height, scheme) in SHOWN {
            browser.look(1280, height, scheme).await;
            if name == "home" {
                sign_in(&browser, &console, key).await;
            }
            browser.open(&format!("{console}{path}")).await;
            picture(&browser, &out, name).await?;
        }
        Ok(())
    } else {
        in_every_look(&pages, &browser, &console, key, &out).await
    }
}

/// The name of a page's picture.
fn name(path: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    path.trim_matches('/').chars().map(plain).collect()
}

async fn sign_in(browser: &Browser, console: &str, key: &str) {
    browser.open(&format!("{console}/")).await;
    browser.write("#key", key).await;
    browser.click("button.primary").await;
}

async fn in_every_look(
    pages: &[(String, &str)],
    browser: &Browser,
    console: &str,
    key: &str,
    out: &Path,
) -> anyhow::Result<()> {
    let looks = [("wide", 1280, 1500), ("narrow", 390, 1700)];
    let schemes = [("light", Scheme::Light), ("dark", Scheme::Dark)];
    browser.look(1280, 900, Scheme::Light).await;
    browser.open(&format!("{console}/sign-in")).await;
    picture(browser, out, "sign-in").await?;
    sign_in(browser, console, key).await;
    for (look, width, height) in looks {
        for (scheme, colours) in schemes {
            browser.look(width, height, colours).await;
            for (name, path) in pages {
                browser.open(&format!("{console}{path}")).await;
                picture(browser, out, &format!("{name}-{look}-{scheme}")).await?;
            }
        }
    }
    Ok(())
}

async fn picture(browser: &Browser, out: &Path, name: &str) -> anyhow::Result<()> {
    let path = out.join(format!("{name}.png"));
    std::fs::write(&path, browser.picture().await).with_context(|| format!("{} cannot be written", path.display()))
}
