//! SHA-256 of bytes on their way, and of files.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use sha2::{Digest, Sha256};

/// Hashes what passes through to another writer.
pub(crate) struct Hashing<W> {
    out: W,
    digest: Sha256,
}

impl<W: Write> Hashing<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, digest: Sha256::new() }
    }

    /// The writer, and the digest of all that it took, in hexadecimal.
    pub(crate) fn finish(self) -> (W, String) {
        (self.out, base::hex(&self.digest.finalize()))
    }
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

/// The digest of a file, in hexadecimal. Blocking.
pub(crate) fn of_file(path: &Path) -> io::Result<String> {
    let mut hashing = Hashing::new(io::sink());
    io::copy(&mut File::open(path)?, &mut hashing)?;
    Ok(hashing.finish().1)
}
