//! Checksums: each file's digest is noted beside the catalogue when the file becomes live, and held against what the disk
//! gives back.
//!
//! A file that is not as it was written is wrong in silence until somebody reads it whole: a merge does before it writes
//! rows of it anew, compaction does, and housekeeping does by turns.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use chrono::NaiveDate;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use sqlx::{FromRow, PgConnection};

use crate::commit::{self, ChangedDays, Counts, Ended, TableChange};
use crate::snapshot::{self, DataFile};
use crate::table::Table;
use crate::{Lake, LakeError};

/// Bytes that a merge reads beforehand of files that nobody has read whole since they were written: the rest is the next
/// one's, so that a small change stays quick.
const AHEAD: i64 = 64 * 1024 * 1024;
/// Bytes read at once.
const READ_AT_ONCE: usize = 256 * 1024;

/// A file that is missing, or not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, FromRow, thiserror::Error)]
#[error("the lake's file {path} of {dataset}, which snapshots from {snapshot} on need, {fault}")]
pub struct Damage {
    /// Its dataset.
    pub dataset: String,
    /// Below the lake's folder.
    pub path: String,
    /// The first snapshot that needs it.
    pub snapshot: i64,
    /// What is wrong, as the end of a sentence.
    pub fault: String,
}

/// What an examination came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Examined {
    /// Files read whole.
    pub files: usize,
    /// Files missing, or not as they were written.
    pub damaged: usize,
}

/// What the catalogue knows of a file.
#[derive(Debug, FromRow)]
struct Known {
    path: String,
    bytes: i64,
    sha256: Option<String>,
}

/// Notes the digests of the files that a change makes live.
pub(crate) async fn note(tx: &mut PgConnection, change: &TableChange) -> Result<(), LakeError> {
    let data = change.add.iter().map(|it| (it.pending.as_str(), it.sha256.as_str()));
    let deletes = change.delete.iter().map(|it| (it.pending.as_str(), it.sha256.as_str()));
    let (paths, digests): (Vec<&str>, Vec<&str>) = data.chain(deletes).unzip();
    if paths.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO sync.file_checksum (path, sha256) SELECT path, sha256 FROM unnest($1::text[], $2::text[]) AS t (path, sha256)",
        paths as _,
        digests as _
    )
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets files that no snapshot needs any more.
pub(crate) async fn forget(tx: &mut PgConnection, paths: &[String]) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM sync.file_checksum WHERE path = ANY($1)", paths).execute(tx).await?;
    Ok(())
}

impl Lake {
    /// The live files that are known to be damaged.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn damages(&self) -> Result<Vec<Damage>, LakeError> {
        let sql = "SELECT dataset, path, begin_snapshot AS snapshot, fault FROM sync.lake_file
                   WHERE fault IS NOT NULL AND end_snapshot IS NULL ORDER BY dataset, path";
        Ok(sqlx::query_as(sql).fetch_all(&self.db).await?)
    }

    /// Reads files whole, by their paths below the lake's folder, and notes how they are; the answer is what is wrong.
    ///
    /// A file without a digest, of an earlier version, gets that of what it is now.
    ///
    /// # Errors
    /// When the database fails. What is wrong with a file is no error here.
    pub async fn examine(&self, paths: &[String]) -> Result<Vec<Damage>, LakeError> {
        let sql = "SELECT path, bytes, sha256 FROM sync.lake_file WHERE path = ANY($1)";
        let known: Vec<Known> = sqlx::query_as(sql).bind(paths).fetch_all(&self.db).await?;
        if known.is_empty() {
            return Ok(Vec::new());
        }
        let dir = self.dir.clone();
        let looked = self.compute.run(move || {
            Ok::<_, LakeError>(
                known.into_iter().map(|file| (look(&dir.join(&file.path), &file), file)).collect::<Vec<_>>(),
            )
        });
        let looked = looked.await?;
        let faults: Vec<Option<&str>> =
            looked.iter().map(|(look, _)| look.as_ref().err().map(String::as_str)).collect();
        let digests: Vec<Option<&str>> =
            looked.iter().map(|(look, _)| look.as_ref().ok().map(String::as_str)).collect();
        let paths: Vec<&str> = looked.iter().map(|(_, file)| file.path.as_str()).collect();
        // What has been let go meanwhile is missing, and rightly so.
        sqlx::query!(
            "INSERT INTO sync.file_checksum AS c (path, sha256, verified_at, fault)
             SELECT t.path, t.sha256, now(), t.fault
             FROM unnest($1::text[], $2::text[], $3::text[]) AS t (path, sha256, fault)
             WHERE EXISTS (SELECT FROM sync.lake_file f WHERE f.path = t.path)
             ON CONFLICT (path) DO UPDATE
             SET sha256 = coalesce(c.sha256, excluded.sha256), verified_at = excluded.verified_at, fault = excluded.fault",
            &paths as _,
            &digests as _,
            &faults as _
        )
        .execute(&self.db)
        .await?;
        let sql = "SELECT dataset, path, begin_snapshot AS snapshot, fault FROM sync.lake_file
                   WHERE fault IS NOT NULL AND path = ANY($1) ORDER BY dataset, path";
        Ok(sqlx::query_as(sql).bind(paths).fetch_all(&self.db).await?)
    }

    /// Examines a share of all files, such that `turns` of them are everything: those that nobody has read whole for
    /// longest, and those that were damaged.
    ///
    /// # Errors
    /// As [`Lake::examine`].
    pub async fn examine_share(&self, turns: i64) -> Result<Examined, LakeError> {
        let sql = "(SELECT path FROM sync.lake_file ORDER BY verified_at NULLS FIRST, path
                    LIMIT (SELECT (count(*) + $1 - 1) / $1 FROM sync.lake_file))
                   UNION SELECT path FROM sync.lake_file WHERE fault IS NOT NULL";
        let paths: Vec<String> = sqlx::query_scalar(sql).bind(turns.max(1)).fetch_all(&self.db).await?;
        let damaged = self.examine(&paths).await?;
        for damage in &damaged {
            tracing::error!(%damage, "a file of the lake is damaged");
        }
        Ok(Examined { files: paths.len(), damaged: damaged.len() })
    }

    /// Holds files against their digests that nobody has read whole since they were written, and whose rows are about to
    /// be written anew: what is wrong would then be right for ever.
    ///
    /// # Errors
    /// [`LakeError::Damaged`]; when the database fails.
    pub async fn examine_unread(&self, table: &Table, files: &[DataFile]) -> Result<(), LakeError> {
        let sql = "SELECT path FROM (SELECT path, sum(bytes) OVER (ORDER BY path) AS through, bytes FROM sync.lake_file
                                      WHERE path = ANY($1) AND (verified_at IS NULL OR fault IS NOT NULL)) AS unread
                   WHERE through - bytes < $2::bigint";
        let of = paths(table, files);
        let unread: Vec<String> = sqlx::query_scalar(sql).bind(&of).bind(AHEAD).fetch_all(&self.db).await?;
        match self.examine(&unread).await?.into_iter().next() {
            Some(damage) => Err(LakeError::Damaged(Box::new(damage))),
            None => Ok(()),
        }
    }

    /// Ends the live files of some datasets that are damaged, or whose delete file is, with all their rows, as one
    /// snapshot; the answer is whose they were.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn let_go_of_damaged(&self, tx: &mut PgConnection, datasets: &[&str]) -> Result<Vec<String>, LakeError> {
        let head = commit::lock(tx).await?;
        let sql = "SELECT dataset, data_file_id FROM sync.lake_file
                   WHERE fault IS NOT NULL AND end_snapshot IS NULL AND dataset = ANY($1)";
        let damaged: Vec<(String, i64)> = sqlx::query_as(sql).bind(datasets).fetch_all(&mut *tx).await?;
        let mut changes = Vec::new();
        for dataset in damaged.iter().map(|(dataset, _)| dataset).collect::<BTreeSet<_>>() {
            let table = self.table(dataset)?;
            // The lock is held: what is live now is live at the end of this transaction.
            let live = snapshot::files(&self.db, head.snapshot_id, table.table_id, None).await?;
            let mut change = TableChange::of(table);
            for file in live.iter().filter(|file| damaged.iter().any(|(_, id)| *id == file.data_file_id)) {
                count_lost(file, &mut change.days);
                change.end.push(Ended::of(file));
            }
            changes.push(change);
        }
        if !changes.is_empty() {
            let changes: Vec<&TableChange> = changes.iter().collect();
            commit::apply(tx, &head, &changes, "", "damaged files are let go").await?;
        }
        Ok(changes.iter().map(|it| it.table.name.clone()).collect())
    }

    /// What is wrong with some files, by their paths below the lake's folder, if anything is: what is known of them, else what
    /// reading them whole tells.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_damage(&self, paths: &[String]) -> Result<Option<Damage>, LakeError> {
        let known = self.damages().await?.into_iter().find(|damage| paths.contains(&damage.path));
        match known {
            Some(known) => Ok(Some(known)),
            None => Ok(self.examine(paths).await?.into_iter().next()),
        }
    }

    /// Why files could not be read, if it is one of them: [`LakeError::Damaged`] then, else the error itself.
    pub async fn blame(&self, error: LakeError, table: &Table, files: &[DataFile]) -> LakeError {
        if !matches!(error, LakeError::Frame(_) | LakeError::File { .. }) {
            return error;
        }
        match self.find_damage(&paths(table, files)).await {
            Ok(Some(damage)) => LakeError::Damaged(Box::new(damage)),
            _ => error,
        }
    }
}

/// Counts the rows that leave with a file, each day of a month's its share: which rows were whose can no longer be read.
fn count_lost(file: &DataFile, days: &mut ChangedDays) {
    let span = file.first_day.zip(file.last_day);
    let days_of: Vec<Option<NaiveDate>> = match span {
        Some((first, last)) => first.iter_days().take_while(|day| *day <= last).map(Some).collect(),
        None => vec![None],
    };
    let removed = (file.record_count.unsigned_abs() / days_of.len().max(1) as u64).max(1);
    for day in days_of {
        days.entry(day).or_default().add(Counts { removed, ..Counts::default() });
    }
}

/// Data and delete files by their paths below the lake's folder.
pub(crate) fn paths(table: &Table, files: &[DataFile]) -> Vec<String> {
    let names = files.iter().flat_map(|file| std::iter::once(&file.path).chain(&file.delete_path));
    names.map(|path| format!("{}/{path}", table.folder())).collect()
}

/// Its digest, or what is wrong with it.
fn look(path: &Path, known: &Known) -> Result<String, String> {
    let (bytes, digest) = digest(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "is missing".to_owned(),
        _ => format!("cannot be read: {error}"),
    })?;
    if bytes != known.bytes {
        return Err(format!("has {bytes} bytes where {} were written", known.bytes));
    }
    match &known.sha256 {
        Some(written) if *written != digest => {
            Err(format!("is not what was written: its SHA-256 is {digest}, not {written}"))
        }
        _ => Ok(digest),
    }
}

fn digest(path: &Path) -> io::Result<(i64, String)> {
    let (mut file, mut digest, mut bytes) = (File::open(path)?, Sha256::new(), 0);
    let mut buffer = vec![0; READ_AT_ONCE];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, base::hex(&digest.finalize()))),
            read => {
                digest.update(buffer.get(..read).unwrap_or_default());
                bytes += i64::try_from(read).unwrap_or(i64::MAX);
            }
        }
    }
}

/// Digests what passes through to be written.
pub(crate) struct Digesting<W> {
    inner: W,
    digest: Sha256,
}

impl<W: io::Write> Digesting<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, digest: Sha256::new() }
    }

    /// What was written through, and the digest of it.
    pub(crate) fn finish(self) -> (W, String) {
        (self.inner, base::hex(&self.digest.finalize()))
    }
}

impl<W: io::Write> io::Write for Digesting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.digest.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
