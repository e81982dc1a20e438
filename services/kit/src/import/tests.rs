//! What becomes of good, bad and broken bodies, up to the pieces that are staged.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use futures_util::stream;

use super::body::{Incoming, Message};
use super::record::{Record, Rules};
use super::report::{Refusal, RowError};
use super::source::ROW_BYTES;
use super::{Cells, Columns as _, Given, Major};
use crate::amount::Price;
use crate::error::ApiError;
use crate::text::{Code, Text, Zone};

crate::columns! {
    /// A line of a document.
    #[expect(dead_code, reason = "of most columns only the errors matter here")]
    struct Line {
        /// Document.
        reference: Code = "A",
        /// Number.
        line_no: i32 = "1",
        /// Said or not.
        note: Given<Text> = "x",
        /// Minor units.
        price_cents: Option<Price> = "100",
        /// Major units.
        price: Option<Major> = "1.00",
        /// Flag.
        gift: Option<bool> = "true",
        /// Zone.
        zone: Option<Zone> = "Asia/Tokyo",
    }
}

impl Record for Line {
    const KEY: &'static [&'static str] = &["reference"];
    const ONE_OF: &'static [&'static [&'static str]] = &[&["price_cents", "price"]];

    fn check(&self, _: Rules) -> Result<(), Refusal> {
        if self.line_no < 1 { Err(Refusal::new("line_no", "must be positive")) } else { Ok(()) }
    }
}

/// What came of a body.
#[derive(Default)]
struct Read {
    /// Key, line, and the row; none where it is bad.
    rows: Vec<(String, u64, Option<Line>)>,
    errors: Vec<RowError>,
    received: u64,
    pieces: usize,
    broken: Option<RowError>,
    digest: [u64; 4],
}

impl Read {
    fn good(&self) -> Vec<(&str, u64)> {
        self.rows.iter().filter(|(.., row)| row.is_some()).map(|(key, line, _)| (key.as_str(), *line)).collect()
    }

    fn faults(&self) -> Vec<(u64, Option<&str>)> {
        self.errors.iter().map(|error| (error.line, error.field.as_deref())).collect()
    }
}

async fn read(kind: &str, coding: Option<&str>, body: Body) -> Result<Read, ApiError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
    if let Some(coding) = coding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_str(coding).unwrap());
    }
    let mut incoming = Incoming::open::<Line>(&headers, body, Rules { decimals: 2 }).await?;
    let mut read = Read::default();
    loop {
        match incoming.next().await {
            Message::Begun => {}
            Message::Refused(error) => return Err(error),
            Message::Piece(piece) => {
                read.received += piece.received;
                read.errors.extend(piece.errors);
                read.pieces += 1;
                read.rows.extend(tuples(&piece.tuples.finish()));
            }
            Message::Ended { broken, digest } => {
                (read.broken, read.digest) = (broken, digest);
                return Ok(read);
            }
        }
    }
}

/// Takes the binary form of COPY apart.
fn tuples(mut bytes: &[u8]) -> Vec<(String, u64, Option<Line>)> {
    fn take<'a>(bytes: &mut &'a [u8], count: usize) -> &'a [u8] {
        let (taken, rest) = bytes.split_at(count);
        *bytes = rest;
        taken
    }
    take(&mut bytes, 19);
    let mut rows = Vec::new();
    while take(&mut bytes, 2) == 5_i16.to_be_bytes() {
        let mut fields = (0..5).map(|_| {
            let length = i32::from_be_bytes(take(&mut bytes, 4).try_into().unwrap());
            take(&mut bytes, usize::try_from(length).unwrap()).to_vec()
        });
        let key = String::from_utf8(fields.next().unwrap()).unwrap();
        let line = u64::from_be_bytes(fields.next().unwrap().try_into().unwrap());
        let (_, bad, cells) = (fields.next(), fields.next().unwrap(), fields.next().unwrap());
        rows.push((key, line, (bad == [0]).then(|| Line::read(&mut Cells::new(&cells)).unwrap())));
    }
    rows
}

async fn csv(body: impl Into<Body>) -> Read {
    read("text/csv; charset=utf-8", None, body.into()).await.unwrap()
}

#[tokio::test]
async fn marks_crlf_and_quoted_newlines_are_in_order() {
    let read =
        csv("\u{feff}reference,line_no,price,note\r\na,1,1,\" quoted, \"\"twice\"\"\"\r\na,2,1,\r\nb,1,1,x").await;
    assert_eq!(read.good(), [("a", 2), ("a", 3), ("b", 4)]);
    assert!(read.broken.is_none() && read.errors.is_empty());
    let bare = csv("reference,line_no,price\r\n").await;
    assert!(bare.received == 0 && bare.broken.is_none(), "a header alone is a file of no rows");
    let notes: Vec<&Given<Text>> = read.rows.iter().map(|(.., row)| &row.as_ref().unwrap().note).collect();
    assert_eq!(notes[0].value().map(Text::as_str), Some("quoted, \"twice\""));
    assert_eq!((notes[1], notes[2].is_said()), (&Given::Empty, true));
    assert_eq!(csv("reference,line_no,price\na,1,1\n").await.rows[0].2.as_ref().unwrap().note, Given::Absent);
}

#[tokio::test]
async fn a_bad_row_is_named_by_its_line_whatever_ends_the_lines() {
    for end in ["\n", "\r\n"] {
        let body = ["reference,line_no,price", "a,1,1", "", "b,zero,1", "c,1,1", "d,none,1"].join(end);
        assert_eq!(csv(body).await.faults(), [(4, Some("line_no")), (6, Some("line_no"))], "{end:?}");
    }
}

#[tokio::test]
async fn a_bad_row_marks_its_document_wherever_it_stands() {
    let read = csv("reference,line_no,price\na,1,1\nb,1,1\na,0,1\nc,1\n,1,1\n").await;
    assert_eq!(read.good(), [("a", 2), ("b", 3)]);
    let bad: Vec<(&str, u64)> =
        read.rows.iter().filter(|(.., row)| row.is_none()).map(|(key, line, _)| (key.as_str(), *line)).collect();
    assert_eq!(bad, [("a", 4), ("c", 5), ("", 6)]);
    assert_eq!(read.faults(), [(4, Some("line_no")), (5, None), (6, Some("reference"))]);
    assert_eq!(read.received, 5);
    // A comma too many stands before the key or behind it.
    let read = csv("note,reference,line_no,price\nn,a,1,1\nn, and more,a,2,1\nn,b,1,1,\nn,c,1,1\nb,2,1\n").await;
    assert_eq!(read.good(), [("a", 2), ("c", 5)]);
    assert!(["a", "b"].iter().all(|key| read.rows.iter().any(|(of, _, row)| of == key && row.is_none())));
    assert_eq!(read.faults(), [(3, None), (4, None), (6, None)]);
}

#[tokio::test]
async fn every_kind_of_field_says_what_is_wrong_with_it() {
    let header = "reference,line_no,price_cents,price,gift,zone\n";
    for (row, field, says) in [
        ("a b,1,1,,,", "reference", "letters"),
        ("a,x,1,,,", "line_no", "whole number"),
        ("a,2147483648,1,,,", "line_no", "at most 2147483647"),
        ("a,-99999999999999999999,1,,,", "line_no", "at least -2147483648"),
        ("a,1-2,1,,,", "line_no", "must be a whole number"),
        ("a,1,9223372036854775808,,,", "price_cents", "at most 9223372036854775807"),
        ("a,1,12.50,,,", "price_cents", "without _cents"),
        ("a,1,-1,,,", "price_cents", "from 0"),
        ("a,1,,\"12,50\",,", "price", "point"),
        ("a,1,1,,maybe,", "gift", "true or false"),
        ("a,1,1,,,Mars/Olympus", "zone", "IANA"),
        ("a,1,1,,,asia/tokyo", "zone", "IANA"),
        ("a,1,1e3,,,", "price_cents", "whole number"),
        ("a,1, 5,,,", "price_cents", "whole number"),
        ("a,5.0,1,,,", "line_no", "decimal point"),
        ("a,1,,1e3,,", "price", "such as 12.50"),
        ("a,1,, 12.50,,", "price", "such as 12.50"),
        ("a,1,,99999999999999999999,,", "price", "64 bits"),
        ("a,1,1,,yes,", "gift", "true or false"),
    ] {
        let read = csv(format!("{header}{row}\na,1,100,1.00,TRUE,Asia/Tokyo\n")).await;
        assert_eq!(read.faults(), [(2, Some(field))], "{row}");
        assert!(read.errors[0].reason.contains(says), "{row}: {}", read.errors[0].reason);
        assert_eq!(read.good().len(), 1, "{row}");
    }
    let mut body = header.as_bytes().to_vec();
    body.extend_from_slice(b"\xff,1,1,,,\n");
    assert_eq!(csv(body).await.faults(), [(2, Some("reference"))]);
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused_in_one_sentence() {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let utf_16: Vec<u8> = "\u{feff}reference,line_no,price\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (body, field, says) in [
        (bytes(""), "header", "empty"),
        (bytes("reference,line_no\n"), "price_cents", "or price"),
        (bytes("line_no,price\n"), "reference", "lacks"),
        (bytes("reference,line_no,price,colour\n"), "colour", "unknown"),
        (bytes("reference,line_no,price,price\n"), "price", "twice"),
        (bytes("reference,line_no,price,\na,1,1,\n"), "header", "column 4"),
        (bytes("\n\r\n"), "header", "empty"),
        (bytes("reference;line_no;price\na;1;12,50\n"), "header", "semicolons"),
        (bytes("reference\tline_no\tprice\n"), "header", "tabs"),
        (utf_16.clone(), "body", "UTF-16"),
        (utf_16[2..].to_vec(), "body", "UTF-16"),
    ] {
        let error = read("text/csv", None, body.into()).await.err().unwrap().problem();
        assert_eq!((error.status, error.field.as_deref()), (422, Some(field)), "{error:?}");
        assert!(error.detail.contains(says), "{error:?}");
    }
    let zipped = || Body::from(&b"\x1f\x8b\x08\0"[..]);
    for (kind, coding, body) in [
        ("text/html", None, Body::empty()),
        ("text/csv", Some("gzip"), Body::empty()),
        ("text/csv", None, zipped()),
        ("application/x-ndjson", None, zipped()),
    ] {
        assert_eq!(read(kind, coding, body).await.err().unwrap().problem().status, 415);
    }
}

#[tokio::test]
async fn a_refused_body_is_read_to_its_end() {
    let unclosed = "reference,line_no,price\na,1,\"".to_owned() + &"x".repeat(ROW_BYTES);
    let long = "x".repeat(ROW_BYTES + 1);
    for (kind, header, broken) in [
        ("text/csv", "colour\n".to_owned(), false),
        ("text/html", "x\n".to_owned(), false),
        ("text/csv", unclosed, true),
        ("application/x-ndjson", long, true),
    ] {
        let (sent, heard) = (std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0)), 300);
        let counted = sent.clone();
        let chunks = (0..heard).map(move |at| {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok::<_, std::io::Error>(if at == 0 { header.clone() } else { "x".repeat(1000) })
        });
        let body = Body::from_stream(stream::iter(chunks));
        assert_eq!(read(kind, None, body).await.map(|read| read.broken.is_some()).ok(), broken.then_some(true));
        assert_eq!(sent.load(std::sync::atomic::Ordering::Relaxed), heard, "{kind}");
    }
}

#[tokio::test]
async fn ndjson_rows_name_their_fields_too() {
    let body = concat!(
        "{\"reference\":\"a\",\"line_no\":1,\"price\":12.5,\"note\":null}\r\n\n",
        "{\"reference\":\"b\",\"line_no\":\"1\",\"price\":1}\n",
        "{\"reference\":\"c\",\"price\":1}\n",
        "{\"reference\":\"d\",\"line_no\":1,\"price\":1,\"x\":2}\n",
        "[\"z\",1]\n",
        "{\"reference\":\"e\",\"line_no\":5,\"price\":1} {}\n",
        "{\"reference\":\"f\",\"line_no\":6,\"price\":\"1.00\"}\n",
        "{\"reference\":\"g\",\"line_no\":1,\"line_no\":2}\n",
        "{\"reference\":\"j\",\"line_no\":1e3,\"price\":1}\n",
        "{\"reference\":\"k\",\"line_no\":{\"is\":1},\"price\":1}\n",
        "{\"line_no\":1e,\"price\":1, \"reference\" : \"i\"}\n",
        "{\"reference\":\"h\",\"li"
    );
    let read = read("application/x-ndjson", None, body.into()).await.unwrap();
    assert_eq!(read.good(), [("a", 1), ("f", 8)]);
    assert_eq!(read.rows[0].2.as_ref().unwrap().note, Given::Empty);
    assert_eq!(read.rows.last().unwrap().0, "i", "a bad row names its document too");
    let fields = [
        (3, Some("line_no")),
        (4, Some("line_no")),
        (5, Some("x")),
        (6, None),
        (7, None),
        (9, Some("line_no")),
        (10, Some("line_no")),
        (11, Some("line_no")),
        (12, None),
    ];
    assert_eq!(read.faults(), fields);
    assert_eq!(read.broken.unwrap().line, 13);
}

#[tokio::test]
async fn a_file_is_the_same_in_whatever_order_its_rows_are() {
    let digest = async |body: &'static str| csv(body).await.digest;
    let told = digest("reference,line_no,price\na,1,1\na,2,1\nb,1,1\n").await;
    assert_eq!(digest("price,line_no,reference\n1,1,b\n1,2,a\n1,1,a\n").await, told);
    let ndjson = [("a", 1), ("b", 1), ("a", 2)]
        .map(|(reference, line)| format!("{{\"price\":\"1\",\"reference\":\"{reference}\",\"line_no\":{line}}}\n"));
    assert_eq!(read("application/x-ndjson", None, ndjson.concat().into()).await.unwrap().digest, told);
    for other in ["a,1,1\na,2,1\n", "a,1,1\na,2,1\nb,1,2\n", "a,1,1\na,2,1\nb,1,1\nb,1,1\n"] {
        assert_ne!(csv(format!("reference,line_no,price\n{other}")).await.digest, told, "{other}");
    }
}

#[tokio::test]
async fn a_body_cut_at_any_byte_is_reported_as_broken() {
    let whole = "reference,line_no,price,note\na,1,1,\"x, \"\"y\"\"\"\na,2,1,\nb,1,1,long\nb,2,1,\"z\"\n";
    for at in "reference,line_no,price,note\n".len()..whole.len() {
        let sent = Bytes::copy_from_slice(&whole.as_bytes()[..at]);
        let chunks = stream::iter([Ok(sent), Err(std::io::Error::other("reset"))]);
        assert!(csv(Body::from_stream(chunks)).await.broken.is_some(), "at {at}");
    }
    // In good order, but within a row.
    for cut in ["a,1", "a,1,1,\"x"] {
        assert!(csv(format!("reference,line_no,price,note\n{cut}")).await.broken.is_some(), "{cut}");
    }
}

#[tokio::test]
async fn a_long_body_comes_in_bounded_pieces() {
    let mut body = String::from("reference,line_no,price\n");
    for n in 1..=11_000 {
        body.push_str(&format!("s{n},{n},1\n"));
    }
    body.push_str("s,x,1\n".repeat(300).as_str());
    let read = csv(body).await;
    assert_eq!((read.good().len(), read.errors.len(), read.pieces), (11_000, 300, 5));
}

#[tokio::test]
async fn a_quote_that_is_never_closed_does_not_fill_the_memory() {
    let read = csv(format!("reference,line_no,price\na,1,1\nb,1,\"{}", "2\n".repeat(ROW_BYTES))).await;
    assert_eq!(read.good().len(), 1);
    assert!(read.broken.unwrap().reason.contains("1 MiB"));
}
