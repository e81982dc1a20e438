//! The files themselves: of the schema they claim, told apart for ever, explained, and leading somewhere.
//!
//! `files/grafana-schema.json` is made of Grafana's own types (`@grafana/schema` 13.2.3, Apache-2.0, beside it) by
//! ts-json-schema-generator 2.3.0: `dashboard`, and for each kind of panel its options and its field settings.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use system_tests::grafana::{Board, Panel, folder};

/// The newest schema that the types know.
const SCHEMA_VERSION: u64 = 42;

/// Bookmarks, alerts and links hold on to these.
const UIDS: [(&str, &str); 6] = [
    ("company-today", "tributary-company-today"),
    ("customers", "tributary-customers"),
    ("freshness", "tributary-freshness"),
    ("products-stock", "tributary-products-stock"),
    ("service-levels", "tributary-service-levels"),
    ("stores", "tributary-stores"),
];

/// Units as Grafana names them; one that it does not know is shown as a word behind each number.
const UNITS: [&str; 12] =
    ["none", "locale", "percent", "s", "ms", "h", "bytes", "Bps", "reqps", "dateTimeAsIso", "time:YYYY-MM-DD", "short"];

/// Kinds of panels by their names in a dashboard and in the schema.
const KINDS: [(&str, &str); 8] = [
    ("timeseries", "timeseries"),
    ("stat", "stat"),
    ("table", "table"),
    ("barchart", "barchart"),
    ("bargauge", "bargauge"),
    ("piechart", "piechart"),
    ("state-timeline", "statetimeline"),
    ("text", "text"),
];

fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    validator.iter_errors(value).map(|fault| format!("{}: {fault}", fault.instance_path())).collect()
}

#[test]
fn every_file_is_of_the_schema_that_it_claims() {
    let schemas: Value = serde_json::from_str(include_str!("files/grafana-schema.json")).unwrap();
    for board in Board::all() {
        assert_eq!(board.json["schemaVersion"], SCHEMA_VERSION, "{}", board.name);
        assert_eq!(faults(&schemas["dashboard"], &board.json), [""; 0], "{}", board.name);
        for panel in board.panels() {
            let (_, name) = KINDS.iter().find(|(kind, _)| *kind == panel.kind).expect("a kind of panel in the schema");
            let custom = &panel.json["fieldConfig"]["defaults"]["custom"];
            let mut settings = json!({"options": panel.json["options"]});
            let holds_custom = !schemas[name]["definitions"]["Root"]["properties"]["custom"].is_null();
            assert!(holds_custom || custom.is_null(), "{} has no settings of its own", panel.place);
            if holds_custom {
                settings["custom"] = if custom.is_null() { json!({}) } else { custom.clone() };
            }
            assert_eq!(faults(&schemas[name], &settings), [""; 0], "{}", panel.place);
        }
    }
}

#[test]
fn boards_and_panels_are_told_apart_for_ever() {
    let boards = Board::all();
    let uids: Vec<(&str, &str)> =
        boards.iter().map(|board| (board.name.as_str(), board.json["uid"].as_str().unwrap())).collect();
    assert_eq!(uids, UIDS);
    for board in &boards {
        let all = board.json["panels"].as_array().unwrap();
        let ids: BTreeSet<u64> = all.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        let titles: BTreeSet<&str> = all.iter().map(|panel| panel["title"].as_str().unwrap()).collect();
        assert_eq!((ids.len(), titles.len()), (all.len(), all.len()), "{}: an id or a title is used twice", board.name);
        assert!(board.json["id"].is_null(), "{}: the number is the installation's", board.name);
        overlaps(board, all);
    }
}

fn overlaps(board: &Board, panels: &[Value]) {
    let mut taken = BTreeMap::new();
    for panel in panels {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}: {} is beyond the page", board.name, panel["title"]);
        for place in (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y))) {
            let other = taken.insert(place, panel["title"].clone());
            assert_eq!(other, None, "{}: {} lies on another panel", board.name, panel["title"]);
        }
    }
}

#[test]
fn everything_is_explained_and_in_a_unit_that_grafana_knows() {
    for board in Board::all() {
        assert!(board.json["description"].as_str().is_some_and(|text| text.len() > 40), "{}", board.name);
        for variable in board.json["templating"]["list"].as_array().unwrap() {
            assert!(variable["description"].is_string() && variable["label"].is_string(), "{}: {variable}", board.name);
        }
        for panel in board.panels() {
            let text = panel.json["description"].as_str().unwrap_or_default();
            assert!(text.len() > 5 && text.ends_with('.'), "{} is not explained", panel.place);
            for unit in units(&panel) {
                assert!(UNITS.contains(&unit.as_str()), "{} is in {unit}", panel.place);
            }
        }
    }
}

fn units(panel: &Panel) -> Vec<String> {
    let config = &panel.json["fieldConfig"];
    let own = config["defaults"]["unit"].as_str().map(str::to_owned);
    let overrides = config["overrides"].as_array().into_iter().flatten();
    let properties = overrides.flat_map(|over| over["properties"].as_array().unwrap());
    let others = properties.filter(|it| it["id"] == "unit").map(|it| it["value"].as_str().unwrap().to_owned());
    own.into_iter().chain(others).collect()
}

#[test]
fn what_is_provisioned_exists() {
    let read = |path: &str| -> Value {
        serde_saphyr::from_str(&std::fs::read_to_string(folder().join("provisioning").join(path)).unwrap()).unwrap()
    };
    let sources = read("datasources/tributary.yaml");
    let known: BTreeSet<&str> =
        sources["datasources"].as_array().unwrap().iter().map(|source| source["uid"].as_str().unwrap()).collect();
    assert_eq!(known, BTreeSet::from(["prometheus", "reporting"]));
    assert_eq!(sources["datasources"][0]["user"], "grafana_reader");
    for board in Board::all() {
        for target in board.panels().iter().flat_map(|panel| panel.targets.clone()) {
            assert!(known.contains(target.source.as_str()), "{}: {}", board.name, target.source);
        }
    }
    let provider = &read("dashboards/tributary.yaml")["providers"][0];
    let compose = std::fs::read_to_string(folder().parent().unwrap().join("docker-compose.yml")).unwrap();
    let mounted = provider["options"]["path"].as_str().unwrap();
    assert!(compose.contains(&format!("./dashboards/boards:{mounted}:ro")), "{mounted} is not where compose puts them");
    assert!(compose.contains("./dashboards/provisioning:/etc/grafana/provisioning:ro"));
    assert_eq!(provider["folder"], super::alerts::folder_of_the_rules(), "one folder for boards and alerts");
}
