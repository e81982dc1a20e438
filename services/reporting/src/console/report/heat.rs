//! A heat map: a table whose cells are shaded by their value, so that it can be read, copied, printed and heard.

use std::collections::{BTreeMap, BTreeSet};

use aggregator::report::Chart;
use jobs::document::Document;
use maud::{Markup, html};
use polars::prelude::DataType;

use super::{View, broken, table};
use crate::console::fault::Fault;

/// Columns of a map that a page can hold.
const WIDEST: usize = 60;

/// Shades, from nothing to the most.
const SHADES: usize = 9;

/// The map of a report: its series downwards, its x across.
pub(super) fn map(view: &View<'_>, chart: &Chart, document: &Document) -> Result<Markup, Fault> {
    let Some(series) = &chart.series else { return Ok(html! {}) };
    let column = |name: &str| document.columns.iter().find(|column| column.name == name);
    let (Some(down), Some(across), Some(of)) = (column(series), column(&chart.x), column(&chart.y)) else {
        return Ok(html! {});
    };
    let Grid { heads, names, cells } = Grid::of(document, [down, across, of], view.state.config.time_zone)?;
    let most = cells.values().map(|(value, _)| *value).fold(0.0, f64::max);
    let heads: Vec<&String> = heads.iter().map(|(_, head)| head).take(WIDEST).collect();
    if names.is_empty() {
        return Ok(html! {});
    }
    let unit = table::unit(view.report, of, &document.provenance.currency);
    Ok(html! {
        figure.chart.heat {
            figcaption #heat {
                strong { (of.title) @if let Some(unit) = unit { span.unit { " " (unit) } } }
                " by " (down.title) " and " (across.title)
            }
            div.scroll tabindex="0" role="region" aria-labelledby="heat" {
                table {
                    thead {
                        tr { th scope="col" { (down.title) } @for head in &heads { th scope="col" { (head) } } }
                    }
                    tbody {
                        @for name in &names {
                            tr {
                                th scope="row" { (row_name(&down.name, name)) }
                                @for head in &heads {
                                    @match cells.get(&(name.clone(), (*head).clone())) {
                                        Some((value, text)) => { td class={ "h" (shade(*value, most)) } { (short(text)) } }
                                        None => { td.h0 { span.sr { "none" } } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    })
}

/// The rows of a report as a table: heads in the order of the column across, names as they come.
#[derive(Default)]
struct Grid {
    heads: BTreeSet<(i64, String)>,
    names: Vec<String>,
    /// By name and head: the value, as a number and as text.
    cells: BTreeMap<(String, String), (f64, String)>,
}

impl Grid {
    fn of(document: &Document, [down, across, of]: [&exports::Column; 3], zone: base::Tz) -> Result<Self, Fault> {
        let frame = document.frame();
        let values = frame.column(&of.name).and_then(|cells| cells.cast(&DataType::Float64)).map_err(broken)?;
        let values = values.f64().map_err(broken)?;
        let order = frame.column(&across.name).and_then(|cells| cells.cast(&DataType::Int64)).map_err(broken)?;
        let order = order.i64().map_err(broken)?;
        let mut grid = Self::default();
        for row in 0..frame.height() {
            let text = |column: &exports::Column| -> Result<String, Fault> {
                let value = frame.column(&column.name).and_then(|cells| cells.get(row)).map_err(broken)?;
                Ok(table::text(&value, column, zone))
            };
            let (name, head) = (text(down)?, text(across)?);
            grid.heads.insert((order.get(row).unwrap_or_default(), head.clone()));
            if !grid.names.contains(&name) {
                grid.names.push(name.clone());
            }
            if let Some(value) = values.get(row) {
                grid.cells.insert((name, head), (value, text(of)?));
            }
        }
        Ok(grid)
    }
}

/// Which shade a value has, from 0 to [`SHADES`].
fn shade(value: f64, most: f64) -> usize {
    if most <= 0.0 || value <= 0.0 {
        return 0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "between 0 and 9"
    )]
    let shade = (value / most * SHADES as f64).ceil() as usize;
    shade.clamp(1, SHADES)
}

/// A day of the week by its name; anything else as it is.
fn row_name<'a>(column: &str, name: &'a str) -> &'a str {
    const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let day = name.parse().ok().filter(|_| column == "weekday").and_then(|day: usize| DAYS.get(day.checked_sub(1)?));
    day.copied().unwrap_or(name)
}

/// A small cell has no room for a fraction that is nothing.
fn short(text: &str) -> &str {
    text.strip_suffix(".00").or_else(|| text.strip_suffix(".0")).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::{shade, short};

    #[test]
    fn shades_reach_from_nothing_to_the_most() {
        assert_eq!(
            [shade(0.0, 9.0), shade(0.1, 9.0), shade(4.5, 9.0), shade(9.0, 9.0), shade(1.0, 0.0)],
            [0, 1, 5, 9, 0]
        );
        assert_eq!((short("12.0"), short("100.00"), short("1.50")), ("12", "100", "1.50"));
    }
}
