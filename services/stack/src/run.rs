//! `stack run`: a service's program on this machine with the settings of the one that runs.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::services::own_folder;
use crate::status;

/// Replaces this process by the program, with the environment of the running service of its name.
///
/// # Errors
/// [`Error::NotRunning`]; [`Error::Usage`] for a program that is none of the services.
pub fn run(layout: &Layout, command: &[String]) -> Result<()> {
    let state = status::read(layout)?;
    let (program, arguments) = command.split_first().ok_or_else(|| Error::Usage("no command is named".to_owned()))?;
    let Some(environment) = state.environment.get(program) else {
        let known: Vec<&str> = state.environment.keys().map(String::as_str).collect();
        return Err(Error::Usage(format!("`{program}` is no service of this stack: it has {}", known.join(", "))));
    };
    let exe = own_folder()?.join(program);
    Err(Error::io("start", &exe)(Command::new(&exe).args(arguments).envs(environment).exec()))
}
