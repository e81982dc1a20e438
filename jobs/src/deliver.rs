//! The job `deliver`: copy export packs to another folder and notify a webhook of them, as `[export]` declares.
//!
//! What is to be delivered is a row, written in the transaction that published the pack's manifest, and tried until it
//! is done: a pack whose content did not change is the same pack and is delivered once. In the other folder each file
//! appears whole or not at all, and the manifest last; the webhook gets the manifest, under a key of the pack.

mod folder;

use anyhow::Context as _;
use chrono::NaiveDate;
use serde::Serialize;
use serde_json::json;
use sqlx::PgConnection;

use crate::{
    context::Context,
    engine::{Job, JobError, Run},
    export_pack::{ExportSettings, Manifest},
    nothing::Nothing,
    webhook::{MOST_ATTEMPTS, wait_after},
};

/// The most packs that one run delivers; the next goes on.
const MOST: i64 = 200;

/// Delivers what waits.
pub struct Deliver {
    context: Context,
}

impl Deliver {
    /// The job over a context.
    #[must_use]
    pub fn new(context: &Context, _: Nothing) -> Self {
        Self { context: context.clone() }
    }
}

/// What the run came to.
#[derive(Debug, Default, Serialize)]
pub struct Outcome {
    /// Packs that arrived.
    pub delivered: usize,
    /// Packs that did not, with the reason; they are tried again.
    pub failed: Vec<String>,
}

struct Waiting {
    id: i64,
    business_day: NaiveDate,
    pack_sha256: String,
    destination: String,
    attempts: i32,
}

/// Note that a pack is to be delivered; one of the same day that still waits gives way to it.
pub(crate) async fn note(
    connection: &mut PgConnection,
    settings: &ExportSettings,
    day: NaiveDate,
    pack_sha256: &str,
) -> Result<(), JobError> {
    let destinations = [("folder", settings.folder.is_some()), ("webhook", settings.webhook.is_some())];
    for (destination, _) in destinations.into_iter().filter(|(_, wanted)| *wanted) {
        sqlx::query!(
            "WITH noted AS (
                 INSERT INTO exports.delivery (business_day, pack_sha256, destination) VALUES ($1, $2, $3)
                 ON CONFLICT ON CONSTRAINT delivery_pack_once DO NOTHING
                 RETURNING id)
             UPDATE exports.delivery SET given_up_at = clock_timestamp(), error = 'a newer pack of the day took its place'
              WHERE business_day = $1 AND destination = $3 AND pack_sha256 <> $2
                AND delivered_at IS NULL AND given_up_at IS NULL AND EXISTS (SELECT FROM noted)",
            day,
            pack_sha256,
            destination
        )
        .execute(&mut *connection)
        .await
        .context("the pack could not be noted for delivery")?;
    }
    Ok(())
}

impl Job for Deliver {
    const NAME: &'static str = "deliver";
    type Arguments = Nothing;
    type Outcome = Outcome;

    async fn run(&self, _: Nothing, run: &Run) -> Result<Outcome, JobError> {
        let mut outcome = Outcome::default();
        let waiting: Vec<Waiting> = sqlx::query_as!(
            Waiting,
            "SELECT id, business_day, pack_sha256, destination, attempts FROM exports.delivery
              WHERE delivered_at IS NULL AND given_up_at IS NULL AND not_before <= clock_timestamp()
              ORDER BY id LIMIT $1",
            MOST
        )
        .fetch_all(self.context.aggregator.db())
        .await
        .context("the exports tables could not be read")?;
        for pack in waiting {
            let result = self.deliver(&pack).await;
            if let Err(error) = &result {
                let line = format!("{} to the {}: {error:#}", pack.business_day, pack.destination);
                run.log(format!("not delivered: {line}")).await;
                outcome.failed.push(line);
            } else {
                run.log(format!("{} delivered to the {}", pack.business_day, pack.destination)).await;
                outcome.delivered += 1;
            }
            self.record(run, &pack, result.err()).await?;
        }
        Ok(outcome)
    }

    fn is_quiet(outcome: &Outcome) -> bool {
        outcome.delivered == 0 && outcome.failed.is_empty()
    }
}

impl Deliver {
    async fn deliver(&self, pack: &Waiting) -> anyhow::Result<()> {
        let Context { aggregator, exports_dir, webhook, export, .. } = &self.context;
        let mut connection = aggregator.db().acquire().await.context("the exports tables could not be read")?;
        let manifest = Manifest::of(&mut connection, pack.business_day).await?;
        drop(connection);
        match (pack.destination.as_str(), &export.folder, &export.webhook) {
            ("folder", Some(target), _) => {
                let (from, target) = (exports_dir.clone(), target.clone());
                tokio::task::spawn_blocking(move || folder::copy(&from, &target, &manifest)).await?
            }
            ("webhook", _, Some(url)) => {
                let digest: String = pack.pack_sha256.chars().take(16).collect();
                let key = format!("pack-{}-{digest}", pack.business_day);
                let message = json!({ "id": key, "event": "export.published", "pack": manifest });
                webhook.post(url, &key, &message).await
            }
            _ => anyhow::bail!("this destination is no longer declared"),
        }
    }

    async fn record(&self, run: &Run, pack: &Waiting, failure: Option<anyhow::Error>) -> Result<(), JobError> {
        let mut tx = run.begin().await?;
        let attempts = pack.attempts + 1;
        sqlx::query!(
            "UPDATE exports.delivery
                SET attempts = $2, error = $3,
                    delivered_at = CASE WHEN $3::text IS NULL THEN clock_timestamp() END,
                    given_up_at = CASE WHEN $3 IS NOT NULL AND $4 THEN clock_timestamp() END,
                    not_before = clock_timestamp() + make_interval(secs => $5)
              WHERE id = $1",
            pack.id,
            attempts,
            failure.map(|error| format!("{error:#}")),
            attempts >= MOST_ATTEMPTS,
            wait_after(attempts).as_secs_f64()
        )
        .execute(&mut *tx)
        .await
        .context("the exports tables could not be written")?;
        tx.commit().await.context("the exports tables could not be written")?;
        Ok(())
    }
}
