//! `stack backup` and `stack restore`: databases, lake and exports, while everything runs.
//!
//! First `reporting_db`, then the lake's folder, then the services, so that the lake never knows a document that its
//! service does not. The folder is copied after the dump: files are written before the catalogue names them and removed
//! only long after it forgets them.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Command;

use crate::databases::{DATABASES, Database};
use crate::error::{Error, Result};
use crate::layout::Layout;
use crate::ports::Choice;
use crate::postgres::Server;
use crate::secrets::{SUPERUSER, Secrets};
use crate::status;
use crate::system::{Options, System};

/// Copies the running system into `to`, which appears whole or not at all.
///
/// # Errors
/// [`Error::NotRunning`], [`Error::Folder`] when `to` exists, or what a program of PostgreSQL says.
pub fn take(layout: &Layout, to: &Path, mut tell: impl FnMut(&str)) -> Result<()> {
    let state = status::read(layout)?;
    let secrets = Secrets::load_or_create(layout)?;
    let server = Server::find()?;
    refuse_existing(to)?;
    let draft = to.with_extension("unfinished");
    // Everything that the company knows is in it.
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&draft)
        .map_err(Error::io("create the folder", &draft))?;
    // The lake's catalogue before its files, both before the services.
    let (lake, services): (Vec<Database>, Vec<Database>) =
        DATABASES.into_iter().partition(|it| it.name == "reporting_db");
    let dump = |name: &str| {
        let port = state.processes.get(name).map_or(0, |member| member.port).to_string();
        let file = draft.join(format!("{name}.dump"));
        let mut command = client(&server, "pg_dump", &port, secrets.password(name, SUPERUSER));
        command.args(["--format=custom", "--dbname", name, "--file"]).arg(file);
        finish(command, "pg_dump")
    };
    for database in lake {
        tell(&format!("backup: {}", database.name));
        dump(database.name)?;
    }
    for folder in [layout.lake(), layout.exports(), layout.catalogue()] {
        tell(&format!("backup: {}", folder.display()));
        copy(&folder, &draft)?;
    }
    // The copy is not seeded again.
    copy_if_there(&layout.seed_note(), &draft)?;
    for database in services {
        tell(&format!("backup: {}", database.name));
        dump(database.name)?;
    }
    std::fs::rename(&draft, to).map_err(Error::io("write", to))?;
    tell(&format!("backup: {} is whole", to.display()));
    Ok(())
}

/// Makes the data folder of `layout`, which must not exist, from a backup; nothing runs afterwards.
///
/// # Errors
/// [`Error::Folder`] when the data folder exists or `from` is no whole backup, or what a program of PostgreSQL says.
pub async fn restore(layout: &Layout, from: &Path, mut tell: impl FnMut(&str)) -> Result<()> {
    refuse_existing(layout.root())?;
    let dumps = DATABASES.map(|database| (database, from.join(format!("{}.dump", database.name))));
    if let Some((_, missing)) = dumps.iter().find(|(_, dump)| !dump.is_file()) {
        let reason = format!("is no whole backup: it has no {}", missing.display());
        return Err(Error::Folder { path: from.to_owned(), reason });
    }
    let server = Server::find()?;
    let system = System::start_databases(Options::new(layout.root(), Choice::Auto), &mut tell).await?;
    let restored = dumps.iter().try_for_each(|(database, dump)| {
        tell(&format!("restore: {}", database.name));
        let port = system.ports().of(database.name).to_string();
        let mut command = client(&server, "pg_restore", &port, system.secrets().password(database.name, SUPERUSER));
        command.args(["--clean", "--if-exists", "--single-transaction", "--exit-on-error", "--dbname", database.name]);
        command.arg(dump);
        finish(command, "pg_restore")
    });
    system.stop().await;
    restored?;
    for name in ["lake", "exports", "catalogue"] {
        tell(&format!("restore: {name}"));
        copy(&from.join(name), layout.root())?;
    }
    copy_if_there(&from.join("seed.json"), layout.root())?;
    tell(&format!("restore: {} is ready for `stack up --data-dir`", layout.root().display()));
    Ok(())
}

fn refuse_existing(path: &Path) -> Result<()> {
    if path.exists() {
        return Err(Error::Folder { path: path.to_owned(), reason: "exists already; name a new folder".to_owned() });
    }
    Ok(())
}

/// A client program of PostgreSQL for the superuser, its password out of the command line.
fn client(server: &Server, program: &str, port: &str, password: &str) -> Command {
    let mut command = Command::new(server.tool(program));
    command.env_clear().env("PATH", "/usr/bin:/bin").env("PGPASSWORD", password);
    command.args(["--host", "127.0.0.1", "--port", port, "--username", SUPERUSER, "--no-password"]);
    command
}

fn copy_if_there(file: &Path, into: &Path) -> Result<()> {
    if file.exists() { copy(file, into) } else { Ok(()) }
}

fn copy(folder: &Path, into: &Path) -> Result<()> {
    let mut command = Command::new("cp");
    command.arg("-a").arg(folder).arg(into);
    finish(command, "cp")
}

fn finish(mut command: Command, program: &str) -> Result<()> {
    let output = command.output().map_err(Error::io("start", Path::new(program)))?;
    if output.status.success() {
        return Ok(());
    }
    let output_text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Program { program: program.to_owned(), status: output.status.to_string(), output: output_text })
}
