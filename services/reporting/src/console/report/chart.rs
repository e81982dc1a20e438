//! What a chart shows, as the chart library wants it: labels, series, and how to write their values.
//!
//! Rows of the same label are added up where the measure can be (amounts and counts); a ratio cannot, so there each row
//! is drawn under all of its names. What does not fit is left out and said.

use std::collections::HashMap;

use aggregator::report::{Chart, ChartKind};
use exports::{Column, Kind};
use jobs::document::Document;
use kit::error::ApiError;
use maud::{PreEscaped, html};
use polars::prelude::DataType;
use serde::Serialize;

use super::{Drawn, View, broken, table};
use crate::console::{fault::Fault, show};

/// Bars that can be distinguished, points of a line, slices of a pie, and series in one drawing.
const BARS: usize = 25;
const POINTS: usize = 1_000;
const SLICES: usize = 8;
const SERIES: usize = 8;

/// What the script draws.
#[derive(Debug, PartialEq, Serialize)]
struct Drawing {
    /// `line`, `bar`, `lying` (bars with room for names) or `pie`.
    kind: &'static str,
    x: String,
    y: String,
    unit: Option<String>,
    /// Decimal places of a value.
    places: u8,
    labels: Vec<String>,
    series: Vec<Series>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Series {
    name: String,
    /// As [`Drawing::labels`]; none where there is no row.
    values: Vec<Option<f64>>,
}

/// The points of a report, before anything is left out.
struct Points {
    labels: Vec<String>,
    series: Vec<Series>,
    /// Whether rows were added up.
    summed: bool,
}

/// The chart of a document.
pub(super) fn figure(view: &View<'_>, chart: &Chart, document: &Document) -> Result<Drawn, Fault> {
    let column = |name: &str| document.columns.iter().find(|column| column.name == name);
    let (Some(x), Some(y)) = (column(&chart.x), column(&chart.y)) else { return Ok(Drawn::default()) };
    let series = chart.series.as_deref().and_then(column);
    if document.frame().height() == 0 || !table::is_number(y.kind) {
        return Ok(Drawn::default());
    }
    let points = points(view, document, x, y, series)?;
    let summed = points.summed;
    let (drawing, left_out) =
        fitted(chart.kind, x, y, points, table::unit(view.report, y, &document.provenance.currency));
    let json = serde_json::to_string(&drawing).map_err(ApiError::internal)?;
    // The text stands in the page: nothing in it may end the element it stands in.
    let json = json.replace('<', "\\u003c");
    let by = series.map_or_else(|| x.title.clone(), |series| format!("{} and {}", x.title, series.title));
    let label = format!("{} by {by}; the table below has the same figures", y.title);
    let markup = html! {
        figure.chart {
            figcaption {
                strong { (y.title) @if let Some(unit) = &drawing.unit { span.unit { " " (unit) } } }
                " by " (by)
                @if summed { ", added up" }
                @if let Some(left_out) = &left_out { ". " (left_out) }
            }
            div.canvas data-bars=(drawing.labels.len()) {
                canvas role="img" aria-label=(label) data-kind=(drawing.kind) {}
            }
            script type="application/json" data-chart { (PreEscaped(json)) }
            noscript { p.soft { "The chart needs JavaScript. The table has the same figures." } }
        }
    };
    Ok(Drawn { markup, library: true })
}

fn points(
    view: &View<'_>,
    document: &Document,
    x: &Column,
    y: &Column,
    series: Option<&Column>,
) -> Result<Points, Fault> {
    let (zone, frame) = (view.state.config.time_zone, document.frame());
    let text = |column: &Column, row: usize| -> Result<String, Fault> {
        let value = frame.column(&column.name).and_then(|cells| cells.get(row)).map_err(broken)?;
        Ok(table::text(&value, column, zone))
    };
    let values = frame.column(&y.name).and_then(|cells| cells.cast(&DataType::Float64)).map_err(broken)?;
    let values = values.f64().map_err(broken)?;
    let scale = if let Kind::Money { decimals } = y.kind { 10_f64.powi(decimals.into()) } else { 1.0 };
    let names: Vec<&Column> = document.columns.iter().filter(|column| column.kind == Kind::String).collect();
    let additive = y.kind != Kind::Float;
    let mut rows = Vec::with_capacity(frame.height());
    let mut seen = HashMap::new();
    for row in 0..frame.height() {
        let line = match series {
            Some(series) => text(series, row)?,
            None => String::new(),
        };
        let label = text(x, row)?;
        *seen.entry((line.clone(), label.clone())).or_insert(0_usize) += 1;
        rows.push((line, label, values.get(row).map(|value| value / scale)));
    }
    let repeated = seen.values().any(|count| *count > 1);
    let mut points = Points { labels: Vec::new(), series: Vec::new(), summed: repeated && additive };
    let (mut at_label, mut at_series) = (HashMap::new(), HashMap::new());
    for (row, (line, mut label, value)) in rows.into_iter().enumerate() {
        if repeated && !additive {
            let all = names.iter().map(|column| text(column, row)).collect::<Result<Vec<_>, _>>()?;
            label = all.join(" · ");
        }
        let at = *at_label.entry(label.clone()).or_insert(points.labels.len());
        if at == points.labels.len() {
            points.labels.push(label);
        }
        let line = *at_series.entry(line.clone()).or_insert_with(|| {
            points.series.push(Series { name: line, values: Vec::new() });
            points.series.len() - 1
        });
        let values = &mut points.series[line].values;
        values.resize(values.len().max(at + 1), None);
        values[at] = match (values[at], value) {
            (Some(before), Some(value)) => Some(before + value),
            (before, value) => value.or(before),
        };
    }
    for series in &mut points.series {
        series.values.resize(points.labels.len(), None);
    }
    Ok(points)
}

/// Cuts the points to what can be read, and says what was left out.
fn fitted(kind: ChartKind, x: &Column, y: &Column, points: Points, unit: Option<String>) -> (Drawing, Option<String>) {
    let Points { labels, series, .. } = points;
    let names = x.kind == Kind::String;
    let kind = match kind {
        ChartKind::Pie => "pie",
        ChartKind::Line => "line",
        _ if names && series.len() == 1 => "lying",
        _ => "bar",
    };
    let places = match y.kind {
        Kind::Money { decimals } => decimals,
        Kind::Float => 1,
        _ => 0,
    };
    let mut drawing = Drawing { kind, x: x.title.clone(), y: y.title.clone(), unit, places, labels, series };
    if kind == "line" && matches!(x.kind, Kind::Date | Kind::Timestamp) {
        in_order(&mut drawing);
    }
    let said = match kind {
        "pie" => slices(&mut drawing),
        "line" => first(&mut drawing, POINTS),
        _ => first(&mut drawing, BARS),
    };
    let more = drawing.series.len().saturating_sub(SERIES);
    if more == 0 {
        return (drawing, said);
    }
    let total = |series: &Series| series.values.iter().flatten().sum::<f64>();
    drawing.series.sort_by(|a, b| total(b).total_cmp(&total(a)));
    drawing.series.truncate(SERIES);
    let left_out = format!("The {SERIES} largest of {} lines", SERIES + more);
    (drawing, Some(said.map_or_else(|| left_out.clone(), |said| format!("{said}; {}", left_out.to_lowercase()))))
}

/// Days from the first to the last, whatever the order of the rows.
fn in_order(drawing: &mut Drawing) {
    let mut order: Vec<usize> = (0..drawing.labels.len()).collect();
    order.sort_by(|a, b| drawing.labels[*a].cmp(&drawing.labels[*b]));
    drawing.labels = order.iter().map(|at| drawing.labels[*at].clone()).collect();
    for series in &mut drawing.series {
        series.values = order.iter().map(|at| series.values[*at]).collect();
    }
}

fn first(drawing: &mut Drawing, most: usize) -> Option<String> {
    let all = drawing.labels.len();
    if all <= most {
        return None;
    }
    drawing.labels.truncate(most);
    for series in &mut drawing.series {
        series.values.truncate(most);
    }
    Some(format!("The first {most} of {}", show::integer(i64::try_from(all).unwrap_or(i64::MAX))))
}

/// The largest slices, and the others as one.
fn slices(drawing: &mut Drawing) -> Option<String> {
    let values: Vec<f64> = drawing
        .series
        .first()
        .map_or_else(Vec::new, |series| series.values.iter().map(|value| value.unwrap_or_default()).collect());
    let mut pairs: Vec<(String, f64)> = drawing.labels.drain(..).zip(values).collect();
    let before = pairs.len();
    pairs.retain(|(_, value)| *value > 0.0);
    let empty = before - pairs.len();
    pairs.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    if pairs.len() > SLICES {
        let others: f64 = pairs.drain(SLICES - 1..).map(|(_, value)| value).sum();
        pairs.push(("Others".to_owned(), others));
    }
    let (labels, values): (Vec<_>, Vec<_>) = pairs.into_iter().map(|(label, value)| (label, Some(value))).unzip();
    drawing.labels = labels;
    drawing.series = vec![Series { name: String::new(), values }];
    (empty > 0).then(|| format!("{} without a positive value", show::integer(i64::try_from(empty).unwrap_or(i64::MAX))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: Kind) -> Column {
        Column { name: "x".to_owned(), kind, title: "X".to_owned() }
    }

    fn points(values: &[(&str, f64)]) -> Points {
        Points {
            labels: values.iter().map(|(label, _)| (*label).to_owned()).collect(),
            series: vec![Series {
                name: String::new(),
                values: values.iter().map(|(_, value)| Some(*value)).collect(),
            }],
            summed: false,
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_said() {
        let many: Vec<(String, f64)> = (0..30).map(|n| (format!("p{n}"), 1.0)).collect();
        let many: Vec<(&str, f64)> = many.iter().map(|(label, value)| (label.as_str(), *value)).collect();
        let (drawing, said) =
            fitted(ChartKind::Bar, &column(Kind::String), &column(Kind::Money { decimals: 2 }), points(&many), None);
        assert_eq!((drawing.kind, drawing.labels.len(), drawing.series[0].values.len()), ("lying", BARS, BARS));
        assert_eq!(said.as_deref(), Some("The first 25 of 30"));
        let (pie, said) =
            fitted(ChartKind::Pie, &column(Kind::String), &column(Kind::Money { decimals: 2 }), points(&many), None);
        assert_eq!((pie.labels.last().map(String::as_str), pie.labels.len(), said), (Some("Others"), SLICES, None));
        assert_eq!(pie.series[0].values.last(), Some(&Some(23.0)));
    }

    #[test]
    fn days_are_drawn_in_their_order() {
        let rows = [("2026-01-02", 2.0), ("2026-01-01", 1.0)];
        let (drawing, _) = fitted(ChartKind::Line, &column(Kind::Date), &column(Kind::Int64), points(&rows), None);
        assert_eq!((drawing.labels[0].as_str(), drawing.series[0].values[0]), ("2026-01-01", Some(1.0)));
    }
}
