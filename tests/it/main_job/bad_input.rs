//! Wrong settings, files and requests: a message that says what to do, and nothing half-done.

use std::process::Output;

use system_tests::Stack;

/// A command that must fail, and what it said.
fn refused(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "it passed: {said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

#[tokio::test]
async fn wrong_settings_and_files_are_named_with_the_place() {
    let mut stack = Stack::start().await;
    let own = stack.folder().join("own");
    std::fs::create_dir_all(own.join("reports")).unwrap();
    std::fs::create_dir_all(own.join("sources")).unwrap();
    let catalogue = own.to_string_lossy().into_owned();
    let sources = own.join("sources").to_string_lossy().into_owned();

    // A report that does not parse disables itself alone, and says where.
    let report = "/*---\ntitle = \"Broken\"\ndescription = \"d\"\nsection = \"Own\"\ngrain = \"day\"\nkey = [\"x\"]\n[columns]\nx = { type = \"int64\", title = \"X\" }\n---*/\nSELEKT 1 AS x\n";
    std::fs::write(own.join("reports/broken.sql"), report).unwrap();
    stack.restart_with("reporting", &[("REPORTING_CATALOGUE_DIR", &catalogue)]).await;
    let said = refused(&stack.cli("reporting", &["check-catalog"]).await);
    assert!(said.contains("broken.sql:10"), "{said}");
    let listed = stack.api("analyst").get_json("/reporting/api/v1/reports").await;
    let text = listed.to_string();
    assert!(text.contains("broken.sql") && text.contains("store_performance"), "{text}");

    // A mistake in a source's declaration is named by file, line and key.
    std::fs::write(own.join("sources/bad.toml"), "[source]\nname = \"bad\"\nbase = \"/bad\"\npolls = \"every 5m\"\n")
        .unwrap();
    stack.stop("reporting").await;
    stack.system().set_extra("reporting", vec![("REPORTING_SOURCES_DIR".to_owned(), sources)]);
    let said = refused(&stack.cli("reporting", &["check-catalog"]).await);
    assert!(said.contains("bad.toml") && said.contains("polls") && said.contains('4'), "{said}");

    // So are an unknown variable and one whose value makes no sense.
    for (variable, value) in [("REPORTING_LAKE_FOLDER", "/x"), ("REPORTING_TIME_ZONE", "Mars/Olympus")] {
        stack.system().set_extra("reporting", vec![(variable.to_owned(), value.to_owned())]);
        let said = refused(&stack.cli("reporting", &["migrate"]).await);
        assert!(said.contains(variable), "{said}");
    }
}

#[tokio::test]
async fn a_missing_variable_is_named_by_every_program() {
    for program in ["inventory", "ecommerce", "retail", "reporting", "gateway"] {
        let mut command = std::process::Command::new(system_tests::binaries::program(program));
        if program == "reporting" {
            command.arg("serve");
        }
        let said = refused(&command.env_clear().output().unwrap());
        assert!(said.contains(&format!("{}_", program.to_uppercase())), "{program}: {said}");
    }
}

#[tokio::test]
async fn wrong_requests_for_a_report_name_the_parameter() {
    let stack = Stack::start().await;
    let analyst = stack.api("analyst");
    for (query, status, named) in [
        ("store_performance?fron=2026-01-01", 400, "fron"),
        ("store_performance?from=yesterdayish", 400, "from"),
        ("store_performance?from=2026-02-30", 400, "from"),
        ("store_performance?limit=0", 400, "limit"),
        ("store_performance?limit=-1%20OR%201=1", 400, "limit"),
        ("store_performance?format=docx", 400, "csv"),
        ("no_such_report", 404, "no_such_report"),
        ("..%2F..%2Fetc%2Fpasswd", 404, "report"),
    ] {
        let reply = analyst.get(&format!("/reporting/api/v1/reports/{query}")).await.expect(status);
        assert_eq!(reply.media_type(), "application/problem+json", "{query}");
        assert!(reply.text().contains(named), "{query}: {}", reply.text());
    }
}
