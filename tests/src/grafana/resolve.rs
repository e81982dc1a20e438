//! What a dashboard is opened with: its own time range, and for each variable what Grafana chooses when nobody did.

use chrono::Utc;
use sqlx::{AssertSqlSafe, Column as _, PgPool, Row as _};

use super::board::Board;
use super::expand::Scene;

/// The scene of a board for who reads `reporting_db` through `reader`; over another `range`, such as `365d`, if given.
///
/// # Panics
/// When a variable is of no known kind, its query fails, or it has no value.
pub async fn scene(board: &Board, reader: &PgPool, range: Option<&str>) -> Scene {
    let own = board.json["time"]["from"].as_str().and_then(|from| from.strip_prefix("now-"));
    let mut scene = Scene::last(range.or(own).expect("a time range that ends now"), Utc::now());
    for variable in board.variables() {
        let values = match (variable.kind.as_str(), variable.source.as_deref()) {
            ("textbox", _) => vec![variable.query],
            ("query", Some("prometheus")) => vec![variable.all.unwrap_or_default()],
            ("query", Some("reporting")) => {
                let sql = scene.sql(&variable.query);
                let sql = sql.unwrap_or_else(|unknown| panic!("{}, {}: {unknown:?}", board.name, variable.name));
                let values = options(reader, sql).await;
                assert!(!values.is_empty(), "{}: the variable {} has no value", board.name, variable.name);
                let chosen = if variable.multi { values.len() } else { 1 };
                values.into_iter().take(chosen).collect()
            }
            other => panic!("{}: the variable {} is of an unknown kind, {other:?}", board.name, variable.name),
        };
        scene.variables.insert(variable.name, values);
    }
    scene
}

/// What Grafana offers for the rows of a variable's query: the column `__value`, else the first.
async fn options(reader: &PgPool, sql: String) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(sql.clone())).fetch_all(reader).await;
    let rows = rows.unwrap_or_else(|error| panic!("{error}\nin {sql}"));
    let value = |row: &sqlx::postgres::PgRow| {
        let at = row.columns().iter().position(|column| column.name() == "__value").unwrap_or(0);
        row.get::<String, _>(at)
    };
    rows.iter().map(value).collect()
}
