//! The job `restate`: publish again what has changed since it was published.
//!
//! A day is looked at again when rows of it, or of the days on which its figures hang (those before it, and those of a
//! year ago that it is held against), came to the lake after the revision was computed, and when a provisional one would
//! lack something else now, or nothing. Publishing makes a revision only where the content or the state differ. However
//! many late rows came since the last run, they make one revision. A check with findings is looked at again whatever
//! comes: a document that was sold on its day may have moved on another.
//!
//! A day older than the window is not published again by itself: what is published for it is marked as outdated, with
//! since when and by what, and the job `watch` opens an incident. A run that is asked for what is outdated publishes it.
//!
//! A day that goes on, published before its time, is left as it is until it is over: it has its one provisional revision, and
//! not one of every few minutes.
//!
//! References restate nothing: another name of a store, or one more store, is no news of a day that has passed.
//!
//! A report of a moment is looked at again for one thing only: provisional, it becomes final when what it lacked has
//! come, as the night would have published it had it waited for that. But only while it is the report's newest: once
//! the next night has published a later moment, that of the earlier day has passed, and its revision stays what it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aggregator::{
    publish::{self, Gate, Missing, State},
    report::{Grain, Report},
};
use anyhow::Context as _;
use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use sqlx::{PgPool, types::Json};

use crate::{
    context::Context,
    engine::{Job, JobError, Run},
    export_pack,
    publishing::{self, Grains},
};

/// What is configured, under `with`.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestateSettings {
    /// How many days back are published again by themselves.
    pub window_days: u64,
    /// The most pairs of report and day that one run publishes; the next run goes on.
    pub most: usize,
}

impl Default for RestateSettings {
    fn default() -> Self {
        Self { window_days: 35, most: 500 }
    }
}

/// What a caller may ask of a run.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Arguments {
    /// Whether days before the window are published again too, however many.
    pub outdated: bool,
}

/// What the run came to.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// Pairs of report and day that were looked at.
    pub looked_at: usize,
    /// New revisions.
    pub revisions: usize,
    /// Of these: now final.
    pub finals: usize,
    /// Days with a new revision.
    pub days: BTreeSet<NaiveDate>,
    /// Days before the window that have changed: to publish them again is an operator's decision.
    pub beyond_window: BTreeSet<NaiveDate>,
    /// Published figures of such days that this run has marked as outdated.
    pub outdated: usize,
    /// Reports that could not be published, with the reason.
    pub failed: Vec<String>,
}

/// Publishes changed days again.
pub struct Restate {
    context: Context,
    settings: RestateSettings,
}

impl Restate {
    /// The job over a context.
    #[must_use]
    pub fn new(context: &Context, settings: RestateSettings) -> Self {
        Self { context: context.clone(), settings }
    }
}

impl Job for Restate {
    const NAME: &'static str = "restate";
    type Arguments = Arguments;
    type Outcome = Outcome;

    async fn run(&self, arguments: Arguments, run: &Run) -> Result<Outcome, JobError> {
        let aggregator = &self.context.aggregator;
        let today = aggregator.settings().days.today();
        let window = today.checked_sub_days(Days::new(self.settings.window_days)).unwrap_or(today);
        // No fact is older than 1970: imports refuse it.
        let everything = (NaiveDate::default(), usize::MAX);
        let (window, most) = if arguments.outdated { everything } else { (window, self.settings.most) };
        let mut outcome = Outcome::default();
        // What comes meanwhile is in none of what is published here, and looked at by the next run.
        let gate = self.context.gate().await?;
        let changed = ChangedDays::read(aggregator.db()).await?;
        let marked = if arguments.outdated { marked_days(aggregator.db()).await? } else { BTreeMap::new() };
        for report in publishing::reports(aggregator, None, Grains::All)? {
            let mut looks = match report.grain {
                Grain::Day => self.days_to_look_at(&report, &gate, &changed, window).await?,
                Grain::Snapshot => self.moment_to_make_final(&report, &gate).await?,
            };
            // What they changed may have been forgotten with the snapshots: the mark says that they are wrong.
            let known: BTreeSet<NaiveDate> = looks.iter().map(|look| look.day).collect();
            let marked = marked.get(&report.name).into_iter().flatten().filter(|day| !known.contains(day));
            looks.extend(marked.map(|day| Look { day: *day, after: gate.snapshot(), late: false }));
            for Look { day, after, late } in looks {
                if day < window {
                    outcome.beyond_window.insert(day);
                    if late {
                        let marked =
                            aggregator.publisher().mark_outdated(&report, day, after, &gate, run.lease()).await;
                        if marked.is_err() {
                            run.check().await?;
                        }
                        outcome.outdated += usize::from(marked.map_err(anyhow::Error::new)?);
                    }
                } else if outcome.looked_at < most {
                    outcome.looked_at += 1;
                    self.publish_again(&report, day, &gate, run, &mut outcome).await?;
                }
            }
        }
        // Not only what was published just now: another attempt may have died before it could export.
        let unpacked = export_pack::unpacked_days(aggregator.db()).await?;
        for day in outcome.days.union(&unpacked) {
            export_pack::pack_day(&self.context, *day, run).await?;
        }
        if !outcome.beyond_window.is_empty() {
            let days: Vec<String> = outcome.beyond_window.iter().map(ToString::to_string).collect();
            let days = days.join(", ");
            run.log(format!("changed, but older than the window; published again when asked for: {days}")).await;
        }
        Ok(outcome)
    }
}

/// The days of each report of which what is published is marked as outdated.
async fn marked_days(db: &PgPool) -> Result<BTreeMap<String, BTreeSet<NaiveDate>>, JobError> {
    let found = publish::outdated(db).await.context("what is outdated could not be read")?;
    let mut days = BTreeMap::<_, BTreeSet<_>>::new();
    for it in found {
        days.entry(it.report).or_default().insert(it.business_day);
    }
    Ok(days)
}

/// The newest snapshot that changed each day of each dataset, as long as snapshots are kept. `None`: of no day.
struct ChangedDays(BTreeMap<String, BTreeMap<Option<NaiveDate>, i64>>);

impl ChangedDays {
    async fn read(db: &PgPool) -> Result<Self, JobError> {
        let found = sqlx::query!(
            r#"SELECT dataset, business_day, max(snapshot_id) AS "snapshot!" FROM sync.changed_day GROUP BY 1, 2"#
        );
        let mut changed = BTreeMap::<_, BTreeMap<_, _>>::new();
        for it in found.fetch_all(db).await.context("what changed could not be read")? {
            changed.entry(it.dataset).or_default().insert(it.business_day, it.snapshot);
        }
        Ok(Self(changed))
    }

    /// The newest snapshot that changed anything a report reads, and that of each day.
    fn of(&self, report: &Report) -> (i64, BTreeMap<NaiveDate, i64>) {
        let (mut newest, mut days) = (0, BTreeMap::new());
        for (day, snapshot) in report.datasets.iter().filter_map(|dataset| self.0.get(dataset)).flatten() {
            newest = newest.max(*snapshot);
            if let Some(day) = day {
                days.entry(*day).and_modify(|known: &mut i64| *known = (*known).max(*snapshot)).or_insert(*snapshot);
            }
        }
        (newest, days)
    }
}

/// A published day that is to be looked at again.
struct Look {
    day: NaiveDate,
    /// The snapshot through which what is published is known to be right.
    after: i64,
    /// Whether rows have come that are in no revision and in no mark.
    late: bool,
}

/// What is published for a day, and up to which snapshot it was checked since.
struct PublishedDay {
    business_day: NaiveDate,
    /// The snapshot through which it is known to be right.
    right_through: i64,
    /// The same, or that through which it is known to be outdated.
    known_through: i64,
    provisional: bool,
    missing: Json<Vec<Missing>>,
}

impl Restate {
    async fn publish_again(
        &self,
        report: &Arc<Report>,
        day: NaiveDate,
        gate: &Gate,
        run: &Run,
        outcome: &mut Outcome,
    ) -> Result<(), JobError> {
        let aggregator = &self.context.aggregator;
        match aggregator.publisher().publish(&report.name, day, gate, run.lease()).await {
            Ok(published) if published.changed => {
                outcome.revisions += 1;
                outcome.finals += usize::from(published.state == State::Final);
                outcome.days.insert(day);
                run.log(format!("{} of {day}: revision {}", report.name, published.revision)).await;
            }
            Ok(_) => {}
            Err(error) => {
                run.check().await?;
                outcome.failed.push(format!("{} of {day}: {:#}", report.name, anyhow::Error::new(error)));
                return Ok(());
            }
        }
        let mut tx = run.begin().await?;
        sqlx::query!(
            "INSERT INTO jobs.looked_at (report, business_day, snapshot) VALUES ($1, $2, $3)
             ON CONFLICT (report, business_day) DO UPDATE SET snapshot = excluded.snapshot",
            &report.name,
            day,
            gate.snapshot()
        )
        .execute(&mut *tx)
        .await
        .context("the jobs tables could not be written")?;
        tx.commit().await.context("the jobs tables could not be written")?;
        Ok(())
    }

    /// The day of a report's newest moment, if that is provisional and would lack nothing now.
    async fn moment_to_make_final(&self, report: &Report, gate: &Gate) -> Result<Vec<Look>, JobError> {
        let aggregator = &self.context.aggregator;
        let newest = publish::revisions(aggregator.db(), &report.name, None, None, 1).await;
        let newest = newest.context("what was published could not be read")?.pop();
        let wanted = newest.filter(|revision| revision.state == State::Provisional);
        let wanted = wanted.filter(|revision| gate.missing(report, revision.business_day).is_empty());
        Ok(wanted.into_iter().map(|it| Look { day: it.business_day, after: it.snapshot, late: false }).collect())
    }

    /// The published days of a report that rows came for since they were computed and since we last looked, and those
    /// that lacked something else than they would lack now; oldest first. Before the window what is marked already is
    /// no news.
    async fn days_to_look_at(
        &self,
        report: &Report,
        gate: &Gate,
        changed: &ChangedDays,
        window: NaiveDate,
    ) -> Result<Vec<Look>, JobError> {
        let aggregator = &self.context.aggregator;
        let unreadable = "what was published could not be read";
        let (newest, mut changed) = changed.of(report);
        // No figure hangs on a day that comes after its own: what lies before the first that changed is not read.
        let from = changed.keys().next().map_or(window, |first| window.min(*first));
        let published = sqlx::query_as!(
            PublishedDay,
            r#"SELECT current.business_day, known.right_through AS "right_through!",
                    GREATEST(known.right_through, mark.snapshot) AS "known_through!",
                    current.state = 'provisional' AS "provisional!", current.missing AS "missing: _"
               FROM (SELECT DISTINCT ON (business_day) business_day, revision, snapshot, state, missing
                       FROM published.revision WHERE report = $1 AND business_day >= $2
                      ORDER BY business_day, revision DESC) AS current
               LEFT JOIN published.newest_mark AS mark
                 ON mark.report = $1 AND mark.business_day = current.business_day AND mark.revision = current.revision
               LEFT JOIN jobs.looked_at l ON l.report = $1 AND l.business_day = current.business_day
              CROSS JOIN LATERAL (SELECT GREATEST(current.snapshot, l.snapshot,
                                                  CASE WHEN mark.since IS NULL THEN mark.snapshot END)) AS known (right_through)
              ORDER BY current.business_day"#,
            report.name,
            from
        )
        .fetch_all(aggregator.db())
        .await
        .context(unreadable)?;
        let Some(oldest) = published.iter().map(|it| it.right_through).min() else { return Ok(Vec::new()) };
        changed.retain(|_, snapshot| *snapshot > oldest);
        let with_findings = match newest > oldest {
            true => publish::days_with_findings(aggregator.db(), report, window).await.context(unreadable)?,
            false => BTreeSet::new(),
        };
        let look = |current: PublishedDay| {
            let day = current.business_day;
            if !gate.is_over(day) {
                return None;
            }
            let seen = if day < window { current.known_through } else { current.right_through };
            // On most looks nothing has changed, and a year of days need not be worked out.
            let behind = if changed.is_empty() { Vec::new() } else { aggregator.reports().days_behind(report, day) };
            let late = behind.into_iter().any(|days| changed.range(days).any(|(_, snapshot)| *snapshot > seen));
            let wanted = late
                || (newest > seen && with_findings.contains(&day))
                || (current.provisional && gate.missing(report, day) != current.missing.0);
            wanted.then_some(Look { day, after: current.right_through, late })
        };
        Ok(published.into_iter().filter_map(look).collect())
    }
}
