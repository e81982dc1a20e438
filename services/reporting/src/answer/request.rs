//! A report as it is requested: resolved before its rows are there, so that a file or a client that has them already
//! spares the computation.

use std::time::Duration;

use ::exports::{Outdated, Provenance, Source};
use ::jobs::document::{self, Document};
use aggregator::{
    publish::{self, Revision},
    report::{Asker, Bounds, Given, Question},
};
use chrono::NaiveDate;
use futures_util::future::join_all;

use super::{AnswerError, Answers, ReportQuery, query::StalePolicy};

/// How long an answer waits for its sources to be polled.
const PATIENCE: Duration = Duration::from_secs(20);

/// A report as it is requested.
pub struct ReportRequest {
    target: Target,
    /// How fresh its sources are, at the moment of the answer or at that of publishing.
    pub sources: Vec<Source>,
    /// Whether what was published is known to be outdated now.
    pub outdated: Option<Outdated>,
}

enum Target {
    Computed(Question),
    Published(Box<Revision>),
}

impl ReportRequest {
    /// What a query asks of the report `name`.
    ///
    /// # Errors
    /// As [`Self::computed`] and [`Self::published`]; [`AnswerError::Stale`] where the query refuses stale sources.
    pub async fn of_query(answers: &Answers, name: &str, query: &ReportQuery) -> Result<Self, AnswerError> {
        let request = match (query.published, query.max_age) {
            (Some((day, revision)), _) => return Self::published(answers, name, day, revision).await,
            (None, Some(most)) => Self::fresh(answers, name, &query.parameters, most).await?,
            (None, None) => Self::computed(answers, name, &query.parameters, query.snapshot).await?,
        };
        let stale: Vec<Source> = request.sources.iter().filter(|source| source.stale).cloned().collect();
        match query.stale {
            StalePolicy::Refuse if !stale.is_empty() => Err(AnswerError::Stale { sources: stale }),
            StalePolicy::Refuse | StalePolicy::Serve => Ok(request),
        }
    }

    /// A report of the latest snapshot, or of another one.
    ///
    /// # Errors
    /// An unknown report, or a parameter or snapshot that is unknown or wrong.
    pub async fn computed(
        answers: &Answers,
        name: &str,
        parameters: &Given,
        snapshot: Option<i64>,
    ) -> Result<Self, AnswerError> {
        let question = answers.aggregator.reports().ask(name, parameters, snapshot).await?;
        let sources = document::sources(&question.sources());
        Ok(Self { target: Target::Computed(question), sources, outdated: None })
    }

    /// A report of the latest snapshot, after polling those of its sources that are older than `most`. A source that
    /// stays older, because it is down or behind itself, is called stale.
    ///
    /// # Errors
    /// As [`Self::computed`].
    pub async fn fresh(answers: &Answers, name: &str, parameters: &Given, most: Duration) -> Result<Self, AnswerError> {
        let mut request = Self::computed(answers, name, parameters, None).await?;
        request.allow_age(most);
        let stale: Vec<String> = request.sources.iter().filter(|it| it.stale).map(|it| it.name.clone()).collect();
        if !stale.is_empty() {
            let polls = join_all(stale.iter().map(|source| answers.aggregator.poller().no_older(source, most)));
            match tokio::time::timeout(PATIENCE, polls).await {
                Ok(polled) => polled.into_iter().filter_map(Result::err).for_each(|error| {
                    tracing::warn!(error = kit::telemetry::chain(&error), "a poll for an answer failed");
                }),
                Err(_) => tracing::info!(seconds = PATIENCE.as_secs(), "an answer waits no longer for its sources"),
            }
            request = Self::computed(answers, name, parameters, None).await?;
            request.allow_age(most);
        }
        Ok(request)
    }

    /// A published revision; the newest of the day when no number is given.
    ///
    /// # Errors
    /// [`AnswerError::Unknown`] or [`AnswerError::UnknownDay`] when there is none.
    pub async fn published(
        answers: &Answers,
        name: &str,
        day: NaiveDate,
        revision: Option<i32>,
    ) -> Result<Self, AnswerError> {
        let revision = publish::revision(&answers.pool, name, day, revision).await?;
        let sources = serde_json::from_value(revision.sources.clone()).unwrap_or_default();
        let outdated = document::outdated(&revision);
        Ok(Self { target: Target::Published(Box::new(revision)), sources, outdated })
    }

    /// What is asked of the lake; none, of what was published.
    #[must_use]
    pub fn question(&self) -> Option<&Question> {
        match &self.target {
            Target::Computed(question) => Some(question),
            Target::Published(_) => None,
        }
    }

    /// Equal for equal rows.
    #[must_use]
    pub fn identity(&self) -> String {
        match &self.target {
            Target::Computed(question) => {
                document::identity(question.report(), question.snapshot(), question.parameters())
            }
            Target::Published(revision) => document::identity_of_revision(revision),
        }
    }

    /// Call sources stale that are older than the caller allows.
    fn allow_age(&mut self, most: Duration) {
        let most = i64::try_from(most.as_secs()).unwrap_or(i64::MAX);
        for source in &mut self.sources {
            source.stale |= source.age_seconds.is_none_or(|age| age > most);
        }
    }

    /// The rows, where they are cached.
    pub async fn cached(&self, answers: &Answers) -> Option<Document> {
        let document = match &self.target {
            Target::Computed(question) => {
                let result = answers.aggregator.reports().kept(question).await?;
                document::of_result(&answers.aggregator, &result)
            }
            Target::Published(revision) => answers.revisions.get(&revision.revision_id).await?,
        };
        Some(self.as_of_now(document))
    }

    /// The same request of somebody else than the service itself.
    #[must_use]
    pub fn by(self, asker: Asker) -> Self {
        let target = match self.target {
            Target::Computed(question) => Target::Computed(question.by(asker)),
            published @ Target::Published(_) => published,
        };
        Self { target, ..self }
    }

    /// The rows, computed or read now. What was published is read in a slot: what waits for one should hold no rows.
    ///
    /// # Errors
    /// What computing or reading them meets.
    pub async fn document(&self, answers: &Answers) -> Result<Document, AnswerError> {
        let document = match &self.target {
            Target::Computed(question) => {
                let result = answers.aggregator.reports().compute(question, Bounds::ON_DEMAND).await?;
                document::of_result(&answers.aggregator, &result)
            }
            Target::Published(revision) => {
                let _slot = answers.slot().await?;
                let rows = publish::rows_of(&answers.pool, revision.as_ref().clone()).await?;
                let document = document::of_published(&answers.aggregator, rows);
                answers.revisions.insert(revision.revision_id, document.clone()).await;
                document
            }
        };
        Ok(self.as_of_now(document))
    }

    pub(super) fn as_of_now(&self, mut document: Document) -> Document {
        self.refresh(&mut document.provenance);
        document
    }

    /// Updates what may have changed since the rows were cached.
    pub(super) fn refresh(&self, provenance: &mut Provenance) {
        provenance.sources.clone_from(&self.sources);
        provenance.outdated.clone_from(&self.outdated);
    }
}
