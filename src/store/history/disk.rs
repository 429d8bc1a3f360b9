//! The file system as sealed files are written to it: the machine's, or one that listens to what must be durable when.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Everything that changes a directory of sealed files goes through here. SQLite's own files have their file system
/// of SQLite's; one that listens to both, in order, knows what a power failure leaves.
pub trait Disk: Debug + Send + Sync {
    /// Makes a directory, and those it is in; no error if it is there.
    ///
    /// # Errors
    /// When the file system refuses, as for all of these.
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    /// Makes a file, or empties the one that is there.
    ///
    /// # Errors
    /// As above.
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(path)
    }

    /// Appends to a file that was made here.
    ///
    /// # Errors
    /// As above; some of the bytes may be written.
    fn append(&self, mut file: &File, _path: &Path, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    /// Makes a file's content durable.
    ///
    /// # Errors
    /// As above; the content may never become durable then.
    fn sync(&self, file: &File, _path: &Path) -> io::Result<()> {
        file.sync_all()
    }

    /// Gives a file another name, in place of what had it.
    ///
    /// # Errors
    /// As above.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// As above.
    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    /// Makes durable what a directory lists.
    ///
    /// # Errors
    /// As above.
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// The machine's file system.
#[derive(Debug, Clone, Copy)]
pub struct Machine;

impl Disk for Machine {}

/// A data directory and the file system it is on.
#[derive(Debug, Clone)]
pub(in crate::store) struct Place {
    pub(in crate::store) dir: PathBuf,
    pub(in crate::store) disk: Arc<dyn Disk>,
}

impl Place {
    /// A directory of this machine.
    pub(in crate::store) fn here(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), disk: Arc::new(Machine) }
    }

    /// The directory of sealed files.
    pub(super) fn history(&self) -> PathBuf {
        self.dir.join(super::DIRECTORY)
    }
}

/// A file of a [`Disk`] that is being written.
#[derive(Debug)]
pub(super) struct Growing {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) file: File,
    pub(super) path: PathBuf,
}

impl Growing {
    pub(super) fn sync(&self) -> io::Result<()> {
        self.disk.sync(&self.file, &self.path)
    }
}

impl Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.append(&self.file, &self.path, bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
