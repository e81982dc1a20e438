//! `request-transformer`: headers taken from and given to the upstream's request, and a new path
//! made from what a regex route captured.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::plan::PlanError;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    #[serde(default)]
    remove: Headers,
    #[serde(default)]
    add: Headers,
    #[serde(default)]
    replace: Replace,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Headers {
    #[serde(default)]
    headers: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replace {
    uri: Option<String>,
}

pub(crate) struct RequestTransformer {
    remove: Vec<HeaderName>,
    add: Vec<(HeaderName, HeaderValue)>,
    /// The capture that becomes the path.
    capture: Option<String>,
}

impl RequestTransformer {
    pub(crate) fn new(config: Config, at: &str) -> Result<Self, PlanError> {
        let name = |text: &str, path: String| {
            HeaderName::from_bytes(text.as_bytes()).map_err(|_| PlanError::at(path, "not a header name"))
        };
        let mut remove = Vec::new();
        for (i, text) in config.remove.headers.iter().enumerate() {
            remove.push(name(text, format!("{at}.remove.headers[{i}]"))?);
        }
        let mut add = Vec::new();
        for (i, text) in config.add.headers.iter().enumerate() {
            let path = format!("{at}.add.headers[{i}]");
            let (key, value) = text.split_once(':').ok_or_else(|| PlanError::at(&path, "should be name:value"))?;
            if value.contains("$(") {
                return Err(PlanError::at(path, "a template in a header's value is not implemented"));
            }
            let value = HeaderValue::from_str(value).map_err(|_| PlanError::at(&path, "not a header value"))?;
            add.push((name(key, path)?, value));
        }
        let capture = match config.replace.uri {
            None => None,
            Some(uri) => {
                let inner = uri.strip_prefix("$(uri_captures[\"").and_then(|rest| rest.strip_suffix("\"])"));
                let reason = "only $(uri_captures[\"name\"]) is implemented";
                Some(inner.ok_or_else(|| PlanError::at(format!("{at}.replace.uri"), reason))?.to_owned())
            }
        };
        Ok(Self { remove, add, capture })
    }

    /// Removes, then adds: an added header never replaces one that is left.
    pub(crate) fn access(&self, headers: &mut HeaderMap, path: &mut String, captures: &[(String, String)]) {
        for name in &self.remove {
            headers.remove(name);
        }
        for (name, value) in &self.add {
            headers.entry(name).or_insert_with(|| value.clone());
        }
        if let Some(wanted) = &self.capture
            && let Some((_, value)) = captures.iter().find(|(name, _)| name == wanted)
            && value.starts_with('/')
        {
            path.clone_from(value);
        }
    }
}
