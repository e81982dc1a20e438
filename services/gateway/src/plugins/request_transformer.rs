//! `request-transformer`: headers taken from and given to the upstream's request, and a new path
//! made from what a regex route captured.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RequestTransformer {
    #[serde(default)]
    remove: Headers<Name>,
    #[serde(default)]
    add: Headers<Added>,
    #[serde(default)]
    replace: Replace,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Headers<T> {
    headers: Vec<T>,
}

impl<T> Default for Headers<T> {
    fn default() -> Self {
        Self { headers: Vec::new() }
    }
}

#[derive(Debug, Deserialize)]
struct Name(#[serde(deserialize_with = "super::header_name")] HeaderName);

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Added(HeaderName, HeaderValue);

impl TryFrom<String> for Added {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (name, value) = text.split_once(':').ok_or("should be name:value")?;
        if value.contains("$(") {
            return Err("a template in a header's value is not implemented");
        }
        let value = HeaderValue::from_str(value).map_err(|_| "not a header value")?;
        Ok(Self(name.parse().map_err(|_| "not a header name")?, value))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replace {
    uri: Option<Capture>,
}

/// The name of the capture that becomes the path.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Capture(String);

impl TryFrom<String> for Capture {
    type Error = &'static str;

    fn try_from(uri: String) -> Result<Self, Self::Error> {
        let name = uri.strip_prefix("$(uri_captures[\"").and_then(|rest| rest.strip_suffix("\"])"));
        name.map(|name| Self(name.to_owned())).ok_or("only $(uri_captures[\"name\"]) is implemented")
    }
}

impl RequestTransformer {
    /// Removes, then adds: an added header never replaces one that is left.
    pub(crate) fn access(&self, headers: &mut HeaderMap, path: &mut String, captures: &[(String, String)]) {
        for Name(name) in &self.remove.headers {
            headers.remove(name);
        }
        for Added(name, value) in &self.add.headers {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        if let Some(Capture(wanted)) = &self.replace.uri
            && let Some((_, value)) = captures.iter().find(|(name, _)| name == wanted)
            && value.starts_with('/')
        {
            path.clone_from(value);
        }
    }
}
