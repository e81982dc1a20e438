//! Each crate's list of metrics against what the running system shows: all of it, described, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};
use system_tests::exposition;

use super::company::shared;
use super::promql::scrapes;

/// Kind, unit and meaning, by name.
type List = BTreeMap<String, (&'static str, Option<Unit>, String)>;

/// Listens to the descriptions and to nothing else.
#[derive(Default)]
struct Listener(Arc<Mutex<List>>);

impl Listener {
    fn note(&self, kind: &'static str, name: &KeyName, unit: Option<Unit>, text: &SharedString) {
        let before = self.0.lock().unwrap().insert(name.as_str().to_owned(), (kind, unit, text.to_string()));
        assert!(before.is_none(), "{} is listed twice", name.as_str());
    }
}

impl Recorder for Listener {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.note("counter", &name, unit, &text);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.note("gauge", &name, unit, &text);
    }

    fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, text: SharedString) {
        self.note("histogram", &name, unit, &text);
    }

    fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
        Counter::noop()
    }

    fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::noop()
    }

    fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::noop()
    }
}

/// What the crates of one service list.
fn listed(crates: &[fn()]) -> List {
    let listener = Listener::default();
    let list = Arc::clone(&listener.0);
    metrics::with_local_recorder(&listener, || crates.iter().for_each(|describe| describe()));
    list.lock().unwrap().clone()
}

/// The crates whose metrics each service shows.
fn crates(service: &str) -> Vec<fn()> {
    match service {
        "inventory" => vec![kit::metric::describe, inventory::metric::describe],
        "retail" => vec![kit::metric::describe, retail::metric::describe],
        "ecommerce" => vec![kit::metric::describe, ecommerce::metric::describe],
        "reporting" => {
            vec![
                kit::metric::describe,
                aggregator::metric::describe,
                jobs::metric::describe,
                exports::metric::describe,
                reporting::metric::describe,
            ]
        }
        _ => panic!("{service} is no service"),
    }
}

#[tokio::test]
async fn what_is_listed_is_shown_and_what_is_shown_is_listed() {
    let mut missing: BTreeSet<String> = BTreeSet::new();
    let mut shown_somewhere: BTreeSet<String> = BTreeSet::new();
    for (job, service, text) in scrapes(shared().await).await {
        if job == "gateway" {
            continue;
        }
        let list = listed(&crates(&service));
        for (name, family) in exposition::parse(&text) {
            let Some((kind, _, meaning)) = list.get(&name) else {
                panic!("{service} shows {name}, which is in no list")
            };
            assert_eq!((family.kind.as_str(), &family.help), (*kind, meaning), "{service}: {name}");
            assert!(!family.samples.is_empty(), "{service}: {name} has no value");
            shown_somewhere.insert(name);
        }
        missing.extend(list.into_keys());
    }
    let silent: Vec<_> = missing.difference(&shown_somewhere).collect();
    assert!(silent.is_empty(), "listed and never shown: {silent:?}");
}

/// The conventions that every Prometheus user expects: base units in the name, `_total` for what only grows.
#[test]
fn names_follow_prometheus() {
    for service in ["inventory", "retail", "ecommerce", "reporting"] {
        for (name, (kind, unit, meaning)) in listed(&crates(service)) {
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
                "{name}"
            );
            // A sum of fractions is a gauge to the recorder, whose counters hold whole numbers.
            let grows = kind == "counter" || name == "process_cpu_seconds_total";
            assert_eq!(name.ends_with("_total"), grows, "{name} is a {kind}");
            let base = name.trim_end_matches("_total");
            match unit {
                Some(Unit::Seconds) => assert!(base.ends_with("_seconds"), "{name} is in seconds"),
                Some(Unit::Bytes) => assert!(base.ends_with("_bytes"), "{name} is in bytes"),
                Some(Unit::Count) => assert!(!base.ends_with("_seconds") && !base.ends_with("_bytes"), "{name}"),
                other => panic!("{name} is in {other:?}"),
            }
            assert!(meaning.len() > 5 && !meaning.ends_with('.'), "{name}: {meaning}");
        }
    }
}
