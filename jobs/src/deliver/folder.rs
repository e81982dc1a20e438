//! A copy of a day's pack in another folder: each file whole or not at all, the manifest last.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use crate::{export_pack::Manifest, hashing};
use anyhow::{Context as _, ensure};

/// Copy what the target does not have yet. Blocking.
pub(super) fn copy(exports_dir: &Path, target: &Path, manifest: &Manifest) -> anyhow::Result<()> {
    // The folder itself is somebody's mount: where it is missing, making it would fill the wrong disk.
    ensure!(target.is_dir(), "{} is no folder", target.display());
    let day = manifest.business_day.to_string();
    let (from, to) = (exports_dir.join(&day), target.join(&day));
    std::fs::create_dir_all(&to).with_context(|| format!("{} could not be made", to.display()))?;
    for entry in &manifest.files {
        let place = to.join(&entry.file);
        if hashing::of_file(&place).is_ok_and(|found| found == entry.sha256) {
            continue;
        }
        let file = from.join(&entry.file);
        let mut source = File::open(&file).with_context(|| format!("{} could not be read", file.display()))?;
        put(&place, |out| io::copy(&mut source, out).map(|_| ()))?;
        let arrived = hashing::of_file(&place).with_context(|| format!("{} could not be read", place.display()))?;
        ensure!(arrived == entry.sha256, "{} is not what was exported", place.display());
    }
    let text = manifest.text()?;
    put(&to.join("manifest.json"), |out| out.write_all(&text))?;
    File::open(&to).and_then(|folder| folder.sync_all()).context("the folder could not be synced")
}

/// Write a file beside its place, sync it, and move it there.
fn put(place: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> anyhow::Result<()> {
    let name = place.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let part = place.with_file_name(format!(".{name}.{}.part", uuid::Uuid::new_v4().simple()));
    let mut file = File::create_new(&part).with_context(|| format!("{} could not be made", part.display()))?;
    let written = write(&mut file).and_then(|()| file.sync_all()).and_then(|()| std::fs::rename(&part, place));
    if written.is_err() {
        std::fs::remove_file(&part).ok();
    }
    written.with_context(|| format!("{} could not be written", place.display()))
}
