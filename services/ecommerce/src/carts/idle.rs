//! Carts that nobody touches any more are marked as abandoned, so that reports can count them.

use std::time::Duration;

use crate::App;
use crate::metric;

/// How often carts are looked at; being abandoned is a matter of hours.
const INTERVAL: Duration = Duration::from_secs(60);

/// Runs [`sweep`] for ever; a failing one is logged and the next one tries again.
pub(crate) async fn run(app: App) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match sweep(&app).await {
            Ok(0) => {}
            Ok(carts) => {
                metric::abandoned(carts);
                tracing::info!(carts, "abandoned carts");
            }
            Err(error) => tracing::warn!(error = kit::telemetry::chain(&error), "looking for abandoned carts failed"),
        }
    }
}

/// Marks the open carts that were idle for too long and answers how many; empty ones stay open, for nothing was left.
///
/// # Errors
/// The database's.
pub(crate) async fn sweep(app: &App) -> Result<u64, sqlx::Error> {
    let swept = sqlx::query!(
        "UPDATE carts SET status = 'abandoned' WHERE id IN (
           SELECT id FROM carts WHERE status = 'open' AND item_count > 0 AND updated_at < now() - make_interval(secs => $1)
           ORDER BY updated_at LIMIT 1000 FOR UPDATE SKIP LOCKED)",
        app.cart_idle.as_secs_f64()
    )
    .execute(&app.db)
    .await?;
    Ok(swept.rows_affected())
}
