//! Keeping the directory and the list of sealed files in step: after a crash, when one is damaged, when room is needed.
//!
//! Only three kinds of files are ever deleted: unfinished ones, finished ones whose readings are all still hot, and
//! those that were dropped on purpose and counted. Everything else that is out of step is moved aside and told.

use super::file::{ENDING, HistoryFile, UNFINISHED, file_error, sync};
use super::{DAMAGED, DIRECTORY, Doing, Sealed, UNLINKING, UNLISTED, listed, meta, sealed_through, set_meta};
use crate::model::Wall;
use crate::store::StoreError;
use rusqlite::{Connection, params};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// What was dropped to make room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Readings that are gone.
    pub readings: u64,
    /// Bytes that are free again.
    pub bytes: u64,
}

/// A sealed file that was not as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Left unfinished by a crash, or its readings are all still hot: removed, nothing is lost.
    Leftover(String),
    /// Not in the list: moved to [`UNLISTED`].
    Unlisted(String),
    /// Listed and not there: its readings are lost, and counted as dropped.
    Missing(Sealed),
    /// Listed and not readable: moved to [`DAMAGED`], and its readings counted as dropped.
    Damaged(Sealed),
}

impl Found {
    /// Tells whoever reads the log.
    pub fn tell(&self) {
        match self {
            Self::Leftover(file) => {
                tracing::info!(file, "a seal was cut off; its file is removed, nothing is lost")
            }
            Self::Unlisted(file) => tracing::warn!(
                file,
                "the database does not list this file of sealed readings; it is kept in {DIRECTORY}/{UNLISTED}"
            ),
            Self::Missing(Sealed { file, readings, .. }) => {
                tracing::error!(
                    file,
                    readings,
                    "a file of sealed readings is missing; its readings are lost"
                );
            }
            Self::Damaged(Sealed { file, readings, .. }) => tracing::error!(
                file,
                readings,
                "a file of sealed readings is damaged; it is kept in {DIRECTORY}/{DAMAGED} and no longer read"
            ),
        }
    }
}

/// Counts rows that are given up.
pub(in crate::store) fn count_dropped(
    db: &Connection,
    reason: &str,
    rows: u64,
    at: Wall,
) -> Result<(), StoreError> {
    db.prepare_cached(
        "insert into dropped (reason, rows, first_at, last_at) values (?1, ?2, ?3, ?3) \
         on conflict (reason) do update set rows = rows + ?2, last_at = ?3",
    )
    .and_then(|mut s| s.execute(params![reason, i64::try_from(rows).unwrap_or(i64::MAX), at.0]))
    .doing("counting dropped rows")?;
    Ok(())
}

/// Drops the oldest sealed file; `None` if there is none.
///
/// The transaction that counts its readings also notes its name, so that a crash before the unlink is made good.
pub(in crate::store) fn drop_oldest(
    db: &mut Connection,
    data_dir: &Path,
    reason: &str,
    at: Wall,
) -> Result<Option<Dropped>, StoreError> {
    finish_unlinking(db, data_dir)?;
    let Some(oldest) = listed(db, "order by first_seq limit 1", [])?.pop() else { return Ok(None) };
    let tx = db.transaction().doing("dropping a sealed file")?;
    strike(&tx, &oldest, reason, at)?;
    set_meta(&tx, UNLINKING, &oldest.file)?;
    tx.commit().doing("dropping a sealed file")?;
    finish_unlinking(db, data_dir)?;
    Ok(Some(Dropped { readings: oldest.readings, bytes: oldest.bytes }))
}

fn strike(db: &Connection, sealed: &Sealed, reason: &str, at: Wall) -> Result<(), StoreError> {
    db.prepare_cached("delete from sealed where file = ?1")
        .and_then(|mut s| s.execute([&sealed.file]))
        .doing("striking a sealed file off the list")?;
    count_dropped(db, reason, sealed.readings, at)
}

fn finish_unlinking(db: &Connection, data_dir: &Path) -> Result<(), StoreError> {
    let Some(file) = meta(db, UNLINKING)? else { return Ok(()) };
    let directory = data_dir.join(DIRECTORY);
    let path = directory.join(&file);
    match fs::remove_file(&path) {
        Ok(()) => sync(&directory)?,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(file_error(&path, "removing")(cause)),
    }
    db.prepare_cached("delete from meta where key = ?1")
        .and_then(|mut s| s.execute([UNLINKING]))
        .doing("noting that a file is gone")?;
    Ok(())
}

/// Brings directory and list into step; done once after a start.
pub(in crate::store) fn tidy(
    db: &mut Connection,
    data_dir: &Path,
    at: Wall,
) -> Result<Vec<Found>, StoreError> {
    finish_unlinking(db, data_dir)?;
    let directory = data_dir.join(DIRECTORY);
    let mut there = files(&directory)?;
    let mut found = Vec::new();
    for sealed in listed(db, "order by first_seq", [])? {
        match there.remove(&sealed.file) {
            Some(bytes) if bytes == sealed.bytes => {}
            _ => found.push(set_aside(db, data_dir, sealed, at)?),
        }
    }
    for file in there.into_keys() {
        let path = directory.join(&file);
        if file.ends_with(UNFINISHED) || (file.ends_with(ENDING) && still_hot(db, &path)?) {
            fs::remove_file(&path).map_err(file_error(&path, "removing"))?;
            found.push(Found::Leftover(file));
        } else if file.ends_with(ENDING) {
            move_aside(&directory, &file, UNLISTED)?;
            found.push(Found::Unlisted(file));
        }
    }
    Ok(found)
}

/// Names and lengths of the files in a directory; none if it is not there.
fn files(directory: &Path) -> Result<BTreeMap<String, u64>, StoreError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(cause) => return Err(file_error(directory, "reading the directory")(cause)),
    };
    let mut files = BTreeMap::new();
    for entry in entries {
        let entry = entry.map_err(file_error(directory, "reading the directory"))?;
        let metadata = entry.metadata().map_err(file_error(directory, "reading the directory"))?;
        if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
            files.insert(name, metadata.len());
        }
    }
    Ok(files)
}

/// Whether every reading of a file that is not listed is still a live row of the table: then it is a seal cut off.
fn still_hot(db: &Connection, path: &Path) -> Result<bool, StoreError> {
    let Ok(file) = HistoryFile::open(path) else { return Ok(false) };
    let sealed = file.sealed();
    let hot: i64 = db
        .query_row(
            "select count(*) from reading where seq between ?1 and ?2 and seq > ?3",
            params![sealed.first_seq, sealed.last_seq, sealed_through(db)?],
            |row| row.get(0),
        )
        .doing("counting hot readings")?;
    Ok(hot.unsigned_abs() >= sealed.readings)
}

/// Strikes a file that is missing or damaged off the list, counts its readings and keeps what is there of it.
///
/// A crash before the move leaves a file that is not listed; [`tidy`] keeps it, too.
fn set_aside(db: &mut Connection, data_dir: &Path, sealed: Sealed, at: Wall) -> Result<Found, StoreError> {
    let directory = data_dir.join(DIRECTORY);
    let there = directory.join(&sealed.file).exists();
    let tx = db.transaction().doing("striking a sealed file off the list")?;
    strike(&tx, &sealed, if there { "damaged" } else { "missing" }, at)?;
    tx.commit().doing("striking a sealed file off the list")?;
    if !there {
        return Ok(Found::Missing(sealed));
    }
    move_aside(&directory, &sealed.file, DAMAGED)?;
    Ok(Found::Damaged(sealed))
}

fn move_aside(directory: &Path, file: &str, aside: &str) -> Result<(), StoreError> {
    let to = directory.join(aside);
    fs::create_dir_all(&to).map_err(file_error(&to, "making the directory"))?;
    // A file of the same name that was moved there before is kept as well.
    let free = |n: u32| to.join(if n == 0 { file.to_owned() } else { format!("{file}.{n}") });
    let target = (0..1_000).map(free).find(|path| !path.exists()).unwrap_or_else(|| free(1_000));
    fs::rename(directory.join(file), &target).map_err(file_error(&target, "moving a file aside"))?;
    sync(&to)?;
    sync(directory)
}

/// Reads a sealed file through, and sets it aside if it is not as it was written.
pub(in crate::store) fn examine(
    db: &mut Connection,
    data_dir: &Path,
    sealed: Sealed,
    at: Wall,
) -> Result<Option<Found>, StoreError> {
    let path = data_dir.join(DIRECTORY).join(&sealed.file);
    match verify(&path, &sealed) {
        Ok(()) => Ok(None),
        Err(error) if is_damage(&error) => {
            tracing::error!(error = %crate::runtime::Chain(&error), "sealed readings cannot be read back");
            set_aside(db, data_dir, sealed, at).map(Some)
        }
        Err(error) => Err(error),
    }
}

/// Reads a listed file through.
///
/// # Errors
/// When it is not readable, or not as it was written and listed.
pub(super) fn verify(path: &Path, sealed: &Sealed) -> Result<(), StoreError> {
    let file = HistoryFile::open(path)?;
    if file.sealed() != *sealed {
        let cause = super::Damage::Shape("it is not the file that was listed under this name");
        return Err(StoreError::Sealed { path: path.to_owned(), cause });
    }
    file.verify()
}

/// Whether an error says that the file itself is bad, rather than that it cannot be reached just now.
fn is_damage(error: &StoreError) -> bool {
    const EIO: i32 = 5;
    match error {
        StoreError::Sealed { .. } => true,
        StoreError::File { cause, .. } => {
            matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof)
                || cause.raw_os_error() == Some(EIO)
        }
        _ => false,
    }
}
