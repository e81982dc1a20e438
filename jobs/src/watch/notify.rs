//! Sending the notifications of incidents that are due.

use anyhow::Context as _;
use serde_json::json;

use super::{Outcome, Watch};
use crate::{
    engine::{
        JobError, Run,
        incident::{Incident, Kind},
    },
    webhook::{MOST_ATTEMPTS, wait_after},
};

/// The most messages that one run sends; the next goes on.
const MOST: i64 = 200;

#[derive(sqlx::FromRow)]
struct Notice {
    event: String,
    key: uuid::Uuid,
    attempts: i32,
    #[sqlx(flatten)]
    incident: Incident,
}

/// What became of one message.
enum Sent {
    /// The receiver took it.
    Taken,
    /// No address is declared: the incident is there to be seen, and that is all.
    NoAddress,
    /// It is sent again, unless that was the last attempt.
    Failed(anyhow::Error),
}

impl Watch {
    /// Sends every message that is due. The end of an incident is sent after its beginning was sent or given up.
    pub(super) async fn notify(&self, run: &Run, outcome: &mut Outcome) -> Result<(), JobError> {
        let due: Vec<Notice> = sqlx::query_as(
            "SELECT n.event, n.key, n.attempts, i.id, i.kind, i.subject, i.summary, i.facts, i.opened_at, i.closed_at
               FROM jobs.notice n JOIN jobs.incident i ON i.id = n.incident_id
              WHERE n.told_at IS NULL AND n.given_up_at IS NULL AND n.not_before <= clock_timestamp()
                AND NOT EXISTS (SELECT FROM jobs.notice first
                                 WHERE n.event = 'closed' AND first.incident_id = n.incident_id
                                   AND first.event = 'opened' AND first.told_at IS NULL AND first.given_up_at IS NULL)
              ORDER BY n.incident_id LIMIT $1",
        )
        .bind(MOST)
        .fetch_all(self.context.aggregator.db())
        .await
        .context("the messages could not be read")?;
        for notice in due {
            let sent = self.send(&notice).await;
            match &sent {
                Sent::Taken => outcome.notified += 1,
                Sent::NoAddress => {}
                Sent::Failed(error) => {
                    let line = format!("{} {}: {error:#}", notice.incident.summary, notice.event);
                    run.log(format!("not delivered: {line}")).await;
                    outcome.undelivered.push(line);
                }
            }
            self.record(run, &notice, sent).await?;
        }
        Ok(())
    }

    async fn send(&self, notice: &Notice) -> Sent {
        let Notice { event, key, incident, .. } = notice;
        let own = self.urls.get(&incident.subject).filter(|_| incident.kind == Kind::RunFailed);
        let Some(url) = own.or(self.settings.url.as_ref()) else { return Sent::NoAddress };
        let key = key.to_string();
        let message = json!({ "id": key, "event": format!("incident.{event}"), "incident": incident });
        match self.context.webhook.post(url, &key, &message).await {
            Ok(()) => Sent::Taken,
            Err(error) => Sent::Failed(error),
        }
    }

    async fn record(&self, run: &Run, notice: &Notice, sent: Sent) -> Result<(), JobError> {
        let mut tx = run.begin().await?;
        let attempts = notice.attempts + 1;
        let (error, is_over) = match sent {
            Sent::Taken => (None, false),
            Sent::NoAddress => (Some("no address is declared".to_owned()), true),
            Sent::Failed(error) => (Some(format!("{error:#}")), attempts >= MOST_ATTEMPTS),
        };
        sqlx::query!(
            "UPDATE jobs.notice
                SET attempts = $3, error = $4,
                    told_at = CASE WHEN $4::text IS NULL THEN clock_timestamp() END,
                    given_up_at = CASE WHEN $5 THEN clock_timestamp() END,
                    not_before = clock_timestamp() + make_interval(secs => $6)
              WHERE incident_id = $1 AND event = $2",
            notice.incident.id,
            &notice.event,
            attempts,
            error,
            is_over,
            wait_after(attempts).as_secs_f64()
        )
        .execute(&mut *tx)
        .await
        .context("the jobs tables could not be written")?;
        tx.commit().await.context("the jobs tables could not be written")?;
        Ok(())
    }
}
