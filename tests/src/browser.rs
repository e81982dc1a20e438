//! A real browser: headless Chromium, driven through chromedriver by the W3C driver protocol, which is JSON over HTTP.
//!
//! `make setup` installs both. A browser ends with its value, and with the test process however that ends.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use reqwest::Client;
use serde_json::{Value, json};

use crate::wait::wait_until;
use crate::warden::Folder;

/// The key under which the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// How long a page may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

/// Flags that keep Chromium to itself: no sandbox as root, and no call to anybody but the page's host.
const FLAGS: [&str; 10] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
];

/// Light or dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

/// A browser with one window.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    client: Client,
    /// URL of the session at the driver.
    session: String,
    /// The browser's own process.
    chromium: Option<i32>,
    /// Profile and downloads; gone with the browser, as its processes are.
    folder: Folder,
}

impl Browser {
    /// Starts a browser with an empty profile.
    ///
    /// # Panics
    /// When chromium or chromedriver is missing: run `make setup`.
    pub async fn start() -> Self {
        let folder = Folder::new();
        let log = folder.path().join("driver.log");
        let port = stack::ports::free_port().expect("a free port");
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .arg(format!("--log-path={}", log.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver starts; `make setup` installs it");
        let client = Client::builder().timeout(PATIENCE).no_proxy().build().expect("an HTTP client");
        let base = format!("http://127.0.0.1:{port}");
        let mut browser = Self { driver, client, session: base.clone(), chromium: None, folder };
        browser.note("chromedriver", browser.driver.id());
        wait_until("chromedriver to answer", PATIENCE, async || {
            let answer = browser.client.get(format!("{base}/status")).send().await.ok()?;
            answer.json::<Value>().await.ok()?["value"]["ready"].as_bool().filter(|ready| *ready)
        })
        .await;
        let mut flags: Vec<String> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        flags.push(format!("--user-data-dir={}", browser.folder.path().join("profile").display()));
        let preferences =
            json!({"download.default_directory": browser.folder.path(), "download.prompt_for_download": false});
        let options = json!({"args": flags, "prefs": preferences});
        let wanted = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}});
        let made = browser.call("session", &wanted).await;
        let id = made["sessionId"].as_str().unwrap_or_else(|| panic!("chromium did not start: {made}"));
        browser.session = format!("{base}/session/{id}");
        let process = made["capabilities"]["goog:processID"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        browser.chromium = process;
        if let Some(pid) = process {
            browser.note("chromium", pid);
        }
        browser.command("Emulation.setFocusEmulationEnabled", &json!({"enabled": true})).await;
        browser
    }

    /// Lets the folder's warden know of a process, should this one be killed.
    fn note(&self, name: &str, pid: impl std::fmt::Display) {
        let run = self.folder.path().join("run");
        std::fs::create_dir_all(&run).expect("a folder for process ids");
        std::fs::write(run.join(format!("{name}.pid")), format!("{pid}\n")).expect("a process id is noted");
    }

    async fn call(&self, path: &str, body: &Value) -> Value {
        let answer = self.client.post(format!("{}/{path}", self.session)).json(body).send().await;
        answer.expect("chromedriver answers").json::<Value>().await.expect("chromedriver speaks JSON")["value"].take()
    }

    async fn ask(&self, path: &str) -> Value {
        let answer = self.client.get(format!("{}/{path}", self.session)).send().await;
        answer.expect("chromedriver answers").json::<Value>().await.expect("chromedriver speaks JSON")["value"].take()
    }

    /// A command of Chromium's own protocol.
    async fn command(&self, name: &str, parameters: &Value) -> Value {
        self.call("goog/cdp/execute", &json!({"cmd": name, "params": parameters})).await
    }

    /// Opens a page and waits until it is loaded.
    pub async fn open(&self, url: &str) {
        let said = self.call("url", &json!({"url": url})).await;
        assert!(said.is_null(), "{url} could not be opened: {said}");
    }

    /// The address of the page.
    pub async fn url(&self) -> String {
        self.ask("url").await.as_str().unwrap_or_default().to_owned()
    }

    /// Runs a function body in the page and gives what it returns, which must be JSON.
    pub async fn run(&self, script: &str) -> Value {
        let said = self.call("execute/sync", &json!({"script": script, "args": []})).await;
        assert!(said.get("error").is_none(), "the script failed: {said}");
        said
    }

    /// The visible text of the first element that a selector finds.
    pub async fn text(&self, selector: &str) -> String {
        let element = self.find(selector).await;
        self.ask(&format!("element/{element}/text")).await.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks the first element that a selector finds, as a person would, and waits for what that loads.
    pub async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        let said = self.call(&format!("element/{element}/click"), &json!({})).await;
        assert!(said.is_null(), "{selector} could not be clicked: {said}");
    }

    /// Types into the first element that a selector finds.
    pub async fn write(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        let said = self.call(&format!("element/{element}/value"), &json!({"text": text})).await;
        assert!(said.is_null(), "{selector} could not be written into: {said}");
    }

    /// Puts a value into a control whose keys depend on the locale, such as a date.
    pub async fn set(&self, selector: &str, value: &str) {
        let (selector, value) = (json!(selector), json!(value));
        self.run(&format!("document.querySelector({selector}).value = {value};")).await;
    }

    /// The element that a selector finds, as soon as it is there.
    async fn find(&self, selector: &str) -> String {
        let wanted = json!({"using": "css selector", "value": selector});
        wait_until(&format!("the element {selector}"), PATIENCE, async || {
            self.call("element", &wanted).await[ELEMENT].as_str().map(str::to_owned)
        })
        .await
    }

    /// Waits until a text is on the page.
    pub async fn sees(&self, text: &str) {
        wait_until(&format!("“{text}” on the page"), PATIENCE, async || {
            self.text("body").await.contains(text).then_some(())
        })
        .await;
    }

    /// The size of the window's content in pixels, and the colours that the system is said to prefer.
    pub async fn look(&self, width: u32, height: u32, scheme: Scheme) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", &size).await;
        let value = if scheme == Scheme::Dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": value}]});
        self.command("Emulation.setEmulatedMedia", &features).await;
    }

    /// Shows the page as it would be printed.
    pub async fn as_on_paper(&self) {
        self.command("Emulation.setEmulatedMedia", &json!({"media": "print"})).await;
    }

    /// Runs no script of any page from the next one on.
    pub async fn without_scripts(&self) {
        self.command("Emulation.setScriptExecutionDisabled", &json!({"value": true})).await;
    }

    /// What is in the window now, as PNG.
    pub async fn picture(&self) -> Vec<u8> {
        let taken = self.ask("screenshot").await;
        let text = taken.as_str().expect("a screenshot");
        base64::engine::general_purpose::STANDARD.decode(text).expect("base64")
    }

    /// The folder that downloads go to.
    pub fn downloads(&self) -> &Path {
        self.folder.path()
    }

    /// What axe-core finds seriously wrong with the page: rule and place, none when all is well.
    pub async fn serious_faults(&self) -> Vec<String> {
        const AXE: &str = include_str!("../vendor/axe-core/axe.min.js");
        // Through the protocol, because the page itself lets no foreign script run.
        self.command("Runtime.evaluate", &json!({"expression": AXE})).await;
        let script = "axe.run(document, {resultTypes: ['violations']}).then(found => JSON.stringify(found.violations
            .filter(each => ['serious', 'critical'].includes(each.impact))
            .map(each => each.id + ': ' + each.nodes.map(node => node.target.join(' ') + ' ' + node.failureSummary).join(' | '))))";
        let evaluate = json!({"expression": script, "awaitPromise": true, "returnByValue": true});
        let said = self.command("Runtime.evaluate", &evaluate).await;
        let text = said["result"]["value"].as_str().unwrap_or_else(|| panic!("axe did not run: {said}"));
        serde_json::from_str(text).expect("a list of faults")
    }

    /// Messages of the page's console and network that are errors: a blocked script, a missing file.
    pub async fn errors(&self) -> Vec<String> {
        let entries = self.call("se/log", &json!({"type": "browser"})).await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        let serious = entries.iter().filter(|entry| entry["level"] == "SEVERE");
        serious.map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Killed, not asked: nothing of the profile is kept.
        if let Some(pid) = self.chromium.and_then(rustix::process::Pid::from_raw) {
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}
