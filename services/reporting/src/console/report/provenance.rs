//! Where the figures come from.

use jobs::document::Document;
use maud::{Markup, html};

use crate::{
    State,
    console::{
        layout::{Tone, pill},
        show,
    },
};

/// Snapshot, parameters, currency, and how fresh each source was.
pub(super) fn section(state: &State, document: &Document) -> Markup {
    let provenance = &document.provenance;
    let zone = state.config.time_zone;
    html! {
        section.card {
            h2 { "Where this comes from" }
            dl.facts {
                dt { "Computed" } dd { (show::moment(provenance.generated_at, zone)) }
                dt { "Snapshot of the lake" } dd { (provenance.snapshot) }
                @if let Some(revision) = provenance.revision { dt { "Revision" } dd { (revision) } }
                @if let Some(state) = &provenance.state { dt { "State" } dd { (show::words(state)) } }
                dt { "Currency" } dd { (provenance.currency) }
                @for (name, value) in &provenance.parameters {
                    dt { code { (name) } } dd { (plain(value)) }
                }
            }
            @if !provenance.sources.is_empty() {
                table.plain {
                    caption.sr { "Freshness of the sources" }
                    thead { tr { th scope="col" { "Source" } th scope="col" { "Complete through" } th scope="col" { "Age" } th scope="col" { "State" } } }
                    tbody {
                        @for source in &provenance.sources {
                            tr {
                                th scope="row" { (show::words(&source.name)) }
                                td { (show::maybe(source.complete_through, zone)) }
                                td { @if let Some(age) = source.age_seconds { (show::span(age)) } @else { "–" } }
                                td { @if source.stale { (pill(Tone::Warn, "stale")) } @else { (pill(Tone::Good, "fresh")) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The values of a resolved parameter, as a query string has them: an empty list has none, for on a page it is the default.
pub(in crate::console) fn values(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Array(items) => items.iter().map(plain).collect(),
        other => vec![plain(other)],
    }
}

/// A resolved parameter as a person reads it.
fn plain(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
