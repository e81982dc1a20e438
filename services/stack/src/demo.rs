//! `stack demo`: a whole company in a minute. Starts what is not running, seeds its history, polls it, publishes
//! every day of it, and shows last night's reports the way a person would ask for them.

mod follow;
mod show;

use std::path::PathBuf;
use std::time::Instant;

use chrono::Days;
use serde_json::json;

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::ports::Choice;
use crate::state::State;
use crate::up::{self, Up};
use crate::{seed, status};
use follow::Reporting;

/// The sources that the reporting service polls.
const SOURCES: [&str; 3] = ["inventory", "ecommerce", "retail"];

/// The reports that are published for every day of the history; last night's run publishes the whole catalogue.
/// All of it for ninety days would be two thousand computations, and this is a demo of a minute.
const EVERY_DAY: [&str; 3] = ["daily_sales", "store_performance", "product_performance"];

/// Runs the demo on this data folder and leaves the system running.
///
/// # Errors
/// What keeps a part from working; a repeat goes on with what is there.
pub async fn run(data: PathBuf, ports: Choice, plan: &seed::Plan, tell: &mut impl FnMut(&str)) -> Result<()> {
    let begun = Instant::now();
    let layout = Layout::new(&data)?;
    let state = match status::read(&layout) {
        Ok(state) => {
            tell("demo: the stack is running already");
            state
        }
        Err(Error::NotRunning { .. }) => {
            up::detach(&Up { data: data.clone(), ports, empty: true, databases: false }, &mut *tell)?;
            status::read(&layout)?
        }
        Err(error) => return Err(error),
    };
    let plan = seed::run(&state, plan, tell).await?;

    let reporting = Reporting::new(&state)?;
    let polls = Instant::now();
    for source in SOURCES {
        let run = reporting.post(&format!("/sources/{source}/poll"), &json!({})).await?;
        let run = reporting.follow(&run, tell).await?;
        tell(&format!("demo: polled {source}: {}", show::outcome(&run)));
    }
    tell(&format!("demo: three polls took {:.1} s", polls.elapsed().as_secs_f32()));

    let zone: base::Tz =
        state.time_zone.parse().map_err(|_| Error::Usage(format!("{} is not an IANA time zone", state.time_zone)))?;
    let last = plan.until.unwrap_or_else(|| zone.today() - Days::new(1));
    let first = last - Days::new(u64::from(plan.days.saturating_sub(1)));
    let published = Instant::now();
    let days = json!({"from": first.to_string(), "to": last.to_string(), "reports": EVERY_DAY});
    let run = reporting.post("/jobs/backfill/backfill", &days).await?;
    reporting.follow(&run, tell).await?;
    // The nightly run adds the reports that show a state, and writes the day's files. It does not wait for data:
    // a history that ends yesterday is complete, and one that ends earlier is what was asked for.
    let run = reporting.post("/jobs/nightly/runs", &json!({"business_day": last.to_string(), "wait": false})).await?;
    reporting.follow(&run, tell).await?;
    tell(&format!(
        "demo: published {} days, and all reports of the last one, in {:.1} s",
        plan.days,
        published.elapsed().as_secs_f32()
    ));

    for report in show::REPORTS {
        tell(&reporting.report(report, last).await?);
    }
    for line in show::files(&state, last)? {
        tell(&line);
    }
    tell(&summary(&state, &layout, last));
    tell(&format!("demo: everything took {:.1} s", begun.elapsed().as_secs_f32()));
    Ok(())
}

/// A word that a shell reads as it is.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+:@,".contains(&byte);
    if word.bytes().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Where to go from here, with the keys of this data folder.
fn summary(state: &State, layout: &Layout, last: chrono::NaiveDate) -> String {
    let key = |consumer: &str| state.keys.get(consumer).map_or("", String::as_str);
    let (gateway, analyst, operator) = (&state.gateway, key("analyst"), key("operator"));
    let reports = format!("{gateway}/reporting/api/v1/reports");
    let folder = quoted(&layout.root().to_string_lossy());
    let program = std::env::current_exe().map_or_else(|_| "stack".to_owned(), |it| quoted(&it.to_string_lossy()));
    let pos = key("pos");
    let lake = state.readers.get("lake_reader").map_or("", String::as_str);
    format!(
        "
Console       {gateway}/reporting/   (sign in with the key {analyst}, or as operator with {operator})
Catalogue     curl -H 'apikey: {analyst}' '{reports}'
As JSON       curl -H 'apikey: {analyst}' '{reports}/store_performance?from={last}&to={last}'
As CSV        curl -H 'apikey: {analyst}' -o stores.csv '{reports}/store_performance?business_day={last}&format=csv'
As Parquet    curl -H 'apikey: {analyst}' -o products.parquet '{reports}/product_performance?business_day={last}&format=parquet'
Freshness     curl -H 'apikey: {analyst}' '{gateway}/reporting/api/v1/sources'
Poll now      curl -H 'apikey: {operator}' -H 'content-type: application/json' -d '{{}}' '{gateway}/reporting/api/v1/sources/retail/poll'
In DuckDB     ATTACH 'ducklake:postgres:{lake}' AS lake (DATA_PATH '{}/', METADATA_SCHEMA 'lake', READ_ONLY);
A till's key  {pos}
Your reports  {folder}/catalogue/reports/NAME.sql, read as soon as it is there; {program} run --data-dir {folder} reporting check-catalog
Live traffic  {program} simulate --data-dir {folder}
What runs     {program} status --data-dir {folder}
Stop          make down DATA={folder}   (the data stays; remove the folder to forget it)",
        state.lake.display()
    )
}
