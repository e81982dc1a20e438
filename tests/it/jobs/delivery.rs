//! Export packs elsewhere: whole files in another folder, and a webhook that knows a repeat.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use system_tests::{Receiver, wait_until};

use super::desk::{desk, jobs_file, run_job};
use super::restatement::past_day;

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

pub(super) fn sha256(path: &Path) -> String {
    base::sha256_hex(std::fs::read(path).unwrap())
}

/// The manifest of a pack, after each of its files was found to be whole and nothing else to lie beside them.
pub(super) fn check_pack(folder: &Path) -> Value {
    let manifest: Value = serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    let mut expected = BTreeSet::from(["manifest.json".to_owned()]);
    for file in manifest["files"].as_array().unwrap() {
        let name = file["file"].as_str().unwrap();
        let path = folder.join(name);
        assert_eq!(json!(path.metadata().unwrap().len()), file["bytes"], "{name}");
        assert_eq!(json!(sha256(&path)), file["sha256"], "{name}");
        expected.insert(name.to_owned());
    }
    let found = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(found.collect::<BTreeSet<_>>(), expected);
    manifest
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pack_arrives_whole_in_another_folder_and_is_notified_once() {
    let receiver = Receiver::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let file = jobs_file(&format!(
        r#"
        [export]
        reports = ["store_performance", "daily_sales"]
        formats = ["csv", "parquet"]
        folder = "{}"
        webhook = "{}"
        "#,
        elsewhere.path().display(),
        receiver.url()
    ));
    let stack = desk(&file).start().await;
    let (day, _) = past_day(5);
    // A torn copy of an earlier try lies where a file is to be.
    let folder = elsewhere.path().join(day.to_string());
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("daily_sales-r1.csv"), "torn").unwrap();
    run_job(&stack, "nightly", &json!({ "business_day": day, "wait": false })).await;
    assert_eq!(std::fs::read(folder.join("daily_sales-r1.csv")).unwrap(), b"torn", "the nightly run delivers nothing");

    receiver.refuse_next(1);
    let run = run_job(&stack, "deliver", &json!({})).await;
    assert_eq!(
        (&run["outcome"]["delivered"], run["outcome"]["failed"].as_array().unwrap().len()),
        (&json!(1), 1),
        "{run}"
    );
    let manifest = check_pack(&folder);
    assert_eq!(manifest["files"].as_array().unwrap().len(), 4);
    wait_until("the refused message to be taken", PATIENCE, async || {
        run_job(&stack, "deliver", &json!({})).await;
        (receiver.taken().len() == 1).then_some(())
    })
    .await;
    let message = receiver.taken().remove(0);
    assert!(message.header("idempotency-key").starts_with(&format!("pack-{day}-")), "{message:?}");
    assert_eq!(message.json()["pack"], manifest);
    let id = manifest["files"][0]["id"].clone();
    let download = stack.api("analyst").get(&format!("/reporting/api/v1/exports/{id}")).await.expect(200);
    assert_eq!(json!(download.body.len()), manifest["files"][0]["bytes"]);

    // The same night again is the same pack: nobody is told of it twice.
    run_job(&stack, "nightly", &json!({ "business_day": day, "wait": false })).await;
    let run = run_job(&stack, "deliver", &json!({})).await;
    assert_eq!(run["outcome"], json!({ "delivered": 0, "failed": [] }));
    assert_eq!(receiver.taken().len(), 1);
}
