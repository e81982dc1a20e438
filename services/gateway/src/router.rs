//! Finds the route of a request, in the order of precedence that Kong gives routes.

use std::cmp::Reverse;
use std::sync::Arc;

use hyper::Method;
use regex::Regex;

use crate::file;
use crate::path::stripped;
use crate::plan::{PlanError, Service};
use crate::plugins::Chain;

/// One path of one route.
pub(crate) struct Route {
    pub(crate) name: Arc<str>,
    pub(crate) service: Arc<Service>,
    pub(crate) chain: Arc<Chain>,
    pub(crate) request_buffering: bool,
    strip_path: bool,
    methods: Vec<Method>,
    pattern: Pattern,
    regex_priority: u32,
}

enum Pattern {
    Prefix(String),
    /// `literal` is the text before the first special character: a cheap first test.
    Regex {
        literal: String,
        regex: Regex,
    },
}

/// A request's route, and what its path becomes.
pub(crate) struct Match<'a> {
    pub(crate) route: &'a Route,
    pub(crate) upstream_path: String,
    /// The part of the path that was stripped, if it is more than a slash.
    pub(crate) prefix: Option<String>,
    /// The named groups of a regex path.
    pub(crate) captures: Vec<(String, String)>,
}

pub(crate) struct Router {
    routes: Vec<Route>,
}

impl Route {
    /// One per path of the file's route.
    pub(crate) fn new(
        route: file::Route,
        service: Arc<Service>,
        chain: Arc<Chain>,
        at: &str,
    ) -> Result<Vec<Self>, PlanError> {
        if route.paths.is_empty() {
            return Err(PlanError::at(format!("{at}.paths"), "a route without paths is not implemented"));
        }
        let name: Arc<str> = route.name.into();
        let mut methods = Vec::new();
        for (i, method) in route.methods.iter().enumerate() {
            let fault = || PlanError::at(format!("{at}.methods[{i}]"), "not a method in upper case");
            if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
                return Err(fault());
            }
            methods.push(Method::from_bytes(method.as_bytes()).map_err(|_| fault())?);
        }
        let ready = |(i, path): (usize, &String)| {
            Ok(Self {
                name: name.clone(),
                service: service.clone(),
                chain: chain.clone(),
                request_buffering: route.request_buffering,
                strip_path: route.strip_path,
                methods: methods.clone(),
                pattern: Pattern::new(path).map_err(|reason| PlanError::at(format!("{at}.paths[{i}]"), reason))?,
                regex_priority: route.regex_priority,
            })
        };
        route.paths.iter().enumerate().map(ready).collect()
    }

    fn matches<'a>(&'a self, method: &Method, path: &str) -> Option<Match<'a>> {
        if !self.methods.is_empty() && !self.methods.contains(method) {
            return None;
        }
        let (length, captures) = self.pattern.matches(path)?;
        let (matched, rest) = path.split_at_checked(length)?;
        let upstream_path = if self.strip_path { stripped(rest) } else { path.to_owned() };
        let prefix = (self.strip_path && matched != "/").then(|| matched.to_owned());
        Some(Match { route: self, upstream_path, prefix, captures })
    }
}

impl Pattern {
    fn new(path: &str) -> Result<Self, String> {
        if let Some(source) = path.strip_prefix('~') {
            if !source.starts_with('/') {
                return Err("should start with: / (fixed path) or ~/ (regex path)".to_owned());
            }
            if has_open_alternative(source) {
                return Err("an alternative outside of parentheses would not be anchored".to_owned());
            }
            let special = |c: char| "\\.+*?()|[]{}^$".contains(c);
            let literal: String = source.chars().take_while(|c| !special(*c)).collect();
            // A quantifier would make the character before it optional.
            let literal = literal.strip_suffix(|_| true).unwrap_or_default().to_owned();
            let regex = Regex::new(&format!("^(?:{source})")).map_err(|e| e.to_string())?;
            return Ok(Self::Regex { literal, regex });
        }
        if !path.starts_with('/') {
            return Err("should start with: / (fixed path) or ~/ (regex path)".to_owned());
        }
        Ok(Self::Prefix(path.to_owned()))
    }

    /// The length of the match and its named groups.
    fn matches(&self, path: &str) -> Option<(usize, Vec<(String, String)>)> {
        match self {
            Self::Prefix(prefix) => path.starts_with(prefix.as_str()).then(|| (prefix.len(), Vec::new())),
            Self::Regex { literal, .. } if !path.starts_with(literal.as_str()) => None,
            Self::Regex { regex, .. } => {
                let found = regex.captures(path)?;
                let group = |name: &str| Some((name.to_owned(), found.name(name)?.as_str().to_owned()));
                let captures = regex.capture_names().flatten().filter_map(group).collect();
                Some((found.get(0)?.len(), captures))
            }
        }
    }
}

/// Whether a `|` stands outside of all groups: Kong anchors only what comes before it.
fn has_open_alternative(source: &str) -> bool {
    let mut depth = 0_usize;
    source.chars().any(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == '|' && depth == 0
    })
}

impl Router {
    pub(crate) fn new(mut routes: Vec<Route>) -> Self {
        // The sort is stable, so the oldest comes first among equals.
        routes.sort_by_key(|route| {
            let (is_regex, length) = match &route.pattern {
                Pattern::Prefix(prefix) => (false, prefix.len()),
                Pattern::Regex { .. } => (true, 0),
            };
            let priority = if is_regex { route.regex_priority } else { 0 };
            Reverse((!route.methods.is_empty(), is_regex, priority, length))
        });
        Self { routes }
    }

    /// The route for a method and a normalised path.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Option<Match<'_>> {
        self.routes.iter().find_map(|route| route.matches(method, path))
    }
}
