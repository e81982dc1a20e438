//! Finds the route of a request, in the order of precedence that Kong gives routes.

use std::cmp::Reverse;
use std::sync::Arc;

use hyper::Method;
use regex::Regex;
use serde::Deserialize;

use crate::file;
use crate::path::{is_utf8, stripped};
use crate::plan::Service;
use crate::plugins::Chain;

/// A route, with the plugins that act on it.
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    pub(crate) service: Arc<Service>,
    pub(crate) chain: Chain,
    pub(crate) request_buffering: bool,
    strip_path: bool,
    methods: Vec<file::Verb>,
    paths: Vec<Pattern>,
    regex_priority: u32,
}

/// A regular expression, anchored at the start of the path. A plain prefix is not implemented: it is no prefix of
/// segments, so that `/inventory` would let `/inventoryapi/…` in as well.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Pattern(Regex);

impl TryFrom<String> for Pattern {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        let source = path.strip_prefix('~').filter(|source| source.starts_with('/'));
        let source = source.ok_or("should start with ~/ (a regular expression; plain prefixes are not implemented)")?;
        if has_open_alternative(source) {
            return Err("an alternative outside of parentheses would not be anchored".to_owned());
        }
        Regex::new(&format!("^(?:{source})")).map(Self).map_err(|error| error.to_string())
    }
}

/// Whether a `|` stands outside of all groups: Kong anchors only what comes before it.
fn has_open_alternative(source: &str) -> bool {
    let mut depth = 0_i32;
    source.chars().any(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == '|' && depth == 0
    })
}

/// A request's route, and what its path becomes.
pub(crate) struct Match<'a> {
    pub(crate) route: &'a Route,
    pub(crate) upstream_path: String,
    /// The part of the path that was stripped, if it is more than a slash.
    pub(crate) prefix: Option<String>,
    /// The named groups of the path.
    pub(crate) captures: Vec<(String, String)>,
}

impl Route {
    pub(crate) fn new(route: file::Route, service: Arc<Service>, chain: Chain) -> Self {
        let file::Route { paths, methods, regex_priority, strip_path, request_buffering, .. } = route;
        let name = route.name.into();
        Self { name, service, chain, request_buffering, strip_path, methods, paths, regex_priority }
    }

    fn matches<'a>(&'a self, method: &Method, path: &str) -> Option<Match<'a>> {
        if !self.methods.is_empty() && !self.methods.iter().any(|it| it.0 == method) {
            return None;
        }
        let (regex, found) = self.paths.iter().find_map(|it| Some((&it.0, it.0.captures(path)?)))?;
        let (matched, rest) = path.split_at_checked(found.get(0)?.len())?;
        let group = |name: &str| Some((name.to_owned(), found.name(name)?.as_str().to_owned()));
        Some(Match {
            route: self,
            upstream_path: if self.strip_path { stripped(rest) } else { path.to_owned() },
            prefix: (self.strip_path && matched != "/").then(|| matched.to_owned()),
            captures: regex.capture_names().flatten().filter_map(group).collect(),
        })
    }
}

pub(crate) struct Router(Vec<Route>);

impl Router {
    pub(crate) fn new(mut routes: Vec<Route>) -> Self {
        // The sort is stable, so the oldest comes first among equals.
        routes.sort_by_key(|route| Reverse((!route.methods.is_empty(), route.regex_priority)));
        Self(routes)
    }

    /// The route for a method and a normalised path.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<Match<'_>> {
        // Kong's regular expressions match no text that is not UTF-8.
        let utf8 = is_utf8(path);
        self.0.iter().filter(|_| utf8).find_map(|route| route.matches(method, path))
    }
}
