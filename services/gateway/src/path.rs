//! Request paths as Kong sees them: the normalised form that routes match, and what is left of one
//! that was stripped.

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

/// Whether nginx takes the path: escapes are whole and name no NUL, and no segment leads above the root.
pub(crate) fn is_sound(raw: &str) -> bool {
    let mut escapes = raw.split('%').skip(1).map(|after| hex_pair(after.as_bytes().get(..2)));
    let mut depth = 0_i32;
    escapes.all(|code| code.is_some_and(|code| code != 0))
        && decode_unreserved(raw).split('/').all(|segment| {
            depth += match segment {
                "" | "." => 0,
                ".." => -1,
                _ => 1,
            };
            depth >= 0
        })
}

/// Whether the text that a path escapes is UTF-8.
pub(crate) fn is_utf8(path: &str) -> bool {
    let mut pieces = path.as_bytes().split(|b| *b == b'%');
    let mut text = pieces.next().unwrap_or_default().to_vec();
    for piece in pieces {
        match (hex_pair(piece.get(..2)), piece.get(2..)) {
            (Some(code), Some(rest)) => {
                text.push(code);
                text.extend_from_slice(rest);
            }
            _ => text.extend_from_slice(piece),
        }
    }
    std::str::from_utf8(&text).is_ok()
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

/// What an upstream is asked for when a route strips its match: `rest` is what followed the match.
pub(crate) fn stripped(rest: &str) -> String {
    format!("/{}", rest.trim_start_matches('/'))
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
    fn paths_that_nginx_refuses_are_refused() {
        for raw in ["/a/%2e%2e/b", "/100%25", "/", "/a/./..", "/%ff"] {
            assert!(is_sound(raw), "{raw}");
        }
        for raw in ["/..", "/a/../../b", "/%2E./b", "/%zz", "/100%", "/a%2", "/%+1", "/a%00b"] {
            assert!(!is_sound(raw), "{raw}");
        }
    }

    #[test]
    fn a_stripped_path_starts_with_one_slash() {
        for (rest, want) in [("", "/"), ("/", "/"), ("/x", "/x"), ("x", "/x"), ("/x/", "/x/"), ("//x", "/x")] {
            assert_eq!(stripped(rest), want, "{rest}");
        }
    }
}
