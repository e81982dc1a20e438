//! What has come from a source and is not committed yet.
