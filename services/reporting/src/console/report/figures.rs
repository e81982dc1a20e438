//! A report of one row as large figures.

use aggregator::report::Report;
use jobs::document::Document;
use maud::{Markup, html};

use super::{broken, table};
use crate::{State, console::fault::Fault};

/// One tile per figure; the chart's own first.
pub(in crate::console) fn tiles(state: &State, report: &Report, document: &Document) -> Result<Markup, Fault> {
    if document.frame().height() == 0 {
        return Ok(html! {});
    }
    let first = report.chart.as_ref().map_or("", |chart| chart.y.as_str());
    let mut tiles = Vec::new();
    for column in document.columns.iter().filter(|column| table::is_number(column.kind)) {
        let value = document.frame().column(&column.name).and_then(|cells| cells.get(0)).map_err(broken)?;
        let text = table::text(&value, column, state.config.time_zone);
        tiles.push((column, text, table::unit(Some(report), column, &document.provenance.currency)));
    }
    tiles.sort_by_key(|(column, _, _)| column.name != first);
    Ok(html! {
        dl.tiles {
            @for (column, text, unit) in &tiles {
                div.tile {
                    dt { (column.title) }
                    dd {
                        @if text.is_empty() { span.soft { "none" } } @else {
                            (text)
                            @if let Some(unit) = unit { span.unit { " " (unit) } }
                        }
                    }
                }
            }
        }
    })
}
