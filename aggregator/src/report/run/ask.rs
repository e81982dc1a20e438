//! What a caller asks: resolved and bound first, so that a mistake is reported before anything is computed.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::{Days, NaiveDate};
use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use lake::FileSet;
use polars::prelude::DataFrame;
use serde_json::Value;

use super::Reports;
use super::cache::{Computed, Key};
use super::day_end::day_end;
use super::engine::{Asker, Dataset, Filed, Frames, Order, Shape, Work};
use super::error::ReportError;
use super::now::Now;
use super::statements::Bound;
use crate::metric;
use crate::report::language::compile::Report;
use crate::report::language::given::Given;
use crate::report::language::resolve;
use crate::report::{ReportResult, SourceFreshness};

/// Rows of a result that is kept in memory although a file of it was asked for: as many as make a small answer.
pub const FEW: usize = 20_000;

/// The bounds on computing one report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Most rows of the result, which is held in memory.
    pub rows: usize,
    /// How long the computation may take.
    pub time: Duration,
    /// How long it may wait for its turn.
    pub patience: Duration,
    /// Whether the result is kept for whoever asks the same: not when nobody will, or when it is too large.
    pub(crate) kept: bool,
}

impl Bounds {
    /// While a caller waits.
    pub const ON_DEMAND: Self =
        Self { rows: 1_000_000, time: Duration::from_secs(120), patience: Duration::from_secs(30), kept: true };
    /// While nobody waits, and the result becomes a file.
    pub const IN_BACKGROUND: Self =
        Self { rows: 5_000_000, time: Duration::from_secs(1_800), patience: Duration::from_secs(1_800), kept: false };
    /// For publishing, which needs each result once.
    pub(crate) const PUBLISHING: Self = Self { patience: Self::IN_BACKGROUND.time, kept: false, ..Self::ON_DEMAND };
}

/// A question to a report on one snapshot, with every parameter resolved.
#[derive(Debug, Clone)]
pub struct Question {
    pub(super) report: Arc<Report>,
    pub(super) bound: Arc<Bound>,
    pub(super) snapshot: i64,
    now: Arc<Now>,
    asker: Asker,
    views: ViewRows,
}

/// Where the rows of views come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ViewRows {
    /// From what is kept of them, as far as that counts.
    Kept,
    /// From the datasets alone.
    Computed,
}

/// Why a computation failed.
enum Blame {
    /// Kept rows are damaged: the datasets have the answer.
    Kept,
    Other(ReportError),
}

impl Question {
    /// The report that is asked.
    #[must_use]
    pub fn report(&self) -> &Arc<Report> {
        &self.report
    }

    /// The same question of somebody else than the service itself.
    #[must_use]
    pub fn by(self, asker: Asker) -> Self {
        Self { asker, ..self }
    }

    /// The same question, answered from the datasets alone as if no rows of views were kept. Its answer is the same: ask it
    /// with bounds under which nothing is kept, to compare.
    #[must_use]
    pub fn on_datasets(self) -> Self {
        Self { views: ViewRows::Computed, ..self }
    }

    /// The resolved parameters.
    #[must_use]
    pub fn parameters(&self) -> &BTreeMap<String, serde_json::Value> {
        &self.bound.parameters
    }

    /// The snapshot that is read.
    #[must_use]
    pub fn snapshot(&self) -> i64 {
        self.snapshot
    }

    /// How fresh the report's sources are.
    #[must_use]
    pub fn sources(&self) -> Vec<SourceFreshness> {
        self.now.freshness(&self.report)
    }

    fn key(&self) -> Key {
        Key::new(&self.report, &self.bound, self.snapshot)
    }

    fn answer(&self, computed: Arc<Computed>) -> Arc<ReportResult> {
        Arc::new(ReportResult {
            report: Arc::clone(&self.report),
            parameters: self.bound.parameters.clone(),
            snapshot: self.snapshot,
            frame: computed.frame.clone(),
            sources: self.sources(),
            computed_at: computed.computed_at,
            computed,
        })
    }
}

impl Reports {
    /// Resolves a question: `params` as text, a `snapshot` or the newest.
    ///
    /// # Errors
    /// See [`ReportError`]; [`ReportError::is_callers`] tells a 4xx from a fault.
    pub async fn ask(
        &self,
        name: &str,
        params: impl Into<Given>,
        snapshot: Option<i64>,
    ) -> Result<Question, ReportError> {
        let (report, params) = (self.find(name)?, params.into());
        let clock = self.clock_for(&report, &params).await?;
        let bound = self.statements.bound(&report, &params, clock).await?;
        self.question(report, bound, snapshot).await
    }

    pub(super) async fn question(
        &self,
        report: Arc<Report>,
        bound: Arc<Bound>,
        snapshot: Option<i64>,
    ) -> Result<Question, ReportError> {
        let now = self.clock.now().await?;
        Ok(Question {
            report,
            bound,
            snapshot: snapshot.unwrap_or(now.snapshot),
            now,
            asker: Asker::default(),
            views: ViewRows::Kept,
        })
    }

    /// The answer to a question, if it was computed before and is still kept.
    pub async fn kept(&self, question: &Question) -> Option<Arc<ReportResult>> {
        Some(question.answer(self.kept_rows(&question.key()).await?))
    }

    /// The answer to a question: kept, under way for somebody else, or computed now. The computation ends when nobody
    /// waits for it any more.
    ///
    /// # Errors
    /// [`ReportError::TooManyRows`], [`ReportError::TimedOut`], [`ReportError::OutOfMemory`], [`ReportError::Busy`], or a
    /// fault.
    pub async fn compute(&self, question: &Question, bounds: Bounds) -> Result<Arc<ReportResult>, ReportError> {
        let key = question.key();
        if let Some(kept) = self.kept_rows(&key).await {
            return Ok(question.answer(kept));
        }
        let work = self.work(question, bounds).await?;
        let rows = collect(self.engine.rows(Arc::clone(&work), &question.asker, bounds));
        let computed = match bounds.kept {
            true => self.results.get_or(key, rows).await,
            false => rows.await.map(|rows| Arc::new(Computed::new(rows))),
        };
        match computed {
            Ok(computed) => Ok(question.answer(computed)),
            Err(error) => match self.blame(error, question, &work).await {
                Blame::Kept => Box::pin(self.compute(&question.clone().on_datasets(), bounds)).await,
                Blame::Other(error) => Err(error),
            },
        }
    }

    /// Has the answer to a question written to a file where it is computed, so that its rows are never here; unless they
    /// are to be kept and are [`FEW`]. `how` is for the writer that the program gave, and what comes back is from it.
    ///
    /// # Errors
    /// As [`Self::compute`], and [`ReportError::File`].
    pub async fn file(
        &self,
        question: &Question,
        bounds: Bounds,
        how: Value,
    ) -> Result<Filed<Arc<ReportResult>>, ReportError> {
        let key = question.key();
        let known = if bounds.kept { self.results.known(&key).await } else { None };
        if let Some(known) = known {
            return Ok(Filed::Rows(question.answer(known?)));
        }
        let order = Order { how: how.clone(), few: bounds.kept.then_some(FEW) };
        let work = self.work(question, bounds).await?;
        let rows = match self.engine.file(Arc::clone(&work), &question.asker, bounds, order).await {
            Ok(Filed::File(outcome)) => return Ok(Filed::File(outcome)),
            Ok(Filed::Rows(frames)) => collect(frames).await,
            Err(error) => Err(error),
        };
        let computed = match bounds.kept {
            true => self.results.settle(key, rows).await,
            false => rows.map(|rows| Arc::new(Computed::new(rows))),
        };
        match computed {
            Ok(computed) => Ok(Filed::Rows(question.answer(computed))),
            Err(error) => match self.blame(error, question, &work).await {
                Blame::Kept => Box::pin(self.file(&question.clone().on_datasets(), bounds, how)).await,
                Blame::Other(error) => Err(error),
            },
        }
    }

    /// Why computing failed: where a file that it read is damaged, that. Kept rows that are damaged count no more.
    async fn blame(&self, error: ReportError, question: &Question, work: &Work) -> Blame {
        if !matches!(error, ReportError::Engine { .. } | ReportError::Crashed { .. } | ReportError::Lake(_)) {
            return Blame::Other(error);
        }
        let below = |path: &Path| Some(path.strip_prefix(self.lake.dir()).ok()?.to_string_lossy().into_owned());
        let paths: Vec<String> = work.files().flat_map(FileSet::paths).filter_map(below).collect();
        let Ok(Some(damage)) = self.lake.find_damage(&paths).await else { return Blame::Other(error) };
        if let Some(kept) = question.report.kept.values().find(|kept| kept.view.table() == damage.dataset) {
            tracing::error!(%damage, "kept rows are damaged: their days are computed from the datasets");
            return match self.lake.forget_damaged(&kept.view, &damage).await {
                Ok(()) => Blame::Kept,
                Err(error) => Blame::Other(error.into()),
            };
        }
        let (report, cure) = (question.report.name.clone(), self.sources.cure(&damage));
        Blame::Other(ReportError::Damaged { report, snapshot: question.snapshot, damage: Box::new(damage), cure })
    }

    async fn kept_rows(&self, key: &Key) -> Option<Arc<Computed>> {
        let kept = self.results.get(key).await;
        metric::report_result(kept.is_some());
        kept
    }

    /// What computing the answer to a question takes.
    async fn work(&self, question: &Question, bounds: Bounds) -> Result<Arc<Work>, ReportError> {
        let Question { report, bound, snapshot, .. } = question;
        // Also those beneath kept rows, which tell nothing of them.
        self.lake.refuse_inlined(report.datasets.iter().map(String::as_str)).await?;
        let (views, read) = match question.views {
            ViewRows::Kept => (&report.kept, &report.beside),
            ViewRows::Computed => (&BTreeMap::new(), &report.datasets),
        };
        // Side by side, for each waits for the database several times.
        let kept = try_join_all(views.iter().map(async |(name, view)| {
            Ok::<_, ReportError>((name.clone(), self.kept_input(*snapshot, view, &bound.days).await?))
        }));
        let (kept, datasets) = tokio::try_join!(kept, self.datasets(*snapshot, read, &bound.days))?;
        let kept = kept.into_iter().collect();
        let (shape, statement) = (Shape::of(report, bounds.rows), Arc::clone(&bound.statement));
        Ok(Arc::new(Work { shape, statement, datasets, kept }))
    }

    /// Datasets in a snapshot, of some days; none means all. Who reads them refuses inlined rows first.
    pub(super) async fn datasets(
        &self,
        snapshot: i64,
        names: impl IntoIterator<Item = &String>,
        days: &[RangeInclusive<NaiveDate>],
    ) -> Result<BTreeMap<String, Dataset>, ReportError> {
        self.lake.is_there().await?;
        let datasets = names.into_iter().map(async |name| {
            let files = self.lake.files(snapshot, name, days).await?;
            let key = match self.sources.dataset(name) {
                Some((_, declared)) => declared.key.clone(),
                None => vec![lake::calendar::KEY.to_owned()],
            };
            Ok::<_, ReportError>((name.clone(), Dataset { key, files }))
        });
        Ok(try_join_all(datasets).await?.into_iter().collect())
    }

    /// The days that a caller's relative ones are counted from.
    pub(super) async fn clock_for(&self, report: &Report, params: &Given) -> Result<resolve::Clock, ReportError> {
        let today = self.today();
        // Looking for the complete day reads the lake: only for who asks for it.
        let asks = report.params.iter().any(|(name, parameter)| match params.get(name) {
            Some(values) => values.iter().any(|text| text.contains("complete_day")),
            None => {
                parameter.default.as_ref().and_then(toml::Value::as_str).is_some_and(|it| it.contains("complete_day"))
            }
        });
        let complete = if asks { self.complete_day(report).await? } else { today - Days::new(1) };
        Ok(resolve::Clock { today, complete })
    }

    /// The last business day that had ended everywhere by the least `complete_through` of the report's
    /// sources; yesterday while one of them was never polled.
    async fn complete_day(&self, report: &Report) -> Result<NaiveDate, ReportError> {
        let now = self.clock.now().await?;
        let Some(Some(through)) = now.freshness(report).iter().map(|source| source.complete_through).min() else {
            return Ok(self.today() - Days::new(1));
        };
        let zones = self.zones(now.snapshot).await?;
        let (days, local) = (self.lake.days(), self.lake.days().of(through));
        // No zone is more than a day away from another.
        let ended = (0..3).map(|back| local - Days::new(back)).find(|day| day_end(*day, &zones, days.start) <= through);
        Ok(ended.unwrap_or(local - Days::new(3)))
    }
}

/// All rows of a computation in one piece.
pub(super) async fn collect(frames: Frames) -> Result<DataFrame, ReportError> {
    let frames = frames.try_fold(None::<DataFrame>, |rows, next| async move {
        let Some(mut rows) = rows else { return Ok(Some(next)) };
        rows.vstack_mut_owned(next).map_err(|_| ReportError::Stopped)?;
        Ok(Some(rows))
    });
    let mut rows = frames.await?.ok_or(ReportError::Stopped)?;
    if rows.first_col_n_chunks() > 1 {
        rows = tokio::task::spawn_blocking(move || {
            rows.rechunk_mut_par();
            rows
        })
        .await
        .map_err(|_| ReportError::Stopped)?;
    }
    Ok(rows)
}
