//! The mark of a folder of ours: without it, what is there may be the empty place of a disk that is not mounted.

use std::io;
use std::path::Path;

const MARK: &str = "TRIBUTARY";
const TEXT: &str = "Tributary writes into this folder only while this file is in it. Keep it with the folder.\n";

/// Whether a folder carries the mark.
#[must_use]
pub fn is_marked(folder: &Path) -> bool {
    folder.join(MARK).is_file()
}

/// Makes a folder and marks it, and marks one that was in use before there were marks. One that is said to be in use
/// (`is_used`) and is gone or empty stays as it is: false.
///
/// # Errors
/// The folder cannot be made, read or written.
pub fn mark(folder: &Path, is_used: bool) -> io::Result<bool> {
    if is_marked(folder) {
        return Ok(true);
    }
    let is_empty = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => true,
        Err(error) => return Err(error),
    };
    if is_used && is_empty {
        return Ok(false);
    }
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(MARK), TEXT)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_place_is_not_taken_for_a_folder_in_use() {
        let folder = std::env::temp_dir().join(format!("tributary-mark-{}", std::process::id()));
        assert!(!mark(&folder, true).unwrap() && !folder.exists());
        std::fs::create_dir(&folder).unwrap();
        assert!(!mark(&folder, true).unwrap() && !is_marked(&folder));
        std::fs::write(folder.join("file"), "of an earlier version").unwrap();
        assert!(mark(&folder, true).unwrap() && is_marked(&folder));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(mark(&folder, false).unwrap() && is_marked(&folder), "a new one is made");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
