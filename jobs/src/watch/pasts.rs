//! What polls found of a source's past: datasets that are held back, and histories that are others than before.

use std::collections::{BTreeMap, BTreeSet};

use aggregator::{
    Aggregator,
    poll::rewritten::{self, Changed, Rewritten},
    publish,
    source::SourceStatus,
};
use anyhow::Context as _;
use chrono::{NaiveDate, SecondsFormat, TimeDelta};
use serde_json::json;

use crate::engine::{
    JobError,
    incident::{Finding, Kind},
};

/// How long an incident lasts that is about a moment and not about a state.
const LASTS: TimeDelta = TimeDelta::days(1);

/// What is wrong, by kind.
pub(super) async fn look(
    aggregator: &Aggregator,
    sources: &[SourceStatus],
) -> Result<[(Kind, Vec<Finding>); 2], JobError> {
    let db = aggregator.db();
    let mut rewritten = Vec::new();
    for found in rewritten::within(db, LASTS).await.context("the sources' histories could not be read")? {
        let days: BTreeSet<NaiveDate> = found.facts.values().flat_map(|it| &it.days).copied().collect();
        let published = publish::published_days(db, &days).await.context("the published days could not be read")?;
        rewritten.push(of_rewritten(&found, &published));
    }
    let held = sources.iter().flat_map(|source| source.held.keys().map(|dataset| of_held(source, dataset))).collect();
    Ok([(Kind::DatasetHeld, held), (Kind::HistoryRewritten, rewritten)])
}

fn of_held(source: &SourceStatus, dataset: &str) -> Finding {
    let (name, through) = (&source.name, source.held.get(dataset).copied().flatten());
    let through = through.map_or_else(|| "never".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    Finding {
        kind: Kind::DatasetHeld,
        subject: dataset.to_owned(),
        summary: format!(
            "`{dataset}` of {name} is held back: a full refresh would drop more of its rows than is allowed. It is \
             complete through {through}; the other datasets of {name} go on. If the rows are truly gone, poll {name} with \
             `allow_drops`."
        ),
        facts: json!({ "source": name, "dataset": dataset, "complete_through": through }),
    }
}

/// Each is an incident of its own, so that the second of a day is not taken for the first.
fn of_rewritten(found: &Rewritten, published: &BTreeSet<NaiveDate>) -> Finding {
    let Rewritten { id, source, found_at, facts } = found;
    let became = match facts.is_empty() {
        true => "no row of the lake became another".to_owned(),
        false => facts.iter().map(|(dataset, it)| in_words(dataset, it)).collect::<Vec<_>>().join("; "),
    };
    let touched = match (published.first(), published.last()) {
        (Some(first), Some(last)) if first == last => format!("the published day {first} is touched"),
        (Some(first), Some(last)) => format!("{} published days are touched, {first} to {last}", published.len()),
        _ => "no published day is touched".to_owned(),
    };
    let timeless: BTreeMap<_, _> = facts.iter().filter(|(_, it)| it.days.is_empty()).collect();
    let timeless = match timeless.is_empty() {
        true => String::new(),
        false => format!(
            " Without days, and so perhaps in any of them: {}.",
            timeless.keys().map(|it| it.as_str()).collect::<Vec<_>>().join(", ")
        ),
    };
    Finding {
        kind: Kind::HistoryRewritten,
        subject: format!("{source} #{id}"),
        summary: format!(
            "The history of {source} is another one than before, and it was read again as a whole: {became}; \
             {touched}.{timeless}"
        ),
        facts: json!({
            "source": source, "found_at": found_at, "datasets": facts.0, "published_days": published,
        }),
    }
}

fn in_words(dataset: &str, changed: &Changed) -> String {
    let Changed { added, changed, removed, days } = changed;
    let of_days = match (days.first(), days.last()) {
        (Some(first), Some(last)) if first == last => format!(" of {first}"),
        (Some(first), Some(last)) => format!(" of {} days from {first} to {last}", days.len()),
        _ => String::new(),
    };
    format!("{dataset}: {removed} rows vanished, {added} came and {changed} are others{of_days}")
}
