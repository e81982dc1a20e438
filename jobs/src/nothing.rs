//! The arguments of a job that takes none.

use serde::Deserialize;

/// `{}`, and nothing else.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}
