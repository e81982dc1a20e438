//! What the source at hand offers of what is declared: an earlier version of it may lack what a later one brought.

use std::collections::BTreeMap;

use super::client::Head;
use super::declare::{Dataset, Declaration};

impl Declaration {
    /// What the source does not offer, and need not: datasets by their name, columns as `dataset.column`.
    ///
    /// The error names what it must offer and does not.
    pub(crate) fn absent(&self, head: &Head) -> Result<Vec<String>, String> {
        let mut absent = Vec::new();
        for dataset in &self.datasets {
            let Some(offer) = head.datasets.iter().find(|it| it.name == dataset.feed) else {
                if dataset.since.is_none() {
                    return Err(format!("the feed has no dataset `{}`, which the declaration names", dataset.feed));
                }
                absent.push(dataset.name.clone());
                continue;
            };
            for column in &dataset.columns {
                if offer.has(&column.name) {
                    continue;
                }
                if !dataset.columns_since.contains_key(&column.name) {
                    let (feed, column) = (&dataset.feed, &column.name);
                    return Err(format!(
                        "the feed's dataset `{feed}` has no column `{column}`, which the declaration names"
                    ));
                }
                absent.push(format!("{}.{}", dataset.name, column.name));
            }
        }
        Ok(absent)
    }

    /// What is absent and declared, with the version that offers it.
    pub(super) fn since_of(&self, absent: &[String]) -> BTreeMap<String, String> {
        let since = |absent: &String| {
            let (dataset, column) = split(absent);
            let dataset = self.datasets.iter().find(|it| it.name == dataset)?;
            let since = column.map_or(dataset.since.as_ref(), |it| dataset.columns_since.get(it))?;
            Some((absent.clone(), since.clone()))
        };
        absent.iter().filter_map(since).collect()
    }
}

impl Dataset {
    /// As the source at hand offers it; `None` where it does not.
    pub(crate) fn offered(&self, absent: &[String]) -> Option<Self> {
        if absent.contains(&self.name) {
            return None;
        }
        let columns = absent.iter().map(|it| split(it)).filter(|(dataset, _)| *dataset == self.name);
        Some(Self { absent: columns.filter_map(|(_, column)| Some(column?.to_owned())).collect(), ..self.clone() })
    }
}

/// Dataset and, if one is meant, column of what is absent.
pub(crate) fn split(absent: &str) -> (&str, Option<&str>) {
    absent.split_once('.').map_or((absent, None), |(dataset, column)| (dataset, Some(column)))
}
