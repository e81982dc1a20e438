//! Declarations: what parses, and the message of each fault.

use super::*;

const GOOD: &str = r#"[source]
name = "loyalty"
base = "/loyalty/api/v1"
poll = "every 90s"

[[dataset]]
name = "points"
key = ["member_id", "seq"]
business_day = { from = "occurred_at", zone = "time_zone" }
columns = { member_id = "int64", seq = "int32", occurred_at = "timestamp", time_zone = "string", note = "string?" }
"#;

#[track_caller]
fn fault(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "the sample does not hold {from}");
    parse("loyalty.toml", &GOOD.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn columns_keep_the_order_of_the_file_and_the_key_leads_the_feed() {
    let declaration = parse("loyalty.toml", GOOD).unwrap();
    let points = &declaration.datasets[0];
    let names: Vec<_> = points.table().columns.into_iter().map(|it| it.name).collect();
    assert_eq!(
        names,
        ["member_id", "seq", "occurred_at", "time_zone", "note", "business_day", "business_hour"].map(String::from)
    );
    assert!(points.columns[4].nullable);
    assert_eq!(points.feed, "points");
    assert_eq!(declaration.poll, Duration::from_secs(90));
    assert_eq!(declaration.stale_after, Duration::from_secs(270));
}

#[test]
fn faults_name_file_line_and_key() {
    assert_eq!(
        fault("note = \"string?\"", "note = \"text\""),
        "loyalty.toml:10: points.columns.note: unknown type `text`; one of int32, int64, string, bool, date, \
         timestamp, local, money, with `?` when NULL fits"
    );
    assert_eq!(parse("a", &GOOD.replace("every 90s", "every 1d")).unwrap().poll.as_secs(), 86_400);
    assert!(fault("poll = \"every 90s\"", "poll = \"90s\"").starts_with("loyalty.toml:4: source.poll: `90s` must"));
    assert!(fault("base =", "bass =").starts_with("loyalty.toml:3: bass: unknown field `bass`"));
    assert!(fault("\"seq\"]", "\"sequence\"]").starts_with("loyalty.toml:8: points.key: `sequence` is not among"));
    assert!(
        fault("zone = \"time_zone\" }", "zone = \"note\" }").starts_with("loyalty.toml:9: points.business_day.zone")
    );
    assert!(
        fault("seq = \"int32\"", "deleted = \"bool\"").contains("points.columns.deleted: the name is the engine's")
    );
    assert!(fault("name = \"points\"", "name = \"Points\"").contains("loyalty.toml:7: dataset.name"));
}

#[test]
fn what_a_later_version_brings_says_since_when_and_is_nullable() {
    let text = GOOD.replace("note = \"string?\"", "note = \"string? since 1.2\"");
    let points = &parse("loyalty.toml", &text).unwrap().datasets[0];
    assert_eq!((points.columns_since["note"].as_str(), points.columns[4].nullable), ("1.2", true));
    assert_eq!(parse("loyalty.toml", &text).unwrap().shape(), parse("loyalty.toml", GOOD).unwrap().shape());
    assert!(fault("\"string?\"", "\"string since 1.2\"").contains("points.columns.note: must be nullable"));
    assert!(fault("\"string?\"", "\"string? since now\"").contains("`now` must be a version, such as 0.2.0"));
    assert!(
        fault("name = \"points\"\n", "name = \"points\"\nsince = \"v2\"\n").contains("loyalty.toml:8: points.since")
    );
}

#[test]
fn the_shape_moves_with_a_column_and_not_with_the_schedule() {
    let before = parse("a", GOOD).unwrap();
    let later = parse("a", &GOOD.replace("every 90s", "every 5m")).unwrap();
    let wider = parse("a", &GOOD.replace("note = \"string?\"", "note = \"string?\", points = \"int64\"")).unwrap();
    assert_eq!(before.shape(), later.shape());
    assert_ne!(before.shape(), wider.shape());
}
