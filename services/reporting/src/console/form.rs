//! A report's parameters as form controls, each with its bounds.

use std::collections::BTreeMap;

use aggregator::report::{ParamType, Parameter, Report};
use chrono::NaiveDate;
use kit::problem::Problem;
use maud::{Markup, html};
use serde_json::Value;

use super::{
    BASE,
    layout::sentence,
    report::{Ask, values},
    show,
};
use crate::State;

/// Spans that people ask for most, as relative days: a bookmark of one stays true tomorrow.
const SPANS: [(&str, &str, &str); 6] = [
    ("Yesterday", "yesterday", "yesterday"),
    ("7 days", "today-7d", "yesterday"),
    ("30 days", "today-30d", "yesterday"),
    ("90 days", "today-90d", "yesterday"),
    ("This month", "month_start", "today"),
    ("This year", "year_start", "today"),
];

/// The form of a report. `resolved` are the values that the shown rows were computed with.
pub(super) fn parameters(
    state: &State,
    report: &Report,
    ask: &Ask,
    resolved: Option<&BTreeMap<String, Value>>,
    refused: Option<&Problem>,
) -> Markup {
    let today = state.config.days().today();
    let fields = ordered(report).into_iter().map(|(name, parameter)| {
        let entered = ask.parameters.get(name).map(|values| values.join("\n"));
        let value = match resolved {
            Some(resolved) => resolved.get(name).map(|it| values(it).join("\n")).or(entered),
            None => entered.or_else(|| parameter.default.as_ref().filter(|_| !parameter.follows()).map(default)),
        };
        let wrong = refused.filter(|problem| problem.field.as_deref() == Some(name));
        Field { name, parameter, value: value.unwrap_or_default(), wrong: wrong.map(|it| it.detail.as_str()), today }
    });
    // What a message does not belong to any field of.
    let unplaced =
        refused.filter(|problem| problem.field.as_ref().is_none_or(|field| !report.params.contains_key(field)));
    html! {
        @if let Some(problem) = unplaced { p.notice.bad role="alert" { (sentence(&problem.detail)) } }
        @if !report.params.is_empty() {
            section.ask.card aria-label="Parameters" {
                form method="get" action={ (BASE) "/reports/" (report.name) } {
                    @if let Some((column, down)) = &ask.sort {
                        input type="hidden" name="_sort" value={ @if *down { "-" } (column) };
                    }
                    @for field in fields { (field.control()) }
                    button.primary { "Show" }
                }
                (spans(report))
            }
        }
    }
}

/// `from` before `to`, then the others by name.
fn ordered(report: &Report) -> Vec<(&str, &Parameter)> {
    let mut all: Vec<(&str, &Parameter)> = report.params.iter().map(|(name, it)| (name.as_str(), it)).collect();
    all.sort_by_key(|(name, _)| (*name != "from", !matches!(*name, "to" | "as_of"), *name));
    all
}

/// A default as it would be entered.
fn default(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(default).collect::<Vec<_>>().join("\n"),
        other => other.to_string(),
    }
}

/// Links to the usual spans, for reports that speak of one.
fn spans(report: &Report) -> Markup {
    let is_day = |name: &str| report.params.get(name).is_some_and(|it| it.kind == ParamType::Date);
    html! {
        @if is_day("from") && is_day("to") {
            p.spans {
                @for (title, from, to) in SPANS {
                    a href={ (BASE) "/reports/" (report.name) "?from=" (from) "&to=" (to) } { (title) }
                }
            }
        }
    }
}

/// One control.
struct Field<'a> {
    name: &'a str,
    parameter: &'a Parameter,
    value: String,
    wrong: Option<&'a str>,
    today: NaiveDate,
}

impl Field<'_> {
    fn control(&self) -> Markup {
        let id = format!("p-{}", self.name);
        let title = self.parameter.title.clone().unwrap_or_else(|| show::words(self.name));
        let error = format!("e-{}", self.name);
        let described_by = self.wrong.map(|_| error.as_str());
        html! {
            div class=(if self.wrong.is_some() { "field wrong" } else { "field" }) {
                label for=(id) { (title) }
                (self.input(&id, described_by))
                @if let Some(wrong) = self.wrong { p.error #(error) { (sentence(wrong)) } }
            }
        }
    }

    fn input(&self, id: &str, described_by: Option<&str>) -> Markup {
        let (name, value, parameter) = (self.name, &self.value, self.parameter);
        let invalid = described_by.map(|_| "true");
        let bound = |bound: &Option<toml::Value>| bound.as_ref().map(default);
        let required = parameter.default.is_none() && parameter.kind != ParamType::List;
        match parameter.kind {
            // A relative day that was refused is shown as the text it is.
            ParamType::Date if value.is_empty() || value.parse::<NaiveDate>().is_ok() => {
                let (min, max) = parameter.days(self.today);
                html! { input type="date" id=(id) name=(name) value=(value) min=[min] max=[max] required[required]
                aria-invalid=[invalid] aria-describedby=[described_by]; }
            }
            ParamType::Int => html! {
                input type="number" id=(id) name=(name) value=(value) min=[bound(&parameter.min)] max=[bound(&parameter.max)]
                    step="1" required[required] aria-invalid=[invalid] aria-describedby=[described_by];
            },
            ParamType::Decimal => html! {
                input type="number" id=(id) name=(name) value=(value) min=[bound(&parameter.min)] max=[bound(&parameter.max)]
                    step="any" required[required] aria-invalid=[invalid] aria-describedby=[described_by];
            },
            ParamType::Bool => select(id, name, value, &[("true", "Yes"), ("false", "No")], described_by),
            ParamType::Choice => {
                let choices: Vec<(&str, String)> =
                    parameter.choices.iter().map(|choice| (choice.as_str(), show::words(choice))).collect();
                let choices: Vec<(&str, &str)> =
                    choices.iter().map(|(value, title)| (*value, title.as_str())).collect();
                select(id, name, value, &choices, described_by)
            }
            ParamType::List => html! {
                textarea id=(id) name=(name) rows="2" placeholder="all, or one per line" autocomplete="off"
                    aria-invalid=[invalid] aria-describedby=[described_by] { (value) }
            },
            ParamType::Date | ParamType::String => html! {
                input type="text" id=(id) name=(name) value=(value) maxlength="200" required[required]
                    aria-invalid=[invalid] aria-describedby=[described_by];
            },
        }
    }
}

fn select(id: &str, name: &str, value: &str, choices: &[(&str, &str)], described_by: Option<&str>) -> Markup {
    html! {
        select id=(id) name=(name) aria-describedby=[described_by] {
            @for (choice, title) in choices {
                option value=(choice) selected[*choice == value] { (title) }
            }
        }
    }
}
