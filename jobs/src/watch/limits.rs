//! What is beyond its limit now.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aggregator::{
    Aggregator,
    publish::{self, OutdatedRevision},
    source::SourceStatus,
};
use anyhow::Context as _;
use base::{Span, format_span};
use chrono::{DateTime, NaiveDate, Utc};
use lake::Damage;
use polars::prelude::{DataFrame, DataType};
use serde::Deserialize;
use serde_json::json;

use super::pasts;
use crate::{
    clocks,
    engine::{
        JobError, Run,
        incident::{Finding, Kind},
    },
};

/// Limits, and where a notification is sent when one is passed: `[alerts]` of the jobs file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSettings {
    /// A URL that gets every message; none: incidents are rows and answers of the API, and nobody is called.
    pub url: Option<String>,
    /// How old the data of a source may be; what its own declaration calls stale when absent.
    pub freshness: Option<Span>,
    /// The same for single sources.
    pub freshness_of: BTreeMap<String, Span>,
    /// How many rows of a source may be in quarantine: 0 when absent.
    pub quarantine: i64,
    /// How far apart the services may be; not looked at when absent.
    pub drift: Option<Drift>,
}

/// A limit on the sum of a column's magnitudes in a report, computed with its default parameters.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// The report.
    pub report: String,
    /// A column of whole numbers.
    pub column: String,
    /// Only the rows with these values in columns of text.
    #[serde(default)]
    pub only: BTreeMap<String, String>,
    /// The largest sum that is no drift.
    #[serde(default)]
    pub limit: i64,
}

/// What is wrong, by kind. A kind that could not be looked at is not in the answer: what is under way stays so.
pub(super) async fn look(
    aggregator: &Arc<Aggregator>,
    settings: &AlertSettings,
    run: &Run,
) -> Result<Vec<(Kind, Vec<Finding>)>, JobError> {
    let sources = aggregator.sources().status().await.map_err(anyhow::Error::new)?;
    let first_polls: Vec<(String, DateTime<Utc>)> =
        sqlx::query_as("SELECT source, min(started_at) FROM sync.poll GROUP BY source")
            .fetch_all(aggregator.db())
            .await
            .context("the polls could not be read")?;
    let first_polls: BTreeMap<String, DateTime<Utc>> = first_polls.into_iter().collect();
    let stale = sources.iter().filter_map(|source| {
        let declared = aggregator.sources().get(&source.name).ok()?.declaration.stale_after;
        let limit = settings.freshness_of.get(&source.name).or(settings.freshness.as_ref());
        stale(source, limit.copied().unwrap_or(Span(declared)), first_polls.get(&source.name).copied(), run.now)
    });
    let quarantined = sources.iter().filter(|source| source.quarantined > settings.quarantine).map(quarantined);
    let tolerance = clocks::tolerance(aggregator);
    let process = clock_of_process((run.now - Utc::now()).num_seconds(), tolerance);
    let ahead = sources.iter().filter(|source| source.clock_ahead_seconds > tolerance).map(clock_of_source);
    let mut seen = vec![
        (Kind::SourceStale, stale.collect()),
        (Kind::Quarantine, quarantined.collect()),
        (Kind::Clock, ahead.chain(process).collect()),
        (Kind::DamagedFile, damaged(aggregator).await?),
        (Kind::ZoneData, sources.iter().filter_map(zone_data).collect()),
        (Kind::Outdated, outdated(&publish::outdated(aggregator.db()).await.map_err(anyhow::Error::new)?)),
    ];
    seen.extend(pasts::look(aggregator, &sources).await?);
    if let Some(drift) = &settings.drift {
        match drifted(aggregator, drift).await {
            Ok(finding) => seen.push((Kind::ReconciliationDrift, finding.into_iter().collect())),
            Err(error) => run.log(format!("drift could not be measured: {error:#}")).await,
        }
    }
    Ok(seen)
}

/// A source that was never read whole is as old as its first poll; one that was never polled is not yet late.
fn stale(source: &SourceStatus, limit: Span, first_poll: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Option<Finding> {
    let age = (now - source.complete_through.or(first_poll)?).to_std().unwrap_or_default();
    if age <= limit.0 {
        return None;
    }
    let through = source
        .complete_through
        .map_or_else(|| "has never been read whole".to_owned(), |at| format!("is complete through {at}"));
    let reason = source.error.as_ref().map(|error| format!(" The last poll failed: {error}")).unwrap_or_default();
    Some(Finding {
        kind: Kind::SourceStale,
        subject: source.name.clone(),
        summary: format!(
            "{} {through}; {} minutes of age are beyond the limit of {}.{reason}",
            source.name,
            age.as_secs() / 60,
            format_span(limit.0)
        ),
        facts: json!({
            "complete_through": source.complete_through,
            "age_seconds": age.as_secs(),
            "limit_seconds": limit.0.as_secs(),
            "failures": source.failures,
        }),
    })
}

fn quarantined(source: &SourceStatus) -> Finding {
    let datasets: Vec<String> =
        source.quarantined_by_dataset.iter().map(|(dataset, rows)| format!("{rows} of {dataset}")).collect();
    Finding {
        kind: Kind::Quarantine,
        subject: source.name.clone(),
        summary: format!(
            "Rows of {} do not fit their declaration and are in quarantine: {}",
            source.name,
            datasets.join(", ")
        ),
        facts: json!({ "rows": source.quarantined, "by_dataset": source.quarantined_by_dataset }),
    }
}

/// By dataset: however many of its files are damaged, one command brings them back.
async fn damaged(aggregator: &Aggregator) -> Result<Vec<Finding>, JobError> {
    let mut by_dataset: BTreeMap<String, Vec<Damage>> = BTreeMap::new();
    for damage in aggregator.lake().damages().await.map_err(anyhow::Error::new)? {
        by_dataset.entry(damage.dataset.clone()).or_default().push(damage);
    }
    let finding = |(dataset, files): (String, Vec<Damage>)| {
        let first = files.first()?;
        let more = if files.len() > 1 { format!(" (and {} more)", files.len() - 1) } else { String::new() };
        let summary = format!("{first}{more}: {}.", aggregator.sources().cure(first));
        Some(Finding { kind: Kind::DamagedFile, subject: dataset, summary, facts: json!({ "files": files }) })
    };
    Ok(by_dataset.into_iter().filter_map(finding).collect())
}

fn clock_of_source(source: &SourceStatus) -> Finding {
    let (name, ahead) = (&source.name, source.clock_ahead_seconds);
    Finding {
        kind: Kind::Clock,
        subject: name.clone(),
        summary: format!(
            "The clock of {name} is {ahead} s ahead of the reporting database's; no figure of it becomes final until \
             they agree."
        ),
        facts: json!({ "ahead_seconds": ahead }),
    }
}

/// A source of other zone data; one that says nothing is of a version that did not yet.
fn zone_data(source: &SourceStatus) -> Option<Finding> {
    let (name, theirs) = (&source.name, source.zone_data.as_deref()?);
    (theirs != base::ZONE_DATA).then(|| Finding {
        kind: Kind::ZoneData,
        subject: name.clone(),
        summary: format!(
            "{name} computes local time by zone data {theirs}, this service by {}: where they differ, days end at two \
             moments; run one version of both.",
            base::ZONE_DATA
        ),
        facts: json!({ "source": theirs, "reporting": base::ZONE_DATA }),
    })
}

/// `ahead`: seconds by which the database's clock is ahead of this process's.
fn clock_of_process(ahead: i64, tolerance: i64) -> Option<Finding> {
    (ahead.abs() > tolerance).then(|| Finding {
        kind: Kind::Clock,
        subject: "reporting_db".to_owned(),
        summary: format!(
            "The reporting database's clock and the service's are {} s apart; no figure becomes final until they agree.",
            ahead.abs()
        ),
        facts: json!({ "ahead_seconds": ahead }),
    })
}

/// What became outdated, by the source whose rows came late.
fn outdated(revisions: &[OutdatedRevision]) -> Vec<Finding> {
    let mut by_source: BTreeMap<&str, Vec<&OutdatedRevision>> = BTreeMap::new();
    for revision in revisions {
        let parts = revision.outdated.by.as_array().map(Vec::as_slice).unwrap_or_default();
        for source in parts.iter().filter_map(|part| part["source"].as_str()).collect::<BTreeSet<_>>() {
            by_source.entry(source).or_default().push(revision);
        }
    }
    let finding = |(source, revisions): (&str, Vec<&OutdatedRevision>)| {
        let days: BTreeSet<NaiveDate> = revisions.iter().map(|it| it.business_day).collect();
        let reports: BTreeSet<&str> = revisions.iter().map(|it| it.report.as_str()).collect();
        let span = days.first().zip(days.last()).map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first} to {last}"),
        });
        Finding {
            kind: Kind::Outdated,
            subject: source.to_owned(),
            summary: format!(
                "Rows of {source} came too late to be published by themselves: {} published figures of {} are outdated \
                 until they are restated.",
                revisions.len(),
                span.unwrap_or_default()
            ),
            facts: json!({
                "figures": revisions.len(),
                "days": days,
                "reports": reports,
                "since": revisions.iter().map(|it| it.outdated.since).min(),
            }),
        }
    };
    by_source.into_iter().map(finding).collect()
}

async fn drifted(aggregator: &Aggregator, drift: &Drift) -> anyhow::Result<Option<Finding>> {
    let result = aggregator.reports().run(&drift.report, &BTreeMap::new(), None).await?;
    let (sum, rows) = magnitude(&result.frame, drift)?;
    Ok((sum > drift.limit).then(|| Finding {
        kind: Kind::ReconciliationDrift,
        subject: drift.report.clone(),
        summary: format!(
            "`{}` of {} comes to {sum} in {rows} rows, beyond the limit of {}",
            drift.column, drift.report, drift.limit
        ),
        facts: json!({
            "sum": sum,
            "rows": rows,
            "limit": drift.limit,
            "snapshot": result.snapshot,
            "parameters": result.parameters,
        }),
    }))
}

/// The sum of the column's magnitudes over the rows that count, and how many those are.
fn magnitude(frame: &DataFrame, drift: &Drift) -> anyhow::Result<(i64, usize)> {
    let values = frame.column(&drift.column)?.cast(&DataType::Int64)?;
    let mut counts = vec![true; frame.height()];
    for (name, wanted) in &drift.only {
        for (counts, cell) in counts.iter_mut().zip(frame.column(name)?.str()?.iter()) {
            *counts &= cell == Some(wanted);
        }
    }
    let counting = values.i64()?.iter().zip(&counts).filter(|(_, counts)| **counts);
    Ok(counting.fold((0, 0), |(sum, rows): (i64, usize), (value, _)| {
        (sum.saturating_add(value.unwrap_or(0).saturating_abs()), rows + 1)
    }))
}

#[cfg(test)]
mod tests {
    use polars::prelude::Column;

    use super::*;

    #[test]
    fn what_is_outdated_is_one_finding_of_each_source_whose_rows_came_late() {
        let revision = |report: &str, day: &str, sources: &[&str]| OutdatedRevision {
            report: report.to_owned(),
            business_day: day.parse().unwrap(),
            revision: 1,
            outdated: sqlx::types::Json(publish::Outdated {
                since: DateTime::UNIX_EPOCH,
                by: sources.iter().map(|source| json!({ "source": source, "dataset": "d" })).collect(),
            }),
        };
        let found = outdated(&[
            revision("daily_sales", "2026-01-03", &["retail"]),
            revision("channel_mix", "2026-01-03", &["ecommerce", "retail", "retail"]),
            revision("channel_mix", "2026-01-05", &["retail"]),
        ]);
        let counts: Vec<_> =
            found.iter().map(|it| (it.subject.as_str(), it.facts["figures"].as_i64().unwrap())).collect();
        assert_eq!(counts, [("ecommerce", 1), ("retail", 3)]);
        assert!(found[1].summary.contains("3 published figures of 2026-01-03 to 2026-01-05"), "{}", found[1].summary);
        assert_eq!(found[1].facts["reports"], json!(["channel_mix", "daily_sales"]));
    }

    #[test]
    fn drift_is_a_sum_of_magnitudes_over_the_rows_that_count() {
        let columns = vec![
            Column::new("finding".into(), ["drift", "imported", "drift"]),
            Column::new("difference".into(), [-3_i64, 100, 2]),
        ];
        let frame = DataFrame::new(3, columns).unwrap();
        let only = BTreeMap::from([("finding".to_owned(), "drift".to_owned())]);
        let drift = Drift { report: "r".to_owned(), column: "difference".to_owned(), only, limit: 0 };
        assert_eq!(magnitude(&frame, &drift).unwrap(), (5, 2));
        assert_eq!(magnitude(&frame, &Drift { only: BTreeMap::new(), ..drift }).unwrap(), (105, 3));
    }
}
