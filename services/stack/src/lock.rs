//! One stack per data folder: the supervising process holds a lock for as long as it lives, however it ends.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};

use crate::error::{Error, Result};
use crate::layout::Layout;

/// The held lock; the system releases it with the process, however that ends.
#[derive(Debug)]
pub struct Lock(File);

impl Drop for Lock {
    /// The note of a process that has ended would name whichever process gets its number next.
    fn drop(&mut self) {
        self.0.set_len(0).ok();
    }
}

/// Takes the lock and notes this process in it.
///
/// # Errors
/// [`Error::AlreadyRunning`] names the process that holds it.
pub fn take(layout: &Layout) -> Result<Lock> {
    let path = layout.lock();
    let mut file = open(layout)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(Error::AlreadyRunning {
                pid: pid_in(&mut file).unwrap_or_default(),
                data: layout.root().to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(Error::io("lock", &path)(error)),
    }
    let note = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    note(&mut file).map_err(Error::io("write", &path))?;
    Ok(Lock(file))
}

/// The process that holds the folder's lock now, if any does.
pub fn holder(layout: &Layout) -> Result<Option<u32>> {
    if !layout.lock().exists() {
        return Ok(None);
    }
    let mut file = open(layout)?;
    match file.try_lock() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => Ok(pid_in(&mut file)),
        Err(TryLockError::Error(error)) => Err(Error::io("lock", &layout.lock())(error)),
    }
}

fn open(layout: &Layout) -> Result<File> {
    let path = layout.lock();
    File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(Error::io("open", &path))
}

fn pid_in(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.rewind().and_then(|()| file.read_to_string(&mut text)).ok()?;
    text.trim().parse().ok()
}
