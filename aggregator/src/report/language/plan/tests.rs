//! What has a meaning, what has none, and how large a plan may be.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use polars::prelude::{DataFrame, Engine, IntoLazy as _, df};

use super::super::bind::{bind, parse};
use super::super::check::check;
use super::super::diagnostic::Fault;
use super::plan;

/// Rows of `t` and `u`, in which `big` does not fit 32 bits everywhere.
fn tables() -> BTreeMap<String, DataFrame> {
    let t = df!("id" => [1_i64, 2, 3], "a" => [1_i32, 2, 2], "big" => [7_i64, 5_000_000_000, -1]).unwrap();
    let u = df!("id" => [1_i64, 3], "s" => ["a", "b"]).unwrap();
    BTreeMap::from([("t".to_owned(), t), ("u".to_owned(), u)])
}

/// The rows of a statement, as text; or what is wrong with it.
fn rows(sql: &str) -> Result<String, Fault> {
    let tables = tables();
    let query = parse(sql)?;
    check(&query, &tables.keys().cloned().collect::<BTreeSet<_>>())?;
    let (query, _) = bind(&query, &BTreeMap::new()).unwrap();
    let inputs = tables.iter().map(|(name, frame)| (name, frame.clone().lazy(), &**frame.schema()));
    let (frame, _) = plan(&query, inputs)?;
    let frame = frame.collect_with_engine(Engine::Streaming).map_err(|error| Fault::new(error.to_string()))?;
    let frame = frame.unwrap_single();
    let row = |at: usize| frame.get(at).unwrap().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    Ok((0..frame.height()).map(row).collect::<Vec<_>>().join("; "))
}

fn refused(sql: &str) -> String {
    let fault = rows(sql).unwrap_err();
    format!("{}:{}: {} ({})", fault.line, fault.column, fault.message, fault.hint.unwrap_or_default())
}

#[test]
fn a_short_text_with_a_plan_without_bounds_is_refused_at_once() {
    let deep = |form: fn(String, usize) -> String| (1..=20).fold("a".to_owned(), form);
    let joined: String = (1..40)
        .map(|at| format!(", c{at} AS (SELECT x.a FROM c{} AS x JOIN c{0} AS y ON x.a = y.a)", at - 1))
        .collect();
    let outer: String = (1..40).map(|at| format!(" LEFT JOIN u AS u{at} ON t.id + u{at}.id > {at}")).collect();
    let exists = |depth: usize| {
        let inner = (0..depth).fold("SELECT 1 AS x FROM u".to_owned(), |inner, at| {
            format!("SELECT 1 AS x FROM (SELECT u.id FROM u WHERE EXISTS ({inner}) OR u.id > 5) AS q{at} WHERE 1 = 1")
        });
        format!("SELECT id FROM u WHERE EXISTS ({inner})")
    };
    let deepest = (1..20).rev().map(exists).find(|sql| parse(sql).is_ok()).unwrap();
    let started = Instant::now();
    for sql in [
        format!("SELECT a FROM t WHERE {} = 3", deep(|inner, at| format!("NULLIF({inner}, {at})"))),
        format!(
            "SELECT a FROM t WHERE {} = TRUE",
            deep(|inner, at| format!("CAST({inner} BETWEEN 0 AND {at} AS INTEGER)"))
        ),
        format!("SELECT {} AS a FROM t", deep(|inner, at| format!("CASE {inner} WHEN 1 THEN 2 WHEN {at} THEN a END"))),
        format!("SELECT {} AS a FROM t", deep(|inner, _| format!("CAST({inner} IN (a, id, big) AS BIGINT)"))),
        format!("WITH c0 AS (SELECT a FROM t){joined} SELECT a FROM c39"),
        format!("SELECT t.a FROM t{outer}"),
    ] {
        let told = refused(&sql);
        assert!(told.contains("too large") && !told.starts_with("1:1:"), "{told}: {sql}");
    }
    // Subqueries are planned again by those around them; as deep as a text may be, that has an end.
    drop(rows(&deepest));
    assert!(started.elapsed() < Duration::from_secs(120), "{:?}", started.elapsed());
}

#[test]
fn a_branch_that_a_row_does_not_come_to_casts_nothing_of_it() {
    let guarded = [
        ("CASE WHEN big < 100 THEN CAST(big AS INTEGER) END", "7; null; -1"),
        ("CASE WHEN big >= 100 THEN 0 ELSE CAST(big AS INTEGER) END", "7; 0; -1"),
        ("CASE WHEN big >= 100 THEN 0 WHEN CAST(big AS INTEGER) = 7 THEN 1 END", "1; 0; null"),
        // The first condition that holds decides, so a later branch does not see its rows.
        ("CASE WHEN id = 2 THEN 0 WHEN id > 0 THEN CAST(big * 1.0 AS INTEGER) END", "7; 0; -1"),
        ("CASE id WHEN 2 THEN 0 ELSE CAST(big AS INTEGER) END", "7; 0; -1"),
        ("CASE WHEN id <> 2 THEN CASE WHEN id > 0 THEN CAST(big AS INTEGER) END END", "7; null; -1"),
        ("COALESCE(CASE WHEN id = 2 THEN 5 END, CAST(big AS INTEGER))", "7; 5; -1"),
    ];
    for (expr, expected) in guarded {
        assert_eq!(rows(&format!("SELECT {expr} AS x FROM t")).as_deref(), Ok(expected), "{expr}");
    }
    // A row that does come to it fails, as in every engine.
    for expr in ["CAST(big AS INTEGER)", "CASE WHEN big > 5 THEN CAST(big AS INTEGER) END"] {
        assert!(refused(&format!("SELECT {expr} AS x FROM t")).contains("conversion"), "{expr}");
    }
}

#[test]
fn only_aggregates_take_filter_distinct_and_a_star() {
    for (expr, message) in [
        (
            "COALESCE(SUM(a), 0) FILTER (WHERE id = 1)",
            "1:8: COALESCE takes no FILTER (FILTER stands behind an aggregate",
        ),
        ("ABS(SUM(a)) FILTER (WHERE id = 1)", "1:8: ABS takes no FILTER"),
        ("COALESCE(DISTINCT SUM(a), 0)", "1:8: COALESCE takes no DISTINCT"),
        ("RANK() FILTER (WHERE id = 1) OVER (ORDER BY id)", "1:8: RANK takes no FILTER"),
        ("CONCAT('a', *)", "1:8: CONCAT takes values, not `*`"),
        ("COUNT(DISTINCT *)", "1:8: COUNT takes values, not `*`"),
    ] {
        let told = refused(&format!("SELECT {expr} AS x FROM t"));
        assert!(told.starts_with(message), "{told}");
    }
    assert_eq!(rows("SELECT COALESCE(SUM(a) FILTER (WHERE id = 1), 0) AS x FROM t").as_deref(), Ok("1"));
}

#[test]
fn a_star_beside_group_by_names_the_keys() {
    let star = "*";
    assert_eq!(
        rows(&format!("SELECT {star} FROM (SELECT a FROM t) AS x GROUP BY a ORDER BY a")).as_deref(),
        Ok("1; 2")
    );
    assert_eq!(
        rows(&format!("SELECT x.{star}, COUNT(*) AS n FROM (SELECT a FROM t) AS x GROUP BY x.a ORDER BY a")).as_deref(),
        Ok("1 1; 2 2")
    );
    let told = refused(&format!("SELECT {star} FROM (SELECT a, id FROM t) AS x GROUP BY a"));
    assert!(told.starts_with("1:8: id is not in GROUP BY, and `*` names it"), "{told}");
    assert!(refused(&format!("SELECT {star}, COUNT(*) AS n FROM t")).contains("id is not in GROUP BY"));
}

#[test]
fn what_exists_lists_is_looked_at() {
    let of = |list: &str| format!("SELECT id FROM t WHERE EXISTS (SELECT {list} FROM u WHERE u.id = t.id) ORDER BY id");
    for list in ["1 AS x", "*", "u.*", "s", "t.a", "t.a + u.id AS x"] {
        assert_eq!(rows(&of(list)).as_deref(), Ok("1; 3"), "{list}");
    }
    let told = refused(&of("nonsense"));
    assert!(told.starts_with("1:39: unknown column: nonsense"), "{told}");
    assert!(refused(&of("s + 1 AS x")).contains("takes numbers"));
    assert!(refused(&of("q.*")).contains("no table q"));
}

#[test]
fn names_that_differ_in_case_alone_are_refused() {
    for (sql, message) in [
        ("WITH c AS (SELECT 1 AS x, 2 AS X) SELECT X AS v FROM c", "1:27: X and x are one name"),
        ("SELECT a AS Id FROM t ORDER BY id", "1:8: Id and id are one name"),
        ("SELECT a AS Sum FROM t ORDER BY sum", "1:33: ORDER BY sum: the SELECT names it Sum"),
        ("SELECT ID FROM t", "1:8: unknown column: ID (names are written as they are declared: id)"),
        ("SELECT T.id FROM t", "1:8: unknown column: T.id (names are written as they are declared: t.id)"),
        (
            "SELECT q.v AS w FROM (SELECT id AS v FROM t) AS q JOIN (SELECT id AS V FROM u) AS r ON q.v = r.V WHERE v = 1",
            "1:104: the column v is ambiguous",
        ),
        ("SELECT x.id FROM t AS x JOIN u AS X ON x.id = X.id", "1:30: the name \"X\" is taken"),
        ("WITH c AS (SELECT id FROM t), C AS (SELECT id FROM u) SELECT id FROM c", "1:31: the name \"C\" is taken"),
        ("WITH T AS (SELECT id FROM u) SELECT id FROM T", "1:6: the name \"T\" is taken"),
    ] {
        let told = refused(sql);
        assert!(told.starts_with(message), "{told}: {sql}");
    }
}

#[test]
fn a_letter_becomes_the_letter_that_databases_make_of_it() {
    let upper = |text: &str| rows(&format!("SELECT UPPER('{text}') AS x")).unwrap();
    assert_eq!(
        upper("\u{1fb3}\u{1fc3}\u{1ff3}\u{1f80}\u{1f97}\u{1fa0}"),
        "\"\u{1fbc}\u{1fcc}\u{1ffc}\u{1f88}\u{1f9f}\u{1fa8}\""
    );
    assert_eq!(upper("\u{df}\u{149}\u{fb00}\u{1fb4}"), "\"\u{1e9e}\u{149}\u{fb00}\u{1fb4}\"");
}

#[test]
fn a_key_that_stands_twice_decides_once() {
    assert_eq!(rows("SELECT id FROM t ORDER BY id DESC, t.id, 1 LIMIT 2").as_deref(), Ok("3; 2"));
    let sql = "SELECT t.id AS x FROM t FULL JOIN u ON t.id = u.id AND (t.id = u.id) ORDER BY x";
    assert_eq!(rows(sql).as_deref(), Ok("1; 2; 3"));
}
