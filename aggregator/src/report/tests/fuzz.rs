//! A differential fuzzer: statements of the language at random, in our engine and in DuckDB.
//!
//! 300 statements of one seed; with `TRIBUTARY_SOAK` 100,000 of a seed of chance, and then more of those with a form in a
//! place where it had come seldom. `TRIBUTARY_SEED` gives a printed seed back.

mod calls;
mod expressions;
mod forms;
mod from;
mod generate;
mod judge;
mod ours;
mod shrink;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use polars::prelude::Engine;

use crate::report::language::bind::parse;
use crate::report::language::plan::cure::{Cure, revert};
use forms::{Forms, Pair, pairs_of};
use generate::{Statement, statement};
use judge::Judge;
use ours::{Outcome, Sound, compute, difference, sound};

/// Statements that are asked for at once.
const BATCH: usize = 100;

/// How often each form stands in each other that it may stand in.
const EACH_PAIR: usize = 200;
/// Statements that are generated at once to find those with a pair that is still rare, and how often that is done.
const ROUND: u64 = 50_000;
const ROUNDS: u64 = 100;

/// Whether a statement is worth running.
type IsWanted = fn(&str) -> bool;

/// A statement on which the engines differ.
struct Difference {
    seed: u64,
    sound: Sound,
    tolerant: Vec<bool>,
    what: String,
}

#[derive(Default)]
struct Found {
    accepted: usize,
    refused: BTreeMap<String, usize>,
    differences: Vec<Difference>,
    forms: Forms,
}

fn engine(seed: u64) -> Engine {
    if seed % 4 < 2 { Engine::Streaming } else { Engine::InMemory }
}

/// Runs the statements of seeds that are wanted through both engines; with `first`, until a difference.
fn run(seeds: impl Iterator<Item = u64>, is_wanted: impl Fn(&str) -> bool, first: bool) -> Found {
    let tables = tables::tables();
    let frames = tables::frames(&tables);
    let mut judge = Judge::new(&tables);
    let mut found = Found::default();
    let mut seeds =
        seeds.map(|seed| (seed, statement(seed))).filter(|(_, statement)| is_wanted(&statement.sql)).peekable();
    while (found.differences.is_empty() || !first) && seeds.peek().is_some() {
        let mut cases = Vec::new();
        for (seed, statement) in seeds.by_ref().take(if first { 20 } else { BATCH }) {
            match sound(&statement, &frames) {
                Ok(sound) => cases.push((seed, statement, sound)),
                Err(reason) => *found.refused.entry(reason).or_default() += 1,
            }
        }
        judge.ask(&cases.iter().map(|(_, _, sound)| sound.text.clone()).collect::<Vec<_>>());
        let ours: Vec<Outcome> =
            cases.iter().map(|(seed, _, sound)| compute(&sound.query, &frames, engine(*seed))).collect();
        for (((seed, Statement { tolerant, .. }, sound), ours), theirs) in
            cases.into_iter().zip(ours).zip(judge.answers())
        {
            found.accepted += 1;
            found.forms.add(&sound.query);
            if let Some(what) = difference(&ours, &theirs, &tolerant) {
                found.differences.push(Difference { seed, sound, tolerant, what });
            }
        }
    }
    found
}

/// On both cores, each with a judge of its own: the statements of so many seeds, or those with one of these pairs.
fn run_on_both(first: u64, count: u64, pairs: Option<&Arc<BTreeSet<Pair>>>) -> Found {
    let half = |of: u64| {
        let seeds = (first..first + count).filter(move |seed| (seed ^ (seed >> 2)) % 2 == of);
        let pairs = pairs.cloned();
        let is_wanted = move |sql: &str| {
            let has =
                |pairs: &BTreeSet<Pair>| parse(sql).is_ok_and(|it| pairs_of(&it).iter().any(|it| pairs.contains(it)));
            pairs.as_deref().is_none_or(has)
        };
        deep(move || run(seeds, is_wanted, false))
    };
    let (one, two) = (half(0), half(1));
    let (mut one, two) = (one.join().unwrap(), two.join().unwrap());
    one.join(two);
    one
}

impl Found {
    fn join(&mut self, other: Self) {
        self.accepted += other.accepted;
        for (reason, count) in other.refused {
            *self.refused.entry(reason).or_default() += count;
        }
        self.differences.extend(other.differences);
        self.forms.join(other.forms);
    }
}

/// On a thread with a stack as the engine has it.
fn deep<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> std::thread::JoinHandle<T> {
    std::thread::Builder::new().stack_size(256 << 20).spawn(work).unwrap()
}

/// The smallest statement that shows a difference, and the fewest rows.
fn smallest(difference: Difference) -> String {
    let Difference { seed, sound, tolerant, what } = difference;
    let mut tables = tables::tables();
    let mut judge = Judge::new(&tables);
    let mut frames = tables::frames(&tables);
    let known = frames.keys().cloned().collect();
    let schemas = tables::schemas(&frames);
    let all = vec![tolerant.iter().any(|it| *it); 64];
    let (query, text) = shrink::shrunk(&sound.query, |query, text| {
        let is_sound = crate::report::language::check::check(query, &known).is_ok()
            && crate::report::language::schema::output(query, &schemas, &BTreeMap::new()).is_ok();
        is_sound && {
            judge.ask(&[text.to_owned()]);
            difference_of(query, &frames, seed, &judge.answers()[0], &all).is_some()
        }
    });
    for table in 0..tables.len() {
        for row in (0..tables[table].rows.len()).rev() {
            let gone = tables[table].rows.remove(row);
            judge.load(&tables);
            frames = tables::frames(&tables);
            judge.ask(std::slice::from_ref(&text));
            if difference_of(&query, &frames, seed, &judge.answers()[0], &all).is_none() {
                tables[table].rows.insert(row, gone);
            }
        }
    }
    let rows: Vec<String> = tables.iter().map(|table| format!("{} {:?}", table.name, table.rows)).collect();
    format!(
        "seed {seed}: {what}
  {}\nshrunk: {text}\n  over {}",
        sound.text,
        rows.join("; ")
    )
}

fn difference_of(
    query: &sqlparser::ast::Query,
    frames: &BTreeMap<String, polars::prelude::DataFrame>,
    seed: u64,
    theirs: &serde_json::Value,
    tolerant: &[bool],
) -> Option<String> {
    difference(&compute(query, frames, engine(seed)), theirs, tolerant)
}

#[expect(
    clippy::disallowed_methods,
    reason = "a campaign's length and seed are the environment's, as in tests/src/campaign.rs"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn campaign() -> (u64, u64, bool) {
    let is_long = setting("TRIBUTARY_SOAK").is_some_and(|it| it == "1");
    let chance = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() << 20;
    let seed = setting("TRIBUTARY_SEED").and_then(|seed| seed.parse().ok());
    let count = setting("TRIBUTARY_STATEMENTS").and_then(|it| it.parse().ok());
    let seed = seed.unwrap_or_else(|| if is_long { chance() } else { 1 });
    (seed, count.unwrap_or(if is_long { 100_000 } else { 300 }), is_long)
}

#[test]
fn every_statement_that_is_sound_is_what_duckdb_says() {
    let (seed, count, is_long) = campaign();
    println!("TRIBUTARY_SEED={seed}");
    let mut found = run_on_both(seed, count, None);
    let refused: usize = found.refused.values().sum();
    println!("{} accepted, {refused} refused", found.accepted);
    // What is refused proves nothing.
    assert!(found.accepted * 10 > usize::try_from(count).unwrap() * 9, "{:?}", found.refused);
    let pairs = found.forms.all();
    let mut rare = found.forms.below(EACH_PAIR, pairs.iter().cloned());
    if is_long {
        let mut next = seed + count;
        while !rare.is_empty() && found.differences.is_empty() && next < seed + count + ROUND * ROUNDS {
            found.join(run_on_both(next, ROUND, Some(&Arc::new(rare))));
            next += ROUND;
            rare = found.forms.below(EACH_PAIR, pairs.iter().cloned());
        }
    }
    println!("{} accepted, {} pairs of forms, {} of them below {EACH_PAIR}", found.accepted, pairs.len(), rare.len());
    let differ = found.differences.len();
    let shown: Vec<String> =
        found.differences.into_iter().take(10).map(|it| deep(|| smallest(it)).join().unwrap()).collect();
    assert!(shown.is_empty(), "{differ} of {} differ:\n{}", found.accepted, shown.join("\n\n"));
    let forms = found.forms.forms();
    assert!(forms.len() > 60 && forms.contains_key("ORDER BY expression"), "{forms:?}");
    assert!(!is_long || rare.is_empty(), "{rare:?}");
}

/// With a cure taken back, the fuzzer finds what it cures.
#[test]
fn each_cure_is_missed_when_it_is_gone() {
    let (seed, ..) = campaign();
    let cures: [(Cure, IsWanted); 9] = [
        (Cure::OuterJoin, |sql| (sql.contains("LEFT") || sql.contains("FULL")) && sql.contains(" AND ")),
        (Cure::RangeJoin, |sql| sql.contains(" JOIN ") && (sql.contains(" < ") || sql.contains(" >= "))),
        (Cure::RunningAverage, |sql| sql.contains("AVG(") && sql.contains(" OVER (") && sql.contains("ROWS")),
        (Cure::Peers, |sql| sql.contains("SUM(") && sql.contains(" OVER (")),
        (Cure::Division, |sql| sql.contains(" / 49)") || sql.contains(" / 98)") || sql.contains(" / 7)")),
        (Cure::ZeroDivisor, |sql| sql.contains(" / x") && (sql.contains("AVG(") || sql.contains(" IS "))),
        (Cure::NullsLast, |sql| sql.contains(" DESC")),
        (Cure::Rounding, |sql| sql.contains("CAST(2.5 AS BIGINT)") || sql.contains(" AS BIGINT)")),
        (Cure::LetterCase, |sql| sql.contains("UPPER(") || sql.contains("LOWER(")),
    ];
    for (cure, has_form) in cures {
        let found = deep(move || {
            revert(Some(cure));
            run((seed..seed + 40_000).take(40_000), has_form, true)
        });
        let found = found.join().unwrap();
        println!("{cure:?}: found after {} statements", found.accepted);
        assert!(!found.differences.is_empty(), "{cure:?} was not found in {} statements", found.accepted);
    }
}
