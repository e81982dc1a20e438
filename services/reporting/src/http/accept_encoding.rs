//! Content codings of responses: which one a client accepts, and a stream in it.

use std::{io, pin::Pin};

use async_compression::tokio::bufread;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures_util::Stream;
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use crate::answer::{Coding, encode::BROTLI};

/// The coding that a request prefers to none at all (RFC 9110, 12.5.3).
#[must_use]
pub fn preferred(headers: &HeaderMap) -> Option<Coding> {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let wishes: Vec<(&str, f32)> = values.flat_map(|value| value.split(',')).map(wish).collect();
    let quality = |name: &str| wishes.iter().find(|(token, _)| token.eq_ignore_ascii_case(name)).map(|(_, q)| *q);
    let of = |coding: Coding| quality(coding.name()).or_else(|| quality("*")).unwrap_or(0.0);
    // `max_by` takes the last of equals.
    let best = Coding::ALL.into_iter().rev().max_by(|one, other| of(*one).total_cmp(&of(*other)))?;
    (of(best) > 0.0 && of(best) >= quality("identity").unwrap_or(0.0)).then_some(best)
}

/// A stream in a coding, encoded as it is read.
pub fn coded(
    coding: Coding,
    plain: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let plain = StreamReader::new(Box::pin(plain));
    let coded: Pin<Box<dyn AsyncRead + Send>> = match coding {
        Coding::Zstd => Box::pin(bufread::ZstdEncoder::new(plain)),
        Coding::Brotli => Box::pin(bufread::BrotliEncoder::with_quality(plain, BROTLI)),
        Coding::Gzip => Box::pin(bufread::GzipEncoder::new(plain)),
    };
    ReaderStream::with_capacity(coded, 16 * 1024)
}

/// A token with its q value; one that makes no sense is not wanted.
fn wish(text: &str) -> (&str, f32) {
    let (token, parameter) = text.split_once(';').map_or((text, None), |(token, rest)| (token, Some(rest)));
    let quality = match parameter.and_then(|it| it.trim().strip_prefix("q=")) {
        Some(q) => q.trim().parse().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0),
        None => 1.0,
    };
    (token.trim(), quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &'static str) -> Option<Coding> {
        preferred(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]))
    }

    #[test]
    fn the_clients_wish_decides() {
        for (value, coding) in [
            ("gzip", Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("br;q=1.0, gzip;q=0.8, *;q=0.1", Some(Coding::Brotli)),
            ("*", Some(Coding::Zstd)),
            ("gzip;q=0.5, identity;q=0.9", None),
            ("identity", None),
            ("gzip;q=0", None),
            ("GZIP", Some(Coding::Gzip)),
            ("gzip;q=high", None),
            ("deflate", None),
            ("", None),
        ] {
            assert_eq!(of(value), coding, "{value}");
        }
        assert_eq!(preferred(&HeaderMap::new()), None);
    }
}
