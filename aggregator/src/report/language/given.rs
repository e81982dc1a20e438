//! What a caller gives for a report's parameters: a value for each, and as many as it has for a list.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Values by the names of parameters, as text.
///
/// A list is given by repeating its name, so that a value may hold any character. Given once and empty, it is a list
/// without values, unless it is of texts: then it is one empty text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Given(BTreeMap<String, Values>);

/// In JSON a text, or an array of texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
enum Values {
    One(String),
    Many(Vec<String>),
}

impl Values {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

impl Given {
    /// Adds a value; a name that has one already becomes a list.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        let values = match self.0.remove(&name) {
            None => Values::One(value),
            Some(Values::One(first)) => Values::Many(vec![first, value]),
            Some(Values::Many(mut values)) => {
                values.push(value);
                Values::Many(values)
            }
        };
        self.0.insert(name, values);
    }

    /// Gives a list of values, which may be none.
    pub fn push_list(&mut self, name: impl Into<String>, values: Vec<String>) {
        self.0.insert(name.into(), Values::Many(values));
    }

    /// Takes what was given for a name.
    pub fn take(&mut self, name: &str) -> Option<Vec<String>> {
        self.0.remove(name).map(|values| values.as_slice().to_vec())
    }

    /// What was given for a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[String]> {
        self.0.get(name).map(Values::as_slice)
    }

    /// The names for which something was given.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Each value with its name, as a query string has them.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .flat_map(|(name, values)| values.as_slice().iter().map(move |value| (name.as_str(), value.as_str())))
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Given {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut given = Self::default();
        for (name, value) in pairs {
            given.push(name, value);
        }
        given
    }
}

impl From<&BTreeMap<String, String>> for Given {
    fn from(values: &BTreeMap<String, String>) -> Self {
        values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

impl From<&Self> for Given {
    fn from(given: &Self) -> Self {
        given.clone()
    }
}
