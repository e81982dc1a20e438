//! The arguments of a job that takes none, and the settings of one that has none.

use serde::Deserialize;

/// `{}`, and nothing else.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}
