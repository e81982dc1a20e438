//! Every PromQL query: it parses, and everything it names is shown by something that runs.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use system_tests::grafana::{Board, Query, Scene};
use system_tests::{Api, Stack, exposition, python};

use super::company::shared;

/// Label, operator and value.
type Matcher = (String, String, String);

/// What a query names.
#[derive(Debug, Deserialize)]
struct Named {
    error: Option<String>,
    selectors: Vec<(String, Vec<Matcher>)>,
    /// Labels that are grouped or matched by.
    labels: BTreeSet<String>,
    /// Labels that the query makes itself.
    made: BTreeSet<String>,
}

/// Parses queries with a parser that nobody here wrote.
fn named(queries: &[String]) -> Vec<Named> {
    let answer = python(PROGRAM, &[&serde_json::to_string(queries).unwrap()]);
    serde_json::from_str(&answer).unwrap()
}

const PROGRAM: &str = r#"
import json, sys
import promql_parser as p
OPS = {"MatchOp.Equal": "=", "MatchOp.NotEqual": "!=", "MatchOp.Re": "=~", "MatchOp.NotRe": "!~"}
def visit(node, out):
    if isinstance(node, p.VectorSelector):
        out["selectors"].append([node.name or "", [[m.name, OPS[str(m.op)], m.value] for m in node.matchers.matchers]])
    if isinstance(node, p.AggregateExpr) and node.modifier is not None:
        out["labels"] += node.modifier.labels
    if isinstance(node, p.BinaryExpr) and node.modifier is not None:
        if node.modifier.matching is not None:
            out["labels"] += node.modifier.matching.labels
        out["labels"] += node.modifier.group_labels or []
    if isinstance(node, p.Call) and node.func.name == "label_replace":
        out["made"].append(node.args[1].val)
        out["labels"].append(node.args[3].val)
    for key in ("lhs", "rhs", "expr", "vector_selector", "param"):
        child = getattr(node, key, None)
        if isinstance(child, p.Expr):
            visit(child, out)
    for child in getattr(node, "args", None) or []:
        visit(child, out)
answers = []
for query in json.loads(sys.argv[1]):
    out = {"error": None, "selectors": [], "labels": [], "made": []}
    try:
        visit(p.parse(query), out)
    except ValueError as error:
        out["error"] = str(error)
    answers.append(out)
print(json.dumps(answers))
"#;

/// What Prometheus would hold after scraping the whole system: labels by name of the sample.
pub(super) type Samples = BTreeMap<String, Vec<BTreeMap<String, String>>>;

/// The scrapes, with the labels that `.compose/prometheus.yml` gives each target.
pub(super) async fn samples(stack: &Stack) -> Samples {
    let mut samples = Samples::new();
    for (job, service, text) in scrapes(stack).await {
        let mut target = BTreeMap::from([("job".to_owned(), job.to_owned()), ("instance".to_owned(), service.clone())]);
        if job == "services" {
            target.insert("service".to_owned(), service);
        }
        samples.entry("up".to_owned()).or_default().push(target.clone());
        for (name, mut labels, _) in exposition::parse(&text).into_values().flat_map(|family| family.samples) {
            assert!(!labels.contains_key("job") && !labels.contains_key("instance"), "{name}: Prometheus' own label");
            labels.extend(target.clone());
            samples.entry(name).or_default().push(labels);
        }
    }
    samples
}

/// Job, service and text of each scrape.
pub(super) async fn scrapes(stack: &Stack) -> Vec<(&'static str, String, String)> {
    let state = stack.state();
    let mut all = Vec::new();
    for (service, running) in &state.services {
        let text = Api::new(&running.url, &[]).get("/metrics").await.expect(200).text();
        all.push(("services", service.clone(), text));
    }
    all.push(("gateway", "kong".to_owned(), Api::new(&state.admin, &[]).get("/metrics").await.expect(200).text()));
    all
}

/// Why a query would draw nothing, or not what it says.
fn fault(named: &Named, samples: &Samples) -> Option<String> {
    if let Some(error) = &named.error {
        return Some(error.clone());
    }
    let mut known = named.made.clone();
    for (name, matchers) in &named.selectors {
        let Some(series) = samples.get(name) else { return Some(format!("nothing shows {name}")) };
        known.extend(series.iter().flat_map(BTreeMap::keys).cloned());
        if let Some((label, ..)) = matchers.iter().find(|(label, ..)| !series.iter().any(|it| it.contains_key(label))) {
            return Some(format!("{name} has no label {label}"));
        }
        let equal = |it: &&BTreeMap<String, String>| {
            matchers.iter().all(|(label, op, value)| op != "=" || it.get(label).is_some_and(|has| has == value))
        };
        if !series.iter().any(|it| equal(&it)) {
            return Some(format!("no series of {name} fits {matchers:?}"));
        }
    }
    let lost: Vec<_> = named.labels.difference(&known).collect();
    (!lost.is_empty()).then(|| format!("there is no label {lost:?} among {known:?}"))
}

#[tokio::test]
async fn every_query_parses_and_names_what_is_shown() {
    let samples = samples(shared().await).await;
    let mut places = Vec::new();
    let mut queries = Vec::new();
    for board in Board::all() {
        let span = board.json["time"]["from"].as_str().unwrap().strip_prefix("now-").unwrap();
        let mut scene = Scene::last(span, chrono::Utc::now());
        for variable in board.variables().into_iter().filter(|it| it.source.as_deref() == Some("prometheus")) {
            let (metric, label) = values_of(&variable.query);
            places.push(format!("{}: the variable {}", board.name, variable.name));
            queries.push(format!("count by ({label}) ({metric})"));
            scene.variables.insert(variable.name, vec![variable.all.unwrap()]);
        }
        for panel in board.panels() {
            for target in &panel.targets {
                let Query::Prom { text } = &target.query else { continue };
                assert_eq!(target.source, "prometheus", "{}", panel.place);
                places.push(panel.place.clone());
                queries.push(scene.promql(text).unwrap_or_else(|unknown| panic!("{}: {unknown:?}", panel.place)));
            }
        }
    }
    for (place, query) in super::alerts::promql() {
        places.push(place);
        queries.push(query);
    }
    assert!(queries.len() > 40, "only {} queries were found", queries.len());
    let faults: Vec<String> = named(&queries)
        .iter()
        .zip(places.iter().zip(&queries))
        .filter_map(|(named, (place, query))| Some(format!("{place}: {}\n    {query}", fault(named, &samples)?)))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// `label_values(metric, label)`, the one question that a variable asks Prometheus here.
fn values_of(query: &str) -> (&str, &str) {
    let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
    inside.rsplit_once(", ").unwrap()
}

#[test]
fn a_wrong_query_is_found() {
    let series = |service: &str| BTreeMap::from([("service".to_owned(), service.to_owned())]);
    let samples = Samples::from([("up".to_owned(), vec![series("retail")])]);
    let cases = [
        ("sum by (service) (up)", None),
        ("label_replace(up, \"a\", \"$1\", \"service\", \"(.*)\")", None),
        ("sum by (service (up)", Some("")),
        ("sum(down)", Some("nothing shows down")),
        ("up{shop=\"x\"}", Some("up has no label shop")),
        ("up{service=\"retial\"}", Some("no series of up fits")),
        ("sum by (shop) (up)", Some("there is no label [\"shop\"]")),
        ("rate(up)", Some("")),
    ];
    let queries: Vec<String> = cases.iter().map(|(query, _)| (*query).to_owned()).collect();
    for ((query, wanted), named) in cases.iter().zip(named(&queries)) {
        let found = fault(&named, &samples);
        assert_eq!(found.is_some(), wanted.is_some(), "{query}: {found:?}");
        assert!(found.unwrap_or_default().starts_with(wanted.unwrap_or_default()), "{query}");
    }
}
