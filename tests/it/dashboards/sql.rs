//! Every SQL query of a panel or a variable, run as Grafana would run it.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde_json::Value;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Column as _, PgPool, Row as _, TypeInfo as _, ValueRef as _};
use system_tests::grafana::{Board, Panel, Query, scene};

use super::company::shared;

/// The answer to a query, in the parts by which a panel lives or dies.
pub(super) struct Answer {
    pub(super) names: Vec<String>,
    kinds: Vec<String>,
    pub(super) rows: Vec<PgRow>,
}

impl Answer {
    pub(super) async fn of(reader: &PgPool, sql: &str) -> Self {
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(reader).await;
        let rows = rows.unwrap_or_else(|error| panic!("{error}\nin {sql}"));
        let columns = rows.first().map(sqlx::Row::columns).unwrap_or_default();
        Self {
            names: columns.iter().map(|column| column.name().to_owned()).collect(),
            kinds: columns.iter().map(|column| column.type_info().name().to_owned()).collect(),
            rows,
        }
    }

    /// Places of the columns that a chart can draw.
    pub(super) fn numbers(&self) -> Vec<usize> {
        let number = |kind: &String| ["INT2", "INT4", "INT8", "FLOAT4", "FLOAT8", "NUMERIC"].contains(&kind.as_str());
        self.kinds.iter().enumerate().filter(|(_, kind)| number(kind)).map(|(at, _)| at).collect()
    }

    fn is_text(&self, name: &str) -> bool {
        let at = self.names.iter().position(|held| held == name);
        at.and_then(|at| self.kinds.get(at)).is_some_and(|kind| kind == "TEXT")
    }

    /// Whether a column holds anything at all.
    pub(super) fn says_something(&self, at: usize) -> bool {
        self.rows.iter().any(|row| !row.try_get_raw(at).unwrap().is_null())
    }
}

#[tokio::test]
async fn every_query_gives_what_its_panel_can_show() {
    let reader = shared().await.pool_as("reporting_db", "grafana_reader").await;
    let (mut asked, mut faults) = (0, Vec::new());
    for board in Board::all() {
        let scene = scene(&board, &reader, None).await;
        for panel in board.panels() {
            for target in &panel.targets {
                let Query::Sql { text, series } = &target.query else { continue };
                assert_eq!(target.source, "reporting", "{}", panel.place);
                let sql = scene.sql(text).unwrap_or_else(|unknown| panic!("{}: {unknown:?}", panel.place));
                let answer = Answer::of(&reader, &sql).await;
                let found = fault(&panel, &answer, *series);
                faults.extend(found.map(|fault| format!("{}: {fault}\n    {sql}", panel.place)));
                asked += 1;
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(asked > 50, "only {asked} queries were found");
}

/// What keeps a panel from showing the answer: each kind has something that it cannot do without.
fn fault(panel: &Panel, answer: &Answer, series: bool) -> Option<String> {
    if answer.rows.is_empty() {
        return Some("shows nothing".to_owned());
    }
    let numbers = answer.numbers();
    let has_number = numbers.iter().any(|at| answer.says_something(*at));
    let options = &panel.json["options"];
    let wants = match panel.kind.as_str() {
        "timeseries" if !series || !has_number => "rows read as time series, with a number",
        "timeseries" if !times(answer).is_some_and(|times| times.is_sorted()) => "rows in the order of their time",
        "stat" if answer.rows.len() != 1 || !has_number => "one row with a number",
        "barchart" if !has_number || !answer.is_text(options["xField"].as_str().unwrap_or_default()) => {
            "the text column that its axis names, and a number"
        }
        "piechart" | "bargauge" if !answer.is_text(&answer.names[0]) || numbers != [1] || !has_number => {
            "a name, its number"
        }
        "piechart" | "bargauge" if options["reduceOptions"]["values"] != true => "to show every row",
        "table" if series => "a table",
        "timeseries" | "stat" | "barchart" | "piechart" | "bargauge" | "table" => {
            return lost_names(panel, answer, series);
        }
        _ => "to be a kind of panel that shows rows",
    };
    Some(format!("wants {wants}, and gets {} rows of {:?}", answer.rows.len(), answer.names))
}

fn times(answer: &Answer) -> Option<Vec<NaiveDate>> {
    answer.rows.iter().map(|row| row.try_get("time").ok()).collect()
}

/// An override, a link or a transformation that names a field which is not there is silently dropped by Grafana.
fn lost_names(panel: &Panel, answer: &Answer, series: bool) -> Option<String> {
    let mut wanted: BTreeSet<String> = BTreeSet::new();
    for over in panel.json["fieldConfig"]["overrides"].as_array().unwrap() {
        wanted.insert(over["matcher"]["options"].as_str().unwrap().to_owned());
    }
    let text = panel.json.to_string();
    wanted.extend(text.split("${__data.fields.").skip(1).map(|rest| rest.split('}').next().unwrap().to_owned()));
    for transformation in panel.json["transformations"].as_array().into_iter().flatten() {
        let fields = ["rowField", "columnField", "valueField"].map(|key| transformation["options"][key].clone());
        wanted.extend(fields.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    let mut known: BTreeSet<String> = answer.names.iter().cloned().collect();
    if series && known.contains("metric") {
        known.extend(answer.rows.iter().map(|row| row.get::<String, _>("metric")));
    }
    let lost: Vec<_> = wanted.difference(&known).collect();
    (!lost.is_empty()).then(|| format!("no field is called {lost:?}; there are {known:?}"))
}

#[tokio::test]
async fn the_role_of_the_dashboards_reads_the_views_and_nothing_else() {
    let reader = shared().await.pool_as("reporting_db", "grafana_reader").await;
    for table in ["published.revision", "jobs.run", "lake.ducklake_snapshot", "sync.source"] {
        let refused = sqlx::query(AssertSqlSafe(format!("SELECT count(*) FROM {table}"))).execute(&reader).await;
        let code =
            refused.unwrap_err().into_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        assert_eq!(code.as_deref(), Some("42501"), "{table}");
    }
    let written = sqlx::query("DELETE FROM reports._revisions").execute(&reader).await;
    assert!(written.is_err());
}
