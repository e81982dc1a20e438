//! Reports from the calendar alone, which need no source: one of as many rows as one wants, with every kind of value, and
//! one of few.

use std::path::Path;
use std::sync::OnceLock;

use tempfile::TempDir;

/// `blocks` times `days` rows.
const MANY: &str = r#"/*---
title = "Many rows"
description = "A block of so many days, so many times."
section = "Test"
grain = "snapshot"
key = ["block", "day"]
[params]
blocks = { type = "int", default = 1, min = 0, max = 5000 }
days = { type = "int", default = 1000, min = 1, max = 1000 }
word = { type = "string", default = "a \"quoted\" word, and more" }
[columns]
block = { type = "date", title = "Block" }
day = { type = "date", title = "Day" }
number = { type = "int64", title = "Number" }
share = { type = "float", title = "Share" }
net = { type = "money", title = "Net" }
word = { type = "string", title = "Word" }
weekend = { type = "bool", title = "Weekend" }
---*/
WITH blocks AS (
  SELECT business_day AS block, ROW_NUMBER() OVER (ORDER BY business_day) AS block_no FROM calendar
), days AS (
  SELECT business_day AS day, is_weekend AS weekend, ROW_NUMBER() OVER (ORDER BY business_day) AS day_no FROM calendar
)
SELECT b.block AS block, d.day AS day, b.block_no * 1000 + d.day_no AS number, d.day_no / 7.0 AS share,
       b.block_no * 100 + d.day_no AS net, $word AS word, d.weekend AS weekend
FROM blocks AS b CROSS JOIN days AS d
WHERE b.block_no <= $blocks AND d.day_no <= $days
ORDER BY block, day
"#;

/// The days of a week.
pub const DAYS: &str = r#"/*---
title = "Days"
description = "The days of a week."
section = "Own"
grain = "snapshot"
key = ["day"]
[columns]
day = { type = "date", title = "Day" }
---*/
SELECT business_day AS day FROM calendar WHERE year = 2026 AND iso_week = 10 ORDER BY day
"#;

/// A folder for `REPORTING_CATALOGUE_DIR` that holds the report `many`; it lasts as long as the process.
pub fn catalogue() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("reports")).expect("a folder in it");
        std::fs::write(folder.path().join("reports/many.sql"), MANY).expect("a file in that");
        folder
    };
    FOLDER.get_or_init(make).path()
}
