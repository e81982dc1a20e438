//! What has been told to a data folder: its `seed.json`, so that a repeat completes that history and tells no other.

use std::path::PathBuf;

use chrono::{Days, Utc};
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::error::{Error, Result};
use crate::state::State;

/// A history, with its last day.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) plan: Plan,
    /// Whether it was told to its end.
    pub(super) whole: bool,
}

/// The file of one data folder.
pub(super) struct Note(PathBuf);

impl Note {
    pub(super) fn of(state: &State) -> Self {
        Self(state.lake.with_file_name("seed.json"))
    }

    /// The history to tell: the one noted, if it is what was asked for, or else a new one that is noted now.
    pub(super) fn begin(&self, asked: &Plan, zones: impl Iterator<Item = chrono_tz::Tz>) -> Result<Told> {
        if let Some(told) = self.read()? {
            let open = Plan { until: asked.until.or(told.plan.until), ..asked.clone() };
            if open == told.plan {
                return Ok(told);
            }
            let Plan { days, stores, products, customers, seed, until } = &told.plan;
            let last = until.map_or_else(String::new, |last| format!(" --until {last}"));
            return Err(Error::Usage(format!(
                "another history has been told to this system: --days {days} --stores {stores} --products {products} \
                 --customers {customers} --seed {seed}{last}.\n  Name a new --data-dir for a new one."
            )));
        }
        let now = Utc::now();
        let over = zones.map(|zone| base::date_in(zone, now) - Days::new(1)).min();
        let told = Told { plan: Plan { until: asked.until.or(over), ..asked.clone() }, whole: false };
        self.write(&told)?;
        Ok(told)
    }

    pub(super) fn write(&self, told: &Told) -> Result<()> {
        let text = serde_json::to_string(told).map_err(|error| self.bad(&error))?;
        std::fs::write(&self.0, text).map_err(Error::io("write", &self.0))
    }

    fn read(&self) -> Result<Option<Told>> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| self.bad(&error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("read", &self.0)(error)),
        }
    }

    fn bad(&self, error: &serde_json::Error) -> Error {
        Error::BadFile { path: self.0.clone(), reason: error.to_string() }
    }
}
