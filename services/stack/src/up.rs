//! `stack up`: start everything, look after it, stop it in order when asked to.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::ports::Choice;
use crate::postgres::Server;
use crate::services::{find_programs, own_folder};
use crate::system::{Options, System};
use crate::{lock, process, seed};

/// The line by which a detached stack tells the terminal that it is up; what follows goes to its log alone.
const READY: &str = "stack is ready";

/// How often the members are looked at.
const TEND: Duration = Duration::from_millis(200);

/// What the command line asks for.
#[derive(Debug, Clone)]
pub struct Up {
    /// The data folder.
    pub data: std::path::PathBuf,
    pub ports: Choice,
    /// Leave a new data folder empty instead of telling it the demo company's history.
    pub empty: bool,
    /// Start the databases alone, without services and gateway.
    pub databases: bool,
}

/// Runs a stack in the foreground until Ctrl-C or SIGTERM. `tell` gets the progress, and what happens to members.
///
/// # Errors
/// What keeps the stack from starting; nothing is left running then.
pub async fn run(up: &Up, mut tell: impl FnMut(&str)) -> Result<()> {
    let layout = Layout::new(&up.data)?;
    let fresh = !layout.pg().exists();
    // A folder that does not exist yet is not even created when something is missing or a port is busy.
    let mut held = if layout.root().exists() { Some(claim(&layout, &mut tell).await?) } else { None };
    Server::find()?;
    find_programs(&own_folder()?)?;
    if up.ports == Choice::Fixed {
        crate::ports::Ports::choose(Choice::Fixed)?;
    }
    layout.create()?;
    if held.is_none() {
        held = Some(claim(&layout, &mut tell).await?);
    }

    let mut stop = Stop::listen()?;
    let options = Options::new(layout.root(), up.ports);
    let starting = async {
        match up.databases {
            true => System::start_databases(options, &mut tell).await,
            false => System::start(options, &mut tell).await,
        }
    };
    let mut system = tokio::select! {
        started = starting => started?,
        () = stop.received() => {
            tell("stopped before everything was ready");
            return Ok(());
        }
    };
    let state = system.state();
    state.write(&layout)?;
    if fresh && !up.empty && !up.databases {
        let plan = seed::Plan::default();
        let seeded = tokio::select! {
            seeded = seed::run(&state, &plan, &mut tell) => seeded.map(drop),
            () = stop.received() => Ok(()),
        };
        if let Err(error) = seeded {
            tell(&format!("the demo history is incomplete: {}; `stack seed` goes on where it stopped", error.report()));
        }
    }
    tell(READY);
    look_after(&mut system, &layout, &mut stop, &mut tell).await;

    tell("stopping");
    let killed = system.stop().await;
    if !killed.is_empty() {
        tell(&format!("did not stop in time and were ended by force: {}", killed.join(", ")));
    }
    std::fs::remove_file(layout.state()).map_err(Error::io("remove", &layout.state()))?;
    drop(held);
    tell("stopped");
    Ok(())
}

async fn claim(layout: &Layout, tell: &mut impl FnMut(&str)) -> Result<lock::Lock> {
    let held = lock::take(layout)?;
    let ended = process::end_leftovers(layout).await;
    if !ended.is_empty() {
        tell(&format!("an earlier run was killed and left processes behind; ended them: {}", ended.join(", ")));
    }
    std::fs::remove_file(layout.state()).ok();
    Ok(held)
}

async fn look_after(system: &mut System, layout: &Layout, stop: &mut Stop, tell: &mut impl FnMut(&str)) {
    let mut clock = tokio::time::interval(TEND);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.received() => return,
            _ = clock.tick() => {}
        }
        let events = system.tend();
        let written = if events.as_ref().is_ok_and(Vec::is_empty) { Ok(()) } else { system.state().write(layout) };
        for event in events.unwrap_or_else(|error| vec![error.report()]) {
            tell(&event);
        }
        if let Err(error) = written {
            tell(&error.report());
        }
    }
}

/// The signals that end a stack: Ctrl-C, SIGTERM, and the end of its terminal.
struct Stop([tokio::signal::unix::Signal; 3]);

impl Stop {
    fn listen() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(Error::io("listen for signals in", Path::new("this process")));
        Ok(Self([listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?]))
    }

    async fn received(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}

/// Starts the stack as a process of its own and returns when it is ready, passing its progress on.
///
/// # Errors
/// [`Error::Program`] with the stack's own message when it does not become ready.
pub fn detach(up: &Up, mut tell: impl FnMut(&str)) -> Result<()> {
    let layout = Layout::new(&up.data)?;
    let exe = std::env::current_exe().map_err(Error::io("find", Path::new("the running program")))?;
    let mut command = Command::new(&exe);
    command.arg("up").arg("--in-background").arg("--data-dir").arg(layout.root());
    command.args(["--ports", if up.ports == Choice::Auto { "auto" } else { "fixed" }]);
    for (asked, flag) in [(up.empty, "--empty"), (up.databases, "--databases")] {
        command.args(asked.then_some(flag));
    }
    // The background process writes its own log: the folder may not exist before it has looked at everything.
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(Error::io("start", &exe))?;
    let output = child.stdout.take().map(BufReader::new);
    let mut lines = Vec::new();
    for line in output.into_iter().flat_map(BufRead::lines) {
        let line = line.map_err(Error::io("hear from", &exe))?;
        if line == READY {
            return Ok(());
        }
        match line.strip_prefix(FAILED) {
            Some(text) => lines.push(text.to_owned()),
            None => tell(&line),
        }
    }
    let status = child.wait().map_err(Error::io("wait for", &exe))?;
    if lines.is_empty() {
        return Err(Error::Program {
            program: "stack up".to_owned(),
            status: status.to_string(),
            output: String::new(),
        });
    }
    Err(Error::Usage(lines.join("\n")))
}

/// Marks the lines of a failure on the way from the background process to the terminal.
const FAILED: &str = "failed: ";

/// The background half of [`detach`]: writes to the terminal until it is ready, and to its log all the time.
pub async fn run_in_background(up: &Up) -> Result<()> {
    use std::io::Write;
    let layout = Layout::new(&up.data)?;
    let mut ready = false;
    let tell = |line: &str| {
        if !ready {
            // The terminal may be closed; the stack goes on.
            writeln!(std::io::stdout(), "{line}").ok();
        }
        if line == READY {
            ready = true;
            // Away from the terminal's session: until now Ctrl-C ends what was begun, from now on closing the terminal
            // does not end the stack. Fails only for a session's leader.
            rustix::process::setsid().ok();
        }
        log(&layout, line);
    };
    let outcome = run(up, tell).await;
    if let Err(error) = &outcome {
        log(&layout, &error.report());
        for line in error.report().lines() {
            writeln!(std::io::stdout(), "{FAILED}{line}").ok();
        }
    }
    outcome
}

/// Adds a line to the stack's own log, if its folder exists.
fn log(layout: &Layout, line: &str) {
    use std::io::Write;
    let file = std::fs::OpenOptions::new().create(true).append(true).open(layout.log("stack"));
    if let Ok(mut file) = file {
        writeln!(file, "{} {line}", chrono::Utc::now().format("%Y-%m-%dT%H:%M:%SZ")).ok();
    }
}
