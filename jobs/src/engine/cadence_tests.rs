//! The days on which clocks jump, in three zones, against a table written by hand.

use super::*;

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// Each row: a line, the span in 2026 that is looked at, by UTC, and when it fires there, by the zone's clock.
fn check(zone: &str, table: &str) {
    let zone: Tz = zone.parse().unwrap();
    let moment = |text: &str| utc(&format!("2026-{}:00Z", text.replace(' ', "T")));
    for row in table.lines().filter(|row| row.contains('|')) {
        let [line, after, until, expected]: [&str; 4] =
            row.split('|').map(str::trim).collect::<Vec<_>>().try_into().unwrap();
        let fires = Cadence::cron(line, zone).unwrap().between(moment(after), moment(until), 1000);
        let fires = fires.iter().map(|at| at.with_timezone(&zone).format("%m-%d %H:%M %:z").to_string());
        assert_eq!(fires.collect::<Vec<_>>().join(", "), expected, "{row}");
    }
}

#[test]
fn toronto_spring_has_no_two_o_clock() {
    check(
        "America/Toronto",
        "
            // 2026-03-08: 02:00 EST becomes 03:00 EDT at 07:00 UTC.
            0 * * * *    | 03-08 05:30 | 03-08 08:30 | 03-08 01:00 -05:00, 03-08 03:00 -04:00, 03-08 04:00 -04:00
            30 2 * * *   | 03-07 12:00 | 03-09 12:00 | 03-08 03:00 -04:00, 03-09 02:30 -04:00
            30 2 8 * *   | 03-01 00:00 | 04-30 00:00 | 03-08 03:00 -04:00, 04-08 02:30 -04:00
        ",
    );
}

#[test]
fn toronto_autumn_has_one_o_clock_twice() {
    check(
        "America/Toronto",
        "
            // 2026-11-01: 02:00 EDT becomes 01:00 EST at 06:00 UTC.
            0 * * * *    | 11-01 04:30 | 11-01 07:30 | 11-01 01:00 -04:00, 11-01 01:00 -05:00, 11-01 02:00 -05:00
            30 1 * * *   | 10-31 12:00 | 11-02 12:00 | 11-01 01:30 -04:00, 11-02 01:30 -05:00
            30 1 1 * *   | 10-15 00:00 | 12-15 00:00 | 11-01 01:30 -04:00, 12-01 01:30 -05:00
            */30 * * * * | 11-01 05:15 | 11-01 07:00 | 11-01 01:30 -04:00, 11-01 01:00 -05:00, 11-01 01:30 -05:00, 11-01 02:00 -05:00
        ",
    );
}

#[test]
fn paris_both_days() {
    check(
        "Europe/Paris",
        "
            // 2026-03-29: 02:00 becomes 03:00 at 01:00 UTC; 2026-10-25: 03:00 becomes 02:00 at 01:00 UTC.
            0 * * * *    | 03-28 23:30 | 03-29 02:00 | 03-29 01:00 +01:00, 03-29 03:00 +02:00, 03-29 04:00 +02:00
            15 2 * * *   | 03-28 12:00 | 03-30 12:00 | 03-29 03:00 +02:00, 03-30 02:15 +02:00
            15 2 29 * *  | 03-01 00:00 | 05-01 00:00 | 03-29 03:00 +02:00, 04-29 02:15 +02:00
            0 * * * *    | 10-24 23:30 | 10-25 02:00 | 10-25 02:00 +02:00, 10-25 02:00 +01:00, 10-25 03:00 +01:00
            15 2 * * *   | 10-24 12:00 | 10-26 12:00 | 10-25 02:15 +02:00, 10-26 02:15 +01:00
            0 2 25 * *   | 10-01 00:00 | 11-30 00:00 | 10-25 02:00 +02:00, 11-25 02:00 +01:00
        ",
    );
}

#[test]
fn lord_howe_moves_by_half_an_hour() {
    check(
        "Australia/Lord_Howe",
        "
            // 2026-04-05: 02:00 +11 becomes 01:30 +10:30 at 15:00 UTC of the 4th.
            45 1 * * *   | 04-03 20:00 | 04-06 00:00 | 04-05 01:45 +11:00, 04-06 01:45 +10:30
            45 * * * *   | 04-04 14:00 | 04-04 16:30 | 04-05 01:45 +11:00, 04-05 01:45 +10:30, 04-05 02:45 +10:30
            45 1 5 * *   | 04-01 00:00 | 06-01 00:00 | 04-05 01:45 +11:00, 05-05 01:45 +10:30
            // 2026-10-04: 02:00 +10:30 becomes 02:30 +11 at 15:30 UTC of the 3rd.
            15 2 * * *   | 10-02 20:00 | 10-05 00:00 | 10-04 02:30 +11:00, 10-05 02:15 +11:00
            0 * * * *    | 10-03 14:00 | 10-03 16:30 | 10-04 01:00 +10:30, 10-04 03:00 +11:00
            15 2 4 * *   | 09-30 00:00 | 11-30 00:00 | 10-04 02:30 +11:00, 11-04 02:15 +11:00
        ",
    );
}

#[test]
fn an_occurrence_is_a_whole_second_whenever_it_is_asked_for() {
    for line in ["30 2 * * *", "30 * * * *"] {
        let cadence = Cadence::cron(line, "America/Toronto".parse().unwrap()).unwrap();
        let expected = cadence.next_after(utc("2026-11-21T07:29:59Z"));
        assert_eq!(expected, Some(utc("2026-11-21T07:30:00Z")));
        assert_eq!(cadence.next_after(utc("2026-11-21T07:29:59.473838866Z")), expected, "{line}");
        assert!(cadence.next_after(utc("2026-11-21T07:30:00.000001Z")) > expected, "{line}");
    }
}

#[test]
fn intervals_are_aligned_to_the_epoch_and_know_no_zone() {
    let cadence = Cadence::every("every 5m").unwrap();
    let at = |text: &str| cadence.next_after(utc(text)).unwrap();
    assert_eq!(at("2026-11-01T05:59:59Z"), utc("2026-11-01T06:00:00Z"));
    assert_eq!(at("2026-11-01T06:00:00Z"), utc("2026-11-01T06:05:00Z"));
    assert_eq!(cadence.to_string(), "every 5m");
}

#[test]
fn a_line_that_never_comes_is_refused_and_one_that_comes_rarely_is_not() {
    for line in ["0 0 30 2 *", "30 2 31 4,6,9,11 *"] {
        let refused = Cadence::cron(line, Tz::UTC).unwrap_err();
        assert!(refused.contains("never comes"), "{refused}");
    }
    let leap = Cadence::cron("0 0 29 2 *", Tz::UTC).unwrap();
    assert_eq!(leap.next_after(utc("2026-01-01T00:00:00Z")), Some(utc("2028-02-29T00:00:00Z")));
}

#[test]
fn wrong_lines_say_what_is_wrong() {
    for line in ["", "* * * *", "0 0 0 * * *", "61 * * * *", "a b c d e", "@daily"] {
        assert!(Cadence::cron(line, Tz::UTC).is_err(), "{line}");
    }
    assert!(Cadence::every("every 0s").is_err());
    assert!(Cadence::every("every so often").is_err());
}
