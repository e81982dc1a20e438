//! The SQL of a page, built from declared expressions and checked literals only.

use super::cursor::Key;
use super::dataset::{Column, Dataset, Type};

/// A place between rows: a stamp and, under it, a key (empty: before all of that stamp's rows).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) xid: u64,
    pub(super) key: Vec<Key>,
}

/// Finds where a full page of `limit` rows ends. Answers `(xid, key…)` as text of its last row and of the one after it:
/// no row when there are fewer than `limit`, one when these are all.
///
/// Rows that are only passed over cost the server half of what rows cost that it numbers.
pub(super) fn full_page(dataset: &Dataset, after: Option<&Place>, limit: u64) -> String {
    let (columns, texts) = places(dataset);
    format!(
        "SELECT xid::text, {texts} FROM (SELECT {columns} {} OFFSET {} LIMIT 2) AS page",
        rows(dataset, "", after, None),
        limit.saturating_sub(1),
    )
}

/// Finds the end of all rows there are. Answers `(n, xid, key…)` of the last one, as text after its number; no row when
/// there is none.
pub(super) fn last_page(dataset: &Dataset, after: Option<&Place>) -> String {
    let (columns, texts) = places(dataset);
    format!(
        "SELECT n, xid::text, {texts} FROM (SELECT row_number() OVER () AS n, found.* FROM (\
         SELECT {columns} {}) AS found) AS page ORDER BY n DESC LIMIT 1",
        rows(dataset, "", after, None),
    )
}

/// Stamp and key of a row: as columns, and those columns as an array of text.
fn places(dataset: &Dataset) -> (String, String) {
    let keys: Vec<String> =
        dataset.key_columns().enumerate().map(|(at, column)| format!(", {} AS k{at}", column.sql)).collect();
    let texts: Vec<String> = (0..dataset.key.len()).map(|at| format!("k{at}::text")).collect();
    (format!("{} AS xid{}", dataset.xid, keys.concat()), format!("ARRAY[{}]", texts.join(", ")))
}

impl Dataset {
    /// The COPY that the pages of a full refresh come to, for those who measure it by itself.
    #[must_use]
    pub fn copy(&self) -> String {
        copy(self, &self.columns.iter().collect::<Vec<_>>(), None, None)
    }
}

/// The rows of a page as CSV, header line first, NULL as an unquoted `\N`.
pub(super) fn copy(dataset: &Dataset, columns: &[&Column], after: Option<&Place>, to: Option<&Place>) -> String {
    format!(
        r"COPY ({}) TO STDOUT WITH (FORMAT csv, HEADER true, NULL '\N')",
        select(dataset, columns, after, to, csv_value)
    )
}

/// The rows of a page, each as one JSON object.
pub(super) fn json(dataset: &Dataset, columns: &[&Column], after: Option<&Place>, to: Option<&Place>) -> String {
    format!("SELECT row_to_json(page)::text FROM ({}) AS page", select(dataset, columns, after, to, json_value))
}

/// The horizon, and the highest visible stamp of each dataset: one statement, so one snapshot.
///
/// The stamp to order by is qualified: a bare `change_xid` would mean the text beside it, in which 999
/// is more than 1000.
pub(super) fn head(datasets: &[Dataset]) -> String {
    let highs: Vec<String> = datasets
        .iter()
        .map(|dataset| {
            let Dataset { from, xid, .. } = dataset;
            format!("(SELECT {xid}::text FROM {from} ORDER BY {xid} DESC LIMIT 1)")
        })
        .collect();
    format!("SELECT pg_snapshot_xmin(pg_current_snapshot())::text, ARRAY[{}]::text[]", highs.join(", "))
}

fn select(
    dataset: &Dataset,
    columns: &[&Column],
    after: Option<&Place>,
    to: Option<&Place>,
    value: fn(&Column) -> String,
) -> String {
    let deleted = Column::new("deleted", Type::Bool, dataset.deleted);
    let (mut list, mut of_headers) = (Vec::new(), String::new());
    for column in columns.iter().copied().chain([&deleted]) {
        let (Column { name, .. }, value) = (column, value(column));
        if value != column.sql && dataset.is_of_header(column) {
            // Once per header, and not once per line of it.
            of_headers += &format!(", {value} AS \"text of {name}\"");
            list.push(format!("{}.\"text of {name}\" AS \"{name}\"", alias(dataset.from)));
        } else {
            list.push(format!("{value} AS \"{name}\""));
        }
    }
    format!("SELECT {} {}", list.join(", "), rows(dataset, &of_headers, after, to))
}

/// The rows between two places in the order of paging, as a statement from its FROM on.
///
/// Lines come by a nested loop, the only join there is for LATERAL, over the headers in their order and the lines of
/// each in theirs. That is the order of paging; PostgreSQL cannot know it, and sorting by the whole key once more took
/// as long as finding the rows. Were it otherwise, a page would not hold the rows that its headers announce, and no
/// reader would take it. What the places say of headers stands with these, where their index serves it: one transaction
/// may have stamped a million. `of_headers` is what to compute of each header, as more columns of its alias.
fn rows(dataset: &Dataset, of_headers: &str, after: Option<&Place>, to: Option<&Place>) -> String {
    let all = dataset.key.len();
    let (from, exact) = (dataset.from, between(dataset, all, after, to));
    let Some(lines) = &dataset.lines else {
        return format!("FROM {from} WHERE {exact} ORDER BY {}", row(dataset, all));
    };
    let headers = dataset.indexed_keys();
    let keys: Vec<&str> = dataset.key_columns().skip(headers).map(|column| column.sql).collect();
    format!(
        "FROM (SELECT *{of_headers} FROM {from} WHERE {} ORDER BY {}) AS {} \
         CROSS JOIN LATERAL (SELECT * FROM {} WHERE {} ORDER BY {}) AS {} WHERE {exact}",
        between(dataset, headers, after, to),
        row(dataset, headers),
        alias(from),
        lines.from,
        lines.of,
        keys.join(", "),
        alias(lines.from),
    )
}

fn csv_value(column: &Column) -> String {
    match column.ty {
        // RFC 3339 with a space where JSON has a T: to_char took 15 % of the time of a whole page's COPY. The cast is to
        // the session's zone, which is UTC; naming it would look it up for each row.
        Type::Timestamp => format!("({})::timestamp::text || 'Z'", column.sql),
        // Constants cost less than a cast to text does.
        Type::Bool => format!("CASE WHEN {0} THEN 'true' WHEN NOT ({0}) THEN 'false' END", column.sql),
        // The session's date style is ISO: as a timestamp's text, without cast.
        Type::Local => column.sql.to_owned(),
        _ => json_value(column),
    }
}

fn json_value(column: &Column) -> String {
    match column.ty {
        Type::Timestamp => format!(r#"to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"#, column.sql),
        Type::Local => format!(r#"to_char({}, 'YYYY-MM-DD"T"HH24:MI:SS.US')"#, column.sql),
        _ => column.sql.to_owned(),
    }
}

/// The stamp and the first `keys` key expressions, comma-separated.
fn row(dataset: &Dataset, keys: usize) -> String {
    std::iter::once(dataset.xid)
        .chain(dataset.key_columns().take(keys).map(|column| column.sql))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The last word of a table with its alias.
fn alias(from: &str) -> &str {
    from.rsplit(' ').next().unwrap_or(from)
}

/// What is true of the stamp and the first `keys` keys of those rows: all there is to say when these are all keys.
fn between(dataset: &Dataset, keys: usize, after: Option<&Place>, to: Option<&Place>) -> String {
    let row = row(dataset, keys);
    let values = |place: &Place| {
        std::iter::once(format!("'{}'::xid8", place.xid))
            .chain(place.key.iter().take(keys).map(Key::literal))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut terms = Vec::new();
    match after {
        Some(place) if place.key.is_empty() => terms.push(format!("{} >= '{}'::xid8", dataset.xid, place.xid)),
        Some(place) => {
            let beyond = if keys < dataset.key.len() { ">=" } else { ">" };
            terms.push(format!("({row}) {beyond} ({})", values(place)));
        }
        None => {}
    }
    if let Some(place) = to {
        terms.push(format!("({row}) <= ({})", values(place)));
    }
    if terms.is_empty() { "true".to_owned() } else { terms.join(" AND ") }
}
