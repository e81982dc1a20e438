//! Whose job is next.
//!
//! A job is taken for a short one until it has lasted; then it needs the one turn for long ones, or makes room. So short
//! ones always find a turn among their own, whatever else is asked. An asker has at most one turn of each kind: who asks
//! for much at once waits behind himself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Asker;

/// Short jobs at a time.
pub(super) const SHORT: usize = 2;
/// Statements of which is known that they last, and for how long.
const KNOWN: u64 = 1_000;
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// The kinds of job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Class {
    Short,
    Long,
}

/// The right to have a job computed; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    class: Class,
    _own: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Turn {
    pub(super) fn is_long(&self) -> bool {
        self.class == Class::Long
    }
}

#[derive(Debug)]
pub(super) struct Turns {
    short: Arc<Semaphore>,
    long: Arc<Semaphore>,
    of_askers: Mutex<HashMap<(Class, Asker), Weak<Semaphore>>>,
    lasting: Cache<Arc<str>, ()>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            short: Arc::new(Semaphore::new(SHORT)),
            long: Arc::new(Semaphore::new(1)),
            of_askers: Mutex::default(),
            lasting: Cache::builder().max_capacity(KNOWN).time_to_live(REMEMBERED).build(),
        }
    }

    /// What a statement was when it was computed last.
    pub(super) fn class_of(&self, statement: &Arc<str>) -> Class {
        if self.lasting.contains_key(statement) { Class::Long } else { Class::Short }
    }

    /// Notes that a statement has lasted, or no longer does.
    pub(super) async fn learn(&self, statement: &Arc<str>, class: Class) {
        match class {
            Class::Long => self.lasting.insert(Arc::clone(statement), ()).await,
            Class::Short => self.lasting.invalidate(statement).await,
        }
    }

    /// A turn, when there is one: first among the asker's own jobs, then among all.
    pub(super) async fn take(&self, class: Class, asker: &Asker) -> Turn {
        let own = granted(self.of_asker(class, asker)).await;
        let of_all = granted(Arc::clone(self.of_all(class))).await;
        Turn { class, _own: own, _of_all: of_all }
    }

    /// The turn of a job that has lasted; none while another such job has it.
    pub(super) fn grown_long(&self, asker: &Asker) -> Option<Turn> {
        let own = self.of_asker(Class::Long, asker).try_acquire_owned().ok()?;
        let of_all = Arc::clone(&self.long).try_acquire_owned().ok()?;
        Some(Turn { class: Class::Long, _own: own, _of_all: of_all })
    }

    const fn of_all(&self, class: Class) -> &Arc<Semaphore> {
        match class {
            Class::Short => &self.short,
            Class::Long => &self.long,
        }
    }

    fn of_asker(&self, class: Class, asker: &Asker) -> Arc<Semaphore> {
        let mut known = self.of_askers.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, turns| turns.strong_count() > 0);
        let key = (class, asker.clone());
        let found = known.get(&key).and_then(Weak::upgrade);
        found.unwrap_or_else(|| {
            let fresh = Arc::new(Semaphore::new(1));
            known.insert(key, Arc::downgrade(&fresh));
            fresh
        })
    }
}

async fn granted(of: Arc<Semaphore>) -> OwnedSemaphorePermit {
    match of.acquire_owned().await {
        Ok(granted) => granted,
        // Nobody closes one.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::{Asker, Class, Turns};

    #[tokio::test]
    async fn an_asker_has_one_turn_of_each_kind_and_short_jobs_always_find_one() {
        let turns = Turns::new();
        let (one, other) = (Asker::consumer("one"), Asker::consumer("other"));
        let short = turns.take(Class::Short, &one).await;
        let mut second = Box::pin(turns.take(Class::Short, &one));
        assert!(poll!(&mut second).is_pending(), "who asks for much waits behind himself");
        let of_other = turns.take(Class::Short, &other).await;
        // The first grows long, which frees its turn among the short ones.
        let long = turns.grown_long(&one).unwrap();
        assert!(turns.grown_long(&other).is_none(), "one long job at a time");
        drop(short);
        let second = second.await;
        let mut third = Box::pin(turns.take(Class::Long, &other));
        assert!(poll!(&mut third).is_pending());
        drop(long);
        assert!(third.await.is_long());
        drop((second, of_other));
        drop(turns.take(Class::Short, &Asker::default()).await);
        assert!(turns.of_askers.lock().unwrap().len() <= 1, "askers who have no turn are forgotten");
    }

    #[tokio::test]
    async fn what_has_lasted_is_taken_for_long_until_it_is_quick() {
        let (turns, statement) = (Turns::new(), "SELECT 1".into());
        assert_eq!(turns.class_of(&statement), Class::Short);
        turns.learn(&statement, Class::Long).await;
        assert_eq!(turns.class_of(&statement), Class::Long);
        turns.learn(&statement, Class::Short).await;
        assert_eq!(turns.class_of(&statement), Class::Short);
    }
}
