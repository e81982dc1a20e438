//! `stack down`: stop what runs on a data folder, in order, or what a killed stack left there.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::{lock, process};

/// Longer than the drain of the services and the shutdown of the databases together.
const PATIENCE: Duration = Duration::from_secs(180);

/// Stops the stack of this folder. Nothing running is no error: the wanted state is reached.
///
/// # Errors
/// [`Error::NotReady`] when the stack does not stop in time.
pub async fn run(layout: &Layout, mut tell: impl FnMut(&str)) -> Result<()> {
    let Some(pid) = lock::holder(layout)? else {
        let ended = process::end_leftovers(layout).await;
        std::fs::remove_file(layout.state()).ok();
        return match ended.as_slice() {
            [] => {
                tell(&format!("nothing is running on {}", layout.root().display()));
                Ok(())
            }
            names => {
                tell(&format!("the stack had been killed; ended what it left running: {}", names.join(", ")));
                Ok(())
            }
        };
    };
    tell(&format!("stopping the stack (process {pid})"));
    if let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may end by itself between the look and the signal, which is as good.
        rustix::process::kill_process(id, Signal::TERM).ok();
    }
    let deadline = Instant::now() + PATIENCE;
    while lock::holder(layout)?.is_some() {
        if Instant::now() > deadline {
            let log = layout.log("stack");
            return Err(Error::NotReady {
                name: "the stack's end".to_owned(),
                seconds: PATIENCE.as_secs(),
                why: format!("process {pid} still holds {}", layout.lock().display()),
                tail: process::tail(&log),
                log,
            });
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    tell("stopped; the data stays, and `stack up` goes on with it");
    Ok(())
}
