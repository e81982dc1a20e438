//! The history that a data folder was seeded with: its `seed.json`, so that a repeat completes that history and no other.

use std::path::PathBuf;

use chrono::{Days, Utc};
use serde::{Deserialize, Serialize};

use super::Plan;
use crate::error::{Error, Result};
use crate::state::State;

/// A history, with its last day.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Seeded {
    pub(super) plan: Plan,
    /// Whether all of it was sent.
    #[serde(rename = "whole")]
    pub(super) complete: bool,
}

/// The file of one data folder.
pub(super) struct Note(PathBuf);

impl Note {
    pub(super) fn of(state: &State) -> Self {
        Self(state.lake.with_file_name("seed.json"))
    }

    /// The history to send: the noted one, where it is the one that is asked for, or else a new one, which is noted.
    pub(super) fn begin(&self, asked: &Plan, zones: impl Iterator<Item = base::Tz>) -> Result<Seeded> {
        if let Some(seeded) = self.read()? {
            let open = Plan { until: asked.until.or(seeded.plan.until), ..asked.clone() };
            if open == seeded.plan {
                return Ok(seeded);
            }
            let Plan { days, stores, products, customers, seed, until } = &seeded.plan;
            let last = until.map_or_else(String::new, |last| format!(" --until {last}"));
            return Err(Error::Usage(format!(
                "this system holds another history: --days {days} --stores {stores} --products {products} \
                 --customers {customers} --seed {seed}{last}.\n  Name a new --data-dir for a new one."
            )));
        }
        let now = Utc::now();
        let over = zones.map(|zone| zone.local(now).date() - Days::new(1)).min();
        let seeded = Seeded { plan: Plan { until: asked.until.or(over), ..asked.clone() }, complete: false };
        self.write(&seeded)?;
        Ok(seeded)
    }

    pub(super) fn write(&self, seeded: &Seeded) -> Result<()> {
        let text = serde_json::to_string(seeded).map_err(|error| self.bad(&error))?;
        std::fs::write(&self.0, text).map_err(Error::io("write", &self.0))
    }

    fn read(&self) -> Result<Option<Seeded>> {
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
