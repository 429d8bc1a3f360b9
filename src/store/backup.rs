//! Backups while the gateway runs, and putting one in place while it does not.

use super::history::{self, DIRECTORY, Sealed};
use super::lock::DirLock;
use super::numbers::{self, RESTORE_MARGIN};
use super::replace::{self, REPLACED, Replacement, sync_dir};
use super::{Doing, FILE_NAME, Reader, Store, StoreError, chain};
use crate::model::Wall;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// The database's name in a backup.
pub const BACKUP_DATABASE: &str = FILE_NAME;
/// The list of a backup's files, one line each as `sha256sum --check` reads it. It is written last.
pub const MANIFEST: &str = "MANIFEST.sha256";
/// Bytes copied at a time.
const COPY_BYTES: usize = 64 * 1024;
/// Pause between two looks at how far the copy of the database is.
const LOOK: Duration = Duration::from_millis(100);

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
    /// Whoever heard of its progress had enough of it.
    #[error("the backup was stopped")]
    Stopped,
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
    backup_while(data_dir, to, &|_| ControlFlow::Continue(()))
}

/// As [`backup`]; `progress` hears of the bytes so far, at least ten times a second, and ends it by saying so.
///
/// # Errors
/// As [`backup`], and [`BackupError::Stopped`].
pub fn backup_while(
    data_dir: &Path,
    to: &Path,
    progress: &(dyn Fn(u64) -> ControlFlow<()> + Sync),
) -> Result<Backup, BackupError> {
    let reader = Reader::open(data_dir)?;
    fs::create_dir_all(to).map_err(failed(to, "making the directory"))?;
    if fs::read_dir(to).map_err(failed(to, "reading the directory"))?.next().is_some() {
        return Err(BackupError::NotEmpty(to.to_owned()));
    }
    let history = to.join(DIRECTORY);
    fs::create_dir(&history).map_err(failed(&history, "making the directory"))?;
    let mut copied = BTreeMap::new();
    // First the files, so that one the gateway drops meanwhile is missed in neither list; then those sealed since.
    copy_listed(&reader.db, (data_dir, to), &mut copied, true, progress)?;
    let database = to.join(BACKUP_DATABASE);
    let name = database.to_str().ok_or_else(|| wrong(to, "the directory's name is not UTF-8"))?;
    vacuum(reader, name, bytes_of(&copied), progress)?;
    let copy = Connection::open(&database).doing("opening the copy")?;
    let listed = copy_listed(&copy, (data_dir, to), &mut copied, false, progress)?;
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
    sync_dir(&history)?;
    sync_dir(to)?;
    let path = to.join(MANIFEST);
    File::create_new(&path)
        .and_then(|mut file| file.write_all(manifest.as_bytes()).and_then(|()| file.sync_all()))
        .map_err(failed(&path, "writing the manifest"))?;
    sync_dir(to)?;
    let files = u64::try_from(copied.len()).unwrap_or(u64::MAX).saturating_add(1);
    Ok(Backup { files, bytes: total })
}

type Copied = BTreeMap<String, (String, u64)>;

fn bytes_of(copied: &Copied) -> u64 {
    copied.values().map(|(_, bytes)| bytes).sum()
}

/// Copies the database. SQLite says nothing meanwhile, so a second thread watches how the copy grows.
fn vacuum(
    reader: Reader,
    to: &str,
    before: u64,
    progress: &(dyn Fn(u64) -> ControlFlow<()> + Sync),
) -> Result<(), BackupError> {
    let handle = reader.db.get_interrupt_handle();
    std::thread::scope(|scope| {
        let watcher = std::thread::current();
        let work = scope.spawn(move || {
            let done = reader.db.execute("vacuum into ?1", [to]).doing("copying the database");
            watcher.unpark();
            done
        });
        let mut stopped = false;
        while !work.is_finished() {
            std::thread::park_timeout(LOOK);
            let bytes = fs::metadata(to).map_or(0, |file| file.len());
            if progress(before.saturating_add(bytes)).is_break() {
                stopped = true;
                handle.interrupt();
            }
        }
        match work.join() {
            _ if stopped => Err(BackupError::Stopped),
            Ok(done) => done.map(drop).map_err(BackupError::from),
            Err(_) => Err(StoreError::Closed.into()),
        }
    })
}

/// Copies the sealed files that a database lists and that are not copied yet.
fn copy_listed(
    db: &Connection,
    (data_dir, to): (&Path, &Path),
    copied: &mut Copied,
    may_be_gone: bool,
    progress: &(dyn Fn(u64) -> ControlFlow<()> + Sync),
) -> Result<Vec<Sealed>, BackupError> {
    let listed = history::listed(db, "order by first_seq", [])?;
    for sealed in &listed {
        if copied.contains_key(&sealed.file) {
            continue;
        }
        if progress(bytes_of(copied)).is_break() {
            return Err(BackupError::Stopped);
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
    replace::carry_on(data_dir)?;
    let occupied = data_dir.join(FILE_NAME).exists() || data_dir.join(DIRECTORY).exists();
    if occupied && !force {
        return Err(BackupError::Occupied(data_dir.to_owned()));
    }
    let manifest = read_manifest(from)?;
    let replacement = Replacement::begin(data_dir, REPLACED)?;
    let new = replacement.new_dir();
    let history = new.join(DIRECTORY);
    fs::create_dir(&history).map_err(failed(&history, "making the directory"))?;
    for (name, hash) in &manifest {
        let source = from.join(name);
        if copy(&source, &new.join(name))?.0 != *hash {
            return Err(wrong(&source, format!("it is not as {MANIFEST} says; use another backup")));
        }
    }
    let next_record = raise(&new, now)?;
    sync_dir(&history)?;
    let moved_to = replacement.finish()?;
    let files = u64::try_from(manifest.len()).unwrap_or(u64::MAX);
    Ok(Restored { files, moved_to, next_record })
}

/// Opens the copy of a backup, which brings it up to date, and raises its numbers.
fn raise(dir: &Path, now: Wall) -> Result<i64, StoreError> {
    let mut store = Store::open(dir)?;
    let doing = "raising the numbers";
    let tx = store.db.transaction().doing(doing)?;
    let next = numbers::raise(&tx, None)?;
    let detail = format!("numbers raised by {RESTORE_MARGIN}; next record {next}");
    chain::audit(&tx, now, "db restore", "restored", "database", &detail)?;
    tx.commit().doing(doing)?;
    // Closing copies the log into the file and deletes it.
    let path = store.path().to_owned();
    drop(store);
    let synced = File::open(&path).and_then(|file| file.sync_all());
    synced.map_err(|cause| StoreError::File { path, doing, cause })?;
    Ok(next)
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
