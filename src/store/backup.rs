//! Backups while the gateway runs, and putting one in place while it does not.

use super::append::{ALARMS_GIVEN, READINGS_GIVEN, floor};
use super::history::{self, DIRECTORY, Sealed};
use super::lock::DirLock;
use super::{Doing, FILE_NAME, Reader, Store, StoreError, chain};
use crate::model::Wall;
use crate::museum;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

/// The database's name in a backup.
pub const BACKUP_DATABASE: &str = FILE_NAME;
/// The list of a backup's files, one line each as `sha256sum --check` reads it. It is written last.
pub const MANIFEST: &str = "MANIFEST.sha256";
/// Numbers left out by a restore. After the backup was made the gateway went on giving numbers that platforms have
/// seen; given again, their records would be dropped as repeats. This is more than two years of the readings of a
/// large school (1.4 million a day), and of records and alarms more than there will ever be.
pub const RESTORE_MARGIN: i64 = 1_000_000_000;
/// Bytes copied at a time.
const COPY_BYTES: usize = 64 * 1024;

/// Why a backup was not made or not put in place.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// There is something already.
    #[error("{0} is not empty; name a directory that is empty or does not exist")]
    NotEmpty(PathBuf),
    /// There are data already.
    #[error("{0} holds a database; with --force it is moved aside (not deleted) and replaced")]
    Occupied(PathBuf),
    /// A file or directory could not be used.
    #[error("{path}: {doing} failed")]
    File {
        /// Which.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// It is no backup, or not as it was made.
    #[error("{path}: {problem}")]
    Wrong {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a backup holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// Files, the manifest not counted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Files put in place.
    pub files: u64,
    /// Where the data are that were there before.
    pub moved_to: Option<PathBuf>,
    /// The first number of the next record for a platform.
    pub next_record: i64,
}

fn failed(path: &Path, doing: &'static str) -> impl FnOnce(io::Error) -> BackupError {
    let path = path.to_owned();
    move |cause| BackupError::File { path, doing, cause }
}

fn wrong(path: &Path, problem: impl Into<String>) -> BackupError {
    BackupError::Wrong { path: path.to_owned(), problem: problem.into() }
}

/// Copies the data of a gateway, running or not, into an empty directory: a database as of one moment, the sealed
/// files it lists, and a manifest. The key of pseudonyms stays where it is.
///
/// # Errors
/// When the directory is not empty, or something cannot be read or written; what was copied is no backup then, as it
/// has no manifest.
pub fn backup(data_dir: &Path, to: &Path) -> Result<Backup, BackupError> {
    let reader = Reader::open(data_dir)?;
    fs::create_dir_all(to).map_err(failed(to, "making the directory"))?;
    if fs::read_dir(to).map_err(failed(to, "reading the directory"))?.next().is_some() {
        return Err(BackupError::NotEmpty(to.to_owned()));
    }
    let history = to.join(DIRECTORY);
    fs::create_dir(&history).map_err(failed(&history, "making the directory"))?;
    let mut copied = BTreeMap::new();
    // First the files, so that one the gateway drops meanwhile is missed in neither list; then those sealed since.
    copy_listed(&reader.db, data_dir, to, &mut copied, true)?;
    let database = to.join(BACKUP_DATABASE);
    let name = database.to_str().ok_or_else(|| wrong(to, "the directory's name is not UTF-8"))?;
    reader.db.execute("vacuum into ?1", [name]).doing("copying the database")?;
    let copy = Connection::open(&database).doing("opening the copy")?;
    let listed = copy_listed(&copy, data_dir, to, &mut copied, false)?;
    drop(copy);
    for gone in copied.keys().filter(|name| !listed.iter().any(|sealed| sealed.file == **name)) {
        let path = history.join(gone);
        fs::remove_file(&path).map_err(failed(&path, "removing"))?;
    }
    copied.retain(|name, _| listed.iter().any(|sealed| sealed.file == *name));
    let (hash, bytes) = digest(&database)?;
    File::open(&database).and_then(|file| file.sync_all()).map_err(failed(&database, "syncing"))?;
    let mut manifest = format!("{hash}  {BACKUP_DATABASE}\n");
    let mut total = bytes;
    for (name, (hash, bytes)) in &copied {
        manifest.push_str(&format!("{hash}  {DIRECTORY}/{name}\n"));
        total += bytes;
    }
    sync(&history)?;
    sync(to)?;
    let path = to.join(MANIFEST);
    File::create_new(&path)
        .and_then(|mut file| file.write_all(manifest.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(failed(&path, "writing the manifest"))?;
    sync(to)?;
    let files = u64::try_from(copied.len()).unwrap_or(u64::MAX).saturating_add(1);
    Ok(Backup { files, bytes: total })
}

type Copied = BTreeMap<String, (String, u64)>;

/// Copies the sealed files that a database lists and that are not copied yet.
fn copy_listed(
    db: &Connection,
    data_dir: &Path,
    to: &Path,
    copied: &mut Copied,
    may_be_gone: bool,
) -> Result<Vec<Sealed>, BackupError> {
    let listed = history::listed(db, "order by first_seq", [])?;
    for sealed in &listed {
        if copied.contains_key(&sealed.file) {
            continue;
        }
        let (from, target) =
            (data_dir.join(DIRECTORY).join(&sealed.file), to.join(DIRECTORY).join(&sealed.file));
        match copy(&from, &target) {
            Ok(done) => {
                history::verify(&target, sealed, true)?;
                copied.insert(sealed.file.clone(), done);
            }
            Err(BackupError::File { cause, .. })
                if may_be_gone && cause.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(listed)
}

/// Copies a file onto the medium; its SHA-256 in hexadecimal, and its length.
fn copy(from: &Path, to: &Path) -> Result<(String, u64), BackupError> {
    let mut source = File::open(from).map_err(failed(from, "opening"))?;
    let mut target = File::create_new(to).map_err(failed(to, "making"))?;
    let done = hashed(&mut source, from, |part| target.write_all(part).map_err(failed(to, "writing")))?;
    target.sync_all().map_err(failed(to, "syncing"))?;
    Ok(done)
}

fn digest(path: &Path) -> Result<(String, u64), BackupError> {
    hashed(&mut File::open(path).map_err(failed(path, "opening"))?, path, |_| Ok(()))
}

fn hashed(
    source: &mut File,
    path: &Path,
    mut each: impl FnMut(&[u8]) -> Result<(), BackupError>,
) -> Result<(String, u64), BackupError> {
    let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0_u64, vec![0; COPY_BYTES]);
    loop {
        let len = source.read(&mut buffer).map_err(failed(path, "reading"))?;
        let part = buffer.get(..len).unwrap_or(&[]);
        if part.is_empty() {
            let hex = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            return Ok((hex, bytes));
        }
        hasher.update(part);
        each(part)?;
        bytes = bytes.saturating_add(u64::try_from(len).unwrap_or(u64::MAX));
    }
}

pub(super) fn sync(directory: &Path) -> Result<(), BackupError> {
    File::open(directory).and_then(|d| d.sync_all()).map_err(failed(directory, "syncing the directory"))
}

/// Puts a backup in place of a stopped gateway's data, which are moved aside.
///
/// Nothing is moved before the backup is copied, compared with its manifest, and raised past every number that may
/// have been given since ([`RESTORE_MARGIN`]).
///
/// # Errors
/// When the gateway runs, the backup is not whole, there are data and not `force`, or the disk refuses.
pub fn restore(from: &Path, data_dir: &Path, force: bool, now: Wall) -> Result<Restored, BackupError> {
    fs::create_dir_all(data_dir).map_err(failed(data_dir, "making the data directory"))?;
    let _lock = DirLock::take(data_dir)?;
    let occupied = data_dir.join(FILE_NAME).exists() || data_dir.join(DIRECTORY).exists();
    if occupied && !force {
        return Err(BackupError::Occupied(data_dir.to_owned()));
    }
    let staged = data_dir.join("restoring");
    if staged.exists() {
        // Left by a restore that was cut off; a copy of a backup, nothing else.
        fs::remove_dir_all(&staged).map_err(failed(&staged, "removing"))?;
    }
    fs::create_dir_all(staged.join(DIRECTORY)).map_err(failed(&staged, "making the directory"))?;
    let manifest = read_manifest(from)?;
    for (name, hash) in &manifest {
        let source = from.join(name);
        if copy(&source, &staged.join(name))?.0 != *hash {
            return Err(wrong(&source, format!("it is not as {MANIFEST} says; use another backup")));
        }
    }
    let next_record = raise(&staged, "db restore", now)?;
    let moved_to = if occupied { Some(move_aside(data_dir, "replaced", now)?) } else { None };
    put_in_place(&staged, data_dir)?;
    let files = u64::try_from(manifest.len()).unwrap_or(u64::MAX);
    Ok(Restored { files, moved_to, next_record })
}

/// Moves the staged files into the data directory, the database last.
pub(super) fn put_in_place(staged: &Path, data_dir: &Path) -> Result<(), BackupError> {
    for name in [DIRECTORY, FILE_NAME] {
        let (from, to) = (staged.join(name), data_dir.join(name));
        if from.exists() {
            fs::rename(&from, &to).map_err(failed(&to, "putting in place"))?;
        }
    }
    sync(data_dir)?;
    fs::remove_dir_all(staged).map_err(failed(staged, "removing"))
}

fn read_manifest(from: &Path) -> Result<BTreeMap<String, String>, BackupError> {
    let path = from.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(failed(&path, "reading the manifest of the backup"))?;
    let mut files = BTreeMap::new();
    for line in text.lines() {
        let (hash, name) = line
            .split_once("  ")
            .filter(|(hash, name)| hash.len() == 64 && is_ours(name))
            .ok_or_else(|| wrong(&path, format!("'{line}' is not '<SHA-256>  <file of a backup>'")))?;
        files.insert(name.to_owned(), hash.to_owned());
    }
    if !files.contains_key(BACKUP_DATABASE) {
        return Err(wrong(&path, format!("it does not list {BACKUP_DATABASE}")));
    }
    Ok(files)
}

/// Whether a manifest may name this: nothing outside of the backup is ever touched.
fn is_ours(name: &str) -> bool {
    let parts: Vec<Component<'_>> = Path::new(name).components().collect();
    name == BACKUP_DATABASE
        || matches!(parts.as_slice(), [Component::Normal(dir), Component::Normal(_)] if *dir == DIRECTORY)
}

/// Raises the numbers of a database past all that may have been given; the next record's.
pub(super) fn raise(dir: &Path, actor: &str, now: Wall) -> Result<i64, BackupError> {
    let margin = if museum::on("reuse_of_sequence_after_restore") { 0 } else { RESTORE_MARGIN };
    let mut store = Store::open(dir)?;
    let readings = store.series.last_reading();
    let tx = store.db.transaction().doing("raising the numbers")?;
    let alarms: i64 = tx
        .query_row("select coalesce(max(id), 0) from alarm", [], |row| row.get(0))
        .doing("reading alarms")?;
    let owed: i64 = tx
        .query_row(
            "select max(coalesce((select max(seq) from outbox), 0), coalesce((select max(seq) from set_aside), 0))",
            [],
            |row| row.get(0),
        )
        .doing("reading what is owed")?;
    let next = floor(&tx, "next_seq")?.max(owed + 1).saturating_add(margin);
    let alarms = alarms.max(floor(&tx, ALARMS_GIVEN)?).saturating_add(margin);
    let readings = readings.saturating_add(margin);
    for (key, value) in [("next_seq", next), (ALARMS_GIVEN, alarms), (READINGS_GIVEN, readings)] {
        history::set_meta(&tx, key, &value.to_string())?;
    }
    let detail = format!("by {margin}; next record {next}");
    chain::audit(&tx, now, actor, "raised", "numbers", &detail)?;
    tx.commit().doing("raising the numbers")?;
    store.db.pragma_update(None, "wal_checkpoint", "truncate").doing("writing the database")?;
    Ok(next)
}

/// Moves database and sealed files into a new directory beside them, `<what>-<milliseconds>`.
pub(super) fn move_aside(data_dir: &Path, what: &str, now: Wall) -> Result<PathBuf, BackupError> {
    let name = |n: u32| {
        data_dir.join(format!("{what}-{}{}", now.0, if n == 0 { String::new() } else { format!("-{n}") }))
    };
    let aside = (0..100).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(100));
    fs::create_dir(&aside).map_err(failed(&aside, "making the directory"))?;
    for suffix in ["", "-wal", "-shm"] {
        let file = format!("{FILE_NAME}{suffix}");
        move_if_there(&data_dir.join(&file), &aside.join(&file))?;
    }
    move_if_there(&data_dir.join(DIRECTORY), &aside.join(DIRECTORY))?;
    sync(&aside)?;
    sync(data_dir)?;
    Ok(aside)
}

fn move_if_there(from: &Path, to: &Path) -> Result<(), BackupError> {
    match fs::rename(from, to) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(failed(from, "moving aside")(cause)),
        _ => Ok(()),
    }
}
