//! Parameters: what a report asks for, and how an answer is checked.

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use super::dates::{self, Anchors};
use super::value::{Decimal, Value};

/// The type of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamType {
    /// A day, absolute or relative (`today-30d`) in the company's zone.
    Date,
    Int,
    Decimal,
    String,
    Bool,
    /// One of `choices`.
    Choice,
    /// Several values of type `of`, for `IN ($name)`; an empty list filters nothing.
    List,
}

/// A parameter as its header declares it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    #[serde(rename = "type")]
    pub kind: ParamType,
    /// What a person reads beside the field; the name if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Absent: the caller must give a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<toml::Value>,
    /// Least value of an int, decimal or date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<toml::Value>,
    /// Greatest value of an int, decimal or date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<toml::Value>,
    /// What a choice is chosen from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The type of a list's values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<ParamType>,
}

/// Characters of a text, and values of a list.
const LONGEST_TEXT: usize = 200;
const LONGEST_LIST: usize = 500;
/// Bounds of an int without declared ones: exact in every engine and in JavaScript.
const LARGEST_INT: i64 = 1_000_000_000_000_000;

impl Parameter {
    /// Whether the declaration itself makes sense: its default lies within its bounds and so on.
    pub(crate) fn check(&self, anchors: &Anchors) -> Result<(), String> {
        if (self.kind == ParamType::Choice) == self.choices.is_empty() {
            return Err("`choices` belongs to the type \"choice\", which needs at least one".to_owned());
        }
        if (self.kind == ParamType::List) != self.of.is_some() {
            return Err("`of` belongs to the type \"list\", which needs it".to_owned());
        }
        if matches!(self.of, Some(ParamType::List | ParamType::Choice | ParamType::Bool)) {
            return Err("a list may be of \"date\", \"int\", \"decimal\" or \"string\"".to_owned());
        }
        let bounded = matches!(self.kind, ParamType::Date | ParamType::Int | ParamType::Decimal | ParamType::List);
        if !bounded && (self.min.is_some() || self.max.is_some()) {
            return Err("`min` and `max` belong to dates and numbers".to_owned());
        }
        if let Some(default) = self.default.as_ref().filter(|_| !self.follows()) {
            self.read_toml(default, anchors).map_err(|reason| format!("the default {reason}"))?;
        }
        Ok(())
    }

    /// Whether its default is counted from another parameter's day (`$as_of - 27d`).
    #[must_use]
    pub fn follows(&self) -> bool {
        self.default.as_ref().and_then(toml::Value::as_str).is_some_and(|it| it.starts_with('$'))
    }

    /// The first and last day that a date may be, for a form's control.
    #[must_use]
    pub fn days(&self, today: NaiveDate) -> (Option<NaiveDate>, Option<NaiveDate>) {
        let anchors = dates::anchors(today, today - Days::new(1));
        let day = |bound: &Option<toml::Value>| bound.as_ref().and_then(|bound| dates::parse(&plain(bound), &anchors));
        (day(&self.min), day(&self.max))
    }

    /// The value of what a caller gave. One empty text is an empty list where no value is an empty text; of texts it is one
    /// value, and a list without values is no text at all.
    ///
    /// # Errors
    /// What it should have been.
    pub(crate) fn read(&self, given: &[String], anchors: &Anchors) -> Result<Value, String> {
        match (self.kind, given) {
            (ParamType::List, [only]) if only.is_empty() && self.of != Some(ParamType::String) => {
                Ok(Value::List(Vec::new()))
            }
            (ParamType::List, values) => {
                let of = self.of.unwrap_or(ParamType::String);
                self.list(values.iter().map(|value| self.scalar(of, value, anchors)).collect()).map_err(|reason| {
                    let commas = of != ParamType::String && values.iter().any(|value| value.contains(','));
                    if commas { format!("{reason}; several values are given by repeating the name") } else { reason }
                })
            }
            (kind, [text]) => self.scalar(kind, text, anchors),
            (_, _) => Err("is given twice, and is no list".to_owned()),
        }
    }

    /// The value of a default or of a `[publish]` binding.
    pub(crate) fn read_toml(&self, value: &toml::Value, anchors: &Anchors) -> Result<Value, String> {
        match (self.kind, value) {
            (ParamType::List, toml::Value::Array(items)) => {
                let of = self.of.unwrap_or(ParamType::String);
                self.list(items.iter().map(|item| self.scalar(of, &plain(item), anchors)).collect())
            }
            (ParamType::List, _) => Err("must be an array".to_owned()),
            (kind, value) => self.scalar(kind, &plain(value), anchors),
        }
    }

    fn list(&self, items: Result<Vec<Value>, String>) -> Result<Value, String> {
        let items = items?;
        if items.len() > LONGEST_LIST {
            return Err(format!("must be at most {LONGEST_LIST} values"));
        }
        Ok(Value::List(items))
    }

    fn scalar(&self, kind: ParamType, text: &str, anchors: &Anchors) -> Result<Value, String> {
        match kind {
            ParamType::Date => {
                let day = dates::parse(text, anchors)
                    .ok_or("must be a date such as 2026-03-08, or today, yesterday, month_start, today-30d")?;
                let bound =
                    |bound: &Option<toml::Value>| bound.as_ref().and_then(|bound| dates::parse(&plain(bound), anchors));
                within(day, bound(&self.min), bound(&self.max)).map(Value::Date)
            }
            ParamType::Int => {
                let number = int(text).ok_or("must be a whole number")?;
                let bound =
                    |bound: &Option<toml::Value>, or| bound.as_ref().and_then(toml::Value::as_integer).unwrap_or(or);
                let (min, max) = (bound(&self.min, -LARGEST_INT), bound(&self.max, LARGEST_INT));
                within(number, Some(min), Some(max)).map(Value::Int)
            }
            ParamType::Decimal => {
                let number = Decimal::parse(text).ok_or("must be a number such as 12.50, of at most 15 digits")?;
                let bound =
                    |bound: &Option<toml::Value>| bound.as_ref().and_then(|bound| Decimal::parse(&plain(bound)));
                within(number, bound(&self.min), bound(&self.max)).map(Value::Decimal)
            }
            ParamType::Bool => match text {
                "true" => Ok(Value::Bool(true)),
                "false" => Ok(Value::Bool(false)),
                _ => Err("must be true or false".to_owned()),
            },
            ParamType::Choice if self.choices.iter().any(|choice| choice == text) => Ok(Value::Text(text.to_owned())),
            ParamType::Choice => Err(format!("must be one of {}", self.choices.join(", "))),
            ParamType::String | ParamType::List => {
                if text.chars().count() > LONGEST_TEXT {
                    return Err(format!("must be at most {LONGEST_TEXT} characters"));
                }
                if text.chars().any(char::is_control) {
                    return Err("must not hold control characters".to_owned());
                }
                Ok(Value::Text(text.to_owned()))
            }
        }
    }
}

/// Digits with at most a minus: neither `+5` nor `5.0`.
fn int(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

fn within<T: PartialOrd + std::fmt::Display>(value: T, min: Option<T>, max: Option<T>) -> Result<T, String> {
    match (min, max) {
        (Some(min), _) if value < min => Err(format!("must be at least {min}")),
        (_, Some(max)) if value > max => Err(format!("must be at most {max}")),
        _ => Ok(value),
    }
}

/// A TOML scalar as a caller would type it.
fn plain(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::Parameter;
    use crate::report::language::dates::anchors;
    use crate::report::language::value::Value;

    fn parameter(declaration: &str) -> Parameter {
        toml::from_str(declaration).unwrap()
    }

    #[test]
    fn values_keep_to_type_and_bounds() {
        let anchors = anchors("2026-11-22".parse().unwrap(), "2026-11-20".parse().unwrap());
        let limit = parameter("type = \"int\"\nmin = 1\nmax = 10");
        let read = |parameter: &Parameter, texts: &[&str]| {
            parameter.read(&texts.iter().map(ToString::to_string).collect::<Vec<_>>(), &anchors)
        };
        assert_eq!(read(&limit, &["10"]), Ok(Value::Int(10)));
        assert_eq!(read(&limit, &["1", "2"]), Err("is given twice, and is no list".to_owned()));
        for text in ["0", "11", "+1", "1.0", " 1", "1 OR 1=1", "", "-", "99999999999999999999", "٣"] {
            assert!(read(&limit, &[text]).is_err(), "{text}");
        }
        let day = parameter("type = \"date\"\nmax = \"today\"");
        assert!(read(&day, &["2026-11-23"]).is_err());
        assert!(read(&day, &["yesterday"]).is_ok());
        let choice = parameter("type = \"choice\"\nchoices = [\"revenue\", \"margin\"]");
        assert!(read(&choice, &["margin"]).is_ok());
        assert_eq!(read(&choice, &["profit"]), Err("must be one of revenue, margin".to_owned()));
        let stores = parameter("type = \"list\"\nof = \"int\"\ndefault = []");
        assert_eq!(read(&stores, &["1", "2"]), Ok(Value::List(vec![Value::Int(1), Value::Int(2)])));
        assert_eq!(read(&stores, &[""]), Ok(Value::List(vec![])));
        assert!(read(&stores, &["1", "x"]).is_err());
        assert!(read(&stores, &["1,2"]).unwrap_err().contains("repeating the name"));
        let names = parameter("type = \"list\"\nof = \"string\"\ndefault = []");
        let texts = [" a, b ", "", "'"].map(|text| Value::Text(text.to_owned()));
        assert_eq!(read(&names, &[" a, b ", "", "'"]), Ok(Value::List(texts.to_vec())));
        // Rows without a category are asked for by an empty text, and all rows by no text.
        assert_eq!(read(&names, &[""]), Ok(Value::List(vec![Value::Text(String::new())])));
        assert_eq!(read(&names, &[]), Ok(Value::List(vec![])));
        assert!(read(&parameter("type = \"string\""), &["a\u{0}b"]).is_err());
        assert!(read(&parameter("type = \"bool\""), &["1"]).is_err());
    }

    #[test]
    fn a_senseless_declaration_is_refused() {
        let anchors = anchors("2026-11-22".parse().unwrap(), "2026-11-20".parse().unwrap());
        for declaration in [
            "type = \"choice\"",
            "type = \"list\"",
            "type = \"list\"\nof = \"bool\"",
            "type = \"int\"\nchoices = [\"a\"]",
            "type = \"string\"\nmin = 1",
            "type = \"int\"\nmin = 5\ndefault = 1",
            "type = \"date\"\ndefault = \"someday\"",
        ] {
            assert!(parameter(declaration).check(&anchors).is_err(), "{declaration}");
        }
    }
}
