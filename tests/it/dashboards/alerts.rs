//! The alert rules: whole, told apart, and asking what can be answered.

use std::collections::BTreeSet;

use chrono::Utc;
use serde_json::Value;
use system_tests::grafana::{Board, Scene, folder};

use super::company::shared;
use super::sql::Answer;

/// A rule with its place in the file, dollar signs read as Grafana does.
struct Rule {
    title: String,
    json: Value,
}

fn file() -> Value {
    let text = std::fs::read_to_string(folder().join("provisioning/alerting/tributary.yaml")).unwrap();
    let single = text.replace("$$", "").contains('$');
    assert!(!single, "Grafana would read a single dollar sign as a variable of its environment");
    serde_saphyr::from_str(&text.replace("$$", "$")).unwrap()
}

fn rules() -> Vec<Rule> {
    let file = file();
    let groups = file["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules.map(|json| Rule { title: json["title"].as_str().unwrap().to_owned(), json: json.clone() }).collect()
}

/// The folder in which Grafana shows them.
pub(super) fn folder_of_the_rules() -> Value {
    let file = file();
    let folders: BTreeSet<&str> =
        file["groups"].as_array().unwrap().iter().map(|group| group["folder"].as_str().unwrap()).collect();
    assert_eq!(folders.len(), 1, "{folders:?}");
    Value::from(*folders.first().unwrap())
}

/// Place and text of what the rules ask Prometheus.
pub(super) fn promql() -> Vec<(String, String)> {
    let ask = |rule: Rule| {
        let model = &rule.json["data"][0]["model"];
        Some((format!("alert / {}", rule.title), model["expr"].as_str()?.to_owned()))
    };
    rules().into_iter().filter_map(ask).collect()
}

#[test]
fn a_rule_is_whole_and_leads_to_the_panel_that_explains_it() {
    let boards = Board::all();
    let mut uids = BTreeSet::new();
    for Rule { title, json } in rules() {
        let uid = json["uid"].as_str().unwrap();
        assert!(uid.len() <= 40 && uid.starts_with("tributary-") && uids.insert(uid.to_owned()), "{title}: {uid}");
        let [ask, judge] = json["data"].as_array().unwrap().as_slice() else {
            panic!("{title}: a query and a threshold")
        };
        assert_eq!(
            (&ask["refId"], &judge["refId"], &json["condition"]),
            (&"A".into(), &"B".into(), &"B".into()),
            "{title}"
        );
        assert!(ask["relativeTimeRange"]["from"].as_u64() > Some(0), "{title}");
        let model = &judge["model"];
        assert_eq!((&judge["datasourceUid"], &model["type"]), (&"__expr__".into(), &"threshold".into()), "{title}");
        assert_eq!(model["expression"], "A", "{title}");
        let evaluator = &model["conditions"][0]["evaluator"];
        assert!(["gt", "lt"].contains(&evaluator["type"].as_str().unwrap()), "{title}");
        assert!(evaluator["params"][0].is_number(), "{title}");
        assert!(["page", "ticket"].contains(&json["labels"]["severity"].as_str().unwrap()), "{title}");
        assert!(["OK", "NoData", "Alerting"].contains(&json["noDataState"].as_str().unwrap()), "{title}");
        assert!(json["for"].is_string() && json["annotations"]["summary"].is_string(), "{title}");
        let board = boards.iter().find(|board| board.json["uid"] == json["annotations"]["__dashboardUid__"]);
        let panel = json["annotations"]["__panelId__"].as_str().unwrap().parse::<u64>().unwrap();
        let panels = board.unwrap_or_else(|| panic!("{title} leads to no board")).json["panels"].as_array().unwrap();
        assert!(panels.iter().any(|it| it["id"] == panel && it["type"] != "row"), "{title} leads to no panel {panel}");
    }
    assert!(uids.len() >= 10, "{uids:?}");
}

#[tokio::test]
async fn every_question_to_the_reports_gives_one_number() {
    let reader = shared().await.pool_as("reporting_db", "grafana_reader").await;
    let scene = Scene::last("1h", Utc::now());
    let mut asked = 0;
    for Rule { title, json } in rules() {
        let Some(sql) = json["data"][0]["model"]["rawSql"].as_str() else { continue };
        assert_eq!(json["data"][0]["datasourceUid"], "reporting", "{title}");
        let answer = Answer::of(&reader, &scene.sql(sql).unwrap()).await;
        assert_eq!((answer.rows.len(), answer.numbers().len()), (1, 1), "{title}");
        assert!(answer.says_something(0), "{title}");
        asked += 1;
    }
    assert!(asked >= 3, "{asked}");
}
