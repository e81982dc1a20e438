//! What a browser's language tells of its user.

use axum::http::{HeaderMap, header::ACCEPT_LANGUAGE};
use exports::DecimalMark;

/// Languages whose numbers have a decimal comma (CLDR 48, `numbers/symbols/decimal`), among those with a spreadsheet.
const COMMA: [&str; 42] = [
    "af", "az", "be", "bg", "bs", "ca", "cs", "da", "de", "el", "es", "et", "eu", "fi", "fo", "fr", "gl", "hr", "hu",
    "hy", "id", "is", "it", "ka", "kk", "lt", "lv", "mk", "nb", "nl", "nn", "no", "pl", "pt", "ro", "ru", "sk", "sl",
    "sr", "sv", "tr", "uk",
];
/// Where they are spoken and written with a decimal point.
const POINT: [&str; 15] = [
    "de-ch", "de-li", "es-419", "es-cu", "es-do", "es-gt", "es-hn", "es-mx", "es-ni", "es-pa", "es-pe", "es-pr",
    "es-sv", "es-us", "it-ch",
];

/// The decimal mark of the language that the browser prefers; a point where it names none.
pub(super) fn decimal_mark(headers: &HeaderMap) -> DecimalMark {
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // Browsers list the preferred one first.
    let tag = accepted.split([',', ';']).next().unwrap_or_default().trim().to_ascii_lowercase();
    let language = tag.split('-').next().unwrap_or_default();
    let comma = COMMA.contains(&language) && !POINT.contains(&tag.as_str());
    if comma { DecimalMark::Comma } else { DecimalMark::Point }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue, header::ACCEPT_LANGUAGE};
    use exports::DecimalMark::{Comma, Point};

    use super::decimal_mark;

    #[test]
    fn the_first_language_and_its_country_decide() {
        for (accepted, mark) in [
            ("fr-CA,fr;q=0.9,en;q=0.8", Comma),
            ("en-CA,fr;q=0.9", Point),
            ("de", Comma),
            ("de-CH", Point),
            ("es-MX, es;q=0.5", Point),
            ("PT-br", Comma),
            ("*", Point),
            ("", Point),
            (";,", Point),
        ] {
            let headers = HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static(accepted))]);
            assert_eq!(decimal_mark(&headers), mark, "{accepted}");
        }
        assert_eq!(decimal_mark(&HeaderMap::new()), Point);
    }
}
