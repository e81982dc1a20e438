//! The closed list of formats, their names and media types, and content negotiation.

use serde::{Deserialize, Serialize};

/// How a CSV is meant to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CsvProfile {
    /// RFC 4180, UTF-8, for programs.
    Raw,
    /// For a double click: a byte order mark, the reader's separators, and cells that mean what they say.
    Spreadsheet(DecimalMark),
}

/// What stands before the decimals, and with it what stands between fields, in the reader's country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DecimalMark {
    /// `1234.50`, and commas between fields.
    Point,
    /// `1234,50`, and semicolons between fields.
    Comma,
}

/// A format a report can be had in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Format {
    /// One document with the envelope and the rows as objects.
    Json,
    /// One object per line, rows only.
    Ndjson,
    Csv(CsvProfile),
    Parquet,
    Xlsx,
    /// The Arrow IPC file format ("Feather v2").
    Arrow,
}

impl Format {
    /// Every format, the one for "anything" first.
    pub const ALL: [Self; 8] = [
        Self::Json,
        Self::Ndjson,
        Self::Csv(CsvProfile::Raw),
        Self::Csv(CsvProfile::Spreadsheet(DecimalMark::Point)),
        Self::Csv(CsvProfile::Spreadsheet(DecimalMark::Comma)),
        Self::Parquet,
        Self::Xlsx,
        Self::Arrow,
    ];

    /// The name for `?format=` and the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv(CsvProfile::Raw) => "csv",
            Self::Csv(CsvProfile::Spreadsheet(DecimalMark::Point)) => "csv-spreadsheet",
            Self::Csv(CsvProfile::Spreadsheet(DecimalMark::Comma)) => "csv-spreadsheet-comma",
            Self::Parquet => "parquet",
            Self::Xlsx => "xlsx",
            Self::Arrow => "arrow",
        }
    }

    /// The format of that [`name`](Self::name), if there is one.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The ending of a file, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Csv(_) => "csv",
            other => other.name(),
        }
    }

    /// The ending of a file beside those of other formats: no two are alike.
    #[must_use]
    pub const fn distinct_extension(self) -> &'static str {
        match self {
            Self::Csv(CsvProfile::Spreadsheet(DecimalMark::Point)) => "spreadsheet.csv",
            Self::Csv(CsvProfile::Spreadsheet(DecimalMark::Comma)) => "spreadsheet-comma.csv",
            other => other.extension(),
        }
    }

    /// The `Content-Type`.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv(CsvProfile::Raw) => "text/csv; charset=utf-8; header=present",
            Self::Csv(CsvProfile::Spreadsheet(DecimalMark::Point)) => {
                "text/csv; charset=utf-8; header=present; profile=spreadsheet"
            }
            Self::Csv(CsvProfile::Spreadsheet(DecimalMark::Comma)) => {
                "text/csv; charset=utf-8; header=present; profile=spreadsheet-comma"
            }
            Self::Parquet => "application/vnd.apache.parquet",
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Arrow => "application/vnd.apache.arrow.file",
        }
    }

    /// The parameter `profile` of the `Content-Type`.
    fn profile(self) -> Option<&'static str> {
        self.media_type().split_once("profile=").map(|(_, profile)| profile)
    }

    /// Whether its bytes are no text, and nothing for a terminal.
    #[must_use]
    pub const fn is_binary(self) -> bool {
        matches!(self, Self::Parquet | Self::Xlsx | Self::Arrow)
    }

    /// Whether its bytes are compressed already, so that compressing them again would only cost time.
    #[must_use]
    pub const fn is_compressed(self) -> bool {
        matches!(self, Self::Parquet | Self::Xlsx)
    }

    /// The format that an `Accept` header prefers, by its q values; on equal ones the earlier in
    /// [`Format::ALL`]. `None` when nothing we have is acceptable. An empty header accepts anything.
    #[must_use]
    pub fn negotiate(accept: &str) -> Option<Self> {
        if accept.trim().is_empty() {
            return Some(Self::Json);
        }
        let ranges: Vec<Range<'_>> = accept.split(',').filter_map(Range::parse).collect();
        let mut best: Option<(u16, Self)> = None;
        for format in Self::ALL {
            // The most specific range that matches decides about a format (RFC 9110, 12.5.1).
            let Some(range) =
                ranges.iter().filter(|range| range.matches(format)).max_by_key(|range| range.specificity())
            else {
                continue;
            };
            if range.quality > 0 && best.is_none_or(|(quality, _)| range.quality > quality) {
                best = Some((range.quality, format));
            }
        }
        best.map(|(_, format)| format)
    }

    /// Rows that are encoded at once: a row group or record batch in columnar files.
    pub(crate) const fn batch_rows(self) -> usize {
        match self {
            Self::Parquet | Self::Arrow => 128 * 1024,
            Self::Json | Self::Ndjson | Self::Csv(_) | Self::Xlsx => 32 * 1024,
        }
    }
}

/// One entry of an `Accept` header.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    profile: Option<&'a str>,
    /// Thousandths, so that two are compared exactly.
    quality: u16,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut range = Self { kind, subtype, profile: None, quality: 1000 };
        for part in parts {
            match part.split_once('=').map(|(name, value)| (name.trim(), value.trim())) {
                Some((name, value)) if name.eq_ignore_ascii_case("q") => range.quality = quality(value)?,
                Some((name, value)) if name.eq_ignore_ascii_case("profile") => {
                    range.profile = Some(value.trim_matches('"'))
                }
                _ => {}
            }
        }
        Some(range)
    }

    fn matches(&self, format: Format) -> bool {
        let essence = format.media_type().split(';').next().unwrap_or_default();
        let (kind, subtype) = essence.split_once('/').unwrap_or_default();
        // Of a profile that nobody knows, the plain file is the nearest.
        let known = |asked: &str| {
            Format::ALL.into_iter().filter_map(Format::profile).find(|known| asked.eq_ignore_ascii_case(known))
        };
        let profile_fits = self.profile.is_none_or(|asked| known(asked) == format.profile());
        (self.kind == "*" || self.kind.eq_ignore_ascii_case(kind))
            && (self.subtype == "*" || self.subtype.eq_ignore_ascii_case(subtype))
            && profile_fits
    }

    fn specificity(&self) -> u8 {
        u8::from(self.kind != "*") + u8::from(self.subtype != "*") + u8::from(self.profile.is_some())
    }
}

/// A q value (`0`, `0.5`, `1.000`) in thousandths; `None` when it is none.
fn quality(text: &str) -> Option<u16> {
    let value: f32 = text.parse().ok().filter(|value| (0.0..=1.0).contains(value))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 1000 by the line above")]
    let thousandths = (value * 1000.0).round() as u16;
    Some(thousandths)
}

#[cfg(test)]
mod tests {
    use super::{CsvProfile, DecimalMark, Format};

    #[test]
    fn names_lead_back_to_their_format() {
        for format in Format::ALL {
            assert_eq!(Format::from_name(format.name()), Some(format));
            let alike = |other: &Format| other.distinct_extension() == format.distinct_extension();
            assert_eq!(Format::ALL.iter().filter(|other| alike(other)).count(), 1);
        }
        assert_eq!(Format::from_name("xml"), None);
    }

    #[test]
    fn accept_is_weighed() {
        let csv = Format::Csv(CsvProfile::Raw);
        let spreadsheet = |mark| Format::Csv(CsvProfile::Spreadsheet(mark));
        let cases = [
            ("", Some(Format::Json)),
            ("*/*", Some(Format::Json)),
            ("text/csv", Some(csv)),
            ("text/csv; profile=spreadsheet", Some(spreadsheet(DecimalMark::Point))),
            ("text/csv; profile=\"Spreadsheet-Comma\"", Some(spreadsheet(DecimalMark::Comma))),
            ("text/csv; profile=other", Some(csv)),
            ("application/json;q=0.5, text/csv;q=0.9", Some(csv)),
            ("application/json;q=0, */*;q=0.1", Some(Format::Ndjson)),
            ("application/vnd.apache.parquet, */*;q=0.1", Some(Format::Parquet)),
            ("text/*", Some(csv)),
            ("image/png", None),
            ("application/json;q=2", None),
            ("TEXT/CSV", Some(csv)),
        ];
        for (accept, expected) in cases {
            assert_eq!(Format::negotiate(accept), expected, "Accept: {accept}");
        }
    }
}
