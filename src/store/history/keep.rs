//! Keeping the directory and the list of sealed files in step: after a crash, when one is damaged, when room is needed.
//!
//! Only three kinds of files are ever deleted: unfinished ones, finished ones whose readings are all still hot, and
//! those that were dropped on purpose and counted. Everything else that is out of step is moved aside and told.

use super::disk::{Disk, Place};
use super::file::{ENDING, HistoryFile, UNFINISHED, file_error, sync};
use super::{
    Chunk, DAMAGED, DIRECTORY, Doing, SEALED_THROUGH, Sealed, UNLINKING, UNLISTED, Writer, listed, meta,
    sealed_through, set_meta,
};
use crate::model::Wall;
use crate::museum;
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
    /// Listed and not as it was written: moved to [`DAMAGED`], and replaced by a file of what is whole in it.
    Damaged {
        /// The file.
        sealed: Sealed,
        /// Readings that are lost, and counted as dropped.
        lost: u64,
    },
    /// Not in the list, whole, and its readings known nowhere else: listed again.
    Adopted(Sealed),
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
            Self::Damaged { sealed: Sealed { file, readings, .. }, lost } => tracing::error!(
                file,
                readings,
                lost,
                "a file of sealed readings is damaged; what is whole in it is read from a new file, and it is kept in \
                 {DIRECTORY}/{DAMAGED}"
            ),
            Self::Adopted(Sealed { file, readings, .. }) => {
                tracing::warn!(
                    file,
                    readings,
                    "the database did not know this file of sealed readings; it does now"
                );
            }
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
    place: &Place,
    reason: &str,
    at: Wall,
) -> Result<Option<Dropped>, StoreError> {
    finish_unlinking(db, place)?;
    let Some(oldest) = listed(db, "order by first_seq limit 1", [])?.pop() else { return Ok(None) };
    if museum::on("unlinked_before_struck") {
        let path = place.history().join(&oldest.file);
        place.disk.remove(&path).map_err(file_error(&path, "removing"))?;
    }
    let tx = db.transaction().doing("dropping a sealed file")?;
    strike(&tx, &oldest)?;
    count_dropped(&tx, reason, oldest.readings, at)?;
    set_meta(&tx, UNLINKING, &oldest.file)?;
    tx.commit().doing("dropping a sealed file")?;
    finish_unlinking(db, place)?;
    Ok(Some(Dropped { readings: oldest.readings, bytes: oldest.bytes }))
}

fn strike(db: &Connection, sealed: &Sealed) -> Result<(), StoreError> {
    db.prepare_cached("delete from sealed where file = ?1")
        .and_then(|mut s| s.execute([&sealed.file]))
        .doing("striking a sealed file off the list")?;
    Ok(())
}

fn finish_unlinking(db: &Connection, place: &Place) -> Result<(), StoreError> {
    let Some(file) = meta(db, UNLINKING)? else { return Ok(()) };
    let directory = place.history();
    let path = directory.join(&file);
    match place.disk.remove(&path) {
        Ok(()) => sync(&*place.disk, &directory)?,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
        Err(cause) => return Err(file_error(&path, "removing")(cause)),
    }
    db.prepare_cached("delete from meta where key = ?1")
        .and_then(|mut s| s.execute([UNLINKING]))
        .doing("noting that a file is gone")?;
    Ok(())
}

/// Finishes or undoes what a crash cut off, and deals with files that are not listed; done at every start.
pub(in crate::store) fn tidy(db: &mut Connection, place: &Place) -> Result<Vec<Found>, StoreError> {
    finish_unlinking(db, place)?;
    let directory = place.history();
    let mut there = files(&directory)?;
    for sealed in listed(db, "", [])? {
        there.remove(&sealed.file);
    }
    let mut found = Vec::new();
    for file in there.into_keys() {
        let path = directory.join(&file);
        if file.ends_with(UNFINISHED) || (file.ends_with(ENDING) && still_hot(db, &path)?) {
            place.disk.remove(&path).map_err(file_error(&path, "removing"))?;
            found.push(Found::Leftover(file));
        } else if file.ends_with(ENDING) {
            found.push(match adopt(db, &path)? {
                Some(sealed) => Found::Adopted(sealed),
                None => {
                    move_aside(&*place.disk, &directory, &file, UNLISTED)?;
                    Found::Unlisted(file)
                }
            });
        }
    }
    Ok(found)
}

/// Takes a whole file whose readings are known nowhere else back into the list: the database was made anew.
fn adopt(db: &mut Connection, path: &Path) -> Result<Option<Sealed>, StoreError> {
    let Ok(file) = HistoryFile::open(path) else { return Ok(None) };
    let sealed = file.sealed();
    let through = sealed_through(db)?;
    let known: bool = db
        .query_row(
            "select exists (select 1 from sealed where first_seq <= ?2 and last_seq >= ?1) \
             or exists (select 1 from reading where seq > ?3 and seq <= ?2)",
            params![sealed.first_seq, sealed.last_seq, through],
            |row| row.get(0),
        )
        .doing("looking for readings of a file that is not listed")?;
    if known || file.verify().is_err() {
        return Ok(None);
    }
    let tx = db.transaction().doing("listing a file again")?;
    sealed.insert(&tx)?;
    set_meta(&tx, SEALED_THROUGH, &through.max(sealed.last_seq).to_string())?;
    tx.commit().doing("listing a file again")?;
    Ok(Some(sealed))
}

/// Looks whether every listed file is there in its length; done once after a start.
pub(in crate::store) fn check_listed(
    db: &mut Connection,
    place: &Place,
    at: Wall,
) -> Result<Vec<Found>, StoreError> {
    let there = files(&place.history())?;
    let mut found = Vec::new();
    for sealed in listed(db, "order by first_seq", [])? {
        if there.get(&sealed.file) != Some(&sealed.bytes) {
            found.push(set_aside(db, place, sealed, at)?);
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

/// Replaces a damaged file by one with those of its devices that are whole, counts the other readings, and keeps the
/// damaged file; strikes a missing one off the list.
///
/// A crash on the way leaves one of the two files out of the list; [`tidy`] keeps it.
fn set_aside(db: &mut Connection, place: &Place, sealed: Sealed, at: Wall) -> Result<Found, StoreError> {
    let directory = place.history();
    let path = directory.join(&sealed.file);
    let there = path.exists();
    let rescued = if there { rescue(place, &path, &sealed)? } else { None };
    let kept = rescued.as_ref().map_or(0, |rescued| rescued.readings);
    let lost = sealed.readings.saturating_sub(kept);
    let tx = db.transaction().doing("striking a sealed file off the list")?;
    strike(&tx, &sealed)?;
    count_dropped(&tx, if there { "damaged" } else { "missing" }, lost, at)?;
    rescued.iter().try_for_each(|rescued| rescued.insert(&tx))?;
    tx.commit().doing("striking a sealed file off the list")?;
    if !there {
        return Ok(Found::Missing(sealed));
    }
    move_aside(&*place.disk, &directory, &sealed.file, DAMAGED)?;
    Ok(Found::Damaged { sealed, lost })
}

/// Writes a file of the devices whose readings are whole; `None` if there are none or the index is lost.
fn rescue(place: &Place, path: &Path, sealed: &Sealed) -> Result<Option<Sealed>, StoreError> {
    let Ok(file) = HistoryFile::open(path) else { return Ok(None) };
    if file.sealed().digest != sealed.digest {
        return Ok(None);
    }
    let mut writer = Writer::create(place)?;
    for chunk in file.places() {
        if let Ok(Chunk { names, doubts, rows }) = file.chunk(chunk, |_| true) {
            writer.add(&chunk.device, &names, &doubts, &rows)?;
        }
    }
    if writer.is_empty() { Ok(None) } else { writer.finish_beside(&sealed.file).map(Some) }
}

fn move_aside(disk: &dyn Disk, directory: &Path, file: &str, aside: &str) -> Result<(), StoreError> {
    let to = directory.join(aside);
    disk.make_dir(&to).map_err(file_error(&to, "making the directory"))?;
    // A file of the same name that was moved there before is kept as well.
    let free = |n: u32| to.join(if n == 0 { file.to_owned() } else { format!("{file}.{n}") });
    let target = (0..1_000).map(free).find(|path| !path.exists()).unwrap_or_else(|| free(1_000));
    disk.rename(&directory.join(file), &target).map_err(file_error(&target, "moving a file aside"))?;
    sync(disk, &to)?;
    sync(disk, directory)
}

/// Reads a sealed file through, and sets it aside if it is not as it was written.
pub(in crate::store) fn examine(
    db: &mut Connection,
    place: &Place,
    sealed: Sealed,
    at: Wall,
) -> Result<Option<Found>, StoreError> {
    let path = place.history().join(&sealed.file);
    match verify(&path, &sealed, true) {
        Ok(()) => Ok(None),
        Err(error) if is_damage(&error) => {
            tracing::error!(error = %crate::runtime::Chain(&error), "sealed readings cannot be read back");
            set_aside(db, place, sealed, at).map(Some)
        }
        Err(error) => Err(error),
    }
}

/// Compares a listed file's footer with the list, and reads it through if `whole`.
///
/// # Errors
/// When it is not readable, or not as it was written and listed.
pub(in crate::store) fn verify(path: &Path, sealed: &Sealed, whole: bool) -> Result<(), StoreError> {
    let file = HistoryFile::open(path)?;
    if file.sealed() != *sealed {
        let cause = super::Damage::Shape("it is not the file that was listed under this name");
        return Err(StoreError::Sealed { path: path.to_owned(), cause });
    }
    if whole { file.verify() } else { Ok(()) }
}

/// Names of the files under which readings can be sealed, listed or not.
pub(in crate::store) fn sealed_names(data_dir: &Path) -> Result<Vec<String>, StoreError> {
    Ok(files(&data_dir.join(DIRECTORY))?.into_keys().filter(|name| name.ends_with(ENDING)).collect())
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
