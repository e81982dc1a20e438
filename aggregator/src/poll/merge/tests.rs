//! Grouping of days and files.

use sqlx::types::Json;

use super::*;

fn groups(refresh: Refresh, live: Vec<DataFile>, parts: &[StagedPart], today: NaiveDate) -> Vec<Group> {
    Grouping { refresh, has_days: true, today }.groups(live, parts)
}

fn day(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 3, day).unwrap()
}

fn file(id: i64, first: u32, last: u32) -> DataFile {
    let path = format!("{id}.parquet");
    let (first_day, last_day) = (Some(day(first)), Some(day(last)));
    DataFile {
        data_file_id: id,
        path,
        record_count: 10,
        file_size_bytes: 1,
        first_day,
        last_day,
        delete_file_id: None,
        delete_path: None,
        delete_count: 0,
    }
}

fn part(days: &[(u32, u64)]) -> StagedPart {
    StagedPart {
        part: 0,
        path: Some("p".to_owned()),
        rows_read: 1,
        bytes: 1,
        days: Json(days.iter().map(|(number, rows)| (day(*number), *rows)).collect()),
        next_cursor: None,
        resume_cursor: "c".to_owned(),
    }
}

fn shown(groups: &[Group]) -> Vec<String> {
    let ids = |it: &Group| it.files.iter().map(|file| file.data_file_id).collect::<Vec<_>>();
    let range = |it: &Group| it.days.as_ref().map(|days| (*days.start(), *days.end())).unwrap();
    let text = |it: &Group| {
        let (from, to) = range(it);
        format!("{}-{} {:?} {}", from.format("%d"), to.format("%d"), ids(it), it.rows)
    };
    groups.iter().map(text).collect()
}

#[test]
fn days_are_merged_apart_unless_a_file_spans_them() {
    let live = vec![file(1, 1, 10), file(2, 12, 12), file(3, 13, 13), file(4, 12, 12)];
    let parts = [part(&[(3, 1), (9, 1), (12, 2), (20, 5)]), part(&[(12, 1)])];
    let found = groups(Refresh::Incremental, live, &parts, day(31));
    assert_eq!(shown(&found), ["01-10 [1] 2", "12-12 [4, 2] 3", "20-20 [] 5"]);
}

#[test]
fn new_days_of_a_month_that_is_over_go_together_as_far_as_memory_allows() {
    let today = NaiveDate::from_ymd_opt(2026, 4, 1).unwrap();
    let parts = [part(&[(1, 10), (2, 10), (9, 1), (12, 300_000), (13, 200_000), (14, 1)])];
    let found = groups(Refresh::Full, vec![file(1, 9, 10)], &parts, today);
    assert_eq!(shown(&found), ["01-02 [] 20", "09-10 [1] 1", "12-12 [] 300000", "13-14 [] 200001"]);
    assert_eq!(found.iter().map(Group::is_one_file).collect::<Vec<_>>(), [true, true, false, true]);
}

#[test]
fn a_full_refresh_touches_every_file_there_is() {
    let live = vec![file(1, 1, 10), file(2, 12, 12)];
    assert_eq!(
        shown(&groups(Refresh::Full, live, &[part(&[(20, 5)])], day(31))),
        ["01-10 [1] 0", "12-12 [2] 0", "20-20 [] 5"]
    );
}

#[test]
fn batches_hold_no_more_rows_than_allowed_but_at_least_one_group() {
    let group = |rows| Group { days: Some(day(1)..=day(1)), files: Vec::new(), rows };
    let found = batches(vec![group(200_000), group(100_000), group(1), group(900_000), group(1)]);
    assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1, 1, 1]);
}
