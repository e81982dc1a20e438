//! Files: whole, with length and digest, in parts, in codings, with a name; read back by programs nobody here wrote.

use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use futures_util::future::join_all;
use reqwest::Method;
use system_tests::{Reply, eventually, python};
use tokio::io::AsyncReadExt as _;

use super::{api, direct, listed, metric, reporting, shared};

/// What a body holds.
pub(super) async fn decoded(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut read = Vec::new();
    let done = match coding {
        "gzip" => GzipDecoder::new(body).read_to_end(&mut read).await,
        "zstd" => ZstdDecoder::new(body).read_to_end(&mut read).await,
        _ => BrotliDecoder::new(body).read_to_end(&mut read).await,
    };
    done.unwrap();
    read
}

fn digest(reply: &Reply) -> &str {
    reply.header("repr-digest").expect("a digest")
}

fn digest_of(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("body");
    std::fs::write(&file, bytes).unwrap();
    let program = "import base64, hashlib, sys\n\
                   print(base64.b64encode(hashlib.sha256(open(sys.argv[1], 'rb').read()).digest()).decode())";
    format!("sha-256=:{}:", python(program, &[&file.to_string_lossy()]).trim())
}

#[tokio::test]
async fn every_file_is_whole_with_length_digest_and_a_name() {
    let stack = shared().await;
    let api = api(stack);
    for (format, ending, saved) in [
        ("ndjson", "ndjson", false),
        ("csv", "csv", true),
        ("csv-spreadsheet", "csv", true),
        ("csv-spreadsheet-comma", "csv", true),
        ("parquet", "parquet", true),
        ("xlsx", "xlsx", true),
        ("arrow", "arrow", true),
    ] {
        let path = direct(&format!("many?blocks=2&format={format}"));
        let reply = api.get(&path).await.expect(200);
        assert_eq!(reply.header("content-length").unwrap(), reply.body.len().to_string(), "{format}");
        assert_eq!(digest(&reply), digest_of(&reply.body), "{format}");
        let snapshot = reply.header("tributary-snapshot").unwrap();
        let kind = if saved { "attachment" } else { "inline" };
        let named = format!("{kind}; filename=\"many-s{snapshot}.{ending}\"");
        assert_eq!(reply.header("content-disposition"), Some(named.as_str()));
        assert_eq!(reply.header("accept-ranges"), Some("bytes"));
        assert!(!reply.header("etag").unwrap().starts_with("W/"), "a file is the same to the byte");
        let again = api.get(&path).await.expect(200);
        assert_eq!((again.body, again.headers.get("etag")), (reply.body.clone(), reply.headers.get("etag")));
        let head = api.call(Method::HEAD, &path).send().await.expect(200);
        assert_eq!((head.header("content-length"), digest(&head)), (reply.header("content-length"), digest(&reply)));
        let etag = reply.header("etag").unwrap();
        api.call(Method::GET, &path).header("if-none-match", etag).send().await.expect(304);
        api.call(Method::HEAD, &path).header("if-none-match", etag).send().await.expect(304);
        let date = reply.header("last-modified").unwrap();
        api.call(Method::GET, &path).header("if-modified-since", date).send().await.expect(304);
    }
    // Others build theirs meanwhile; nothing unfinished stays.
    let spool = stack.folder().join("spool");
    eventually("no unfinished file", async || listed(&spool).iter().all(|name| !name.ends_with(".part"))).await;
}

#[tokio::test]
async fn parts_fit_together_and_ranges_that_make_no_sense_do_not_hurt() {
    let stack = shared().await;
    let api = api(stack);
    let path = direct("many?blocks=5&format=csv");
    let whole = api.get(&path).await.expect(200);
    let (length, etag) = (whole.body.len(), whole.header("etag").unwrap());
    let mut together = Vec::new();
    for first in (0..length).step_by(length / 3 + 1) {
        let last = first + length / 3;
        let call = api.call(Method::GET, &path).header("range", &format!("bytes={first}-{last}"));
        let part = call.header("if-range", etag).send().await.expect(206);
        let last = last.min(length - 1);
        assert_eq!(part.header("content-range").unwrap(), format!("bytes {first}-{last}/{length}"));
        assert_eq!(part.header("content-length").unwrap(), part.body.len().to_string());
        assert_eq!(digest(&part), digest(&whole), "the digest is of the whole");
        together.extend(part.body);
    }
    assert!(together == whole.body);
    for (range, status, bytes) in [
        ("bytes=-7", 206, 7),
        (&format!("bytes=-{}", length * 2), 206, length),
        (&format!("bytes={}-", length - 1), 206, 1),
        (&format!("bytes={length}-"), 416, 0),
        ("bytes=-0", 416, 0),
        ("bytes=5-2", 200, length),
        ("bytes=0-1,4-5", 200, length),
        ("bytes=a-b", 200, length),
        ("rows=0-1", 200, length),
        ("bytes=99999999999999999999999-", 200, length),
        ("", 200, length),
    ] {
        let reply = api.call(Method::GET, &path).header("range", range).send().await.expect(status);
        assert_eq!(reply.body.len(), bytes, "{range}");
        if status == 416 {
            assert_eq!(reply.header("content-range").unwrap(), format!("bytes */{length}"));
        }
    }
    // A part of another version is no part of this one.
    let call = api.call(Method::GET, &path).header("range", "bytes=0-9").header("if-range", "\"other\"");
    assert_eq!(call.send().await.expect(200).body.len(), length);
}

#[tokio::test]
async fn who_holds_another_version_gets_412_and_gets_no_part_of_this_one() {
    let stack = shared().await;
    let api = api(stack);
    let file = direct("many?blocks=1&word=conditions&format=csv");
    let whole = api.get(&file).await.expect(200);
    let (etag, date) = (whole.header("etag").unwrap(), whole.header("last-modified").unwrap());
    let long_ago = "Sun, 06 Nov 1994 08:49:37 GMT";
    let json = direct("many?blocks=1&word=conditions");
    let weak = api.get(&json).await.expect(200);
    let weak = weak.header("etag").unwrap();
    for (path, conditions, status) in [
        (&file, &[("if-match", etag)][..], 200),
        (&file, &[("if-match", "\"other\"")], 412),
        (&file, &[("if-match", "*")], 200),
        (&file, &[("if-unmodified-since", date)], 200),
        (&file, &[("if-unmodified-since", long_ago)], 412),
        (&file, &[("if-unmodified-since", "soon")], 200),
        (&file, &[("if-match", etag), ("if-unmodified-since", long_ago)], 200),
        (&file, &[("if-match", etag), ("if-none-match", etag)], 304),
        (&file, &[("if-match", "\"other\""), ("range", "bytes=0-9")], 412),
        (&file, &[("if-match", etag), ("range", "bytes=0-9")], 206),
        (&file, &[("if-range", etag), ("range", "bytes=0-9")], 206),
        // Rows that are computed anew may have been others within the same second: the date is no strong validator.
        (&file, &[("if-range", date), ("range", "bytes=0-9")], 200),
        (&json, &[("if-match", "*")], 200),
        // An answer with its own age is never the same to the byte.
        (&json, &[("if-match", weak)], 412),
        (&json, &[("if-match", "\"other\"")], 412),
        (&json, &[("if-unmodified-since", long_ago)], 412),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let call = api.call(method.clone(), path);
            let call = conditions.iter().fold(call, |call, (name, value)| call.header(name, value));
            let reply = call.send().await.expect(status);
            if status == 412 && method == Method::GET {
                let problem = reply.json();
                assert!(problem["type"].as_str().unwrap().ends_with("precondition-failed"), "{problem}");
                assert_eq!(problem["field"].as_str().unwrap().to_lowercase(), conditions[0].0, "{problem}");
            }
        }
    }
}

#[tokio::test]
async fn a_coded_file_is_a_file_of_its_own_and_what_is_compressed_already_is_left_alone() {
    let stack = shared().await;
    let api = api(stack);
    for format in ["csv", "ndjson", "arrow"] {
        let path = direct(&format!("many?blocks=6&format={format}"));
        let plain = api.get(&path).await.expect(200);
        let mut tags = vec![plain.header("etag").unwrap().to_owned()];
        for coding in ["gzip", "zstd", "br"] {
            let coded = api.call(Method::GET, &path).header("accept-encoding", coding).send().await.expect(200);
            assert_eq!(coded.header("content-encoding"), Some(coding));
            assert_eq!(coded.header("content-length").unwrap(), coded.body.len().to_string());
            assert_eq!(digest(&coded), digest_of(&coded.body));
            assert!(decoded(coding, &coded.body).await == plain.body, "{format} in {coding}");
            tags.push(coded.header("etag").unwrap().to_owned());
            let call = api.call(Method::GET, &path).header("accept-encoding", coding).header("range", "bytes=0-99");
            let part = call.send().await.expect(206);
            assert!(part.header("content-encoding").is_none() && part.body == plain.body[..100]);
        }
        tags.sort();
        tags.dedup();
        assert_eq!(tags.len(), 4, "each coding has its own tag");
    }
    for format in ["parquet", "xlsx"] {
        let path = direct(&format!("many?format={format}"));
        let reply = api.call(Method::GET, &path).header("accept-encoding", "gzip, br, zstd").send().await.expect(200);
        assert!(reply.header("content-encoding").is_none(), "{format}");
    }
}

#[tokio::test]
async fn many_who_want_the_same_are_served_one_file() {
    let stack = reporting(&[]).await;
    let api = api(&stack);
    // Few rows are encoded by the service, and many by who computes them.
    for (blocks, made) in [(20, 1_u8), (40, 2)] {
        let path = direct(&format!("many?blocks={blocks}&format=parquet"));
        let replies = join_all((0..24).map(|_| api.get(&path))).await;
        let first = replies[0].body.clone();
        for reply in replies {
            assert!(reply.expect(200).body == first);
        }
        assert_eq!(metric(&api, "tributary_export_seconds_count{format=\"parquet\"").await, f64::from(made));
        assert_eq!(listed(&stack.folder().join("spool")).len(), usize::from(made));
    }
    let rows = metric(&api, "tributary_export_rows_total{format=\"parquet\"").await;
    assert_eq!(rows, 60_000.0, "what another process wrote is counted, too");
}
