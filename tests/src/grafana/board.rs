//! A dashboard's file, in the parts that tests ask for.

use std::path::PathBuf;

use serde_json::Value;

use crate::binaries::repository;

/// `dashboards/` in the repository.
pub fn folder() -> PathBuf {
    repository().join("dashboards")
}

/// One dashboard.
#[derive(Debug, Clone)]
pub struct Board {
    /// The file's name without its ending.
    pub name: String,
    pub json: Value,
}

/// A panel that shows something; rows that only divide a board are none.
#[derive(Debug, Clone)]
pub struct Panel {
    /// The board and the panel's title, for messages.
    pub place: String,
    pub kind: String,
    pub json: Value,
    pub targets: Vec<Target>,
}

/// What a panel asks a data source.
#[derive(Debug, Clone)]
pub struct Target {
    /// `uid` of the data source.
    pub source: String,
    pub query: Query,
}

/// The language of the data source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// PostgreSQL; `series` when Grafana is to read the rows as time series.
    Sql { text: String, series: bool },
    /// Prometheus.
    Prom { text: String },
}

/// A variable at the top of a board.
#[derive(Debug, Clone)]
pub struct Variable {
    pub name: String,
    /// `query`, `textbox` …
    pub kind: String,
    pub source: Option<String>,
    /// The question, or the value of a text box.
    pub query: String,
    pub multi: bool,
    /// What *All* stands for, where it is not the list of all values.
    pub all: Option<String>,
}

impl Board {
    /// Every dashboard of the repository, by name.
    ///
    /// # Panics
    /// When one cannot be read or is no JSON.
    pub fn all() -> Vec<Self> {
        let folder = folder().join("boards");
        let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file of the folder").path()).collect();
        paths.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
        paths.sort();
        let board = |path: &PathBuf| {
            let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let json = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            Self { name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(), json }
        };
        paths.iter().map(board).collect()
    }

    /// The panels in their order on the page, those of collapsed rows included.
    pub fn panels(&self) -> Vec<Panel> {
        let mut out = Vec::new();
        let mut open: Vec<&Value> = list(&self.json["panels"]).rev().collect();
        while let Some(json) = open.pop() {
            if text(json, "type") == "row" {
                open.extend(list(&json["panels"]).rev());
            } else {
                out.push(Panel {
                    place: format!("{} / {}", self.name, text(json, "title")),
                    kind: text(json, "type"),
                    json: json.clone(),
                    targets: list(&json["targets"]).map(target).collect(),
                });
            }
        }
        out
    }

    /// The variables in the order in which Grafana resolves them.
    pub fn variables(&self) -> Vec<Variable> {
        list(&self.json["templating"]["list"])
            .map(|json| Variable {
                name: text(json, "name"),
                kind: text(json, "type"),
                source: json["datasource"]["uid"].as_str().map(str::to_owned),
                query: json["query"]
                    .as_str()
                    .or_else(|| json["query"]["query"].as_str())
                    .unwrap_or_default()
                    .to_owned(),
                multi: json["multi"] == true,
                all: json["allValue"].as_str().map(str::to_owned),
            })
            .collect()
    }
}

fn target(json: &Value) -> Target {
    let source = json["datasource"]["uid"].as_str().unwrap_or_default().to_owned();
    let query = match json["rawSql"].as_str() {
        Some(text) => Query::Sql { text: text.to_owned(), series: json["format"] == "time_series" },
        None => Query::Prom { text: text(json, "expr") },
    };
    Target { source, query }
}

fn list(value: &Value) -> std::slice::Iter<'_, Value> {
    value.as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn text(json: &Value, key: &str) -> String {
    json[key].as_str().unwrap_or_default().to_owned()
}
