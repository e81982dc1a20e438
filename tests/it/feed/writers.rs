//! Writers that do what a shop does, in transactions of random length, and a ledger of what they committed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::{PgConnection, PgPool};
use tokio_util::sync::CancellationToken;

/// What is known to be committed: at least this version of a document or item, or its deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Version(i32),
    Deleted,
}

/// Documents and items that are committed, by dataset and id. A writer notes a thing after its COMMIT answered, so
/// whoever copies the ledger and then asks for a head must find all of it.
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<BTreeMap<(&'static str, String), Known>>>);

impl Ledger {
    pub(crate) fn now(&self) -> BTreeMap<(&'static str, String), Known> {
        self.0.lock().expect("the ledger").clone()
    }

    fn note(&self, dataset: &'static str, id: String, version: Known) {
        let mut ledger = self.0.lock().expect("the ledger");
        let entry = ledger.entry((dataset, id)).or_insert_with(|| version.clone());
        *entry = match (entry.clone(), version) {
            (Known::Version(old), Known::Version(new)) => Known::Version(old.max(new)),
            _ => Known::Deleted,
        };
    }
}

/// Starts `count` writers whose transactions stay open up to `longest` seconds; they end when `stop` is cancelled.
pub(crate) fn start(
    pool: &PgPool,
    ledger: &Ledger,
    seed: u64,
    count: u64,
    longest: f64,
    stop: &CancellationToken,
) -> Vec<tokio::task::JoinHandle<()>> {
    (0..count)
        .map(|n| {
            let (pool, ledger, stop) = (pool.clone(), ledger.clone(), stop.clone());
            let mut random = StdRng::seed_from_u64(seed.wrapping_mul(1_000).wrapping_add(n));
            tokio::spawn(async move {
                while !stop.is_cancelled() {
                    step(&pool, &ledger, &mut random, longest).await;
                }
            })
        })
        .collect()
}

/// One transaction: a new document, a void, a late line, a deletion, or a count of stock.
pub(crate) async fn step(pool: &PgPool, ledger: &Ledger, random: &mut StdRng, longest: f64) {
    let mut transaction = kit::db::begin(pool).await.expect("a transaction");
    // Some wait before they write, some after, some not at all: a number is taken at the first write only.
    let pause = |random: &mut StdRng| if random.random_bool(0.5) { random.random_range(0.0..=longest) } else { 0.0 };
    let (before, after) = (pause(random), pause(random));
    wait(&mut transaction, before).await;
    let mut notes = Vec::new();
    match random.random_range(0..10) {
        0..=3 => {
            let id: i64 = sqlx::query_scalar("INSERT INTO docs DEFAULT VALUES RETURNING id")
                .fetch_one(&mut *transaction)
                .await
                .expect("a document");
            for code in ["a", "b'\"\n", "c,ü"].iter().take(random.random_range(1..=3)) {
                add_line(&mut transaction, id, code, random).await;
            }
            notes.push(("doc_lines", id.to_string(), Known::Version(1)));
        }
        4 | 5 => {
            if let Some((id, version)) = change(&mut transaction, random, "status = 'voided'").await {
                notes.push(("doc_lines", id.to_string(), Known::Version(version)));
            }
        }
        6 | 7 => {
            // The line only: the header is stamped by trigger.
            let found: Option<i64> = pick(&mut transaction, random).await;
            if let Some(id) = found {
                let code = format!("late-{}", random.random_range(0..1_000_000_000));
                add_line(&mut transaction, id, &code, random).await;
            }
        }
        8 => {
            if let Some((id, _)) = change(&mut transaction, random, "deleted = true").await {
                notes.push(("doc_lines", id.to_string(), Known::Deleted));
            }
        }
        _ => {
            let sku = format!("sku-{}", random.random_range(0..20));
            let version: i32 = sqlx::query_scalar(
                "INSERT INTO items (sku) VALUES ($1)
                 ON CONFLICT (sku) DO UPDATE SET version = items.version + 1 RETURNING version",
            )
            .bind(&sku)
            .fetch_one(&mut *transaction)
            .await
            .expect("an item");
            notes.push(("items", sku, Known::Version(version)));
        }
    }
    wait(&mut transaction, after).await;
    if random.random_bool(0.1) {
        transaction.rollback().await.expect("a rollback");
        return;
    }
    transaction.commit().await.expect("a commit");
    for (dataset, id, version) in notes {
        ledger.note(dataset, id, version);
    }
}

/// The length of the transaction is the load: it is the database that waits, with the transaction open.
async fn wait(connection: &mut PgConnection, seconds: f64) {
    if seconds > 0.0 {
        sqlx::query("SELECT pg_sleep($1)").bind(seconds).execute(connection).await.expect("a pause");
    }
}

async fn pick(connection: &mut PgConnection, random: &mut StdRng) -> Option<i64> {
    sqlx::query_scalar("SELECT id FROM docs ORDER BY id DESC OFFSET $1 LIMIT 1")
        .bind(random.random_range(0..30_i64))
        .fetch_optional(connection)
        .await
        .expect("a document")
}

async fn change(connection: &mut PgConnection, random: &mut StdRng, what: &'static str) -> Option<(i64, i32)> {
    let id = pick(connection, random).await?;
    let sql = match what {
        "deleted = true" => "UPDATE docs SET version = version + 1, deleted = true WHERE id = $1 RETURNING id, version",
        _ => "UPDATE docs SET version = version + 1, status = 'voided' WHERE id = $1 RETURNING id, version",
    };
    Some(sqlx::query_as(sql).bind(id).fetch_one(connection).await.expect("a change"))
}

async fn add_line(connection: &mut PgConnection, id: i64, code: &str, random: &mut StdRng) {
    let note = random.random_bool(0.5).then(|| format!("note, \"{}\"", random.random_range(0..9)));
    sqlx::query("INSERT INTO doc_lines (doc_id, code, cents, note) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(code)
        .bind(random.random_range(-10_000..1_000_000_i64))
        .bind(note)
        .execute(connection)
        .await
        .expect("a line");
}
