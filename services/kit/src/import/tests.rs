//! What becomes of good, bad and broken bodies.

use axum::http::HeaderValue;
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;

use super::*;
use crate::amount::Price;
use crate::text::{Code, Zone};

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    reference: String,
    line_no: i32,
    note: Option<String>,
}

impl Record for Line {
    const REQUIRED: &'static [&'static str] = &["reference", "line_no"];
    const OPTIONAL: &'static [&'static str] = &["note"];
    const DOCUMENT: Option<&'static str> = Some("reference");

    fn document(&self) -> Option<&str> {
        Some(&self.reference)
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.line_no < 1 { Err(Refusal::new("line_no", "must be positive")) } else { Ok(()) }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Product {
    sku: String,
    price: i64,
}

impl Record for Product {
    const REQUIRED: &'static [&'static str] = &["sku", "price"];
}

async fn run<T: Record>(kind: &str, body: Body) -> Result<(Vec<Vec<T>>, Report), ApiError> {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
    let mut import = Import::<T>::open(&headers, body).await?;
    let mut documents = Vec::new();
    while let Some(mut batch) = import.next().await {
        let applied = batch.rows.len() as u64;
        let lengths: Vec<usize> = batch.documents().map(<[_]>::len).collect();
        let mut rows = batch.rows.drain(..).map(|row| row.value);
        documents.extend(lengths.into_iter().map(|length| rows.by_ref().take(length).collect()));
        import.record(Outcome { applied, ..Outcome::default() });
    }
    Ok((documents, import.finish()))
}

async fn csv<T: Record>(body: impl Into<Body>) -> (Vec<Vec<T>>, Report) {
    run("text/csv; charset=utf-8", body.into()).await.unwrap()
}

fn shown(report: &Report) -> Vec<(u64, Option<&str>)> {
    report.errors.iter().map(|error| (error.line, error.field.as_deref())).collect()
}

#[tokio::test]
async fn marks_crlf_and_quoted_newlines_are_in_order() {
    let (documents, report) =
        csv::<Line>("\u{feff}reference,line_no,note\r\na,1,\"two\r\nlines, \"\"quoted\"\"\"\r\na,2,\r\nb,1,x").await;
    assert_eq!(report.applied, 3);
    assert!(report.complete && report.errors.is_empty(), "{report:?}");
    assert_eq!(documents.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(documents[0][0].note.as_deref(), Some("two\r\nlines, \"quoted\""));
    assert_eq!(documents[0][1].note, None);
}

#[tokio::test]
async fn a_bad_row_is_named_by_its_line_whatever_ends_the_lines() {
    for end in ["\n", "\r\n"] {
        let body = ["reference,line_no,note", "a,1,x", "", "b,zero,x", "c,1,x", "d,none,x"].join(end);
        let (_, report) = csv::<Line>(body).await;
        assert_eq!(shown(&report), [(4, Some("line_no")), (6, Some("line_no"))], "{end:?}");
    }
}

#[tokio::test]
async fn a_bad_row_takes_its_document_along_and_no_other() {
    let body = "reference,line_no,note\na,1,\na,2,\nb,1,\nb,x,\nb,3,\nc,1,\nd,0,\ne,1\nf,1,\n";
    let (documents, report) = csv::<Line>(body).await;
    let kept: Vec<&str> = documents.iter().map(|rows| rows[0].reference.as_str()).collect();
    assert_eq!(kept, ["a", "c", "f"]);
    assert_eq!((report.received, report.applied, report.refused), (9, 4, 5));
    assert_eq!(shown(&report), [(5, Some("line_no")), (4, Some("reference")), (8, Some("line_no")), (9, None)]);
}

#[tokio::test]
async fn bad_fields_are_named() {
    let mut body = b"price,sku\n1,a\n1.5,b\n99999999999999999999,c\n3,\xff\n4,e\n5,f,g\n".to_vec();
    body.extend_from_slice(b"6,\"unfinished\n7,x\n");
    let (rows, report) = csv::<Product>(body).await;
    assert_eq!(rows.iter().map(|row| (row[0].sku.as_str(), row[0].price)).collect::<Vec<_>>(), [("a", 1), ("e", 4)]);
    assert!(!report.complete);
    assert_eq!(shown(&report), [(3, Some("price")), (4, Some("price")), (5, Some("sku")), (7, None), (8, None)]);
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    code: Code,
    #[expect(dead_code, reason = "only its errors matter here")]
    kind: Kind,
    #[expect(dead_code, reason = "only its errors matter here")]
    price: Price,
    #[expect(dead_code, reason = "only its errors matter here")]
    zone: Option<Zone>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Shop,
}

impl Record for Place {
    const REQUIRED: &'static [&'static str] = &["code", "kind", "price"];
    const OPTIONAL: &'static [&'static str] = &["zone"];
}

#[tokio::test]
async fn a_field_that_a_type_refuses_is_named() {
    let body =
        "code,kind,price,zone\na,shop,1,\na b,shop,1,\nc,barn,1,\nd,shop,-1,\ne,shop,1,Mars\nf,shop,9,Asia/Tokyo\n";
    let (rows, report) = csv::<Place>(body).await;
    assert_eq!(rows.iter().map(|row| row[0].code.as_str()).collect::<Vec<_>>(), ["a", "f"]);
    assert_eq!(shown(&report), [(3, Some("code")), (4, Some("kind")), (5, Some("price")), (6, Some("zone"))]);
    assert_eq!(report.errors[0].reason, "must be 1 to 32 letters, digits, '_', '.' or '-'");
}

#[tokio::test]
async fn a_bad_header_refuses_the_body() {
    for (body, field) in
        [("", "header"), ("sku\n", "price"), ("sku,price,colour\n", "colour"), ("sku,price,sku\n", "sku")]
    {
        let error = run::<Product>("text/csv", body.into()).await.unwrap_err().problem();
        assert_eq!((error.status, error.field.as_deref()), (422, Some(field)), "{body}");
    }
    assert_eq!(run::<Product>("text/html", "".into()).await.unwrap_err().problem().status, 415);
}

#[tokio::test]
async fn ndjson_rows_name_their_fields_too() {
    let body = concat!(
        "{\"sku\":\"a\",\"price\":1}\r\n\n",
        "{\"sku\":\"b\",\"price\":\"1\"}\n",
        "{\"sku\":\"c\"}\n",
        "{\"sku\":\"d\",\"price\":1,\"x\":2}\n",
        "[\"z\",1]\n",
        "{\"sku\":\"e\",\"price\":5} {}\n",
        "{\"sku\":\"f\",\"price\":6}\n",
        "{\"sku\":\"g\",\"pri"
    );
    let (rows, report) = run::<Product>("application/x-ndjson", body.into()).await.unwrap();
    assert_eq!(rows.iter().map(|row| row[0].sku.as_str()).collect::<Vec<_>>(), ["a", "f"]);
    let fields: Vec<_> = shown(&report).into_iter().filter(|(line, _)| *line != 6).collect();
    assert_eq!(fields, [(3, Some("price")), (4, Some("price")), (5, Some("x")), (7, None), (9, None)]);
    assert!(!report.complete);
}

#[tokio::test]
async fn a_body_cut_at_any_byte_applies_only_whole_documents() {
    let whole = "reference,line_no,note\na,1,\"x, \"\"y\"\"\"\na,2,\nb,1,long\nb,2,\"z\nz\"\n";
    for at in "reference,line_no,note\n".len()..whole.len() {
        let sent = Bytes::copy_from_slice(&whole.as_bytes()[..at]);
        let chunks = stream::iter([Ok(sent), Err(std::io::Error::other("reset"))]);
        let (documents, report) = csv::<Line>(Body::from_stream(chunks)).await;
        assert!(!report.complete, "at {at}");
        // A document is known to be whole only once the next one has begun.
        for rows in &documents {
            assert_eq!(rows.len(), 2, "at {at}: {documents:?}");
        }
        assert_eq!(report.received, report.applied + report.refused, "at {at}");
    }
}

#[tokio::test]
async fn a_long_body_comes_in_bounded_batches() {
    let mut body = String::from("sku,price\n");
    for n in 0..BATCH_ROWS * 2 + 7 {
        body.push_str(&format!("s{n},{n}\n"));
    }
    body.push_str("s,x\n".repeat(300).as_str());
    let (rows, report) = csv::<Product>(body).await;
    assert_eq!(rows.len(), BATCH_ROWS * 2 + 7);
    assert_eq!((report.refused, report.errors.len(), report.errors_truncated), (300, 100, true));
}

#[tokio::test]
async fn a_quote_that_is_never_closed_does_not_fill_the_memory() {
    let body = format!("sku,price\na,1\nb,\"{}", "2\n".repeat(source::ROW_BYTES));
    let (rows, report) = csv::<Product>(body).await;
    assert_eq!(rows.len(), 1);
    assert!(!report.complete && report.errors[0].reason.contains("1 MiB"), "{report:?}");
}

#[tokio::test]
async fn of_equal_keys_the_last_is_kept() {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/csv"));
    let body = Body::from("sku,price\na,1\nb,2\na,3\n");
    let mut import = Import::<Product>::open(&headers, body).await.unwrap();
    let mut batch = import.next().await.unwrap();
    assert_eq!(batch.keep_last(|product| product.sku.clone()), 1);
    let kept: Vec<(&str, i64)> = batch.rows.iter().map(|row| (row.value.sku.as_str(), row.value.price)).collect();
    assert_eq!(kept, [("b", 2), ("a", 3)]);
}
