//! The functions that Polars, DuckDB and Spark compute alike, and what to write for some others.

/// In lower case.
pub(super) const ALLOWED: [&str; 24] = [
    "abs",
    "avg",
    "coalesce",
    "concat",
    "count",
    "dense_rank",
    "first_value",
    "greatest",
    "lag",
    "lead",
    "least",
    "length",
    "lower",
    "max",
    "median",
    "min",
    "nullif",
    "rank",
    "row_number",
    "starts_with",
    "stddev",
    "substr",
    "sum",
    "upper",
];

/// What works instead of a function that does not.
pub(super) fn instead_of(function: &str) -> Option<&'static str> {
    Some(match function {
        "date_trunc" | "date_part" | "year" | "month" | "week" | "quarter" | "dayofweek" => {
            "join the calendar on business_day: week_start, month_start, quarter_start, iso_week, day_of_week"
        }
        "ntile" => "5 * (RANK() OVER (…) - 1) in a CTE, held against multiples of COUNT(*) OVER () by CASE",
        "percentile_cont" | "percentile_disc" | "quantile_cont" => "MEDIAN, or ROW_NUMBER() against COUNT(*) OVER ()",
        "round" => "declare the column as money, which is rounded half to even at the edge, or keep the fraction",
        "now" | "current_date" | "today" => "a date parameter with default = \"today\"",
        "read_csv" | "read_parquet" | "read_ipc" | "read_json" => "a report reads declared datasets and views only",
        "if" | "iff" | "ifnull" => "CASE WHEN … THEN … ELSE … END, or COALESCE",
        _ => return None,
    })
}
