//! The spool: files that are built whole before the first byte is sent.
//!
//! A finished file is named by the digest of what was asked, so that a second request, or the rest of a broken
//! download, finds it. Behind its bytes it carries a note of its maker, its length and its SHA-256: one file, renamed
//! into place, so that no reader sees the one without the other, and one that a power cut shortened is not taken for
//! whole. The folder is bounded in bytes; the least recently used files go first. A file that is being sent may be
//! removed: its reader holds it open.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufWriter, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// A half-built file that nobody has written to for this long was left by a process that died.
const ABANDONED: Duration = Duration::from_secs(3_600);

/// Bytes behind the note: length of the bytes, length of the note, SHA-256 of the bytes.
const TRAILER: usize = 8 + 8 + 32;

/// The longest note, in bytes.
const LONGEST_NOTE: u64 = 1 << 20;

/// A folder of finished downloads.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
    most_bytes: u64,
    turns: Arc<Mutex<HashMap<String, Weak<Turn<()>>>>>,
}

/// Why a download could not be built.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder cannot be written: full, read-only, removed.
    #[error("the spool folder cannot be written")]
    Folder(#[source] io::Error),
    /// The rows could not be encoded.
    #[error(transparent)]
    Encode(#[from] exports::Error),
}

/// A complete file, open for reading.
#[derive(Debug)]
pub struct OpenFile {
    /// The file; what is to be sent are its first `length` bytes.
    pub file: File,
    /// Length in bytes.
    pub length: u64,
    /// SHA-256 of those bytes.
    pub sha256: [u8; 32],
}

impl OpenFile {
    /// The same file once more.
    ///
    /// # Errors
    /// Too many files are open.
    pub fn again(&self) -> io::Result<Self> {
        Ok(Self { file: self.file.try_clone()?, length: self.length, sha256: self.sha256 })
    }
}

impl Spool {
    /// Take a folder into use, and remove what an earlier process left half-built in it.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(folder: &Path, most_bytes: u64) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let spool = Self { folder: folder.to_owned(), most_bytes, turns: Arc::default() };
        spool.make_room()?;
        Ok(spool)
    }

    /// Wait for the turn to build the file of a key: of those who want the same, one builds and the others find.
    pub async fn turn(&self, key: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let waiting = turns.get(key).and_then(Weak::upgrade);
            waiting.unwrap_or_else(|| {
                let turn = Arc::new(Turn::new(()));
                turns.insert(key.to_owned(), Arc::downgrade(&turn));
                turn
            })
        };
        turn.lock_owned().await
    }

    /// The file of a key with its note, if it is there. The key must be made of letters, digits and dashes. Blocking.
    #[must_use]
    pub fn find(&self, key: &str) -> Option<(OpenFile, Vec<u8>)> {
        let file = File::open(self.folder.join(key)).ok()?;
        let found = read_back(&file)?;
        // The time of use decides who goes first; if it cannot be set the file merely goes earlier.
        file.set_modified(SystemTime::now()).ok();
        let (length, sha256, note) = found;
        Some((OpenFile { file, length, sha256 }, note))
    }

    /// Build the file of a key with `write`, and keep it with a note. Blocking.
    ///
    /// # Errors
    /// [`SpoolError`]; nothing is left behind.
    pub fn build(
        &self,
        key: &str,
        note: &[u8],
        write: impl FnOnce(&mut (dyn Write + Send)) -> exports::Result<()>,
    ) -> Result<OpenFile, SpoolError> {
        let draft = self.draft(key);
        fill(&draft.0, note, write)?;
        Ok(self.keep(key, &draft)?.0)
    }

    /// A name for the file of a key while it is not whole, for whoever [fills](fill) it.
    #[must_use]
    pub fn draft(&self, key: &str) -> Draft {
        Draft(self.folder.join(format!("{key}.{}.part", uuid::Uuid::new_v4())))
    }

    /// Keeps a draft that is filled as the file of its key, and makes room for it: whoever has it reads it, even if it
    /// has to leave the folder at once. Blocking.
    ///
    /// # Errors
    /// [`SpoolError::Folder`].
    pub fn keep(&self, key: &str, draft: &Draft) -> Result<(OpenFile, Vec<u8>), SpoolError> {
        let file = File::open(&draft.0).map_err(SpoolError::Folder)?;
        let not_whole = || SpoolError::Folder(io::Error::other("it lost what was written to it"));
        let (length, sha256, note) = read_back(&file).ok_or_else(not_whole)?;
        std::fs::rename(&draft.0, self.folder.join(key)).map_err(SpoolError::Folder)?;
        if let Err(error) = self.make_room() {
            tracing::warn!(%error, "the spool could not be tidied");
        }
        Ok((OpenFile { file, length, sha256 }, note))
    }

    /// Remove what was left half-built, and the least recently used files until the rest fits; returns how many of these
    /// went.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn make_room(&self) -> io::Result<usize> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            // A file that another request removed meanwhile is no longer in the way.
            let Ok(metadata) = entry.metadata() else { continue };
            let used = metadata.modified()?;
            if !entry.file_name().to_string_lossy().ends_with(".part") {
                files.push((used, metadata.len(), entry.path()));
            } else if used.elapsed().is_ok_and(|age| age > ABANDONED) {
                // What is young may still be built, also by a command line that shares the folder.
                std::fs::remove_file(entry.path()).ok();
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
        let mut removed = 0;
        for (_, length, path) in files {
            if total <= self.most_bytes {
                break;
            }
            std::fs::remove_file(&path).ok();
            total -= length;
            removed += 1;
        }
        Ok(removed)
    }
}

/// Length, digest and note of a finished file; `None` when it is not whole.
fn read_back(file: &File) -> Option<(u64, [u8; 32], Vec<u8>)> {
    let end = file.metadata().ok()?.len();
    let mut trailer = [0; TRAILER];
    file.read_exact_at(&mut trailer, end.checked_sub(TRAILER as u64)?).ok()?;
    let (length, rest) = trailer.split_first_chunk::<8>()?;
    let (noted, sha256) = rest.split_first_chunk::<8>()?;
    let (length, noted) = (u64::from_be_bytes(*length), u64::from_be_bytes(*noted));
    if noted > LONGEST_NOTE || length.checked_add(noted)?.checked_add(TRAILER as u64)? != end {
        return None;
    }
    let mut note = vec![0; usize::try_from(noted).ok()?];
    file.read_exact_at(&mut note, length).ok()?;
    Some((length, sha256.try_into().ok()?, note))
}

/// Writes a file with its note, over what a process that died left there. Blocking.
///
/// # Errors
/// [`SpoolError`].
pub fn fill<T>(
    path: &Path,
    note: &[u8],
    write: impl FnOnce(&mut (dyn Write + Send)) -> exports::Result<T>,
) -> Result<T, SpoolError> {
    let file = File::create(path).map_err(SpoolError::Folder)?;
    let mut out = Hashing { out: BufWriter::with_capacity(1 << 16, file), digest: Sha256::new(), length: 0 };
    let written = write(&mut out).map_err(|error| match error {
        exports::Error::Write(error) => SpoolError::Folder(error),
        other => SpoolError::Encode(other),
    })?;
    let Hashing { mut out, digest, length } = out;
    let mut end = note.to_vec();
    end.extend_from_slice(&length.to_be_bytes());
    end.extend_from_slice(&(note.len() as u64).to_be_bytes());
    end.extend_from_slice(&digest.finalize());
    out.write_all(&end).and_then(|()| out.flush()).map_err(SpoolError::Folder)?;
    Ok(written)
}

/// The path of a half-built file, which is removed unless it was kept.
#[derive(Debug)]
pub struct Draft(pub PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // Once it is kept there is nothing of that name, which is what we want.
        std::fs::remove_file(&self.0).ok();
    }
}

struct Hashing<W> {
    out: W,
    digest: Sha256,
    length: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.out.write(buffer)?;
        self.digest.update(buffer.get(..written).unwrap_or_default());
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
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
    use base::hex;

    use super::*;

    fn bytes(bytes: &[u8]) -> impl FnOnce(&mut (dyn Write + Send)) -> exports::Result<()> {
        move |out| out.write_all(bytes).map_err(exports::Error::Write)
    }

    fn text(file: &OpenFile) -> String {
        let mut text = vec![0; usize::try_from(file.length).unwrap()];
        file.file.read_exact_at(&mut text, 0).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn touch_long_ago(path: &Path) {
        File::options().append(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    }

    #[test]
    fn what_was_built_is_found_whole_with_its_note() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1_000).unwrap();
        assert!(spool.find("a").is_none());
        for content in ["rows", ""] {
            let built = spool.build("a", b"note", bytes(content.as_bytes())).unwrap();
            let (found, note) = spool.find("a").unwrap();
            assert_eq!(
                (text(&built).as_str(), text(&found).as_str(), note.as_slice()),
                (content, content, &b"note"[..])
            );
            assert_eq!(found.sha256, <[u8; 32]>::from(Sha256::digest(content)));
        }
    }

    #[test]
    fn a_digest_is_read_back_from_its_digits() {
        let digest: [u8; 32] = std::array::from_fn(|place| u8::try_from(place * 8 + 3).unwrap());
        assert!(hex(&digest).starts_with("030b131b"));
        assert_eq!(from_hex(&hex(&digest)), Some(digest));
        for text in ["", "zz", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32)] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }

    #[test]
    fn a_file_that_is_not_whole_is_not_found() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1_000).unwrap();
        spool.build("a", b"note", bytes(b"rows of a report")).unwrap();
        let whole = std::fs::read(folder.path().join("a")).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(folder.path().join("a"), &whole[..cut]).unwrap();
            assert!(spool.find("a").is_none(), "{cut} bytes of {}", whole.len());
        }
        std::fs::write(folder.path().join("a"), vec![0; whole.len()]).unwrap();
        assert!(spool.find("a").is_none());
        std::fs::write(folder.path().join("a"), vec![0xff; whole.len()]).unwrap();
        assert!(spool.find("a").is_none());
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 1_000).unwrap();
        let failed = spool.build("a", b"", |out| {
            out.write_all(b"half").map_err(exports::Error::Write)?;
            Err(exports::Error::Write(io::Error::other("disk full")))
        });
        assert!(matches!(failed, Err(SpoolError::Folder(_))));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_least_recently_used_goes_first_and_a_reader_keeps_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 100).unwrap();
        let old = spool.build("old", b"", bytes(b"123456")).unwrap();
        touch_long_ago(&folder.path().join("old"));
        spool.build("new", b"", bytes(b"1234567")).unwrap();
        assert!(spool.find("old").is_none());
        assert!(spool.find("new").is_some());
        assert_eq!(text(&old), "123456");
    }

    #[tokio::test]
    async fn those_who_want_the_same_take_turns() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path(), 100).unwrap();
        let first = spool.turn("a").await;
        let other = spool.turn("b").await;
        let mut second = Box::pin(spool.turn("a"));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        let second = second.await;
        drop((second, other));
        drop(spool.turn("c").await);
        assert!(spool.turns.lock().unwrap().len() <= 1, "those that have ended are forgotten");
    }

    #[test]
    fn what_a_dead_process_left_is_removed_and_what_a_live_one_builds_is_spared() {
        let folder = tempfile::tempdir().unwrap();
        let [dead, live] = ["a.1.part", "a.2.part"].map(|name| folder.path().join(name));
        std::fs::write(&dead, b"half").unwrap();
        std::fs::write(&live, b"half").unwrap();
        touch_long_ago(&dead);
        Spool::open(folder.path(), 10).unwrap();
        assert!(!dead.exists());
        assert!(live.exists());
    }
}
