//! `acl`: which groups of consumers may use a route.

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use super::Consumer;
use crate::reply::Exit;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Acl {
    allow: Vec<String>,
}

impl Acl {
    /// Lets a consumer in that is in one of the groups, and tells the upstream its groups.
    pub(crate) fn access(&self, consumer: Option<&Consumer>, headers: &mut HeaderMap) -> Result<(), Exit> {
        let forbidden = || Exit::new(StatusCode::FORBIDDEN, "You cannot consume this service");
        let consumer = consumer.ok_or_else(forbidden)?;
        if !consumer.groups.iter().any(|group| self.allow.contains(group)) {
            return Err(forbidden());
        }
        if let Ok(groups) = HeaderValue::from_str(&consumer.groups.join(", ")) {
            headers.insert(HeaderName::from_static("x-consumer-groups"), groups);
        }
        Ok(())
    }
}
