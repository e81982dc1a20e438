//! Request paths as Kong sees them: the normalised form that routes match, and how a matched path
//! is joined to a service's own path.

/// The path that routing and forwarding use: escapes of unreserved characters decoded, other
/// escapes in upper case, dot segments resolved, runs of slashes joined.
pub(crate) fn normalize(raw: &str) -> String {
    let decoded = decode_unreserved(raw);
    let mut segments: Vec<&str> = Vec::new();
    let mut parts = decoded.split('/').peekable();
    // The text before the leading slash is empty; a path always starts with one.
    parts.next();
    let mut open_end = false;
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." | "" => open_end = last,
            ".." => {
                segments.pop();
                open_end = last;
            }
            segment => {
                segments.push(segment);
                open_end = false;
            }
        }
    }
    let mut out = String::with_capacity(decoded.len());
    for segment in &segments {
        out.push('/');
        out.push_str(segment);
    }
    if open_end || segments.is_empty() {
        out.push('/');
    }
    out
}

fn decode_unreserved(raw: &str) -> String {
    let bytes = raw.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&byte) = bytes.get(i) {
        let code = (byte == b'%').then(|| hex_pair(bytes.get(i + 1..i + 3))).flatten();
        match code {
            Some(code) if code.is_ascii_alphanumeric() || matches!(code, b'-' | b'.' | b'_' | b'~') => out.push(code),
            Some(code) => out.extend_from_slice(format!("%{code:02X}").as_bytes()),
            None => out.push(byte),
        }
        i += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex_pair(pair: Option<&[u8]>) -> Option<u8> {
    let text = std::str::from_utf8(pair?).ok()?;
    // `from_str_radix` would take a sign.
    text.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(text, 16).ok())?
}

/// The upstream path when a route strips its match: `rest` is what followed the match in `path`.
pub(crate) fn join_stripped(base: Option<&str>, path: &str, rest: &str) -> String {
    let base = base.unwrap_or("/");
    let trimmed = base.strip_suffix('/').unwrap_or(base);
    let rest = rest.trim_start_matches('/');
    if !rest.is_empty() {
        return format!("{trimmed}/{rest}");
    }
    if path.ends_with('/') || trimmed.is_empty() { format!("{trimmed}/") } else { trimmed.to_owned() }
}

/// The upstream path when a route keeps the request path.
pub(crate) fn join_kept(base: Option<&str>, path: &str) -> String {
    let base = base.unwrap_or("/");
    let trimmed = base.strip_suffix('/').unwrap_or(base);
    // A request for `/` itself asks for the service's own path.
    if path == "/" && !trimmed.is_empty() { trimmed.to_owned() } else { format!("{trimmed}{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_normalised_before_they_match() {
        let cases = [
            ("/a//b", "/a/b"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/../../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/%41/%2f%20%7e", "/A/%2F%20~"),
            ("/a/%2E%2e/b", "/b"),
            ("/100%", "/100%"),
            ("/%+1", "/%+1"),
            ("/", "/"),
            ("/a/", "/a/"),
        ];
        for (raw, want) in cases {
            assert_eq!(normalize(raw), want, "{raw}");
        }
    }

    #[test]
    fn a_stripped_path_is_joined_to_the_services_path() {
        let cases = [
            ("/a", "", ["/", "/base", "/base"]),
            ("/a/", "/", ["/", "/base/", "/base/"]),
            ("/a/x", "/x", ["/x", "/base/x", "/base/x"]),
            ("/a/x/", "/x/", ["/x/", "/base/x/", "/base/x/"]),
            ("/ax", "x", ["/x", "/base/x", "/base/x"]),
        ];
        for (path, rest, want) in cases {
            for (base, want) in [None, Some("/base"), Some("/base/")].into_iter().zip(want) {
                assert_eq!(join_stripped(base, path, rest), want, "{path} on {base:?}");
            }
        }
        // Route `/a/`: what follows the match has no slash of its own.
        assert_eq!(join_stripped(Some("/base"), "/a/", ""), "/base/");
        assert_eq!(join_stripped(None, "/a/x", "x"), "/x");
    }

    #[test]
    fn a_kept_path_is_appended() {
        assert_eq!(join_kept(None, "/a/"), "/a/");
        assert_eq!(join_kept(Some("/base/"), "/a"), "/base/a");
        assert_eq!(join_kept(Some("/base"), "/"), "/base");
        assert_eq!(join_kept(None, "/"), "/");
    }
}
