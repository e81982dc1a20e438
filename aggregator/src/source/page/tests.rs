//! Pages: types, NULL against text, quarantine, truncation, local days.

use super::*;
use crate::source::declare;

const DECLARED: &str = r#"
[source]
name = "s"
base = "/s"
poll = "every 1m"
[[dataset]]
name = "t"
key = ["id", "line"]
[dataset.columns]
note = "string?"
id = "int64"
line = "int32"
at = "timestamp?"
day = "date?"
good = "bool?"
"#;

fn layout() -> Layout {
    Layout::new(&declare::parse("t.toml", DECLARED).unwrap().datasets[0])
}

fn page(rows: &str) -> String {
    format!("id,line,note,at,day,good,deleted\n{rows}")
}

#[track_caller]
fn refused(row: &str) -> String {
    let parsed = layout().parse(page(&format!("{row}\n")).as_bytes(), 1).unwrap();
    assert_eq!(parsed.frame.height(), 0);
    let refused = &parsed.refused[0];
    assert_eq!(refused.raw, row);
    format!("{}: {}", refused.column, refused.reason)
}

#[test]
fn every_type_null_and_text_that_looks_like_null() {
    let rows = "1,1,\"a \"\"b\"\",\nc\",2026-03-08T07:30:00.000001Z,2024-02-29,true,false\n\
                -9223372036854775808,2,\"\\N\",\\N,\\N,\\N,false\n3,3,\\N,1969-12-31 23:59:59.5+00:00,1969-12-31,f,t\n";
    let frame = layout().parse(page(rows).as_bytes(), 3).unwrap().frame;
    let notes: Vec<_> = frame.column("note").unwrap().str().unwrap().iter().map(|it| it.map(str::to_owned)).collect();
    assert_eq!(notes, [Some("a \"b\",\nc".to_owned()), Some("\\N".to_owned()), None]);
    let at = frame.column("at").unwrap().datetime().unwrap().physical().clone();
    assert_eq!(at.iter().collect::<Vec<_>>(), [Some(1_772_955_000_000_001), None, Some(-500_000)]);
    assert_eq!(frame.column("id").unwrap().i64().unwrap().get(1), Some(i64::MIN));
    assert_eq!(frame.column("day").unwrap().null_count(), 1);
    assert_eq!(frame.column("deleted").unwrap().bool().unwrap().sum(), Some(1));
    let names: Vec<_> = frame.get_column_names().into_iter().map(|it| it.as_str()).collect();
    assert_eq!(names, ["note", "id", "line", "at", "day", "good", "deleted"]);
}

#[test]
fn a_row_that_does_not_fit_is_set_aside_with_its_reason() {
    assert_eq!(refused("x,1,n,\\N,\\N,\\N,false"), "id: \"x\" is no int64");
    assert_eq!(refused("9223372036854775808,1,n,\\N,\\N,\\N,false"), "id: \"9223372036854775808\" is no int64");
    assert_eq!(refused("1,2147483648,n,\\N,\\N,\\N,false"), "line: \"2147483648\" is no int32");
    assert_eq!(refused("1,\\N,n,\\N,\\N,\\N,false"), "line: NULL where the declaration allows none");
    assert_eq!(refused("1,1,n,2026-02-29T00:00:00Z,\\N,\\N,false"), "at: \"2026-02-29T00:00:00Z\" is no timestamp");
    assert_eq!(refused("1,1,n,2026-02-28T00:00:00.0000001Z,\\N,\\N,false").split(':').next(), Some("at"));
    assert_eq!(refused("1,1,n,\\N,\\N,\\N"), "id: the row has 6 fields instead of 7");
    assert_eq!(refused("1,1,n,\\N,\\N,\\N,maybe"), "deleted: \"maybe\" is no bool");
}

#[test]
fn of_a_long_row_the_head_is_kept_and_what_tells_it_from_others() {
    let long = |end: &str| format!("x,1,{}{end},\\N,\\N,\\N,false", "n".repeat(3_000_000));
    let rows = [long("1"), long("2")];
    let parsed = layout().parse(page(&format!("{}\n", rows.join("\n"))).as_bytes(), 2).unwrap();
    let (one, two) = (&parsed.refused[0].raw, &parsed.refused[1].raw);
    let told = format!("nn… ({} bytes, SHA-256 ", rows[0].len());
    assert!(one.len() < 5_000 && one.starts_with("x,1,nnn") && one.contains(&told), "{}", one.len());
    assert_ne!(one, two);
    let text = DECLARED.replace("key = [\"id\", \"line\"]", "key = [\"note\"]").replace("string?", "string");
    let key = Layout::new(&declare::parse("t.toml", &text).unwrap().datasets[0]);
    let refused = key.parse(
        format!("note,id,line,at,day,good,deleted\n{},x,1,\\N,\\N,\\N,false\n", "n".repeat(9_000)).as_bytes(),
        1,
    );
    assert_eq!(refused.unwrap().refused[0].key, None, "a key of any length is none to look for");
}

#[test]
fn a_column_that_the_source_does_not_offer_is_null() {
    let mut dataset = declare::parse("t.toml", DECLARED).unwrap().datasets.remove(0);
    dataset.absent.insert("at".to_owned());
    let parsed = Layout::new(&dataset).parse(b"id,line,note,day,good,deleted\n1,1,n,2026-03-01,t,f\n", 1).unwrap();
    assert_eq!(parsed.refused, []);
    let names: Vec<_> = parsed.frame.get_column_names().into_iter().map(|it| it.as_str()).collect();
    assert_eq!(names, ["note", "id", "line", "at", "day", "good", "deleted"]);
    let at = parsed.frame.column("at").unwrap();
    assert_eq!((at.null_count(), at.dtype()), (1, &ColumnType::Timestamp.data_type()));
}

#[test]
fn text_is_utf8_without_nul_and_the_rest_of_the_page_goes_on() {
    let note = "\"\u{1f9fe} \"\"x\"\"\"".as_bytes();
    for (bad, reason) in [(&b"a\xffb"[..], "\"a\u{fffd}b\""), (b"a\0b", "\"a\\0b\""), (b"\"\xf0\x9f\"", "\"\u{fffd}\"")]
    {
        let mut body = page("").into_bytes();
        for (id, text) in [("1", note), ("2", bad), ("3", note)] {
            body.extend([id.as_bytes(), b",1,", text, b",\\N,\\N,\\N,false\n"].concat());
        }
        let parsed = layout().parse(&body, 3).unwrap();
        let notes: Vec<_> = parsed.frame.column("note").unwrap().str().unwrap().iter().flatten().collect();
        assert_eq!(notes, ["\u{1f9fe} \"x\""; 2]);
        let refused: Vec<_> = parsed.refused.iter().map(|it| (it.row, it.reason.as_str())).collect();
        assert_eq!(refused, [(2, format!("{reason} is no string").as_str())]);
    }
}

#[test]
fn a_row_that_leaves_needs_only_its_key() {
    let parsed = layout().parse(page("1,1,n,nonsense,\\N,\\N,true\n").as_bytes(), 1).unwrap();
    assert_eq!((parsed.frame.height(), parsed.refused.len()), (1, 0));
}

#[test]
fn a_page_cut_at_any_byte_is_no_page() {
    let whole = page("1,1,\"a\nb\",\\N,\\N,\\N,false\n2,1,c,\\N,\\N,\\N,false\n");
    assert!(layout().parse(whole.as_bytes(), 2).is_ok());
    for length in 0..whole.len() {
        assert!(layout().parse(&whole.as_bytes()[..length], 2).is_err(), "cut at {length}");
    }
    assert!(layout().parse(whole.as_bytes(), 1).unwrap_err().contains("more than"));
    assert!(layout().parse(b"<html>\n1\n", 1).unwrap_err().contains("header"));
}

fn local(instant: &str, zone: &str) -> String {
    local_from("00:00", instant, zone)
}

fn local_from(start: &str, instant: &str, zone: &str) -> String {
    let mut times = LocalTimes::new(1, start.parse().unwrap());
    times.push_instant(value::timestamp(instant.as_bytes()).unwrap(), zone.as_bytes()).unwrap();
    let LocalColumns { days, hours, .. } = times.into_columns();
    format!("{} {}", NaiveDate::from_epoch_days(days[0]).unwrap(), hours[0])
}

#[test]
fn business_days_follow_the_zone_where_it_happened() {
    // Spring forward and fall back in New York: the day lasts 23, then 25 hours.
    assert_eq!(local("2026-03-08T04:59:59Z", "America/New_York"), "2026-03-07 23");
    assert_eq!(local("2026-03-08T07:00:00Z", "America/New_York"), "2026-03-08 3");
    assert_eq!(local("2026-03-09T03:59:59Z", "America/New_York"), "2026-03-08 23");
    assert_eq!(local("2026-11-01T05:30:00Z", "America/New_York"), "2026-11-01 1");
    assert_eq!(local("2026-11-01T06:30:00Z", "America/New_York"), "2026-11-01 1");
    assert_eq!(local("2026-11-02T04:59:59Z", "America/New_York"), "2026-11-01 23");
    // Half an hour off, and the change of clocks with it.
    assert_eq!(local("2026-07-01T02:29:59Z", "America/St_Johns"), "2026-06-30 23");
    assert_eq!(local("2026-07-01T02:30:00Z", "America/St_Johns"), "2026-07-01 0");
    assert_eq!(local("2026-01-01T03:29:59Z", "America/St_Johns"), "2025-12-31 23");
    // A leap day that is one only there.
    assert_eq!(local("2024-02-29T23:30:00Z", "Asia/Tokyo"), "2024-03-01 8");
    assert_eq!(local("2024-02-29T23:30:00Z", "UTC"), "2024-02-29 23");
}

#[test]
fn a_day_that_starts_later_moves_the_day_and_not_the_hour() {
    assert_eq!(local_from("04:00", "2026-07-02T07:59:59Z", "America/New_York"), "2026-07-01 3");
    assert_eq!(local_from("04:00", "2026-07-02T08:00:00Z", "America/New_York"), "2026-07-02 4");
}

#[test]
fn what_the_source_says_the_clock_showed_is_taken_as_it_is() {
    let declared =
        DECLARED.replace("key = [", "business_day = { from = \"at\", zone = \"zone\", local = \"shown\" }\nkey = [");
    let declared =
        declared.replace("at = \"timestamp?\"", "at = \"timestamp\"\nzone = \"string\"\nshown = \"local? since 2\"");
    let dataset = &declare::parse("t.toml", &declared).unwrap().datasets[0];
    let read = |dataset: &Dataset, header: &str, row: &str| {
        let parsed = Layout::new(dataset).parse(format!("{header}\n{row}\n").as_bytes(), 1).unwrap();
        let cell = |name: &str| parsed.frame.column(name).unwrap().get(0).map(|it| it.to_string()).unwrap_or_default();
        match parsed.refused.first() {
            Some(refused) => format!("{}: {}", refused.column, refused.reason),
            None => format!("{} {} {}", cell("shown"), cell("business_day"), cell("business_hour")),
        }
    };
    let header = "id,line,note,at,zone,shown,day,good,deleted";
    let row = |shown: &str| format!("1,1,n,2026-11-28T07:30:00Z,Nowhere/Known,{shown},\\N,\\N,false");
    assert_eq!(read(dataset, header, &row("2026-11-28 00:30:00.5")), "2026-11-28 00:30:00.500 2026-11-28 0");
    assert_eq!(read(dataset, header, &row("2026-11-27T23:30:00")), "2026-11-27 23:30:00 2026-11-27 23");
    assert_eq!(read(dataset, header, &row("\\N")), "shown: NULL where a business day needs it");
    assert_eq!(read(dataset, header, &row("2026-11-28 00:30:00Z")), "shown: \"2026-11-28 00:30:00Z\" is no local");
    // One that does not say: computed, and of another shape.
    let older = dataset.offered(&["t.shown".to_owned()]).unwrap();
    let row = "1,1,n,2026-11-28T07:30:00Z,America/Vancouver,\\N,\\N,false";
    assert_eq!(read(&older, "id,line,note,at,zone,day,good,deleted", row), "2026-11-28 00:30:00 2026-11-28 0");
    assert!(older.shape().ends_with(&format!(";day at zone {} shown", base::ZONE_DATA)), "{}", older.shape());
    assert!(dataset.shape().ends_with(";day shown"), "{}", dataset.shape());
}

#[test]
fn the_remembered_offset_is_the_computed_one_at_every_quarter_of_two_years() {
    use chrono::{DateTime, Offset, TimeZone, Timelike};
    for name in ["America/St_Johns", "Europe/Paris", "Australia/Lord_Howe", "Asia/Kathmandu"] {
        let tz: base::Tz = name.parse().unwrap();
        let mut times = LocalTimes::new(0, DayStart::default());
        let start = 1_735_689_600;
        let instants: Vec<i64> = (0..2 * 365 * 96).flat_map(|it| [start + it * 900 - 1, start + it * 900]).collect();
        for instant in &instants {
            times.push_instant(instant * 1_000_000, name.as_bytes()).unwrap();
        }
        let LocalColumns { days, hours, .. } = times.into_columns();
        for ((instant, day), hour) in instants.iter().zip(days).zip(hours) {
            let utc = DateTime::from_timestamp(*instant, 0).unwrap();
            let local = utc.naive_utc() + tz.offset_from_utc_datetime(&utc.naive_utc()).fix();
            assert_eq!((local.date().to_epoch_days(), local.hour().cast_signed()), (day, hour), "{name} {utc}");
        }
    }
}
