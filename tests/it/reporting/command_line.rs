//! The command line by its real binary: help that teaches, exit codes, tables, files that are whole, bad input.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output};

use serde_json::Value;
use system_tests::{Stack, binaries};

use super::{listed, reporting, shared};

async fn run(stack: &Stack, arguments: &[&str]) -> Output {
    stack.cli("reporting", arguments).await
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().expect("it ended by itself"), text(&output.stdout), text(&output.stderr))
}

async fn done(stack: &Stack, arguments: &[&str]) -> String {
    let (code, out, err) = said(&run(stack, arguments).await);
    assert_eq!(code, 0, "{arguments:?}: {err}");
    assert_eq!(err, "", "nothing but results where nobody watches: {arguments:?}");
    out
}

const COMMANDS: [&str; 11] = [
    "serve",
    "poll",
    "run-report",
    "publish",
    "backfill",
    "restate",
    "export",
    "rollups",
    "verify-rollups",
    "migrate",
    "check-catalog",
];

/// What a help prints, without any configuration.
fn help(arguments: &[&str]) -> String {
    let output = Command::new(binaries::program("reporting")).args(arguments).env_clear().output().unwrap();
    let (code, out, err) = said(&output);
    assert_eq!((code, err.as_str()), (0, ""), "{arguments:?}");
    out
}

/// Every help, as somebody has read it over. What it prints now lies beside it when it differs.
#[test]
fn every_help_is_as_it_was_read_over() {
    let mut printed = format!("$ reporting --help\n{}", help(&["--help"]));
    for command in COMMANDS {
        printed.push_str(&format!("\n$ reporting {command} --help\n{}", help(&[command, "--help"])));
    }
    let file = binaries::repository().join("tests/it/reporting/help.txt");
    let expected = std::fs::read_to_string(&file).unwrap();
    if printed != expected {
        let now = std::env::temp_dir().join("help.txt");
        std::fs::write(&now, &printed).unwrap();
        panic!("the help has changed; read {} over and put it in the place of {}", now.display(), file.display());
    }
}

#[test]
fn help_needs_no_configuration_and_teaches() {
    let whole = help(&["--help"]);
    for taught in
        ["A first report:", "reporting poll --all", "Exit codes: 0 done, 1 failed, 2 the command line is wrong."]
    {
        assert!(whole.contains(taught), "{whole}");
    }
    for command in COMMANDS {
        assert!(whole.contains(command), "{command}");
        let text = help(&[command, "--help"]);
        assert_eq!(text, help(&["help", command]));
        if !["serve", "migrate"].contains(&command) {
            assert!(text.contains("Example"), "{command} shows how it is used: {text}");
            assert!(text.contains("--json"), "{command} speaks JSON: {text}");
        }
    }
    let report = help(&["run-report", "--help"]);
    for taught in ["NAME=VALUE", "csv-spreadsheet", "today-30d", "--output", "--published", "--max-age"] {
        assert!(report.contains(taught), "{report}");
    }
    assert!(help(&["--version"]).starts_with("reporting "));
}

#[tokio::test]
async fn a_wrong_command_line_is_2_and_says_what_is_right() {
    let stack = shared().await;
    for (arguments, told) in [
        (&[][..], "Usage"),
        (&["run"], "unrecognized subcommand"),
        (&["pol"], "poll"),
        (&["run-report"], "<NAME>"),
        (&["run-report", "many", "blocks"], "name=value"),
        (&["run-report", "many", "--format", "docx"], "csv-spreadsheet"),
        (&["run-report", "many", "--format", "csv", "--json"], "cannot be used with"),
        (&["run-report", "many", "--published", "yesterday"], "YYYY-MM-DD"),
        (&["run-report", "many", "blocks=1", "--published", "2026-01-01"], "cannot be used with"),
        (&["run-report", "many", "--revision", "1"], "--published"),
        (&["run-report", "many", "--max-age", "60"], "such as 30s"),
        (&["run-report", "many", "--snapshot", "first"], "invalid value"),
        (&["run-report", "many", "--limit", "5"], "--limit"),
        (&["poll"], "required"),
        (&["poll", "--all", "retail"], "cannot be used with"),
        (&["publish", "--day", "2026-02-30"], "2026-02-30"),
        (&["backfill", "--from", "2026-01-01"], "--to"),
        (&["export", "--day"], "--day"),
        (&["check-catalog", "--list", "--json"], "cannot be used with"),
        (&["serve", "now"], "unexpected argument"),
    ] {
        let (code, out, err) = said(&run(stack, arguments).await);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(told), "{arguments:?}: {err}");
    }
}

#[tokio::test]
async fn a_failure_is_1_and_one_line_that_says_why() {
    let stack = shared().await;
    let full = "/dev/full";
    for (arguments, told) in [
        (&["run-report", "nothing"][..], "report `nothing`"),
        (&["run-report", "many", "blocks=lots"], "\"blocks\" must be a whole number"),
        (&["run-report", "many", "blocks=1", "blocks=2"], "given twice"),
        (&["run-report", "many", "colour=red"], "the report takes blocks, days, word"),
        (&["run-report", "many", "--published", "2026-01-01"], "2026-01-01"),
        (&["run-report", "many", "--snapshot", "999999999"], "snapshot"),
        (&["run-report", "many", "--output", "report.docx"], "Say --format"),
        (&["run-report", "many", "--output", "/no/such/folder/report.csv"], "cannot be written"),
        (&["run-report", "many", "--output", "/dev/null/report.csv"], "cannot be written"),
        (&["poll", "nobody"], "nobody"),
        (&["backfill", "--from", "2026-02-01", "--to", "2026-01-01"], "2026-01-01"),
        (&["backfill", "--from", "2026-01-01", "--to", "2026-01-01", "--report", "nothing"], "nothing"),
    ] {
        let (code, out, err) = said(&run(stack, arguments).await);
        assert_eq!((code, out.as_str()), (1, ""), "{arguments:?}: {err}");
        assert!(err.starts_with("error: ") && err.contains(told), "{arguments:?}: {err}");
        assert!(!err.contains("panicked") && !err.contains("SELECT"), "{err}");
    }
    // Results that cannot be told are a failure too.
    let program = binaries::program("reporting");
    let environment = stack.environment("reporting");
    let mut command = Command::new(program);
    command.args(["run-report", "many", "--format", "csv"]).env_clear().envs(environment);
    let output = command.stdout(std::fs::File::options().write(true).open(full).unwrap()).output().unwrap();
    let (code, _, err) = said(&output);
    assert_eq!(code, 1, "{err}");
}

#[tokio::test]
async fn a_report_is_a_table_or_a_file_that_is_whole() {
    let stack = shared().await;
    let table = done(stack, &["run-report", "many", "blocks=1"]).await;
    assert!(table.contains("Block") && table.contains("1969-01-01") && table.contains("1.01"), "{table}");
    assert!(table.contains("1000 rows; computed now; snapshot"), "{table}");
    assert!(table.contains("only the first 200 are shown"), "{table}");
    let document: Value = serde_json::from_str(&done(stack, &["run-report", "many", "--json"]).await).unwrap();
    assert_eq!(document["row_count"], 1_000);
    let csv = done(stack, &["run-report", "many", "blocks=2", "--format", "csv"]).await;
    assert_eq!(csv.lines().count(), 2_001);

    let folder = tempfile::tempdir().unwrap();
    for format in ["csv", "parquet", "xlsx", "ndjson", "arrow", "json"] {
        let file = folder.path().join(format!("many.{format}"));
        let name = file.to_string_lossy().into_owned();
        let told = done(stack, &["run-report", "many", "blocks=2", "--output", &name]).await;
        let length = file.metadata().unwrap().len();
        assert!(told.contains("2,000 rows"), "{told}");
        assert!(length > 1_000 && told.replace(',', "").contains(&length.to_string()), "{told}: {length}");
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("many.csv")).unwrap(), csv);
    // What fails leaves what was there, and nothing beside it.
    let name = folder.path().join("many.csv").to_string_lossy().into_owned();
    let (code, ..) = said(&run(stack, &["run-report", "many", "blocks=x", "--output", &name]).await);
    assert_eq!(code, 1);
    assert_eq!(std::fs::read_to_string(&name).unwrap(), csv);
    assert_eq!(listed(folder.path()).len(), 6, "{:?}", listed(folder.path()));
    let mode = std::fs::metadata(&name).unwrap().permissions().mode();
    assert_eq!(mode & 0o111, 0);
    assert_ne!(mode & 0o044, 0, "readable as other new files are");
}

#[tokio::test]
async fn a_reader_who_has_seen_enough_is_no_failure() {
    let stack = shared().await;
    let program = binaries::program("reporting");
    for format in [&["--format", "csv"][..], &[]] {
        let line = format!(
            "{} run-report many blocks=40 {} | head -n 2; echo ${{PIPESTATUS[0]}}",
            program.display(),
            format.join(" ")
        );
        let mut shell = Command::new("bash");
        shell.args(["-c", &line]).env_clear().envs(stack.environment("reporting")).env("PATH", "/usr/bin:/bin");
        let (_, out, err) = said(&shell.output().unwrap());
        assert_eq!((out.lines().last(), err.as_str()), (Some("0"), ""), "{format:?}");
    }
}

#[tokio::test]
async fn long_work_shows_a_sign_of_life_only_to_who_watches() {
    let stack = shared().await;
    let program = binaries::program("reporting");
    // Enough rows to take longer than a second in any build.
    let line = format!(
        "{} run-report many blocks=800 word=slow --format ndjson --output /dev/shm/slow.ndjson",
        program.display()
    );
    let mut terminal = Command::new("script");
    terminal.args(["-qefc", &line, "/dev/null"]).env_clear().envs(stack.environment("reporting"));
    let (code, out, _) = said(&terminal.env("PATH", "/usr/bin:/bin").env("TERM", "xterm").output().unwrap());
    std::fs::remove_file("/dev/shm/slow.ndjson").ok();
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("computing (") || out.contains("writing ("), "{out}");
    assert!(out.contains("800,000 rows"), "{out}");
}

#[tokio::test]
async fn every_command_does_its_work_and_says_so() {
    let stack = Stack::builder().env("reporting", "REPORTING_SCHEDULER", "false").start().await;
    assert_eq!(done(&stack, &["migrate"]).await, "the schema of reporting_db is up to date\n");
    let sound = done(&stack, &["check-catalog"]).await;
    assert!(sound.contains("reports are sound"), "{sound}");
    assert!(done(&stack, &["check-catalog", "--list"]).await.contains("store_performance"));
    // It needs neither a database nor a setting, only files.
    let mut alone = Command::new(binaries::program("reporting"));
    let (code, out, said_so) = said(&alone.args(["check-catalog", "--list"]).env_clear().output().unwrap());
    assert!(code == 0 && out.contains("store_performance"), "{out}{said_so}");
    let catalogue: Value = serde_json::from_str(&done(&stack, &["check-catalog", "--json"]).await).unwrap();
    assert!(catalogue["reports"].as_array().unwrap().len() > 30);
    let polled = done(&stack, &["poll", "--all"]).await;
    for source in ["inventory", "ecommerce", "retail"] {
        assert!(polled.contains(source), "{polled}");
    }
    let polled: Value = serde_json::from_str(&done(&stack, &["poll", "retail", "--json"]).await).unwrap();
    assert_eq!(polled["failed"], serde_json::json!([]));
    let kept: Value = serde_json::from_str(&done(&stack, &["rollups", "--keep", "--json"]).await).unwrap();
    let stores = kept.as_array().unwrap().iter().find(|it| it["view"] == "store_days").unwrap();
    assert!(stores["reports"].as_array().unwrap().contains(&"store_performance".into()), "{kept}");
    assert!(done(&stack, &["rollups"]).await.contains("store_days"));
    assert!(done(&stack, &["verify-rollups", "--repair"]).await.contains("store_days"));
    let day = "2026-01-15";
    let published = done(&stack, &["publish", "--day", day]).await;
    assert!(published.contains("new revisions") && published.contains("files written to"), "{published}");
    let again: Value = serde_json::from_str(&done(&stack, &["publish", "--day", day, "--json"]).await).unwrap();
    assert_eq!(again["revisions"], 0, "{again}");
    let shown = done(&stack, &["run-report", "store_performance", "--published", day]).await;
    assert!(shown.contains("revision 1, final"), "{shown}");
    let files = done(&stack, &["export", "--day", day]).await;
    assert!(files.contains("store_performance-r1.xlsx"), "{files}");
    let filled =
        done(&stack, &["backfill", "--from", "2026-01-13", "--to", "2026-01-14", "--report", "daily_sales"]).await;
    assert!(filled.contains("2 days, 2 new revisions"), "{filled}");
    let fresh = done(&stack, &["run-report", "store_performance", "--max-age", "1m", "--json"]).await;
    let fresh: Value = serde_json::from_str(&fresh).unwrap();
    assert!(fresh["sources"].as_array().unwrap().iter().all(|source| source["stale"] == false), "{fresh}");
}

#[tokio::test]
async fn a_poll_of_a_source_that_is_away_fails_and_names_it() {
    let stack = reporting(&[("REPORTING_SCHEDULER", "false")]).await;
    let (code, out, err) = said(&run(&stack, &["poll", "--all"]).await);
    assert_eq!(code, 1, "{out}");
    for source in ["inventory", "ecommerce", "retail"] {
        assert!(err.contains(source), "{err}");
    }
}
