//! Whose job is next.
//!
//! A job is taken for a short one until it has lasted; then it needs the one turn for long ones, or makes room. So short
//! ones always find a turn among their own, whatever else is asked. An asker has at most one turn of each kind: who asks
//! for much at once waits behind himself. The service computes several reports of a night at a time, and leaves one of
//! the short turns to everybody else.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Asker, Work};

/// Short jobs at a time.
pub(super) const SHORT: usize = 3;
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
    /// Reports that last when the service asks: its statements have other dates each night.
    lasting_reports: Mutex<HashSet<String>>,
}

impl Turns {
    pub(super) fn new() -> Self {
        Self {
            short: Arc::new(Semaphore::new(SHORT)),
            long: Arc::new(Semaphore::new(1)),
            of_askers: Mutex::default(),
            lasting: Cache::builder().max_capacity(KNOWN).time_to_live(REMEMBERED).build(),
            lasting_reports: Mutex::default(),
        }
    }

    /// What a job was when it was computed last.
    pub(super) fn class_of(&self, work: &Work, asker: &Asker) -> Class {
        let report = &work.shape.report;
        let lasts =
            self.lasting.contains_key(&work.statement) || (*asker == Asker::Service && self.reports().contains(report));
        if lasts { Class::Long } else { Class::Short }
    }

    /// Notes that a job has lasted, or no longer does.
    pub(super) async fn learn(&self, work: &Work, asker: &Asker, class: Class) {
        let (statement, report) = (&work.statement, &work.shape.report);
        match class {
            Class::Long => self.lasting.insert(Arc::clone(statement), ()).await,
            Class::Short => self.lasting.invalidate(statement).await,
        }
        if *asker == Asker::Service {
            match class {
                Class::Long => drop(self.reports().insert(report.clone())),
                Class::Short => drop(self.reports().remove(report)),
            }
        }
    }

    fn reports(&self) -> MutexGuard<'_, HashSet<String>> {
        self.lasting_reports.lock().unwrap_or_else(PoisonError::into_inner)
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
            let most = if key == (Class::Short, Asker::Service) { SHORT - 1 } else { 1 };
            let fresh = Arc::new(Semaphore::new(most));
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
    use std::collections::BTreeMap;

    use futures_util::poll;

    use super::{Asker, Class, SHORT, Turns, Work};
    use crate::report::language::header::Engine;
    use crate::report::run::engine::Shape;

    #[tokio::test]
    async fn an_asker_has_one_turn_of_each_kind_and_short_jobs_always_find_one() {
        let turns = Turns::new();
        let (one, other) = (Asker::consumer(Some("one")), Asker::consumer(Some("other")));
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
    async fn the_service_leaves_a_turn_to_others_and_takes_none_of_theirs_away() {
        let turns = Turns::new();
        let mut taken = Vec::new();
        for _ in 1..SHORT {
            taken.push(turns.take(Class::Short, &Asker::Service).await);
        }
        let mut another = Box::pin(turns.take(Class::Short, &Asker::Service));
        assert!(poll!(&mut another).is_pending());
        drop(turns.take(Class::Short, &Asker::Run).await);
        drop(taken.pop().unwrap());
        assert!(poll!(&mut another).is_ready());
    }

    fn work(statement: &str) -> Work {
        let shape = Shape {
            report: "r".to_owned(),
            engine: Engine::Streaming,
            columns: Vec::new(),
            key: Vec::new(),
            most_rows: 9,
        };
        Work { shape, statement: statement.into(), datasets: BTreeMap::new(), kept: BTreeMap::new() }
    }

    #[tokio::test]
    async fn what_has_lasted_is_taken_for_long_until_it_is_quick() {
        let (turns, one, other) = (Turns::new(), work("SELECT 1"), work("SELECT 2"));
        let somebody = Asker::consumer(None);
        for (asker, of_other) in [(somebody.clone(), Class::Short), (Asker::Service, Class::Long)] {
            assert_eq!(turns.class_of(&one, &asker), Class::Short);
            turns.learn(&one, &asker, Class::Long).await;
            assert_eq!(turns.class_of(&one, &somebody), Class::Long);
            assert_eq!(turns.class_of(&other, &asker), of_other, "the service knows a report by its name");
            assert_eq!(turns.class_of(&other, &somebody), Class::Short);
            turns.learn(&one, &asker, Class::Short).await;
            assert_eq!(turns.class_of(&one, &asker), Class::Short);
        }
    }
}
