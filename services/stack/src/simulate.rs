//! `stack simulate`: shoppers and tills through the public API, at a given rate for a given time, and what they met.

mod client;
mod tally;
mod visit;
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::seed::random::Random;
use crate::state::State;
use client::Client;
pub use tally::{Action, Service, Tally};
use world::World;

/// How much traffic to make.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Visits begun per second; a visit is several requests.
    pub rate: f64,
    /// For how long visits are begun.
    pub length: Duration,
    /// Visitors at one time, at most: a system that falls behind is visited later, not by a growing crowd.
    pub users: usize,
    /// Tries of a request that may be sent again.
    pub tries: u32,
    /// Another number makes other visits.
    pub seed: u64,
}

impl Default for Traffic {
    /// The tries take longer than a service needs to be started again.
    fn default() -> Self {
        Self { rate: 10.0, length: Duration::from_secs(60), users: 50, tries: 8, seed: 1 }
    }
}

/// Makes the traffic and returns what was met. A visit that has begun is finished.
///
/// # Errors
/// [`Error::Call`] when there is nothing to visit: no stores or products, or no gateway.
pub async fn run(state: &State, traffic: &Traffic, tell: &mut impl FnMut(&str)) -> Result<Tally> {
    let client = Arc::new(Client::new(state, traffic.tries)?);
    let world = Arc::new(World::look(&client).await?);
    tell(&format!(
        "simulate: {} visits a second for {} s, {} visitors at most, {}",
        traffic.rate,
        traffic.length.as_secs(),
        traffic.users,
        world.describe()
    ));
    // The looks around were not part of the traffic.
    client.take_tally();
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let mut users = tokio::task::JoinSet::new();
    for _ in 0..traffic.users {
        users.spawn(visitor(client.clone(), world.clone(), traffic.clone(), next.clone(), begun));
    }
    let mut clock = tokio::time::interval(Duration::from_secs(5));
    clock.tick().await;
    loop {
        tokio::select! {
            ended = users.join_next() => match ended {
                None => break,
                Some(Ok(())) => {}
                Some(Err(error)) => return Err(Error::Call { what: "a visitor".to_owned(), reason: error.to_string() }),
            },
            _ = clock.tick() => tell(&format!("simulate: {:>4} s, {}", begun.elapsed().as_secs(), client.so_far())),
        }
    }
    let mut tally = client.take_tally();
    tally.seconds = begun.elapsed().as_secs_f64();
    Ok(tally)
}

/// One visitor: takes the next visit that is due, until the time is up.
async fn visitor(client: Arc<Client>, world: Arc<World>, traffic: Traffic, next: Arc<AtomicU64>, begun: Instant) {
    loop {
        let n = next.fetch_add(1, Ordering::Relaxed);
        // Visits are spread evenly; the count is far below what an f64 holds exactly.
        #[expect(clippy::cast_precision_loss, reason = "a number of visits, not of atoms")]
        let due = Duration::from_secs_f64(n as f64 / traffic.rate.max(0.001));
        if due >= traffic.length {
            return;
        }
        tokio::time::sleep_until((begun + due).into()).await;
        visit::one(&client, &world, Random::of(traffic.seed, "visit", &[n])).await;
    }
}
