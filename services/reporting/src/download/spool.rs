//! The spool: files that are built whole before the first byte is sent.
//!
//! A finished file is named by the digest of what was asked, so that a second request, or the rest of a broken
//! download, finds it. The folder is bounded in bytes; the least recently used files go first. A file that is being
//! sent may be removed: its reader holds it open.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

/// A half-built file that nobody has written to for this long was left by a process that died.
const ABANDONED: Duration = Duration::from_secs(3_600);

/// A folder of finished downloads.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
    most_bytes: u64,
}

/// Why a download could not be built.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder cannot be written: full, read-only, gone.
    #[error("the spool folder cannot be written")]
    Folder(#[source] io::Error),
    /// The rows could not be encoded.
    #[error(transparent)]
    Encode(#[from] exports::Error),
}

/// A whole file, open for reading.
#[derive(Debug)]
pub struct Spooled {
    /// Open at its beginning.
    pub file: File,
    /// Its length in bytes.
    pub length: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
}

impl Spool {
    /// Take a folder into use, and remove what an earlier process left half-built in it.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(folder: &Path, most_bytes: u64) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().ends_with(".part") {
                continue;
            }
            // The service and a command line share the folder: what is young may still be built by the other.
            let age = entry.metadata().and_then(|it| it.modified()).map(|at| at.elapsed().unwrap_or_default());
            if age.is_ok_and(|age| age > ABANDONED) {
                std::fs::remove_file(entry.path()).ok();
            }
        }
        Ok(Self { folder: folder.to_owned(), most_bytes })
    }

    /// The file of a key, if it is there. The key must be made of letters, digits and dashes.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<Spooled> {
        let file = File::options().read(true).append(true).open(self.folder.join(key)).ok()?;
        let digest = std::fs::read_to_string(self.folder.join(format!("{key}.sha256"))).ok()?;
        let length = file.metadata().ok()?.len();
        // The time of use decides who goes first; if it cannot be set the file merely goes earlier.
        file.set_modified(SystemTime::now()).ok();
        let file = File::open(self.folder.join(key)).ok()?;
        Some(Spooled { file, length, sha256: from_hex(digest.trim())? })
    }

    /// Build the file of a key with `write`, and keep it. Blocking.
    ///
    /// # Errors
    /// [`SpoolError`]; nothing is left behind.
    pub fn build(
        &self,
        key: &str,
        write: impl FnOnce(&mut (dyn Write + Send)) -> exports::Result<exports::Written>,
    ) -> Result<Spooled, SpoolError> {
        let part = Part { path: self.folder.join(format!("{key}.{}.part", uuid::Uuid::new_v4())) };
        let file = File::create_new(&part.path).map_err(SpoolError::Folder)?;
        let mut out = Hashing { out: BufWriter::with_capacity(1 << 16, file), digest: Sha256::new() };
        write(&mut out).map_err(|error| match error {
            exports::Error::Write(error) => SpoolError::Folder(error),
            other => SpoolError::Encode(other),
        })?;
        let Hashing { out, digest } = out;
        let file = out.into_inner().map_err(|error| SpoolError::Folder(error.into_error()))?;
        let length = file.metadata().map_err(SpoolError::Folder)?.len();
        let sha256: [u8; 32] = digest.finalize().into();
        let path = self.folder.join(key);
        // The digest goes first: a file without one is not found, so no reader sees the one without the other.
        std::fs::write(self.folder.join(format!("{key}.sha256")), hex(&sha256)).map_err(SpoolError::Folder)?;
        let reading = File::open(&part.path).map_err(SpoolError::Folder)?;
        std::fs::rename(&part.path, &path).map_err(SpoolError::Folder)?;
        if let Err(error) = self.make_room() {
            tracing::warn!(%error, "the spool could not be tidied");
        }
        Ok(Spooled { file: reading, length, sha256 })
    }

    /// Remove the least recently used files until the rest fits; returns how many went.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn make_room(&self) -> io::Result<usize> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".part") || name.ends_with(".sha256") {
                continue;
            }
            // A file that another request removed meanwhile is no longer in the way.
            let Ok(metadata) = entry.metadata() else { continue };
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
        let mut removed = 0;
        for (_, length, path) in files {
            if total <= self.most_bytes {
                break;
            }
            std::fs::remove_file(&path).ok();
            std::fs::remove_file(path.with_file_name(format!("{}.sha256", file_name(&path)))).ok();
            total -= length;
            removed += 1;
        }
        Ok(removed)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A half-built file: removed unless it was renamed.
struct Part {
    path: PathBuf,
}

impl Drop for Part {
    fn drop(&mut self) {
        // After the rename there is nothing of that name, which is what we want.
        std::fs::remove_file(&self.path).ok();
    }
}

struct Hashing<W> {
    out: W,
    digest: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.out.write(buffer)?;
        self.digest.update(buffer.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A digest from its hexadecimal digits.
#[must_use]
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn write_bytes(bytes: &[u8]) -> impl FnOnce(&mut (dyn Write + Send)) -> exports::Result<exports::Written> {
        let bytes = bytes.to_vec();
        move |out| {
            out.write_all(&bytes).map_err(exports::Error::Write)?;
            Ok(exports::Written { rows: 1, bytes: bytes.len() as u64 })
        }
    }

    #[test]
    fn what_was_built_is_found_whole() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1_000).unwrap();
        assert!(spool.find("a").is_none());
        let built = spool.build("a", write_bytes(b"rows")).unwrap();
        let mut found = spool.find("a").unwrap();
        let mut text = String::new();
        found.file.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), found.length, found.sha256), ("rows", 4, built.sha256));
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1_000).unwrap();
        let failed = spool.build("a", |out| {
            out.write_all(b"half").map_err(exports::Error::Write)?;
            Err(exports::Error::Write(io::Error::other("disk full")))
        });
        assert!(matches!(failed, Err(SpoolError::Folder(_))));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_least_recently_used_goes_first_and_a_reader_keeps_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 10).unwrap();
        let mut old = spool.build("old", write_bytes(b"123456")).unwrap();
        File::options()
            .append(true)
            .open(folder.path().join("old"))
            .unwrap()
            .set_modified(SystemTime::UNIX_EPOCH)
            .unwrap();
        spool.build("new", write_bytes(b"1234567")).unwrap();
        assert!(spool.find("old").is_none());
        assert!(spool.find("new").is_some());
        let mut text = String::new();
        old.file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "123456");
    }

    #[test]
    fn what_a_dead_process_left_is_removed_and_what_a_live_one_builds_is_spared() {
        let folder = tempfile::tempdir().unwrap();
        let [dead, live] = ["a.1.part", "a.2.part"].map(|name| folder.path().join(name));
        std::fs::write(&dead, b"half").unwrap();
        std::fs::write(&live, b"half").unwrap();
        File::options().append(true).open(&dead).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        Spool::open(folder.path(), 10).unwrap();
        assert!(!dead.exists());
        assert!(live.exists());
    }
}
