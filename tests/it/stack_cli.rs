//! The `stack` command as a person uses it: up, killed, up again, down; and what it says when it cannot.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::Value;
use system_tests::{Api, Folder, binaries, eventually, wait_until};

fn stack(args: &[&str], data: &Path) -> Output {
    // What is meant for a person's psql reaches no connection of ours.
    let foreign = [("PGSSLMODE", "verify-full"), ("PGOPTIONS", "-c no.such=1 -c nonsense=1"), ("PGHOST", "nowhere")];
    let mut command = Command::new(binaries::program("stack"));
    command.args(args).arg("--data-dir").arg(data).envs(foreign).output().unwrap()
}

fn text_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn up(data: &Path) -> Output {
    let output = stack(&["up", "--detach", "--empty", "--ports", "auto"], data);
    assert!(output.status.success(), "{}", text_of(&output));
    output
}

fn state(data: &Path) -> Value {
    let output = stack(&["status", "--json"], data);
    assert!(output.status.success(), "{}", text_of(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn kill(pid: &Value) {
    let pid = i32::try_from(pid.as_i64().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

fn is_alive(pid: &Value) -> bool {
    ::stack::process::is_alive(u32::try_from(pid.as_u64().unwrap()).unwrap(), 0)
}

/// The same for a service by itself: it waits for its own database, and would name TLS if it heard of it.
#[tokio::test]
async fn a_service_takes_its_connection_from_its_own_settings_alone() {
    let stack = system_tests::Stack::shared().await;
    let run = |foreign: &[(&str, &str)]| {
        let mut command = Command::new(binaries::program("reporting"));
        command.arg("migrate").env_clear().envs(stack.environment("reporting"));
        command.envs(foreign.iter().copied()).output().unwrap()
    };
    let output = run(&[("PGSSLMODE", "verify-full"), ("PGOPTIONS", "-c nonsense=1")]);
    assert!(output.status.success(), "{}", text_of(&output));
}

#[tokio::test]
async fn up_status_killed_up_again_down() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    up(&data);
    let first = state(&data);
    for key in ["gateway", "admin", "keys", "databases", "services", "lake", "exports"] {
        assert!(!first[key].is_null(), "status --json has {key}: {first}");
    }
    for service in ["inventory", "ecommerce", "retail", "reporting"] {
        assert!(is_alive(&first["services"][service]["pid"]), "{service}");
    }
    let key = first["keys"]["backoffice"].as_str().unwrap();
    let office = Api::new(first["gateway"].as_str().unwrap(), &[("apikey", key)]);
    let store = serde_json::json!({"code": "ULM", "name": "Ulm", "city": "Ulm", "time_zone": "Europe/Berlin"});
    office.post_json("/retail/api/v1/stores", &store, 201).await;

    let second = stack(&["up", "--ports", "auto"], &data);
    assert!(!second.status.success() && text_of(&second).contains("already running"), "{}", text_of(&second));

    // Killed with its last word unsaid: what it left running is found and ended, and the data is all there.
    kill(&first["stack"]["pid"]);
    system_tests::eventually("the killed stack to be gone", async || !is_alive(&first["stack"]["pid"])).await;
    let again = up(&data);
    assert!(text_of(&again).contains("an earlier run was killed"), "{}", text_of(&again));
    for service in ["inventory", "ecommerce", "retail", "reporting"] {
        assert!(!is_alive(&first["services"][service]["pid"]), "{service} of the killed run is gone");
    }
    let now = state(&data);
    assert_eq!(now["keys"], first["keys"], "secrets belong to the folder");
    let office = Api::new(now["gateway"].as_str().unwrap(), &[("apikey", key)]);
    let stores = office.get_all("/retail/api/v1/stores").await;
    assert_eq!(stores.len(), 1, "{stores:?}");

    let down = stack(&["down"], &data);
    assert!(down.status.success(), "{}", text_of(&down));
    for (name, process) in now["processes"].as_object().unwrap() {
        assert!(!is_alive(&process["pid"]), "{name} ended");
    }
    let status = stack(&["status"], &data);
    assert!(!status.status.success() && text_of(&status).contains("no stack is running"), "{}", text_of(&status));
    let down = stack(&["down"], &data);
    assert!(down.status.success() && text_of(&down).contains("nothing is running"), "{}", text_of(&down));
}

const OWN: &str = r#"/*---
title = "Stores"
description = "One row for each store, by code."
section = "Own"
grain = "snapshot"
key = ["code"]
[columns]
code = { type = "string", title = "Code" }
---*/
SELECT code FROM stores ORDER BY code
"#;

#[tokio::test]
async fn a_command_gets_the_running_systems_settings_and_a_backup_becomes_a_folder_of_its_own() {
    let folder = Folder::new();
    let (data, copy, new) = (folder.path().join("it's here"), folder.path().join("copy"), folder.path().join("new"));
    let named = |data: &Path, before: &[&str], after: &[&str]| {
        let mut command = Command::new(binaries::program("stack"));
        let output = command.args(before).arg("--data-dir").arg(data).args(after).output().unwrap();
        (output.status.success(), text_of(&output))
    };
    let (ran, said) = named(&data, &["run"], &["reporting", "poll", "--all"]);
    assert!(!ran && said.contains("no stack is running"), "{said}");
    up(&data);
    let before = state(&data);
    let office = |state: &Value| {
        let key = state["keys"]["backoffice"].as_str().unwrap().to_owned();
        Api::new(state["gateway"].as_str().unwrap(), &[("apikey", &key)])
    };
    let store = serde_json::json!({"code": "ULM", "name": "Ulm", "city": "Ulm", "time_zone": "Europe/Berlin"});
    office(&before).post_json("/retail/api/v1/stores", &store, 201).await;
    std::fs::write(data.join("catalogue/reports/own_stores.sql"), OWN).unwrap();
    for (after, expected) in [
        (&["reporting", "check-catalog", "--list"][..], "own_stores"),
        (&["reporting", "poll", "--all"], "retail"),
        (&["reporting", "run-report", "own_stores"], "ULM"),
    ] {
        let (ran, said) = named(&data, &["run"], after);
        assert!(ran && said.contains(expected), "{after:?}: {said}");
    }
    let (ran, said) = named(&data, &["run"], &["psql"]);
    assert!(!ran && said.contains("`psql` is no service"), "{said}");

    let (from, to) = (copy.to_str().unwrap(), copy.to_str().unwrap());
    let (ran, said) = named(&data, &["backup"], &[to]);
    assert!(ran && said.contains("is whole"), "{said}");
    let (ran, said) = named(&data, &["backup"], &[to]);
    assert!(!ran && said.contains("exists already"), "{said}");
    assert!(stack(&["down"], &data).status.success());
    let (ran, said) = named(&data, &["restore"], &[from]);
    assert!(!ran && said.contains("exists already"), "{said}");
    let (ran, said) = named(&new, &["restore"], &[folder.path().to_str().unwrap()]);
    assert!(!ran && said.contains("is no whole backup") && !new.exists(), "{said}");
    let (ran, said) = named(&new, &["restore"], &[from]);
    assert!(ran, "{said}");
    up(&new);
    let stores = office(&state(&new)).get_all("/retail/api/v1/stores").await;
    assert_eq!(stores.iter().map(|it| it["code"].clone()).collect::<Vec<_>>(), ["ULM"]);
    let (ran, said) = named(&new, &["run"], &["reporting", "run-report", "own_stores"]);
    assert!(ran && said.contains("ULM"), "{said}");
    assert!(stack(&["down"], &new).status.success());
}

/// Also what Ctrl-C does to a stack at its terminal.
#[test]
fn databases_alone_are_started_to_restore_a_backup_into() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    let mut command = Command::new(binaries::program("stack"));
    command.args(["up", "--databases", "--ports", "auto", "--data-dir"]).arg(&data);
    let mut terminal = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(terminal.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "stack is ready"));
    let state = state(&data);
    let running: Vec<&String> = state["processes"].as_object().unwrap().keys().collect();
    assert_eq!(running, ["ecommerce_db", "inventory_db", "reporting_db", "retail_db"]);
    let pid = rustix::process::Pid::from_child(&terminal);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(lines.last().as_deref(), Some("stopped"));
    assert!(terminal.wait().unwrap().success());
    for (name, process) in state["processes"].as_object().unwrap() {
        assert!(!is_alive(&process["pid"]), "{name} ended");
    }
}

#[tokio::test]
async fn keys_token_and_passwords_are_rotated_by_the_secrets_file() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    up(&data);
    let before = state(&data);
    assert!(stack(&["down"], &data).status.success());
    // Everything but the superusers' passwords, which are changed inside the databases first.
    let path = data.join("secrets.toml");
    let mut secrets: toml::Table = std::fs::read_to_string(&path).unwrap().parse().unwrap();
    let turned = |value: &mut toml::Value| *value = value.as_str().unwrap().chars().rev().collect::<String>().into();
    secrets["gateway_tokens"].as_table_mut().unwrap().iter_mut().for_each(|(_, token)| turned(token));
    secrets["keys"].as_table_mut().unwrap().iter_mut().for_each(|(_, key)| turned(key));
    for (_, roles) in secrets["passwords"].as_table_mut().unwrap() {
        let roles = roles.as_table_mut().unwrap();
        roles.iter_mut().filter(|(role, _)| *role != "postgres").for_each(|(_, password)| turned(password));
    }
    std::fs::write(&path, secrets.to_string()).unwrap();

    up(&data);
    let now = state(&data);
    let ask = async |keys: &Value, consumer: &str, path: &str| {
        let api = Api::new(now["gateway"].as_str().unwrap(), &[("apikey", keys[consumer].as_str().unwrap())]);
        api.get(path).await.status
    };
    for (consumer, path) in [("pos", "/retail/api/v1/stores"), ("analyst", "/reporting/api/v1/jobs")] {
        assert_eq!(ask(&before["keys"], consumer, path).await, 401, "{consumer}'s old key");
        assert_eq!(ask(&now["keys"], consumer, path).await, 200, "{consumer}'s new key");
    }
    let office = Api::new(now["gateway"].as_str().unwrap(), &[("apikey", now["keys"]["operator"].as_str().unwrap())]);
    // The services' own keys and passwords too: the aggregator reads a feed with its new key.
    let run = office.post_json("/reporting/api/v1/sources/retail/poll", &serde_json::json!({}), 202).await;
    let run = format!("/reporting/api/v1/jobs/runs/{}", run["id"]);
    eventually("the poll to succeed", async || office.get_json(&run).await["status"] == "succeeded").await;
    assert!(stack(&["down"], &data).status.success());
}

#[tokio::test]
async fn what_dies_is_started_again() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    up(&data);
    let before = state(&data);
    let key = before["keys"]["pos"].as_str().unwrap();
    let till = Api::new(before["gateway"].as_str().unwrap(), &[("apikey", key)]);
    for victim in ["retail", "gateway", "retail_db"] {
        kill(&before["processes"][victim]["pid"]);
        let seen = wait_until(&format!("{victim} is started again"), Duration::from_secs(60), async || {
            let now = state(&data);
            let pid = &now["processes"][victim]["pid"];
            (pid.is_number() && *pid != before["processes"][victim]["pid"]).then_some(now)
        })
        .await;
        assert!(seen["processes"][victim]["restarts"].as_u64().unwrap() >= 1);
        eventually("the till works again", async || {
            let answer = till.call(reqwest::Method::GET, "/retail/api/v1/stores").try_send().await;
            answer.is_ok_and(|answer| answer.status == 200)
        })
        .await;
    }
    let log = std::fs::read_to_string(data.join("log/stack.log")).unwrap();
    assert!(log.contains("retail ended (signal: 9"), "{log}");
    assert!(stack(&["down"], &data).status.success());
}

#[test]
fn a_busy_port_is_named_and_nothing_is_left_behind() {
    // Whoever holds it, this test or a stack of the machine's owner: it is busy.
    let _holder = TcpListener::bind(("127.0.0.1", 8000));
    let folder = Folder::new();
    let data = folder.path().join("data");
    let output = stack(&["up", "--ports", "fixed", "--detach"], &data);
    assert!(!output.status.success());
    let text = text_of(&output);
    assert!(text.contains("port 8000 (gateway)") && text.contains("--ports auto"), "{text}");
    assert!(!data.exists(), "not even the folder was made");
}

#[test]
fn a_missing_program_is_named_with_the_cure() {
    let folder = Folder::new();
    let lonely = folder.path().join("stack");
    std::fs::copy(binaries::program("stack"), &lonely).unwrap();
    let data = folder.path().join("data");
    let output = Command::new(lonely).args(["up", "--ports", "auto", "--data-dir"]).arg(&data).output().unwrap();
    assert!(!output.status.success());
    let text = text_of(&output);
    assert!(text.contains("inventory was not found") && text.contains("make build"), "{text}");
    assert!(!data.exists());
}

#[test]
fn a_full_disk_is_called_by_its_name() {
    let folder = Folder::new();
    // A device that is always full, in the place of the first file that is written.
    std::os::unix::fs::symlink("/dev/full", folder.path().join("secrets.draft")).unwrap();
    let output = stack(&["up", "--ports", "auto"], folder.path());
    assert!(!output.status.success());
    let text = text_of(&output);
    assert!(text.contains("the disk is full") && text.contains("secrets"), "{text}");
}

/// A file system that fills up while PostgreSQL makes its clusters. Only root may mount one; it is seen by the command
/// alone and goes with it.
#[test]
fn a_disk_that_fills_up_during_the_start_is_called_by_its_name_and_nothing_is_left_running() {
    let folder = Folder::new();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let small = "mount -t tmpfs -o size=48m tmpfs \"$1\" && exec \"$0\" up --empty --ports auto --data-dir \"$1\"";
    let mut command = match rustix::process::geteuid().is_root() {
        true => Command::new("unshare"),
        false => {
            let mut sudo = Command::new("sudo");
            sudo.args(["--non-interactive", "unshare"]);
            sudo
        }
    };
    command.args(["--mount", "sh", "-c", small]).arg(binaries::program("stack")).arg(&data);
    let output = command.output().unwrap();
    let text = text_of(&output);
    assert!(!output.status.success() && text.contains("the disk is full"), "{text}");
    let left: Vec<String> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|process| std::fs::read_to_string(process.ok()?.path().join("cmdline")).ok())
        .filter(|line| line.contains(data.to_str().unwrap()))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_damaged_secrets_file_is_refused_by_name() {
    let folder = Folder::new();
    std::fs::write(folder.path().join("secrets.toml"), "gateway_token = 'x'\nkeyz = 1\n").unwrap();
    let output = stack(&["up", "--ports", "auto"], folder.path());
    let text = text_of(&output);
    assert!(!output.status.success() && text.contains("secrets.toml") && text.contains("keyz"), "{text}");
}

#[test]
fn kong_config_names_what_is_missing_and_keeps_its_output_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let run = |args: &[&str]| {
        let mut command = Command::new(binaries::program("stack"));
        command.arg("kong-config").args(args).env_clear().output().unwrap()
    };
    let output = run(&[]);
    assert!(!output.status.success() && output.stdout.is_empty());
    assert!(text_of(&output).contains("TRIBUTARY_GATEWAY_TOKEN"), "{}", text_of(&output));

    let lines: Vec<String> = ::stack::render::placeholders(gateway::TEMPLATE)
        .iter()
        .map(|name| match name.contains("_TARGET_") {
            true => format!("{name}=127.0.0.1:8080"),
            false => format!("{name}=\"secret-of-{name}\""),
        })
        .collect();
    let (secrets, config) = (folder.path().join("secrets.env"), folder.path().join("kong.yml"));
    std::fs::write(&secrets, lines.join("\n")).unwrap();
    let output = run(&["--secrets", secrets.to_str().unwrap(), "--output", config.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text_of(&output));
    let text = std::fs::read_to_string(&config).unwrap();
    assert!(text.contains("secret-of-TRIBUTARY_KEY_POS"));
    assert_eq!(std::fs::metadata(&config).unwrap().permissions().mode() & 0o777, 0o600);
}
