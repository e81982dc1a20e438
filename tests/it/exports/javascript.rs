//! The readers of a browser or a notebook in JavaScript: Arrow's own, and two of Parquet.

use serde_json::{Value, json};
use system_tests::node;

/// apache-arrow gives a decimal as its unscaled number, and the scale with the type; hyparquet has zstd in a package of its
/// own.
const READERS: &str = r#"
import { readFileSync } from "node:fs";
import { tableFromIPC, DataType } from "apache-arrow";
import { parquetReadObjects } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { readParquet, initSync } from "parquet-wasm/esm";
const folder = process.argv[1];
initSync({ module: readFileSync("node_modules/parquet-wasm/esm/parquet_wasm_bg.wasm") });
const plain = value => typeof value === "bigint" ? value.toString() : value instanceof Date ? value.toISOString() : value ?? null;
function columns(table) {
  const cells = field => Array.from(table.getChild(field.name) ?? []).map(value => {
    if (value !== null && DataType.isDecimal(field.type)) return Number(value.toString()) / 10 ** field.type.scale;
    if (value !== null && DataType.isDate(field.type)) return new Date(value).toISOString();
    return plain(value);
  });
  return Object.fromEntries(table.schema.fields.map(field => [field.name, cells(field)]));
}
const arrow = columns(tableFromIPC(readFileSync(`${folder}/raw.arrow`)));
const bytes = readFileSync(`${folder}/raw.parquet`);
const wasm = columns(tableFromIPC(readParquet(bytes).intoIPCStream()));
const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
const rows = await parquetReadObjects({ file, compressors });
const hyparquet = Object.fromEntries(Object.keys(arrow).map(name => [name, rows.map(row => plain(row[name]))]));
console.log(JSON.stringify({ arrow, "parquet-wasm": wasm, hyparquet }));
"#;

#[test]
fn javascript_finds_the_same_in_arrow_and_parquet() {
    for rows in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        super::files(folder.path(), rows);
        let found: Value = serde_json::from_str(&node(READERS, &[&folder.path().to_string_lossy()])).unwrap();
        for (reader, columns) in found.as_object().unwrap() {
            let all = |values: Value| if rows { values } else { json!([]) };
            assert_eq!(columns["number"], all(json!(["1", "9007199254740993", "-5", null, "0", "7"])), "{reader}");
            assert_eq!(columns["small"], all(json!([1, i32::MIN, i32::MAX, null, 0, 7])), "{reader}");
            assert_eq!(columns["text"], all(json!(super::TEXTS)), "{reader}");
            assert_eq!(columns["good"], all(json!([true, false, true, null, false, true])), "{reader}");
            let days = json!(["2026-03-08", "1970-01-01", "2000-02-29", null, "2026-03-09", "1970-01-02"]);
            let found_days: Vec<Value> = columns["day"]
                .as_array()
                .unwrap()
                .iter()
                .map(|day| json!(day.as_str().and_then(|day| day.get(..10))))
                .collect();
            assert_eq!(json!(found_days), all(days), "{reader}");
            // To the cent: JavaScript knows no decimals.
            let cents: Vec<Value> = columns["net"]
                .as_array()
                .unwrap()
                .iter()
                .map(|net| json!(net.as_f64().map(|net| (net * 100.0).round())))
                .collect();
            assert_eq!(json!(cents), all(json!([123_450.0, -5.0, 1.0, null, 0.0, 99_999_999_999.0])), "{reader}");
        }
    }
}
