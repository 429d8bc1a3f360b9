//! The files beside the database: what is written to them is recorded and made to fail as SQLite's own is.

use super::{Call, Op, Tape};
use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a medium that fails says (EIO).
const INPUT_OUTPUT_ERROR: i32 = 5;

/// Does things to the files below a directory, and remembers them.
#[derive(Debug, Clone)]
pub struct Files {
    tape: Arc<Tape>,
    root: PathBuf,
}

impl Files {
    pub(super) fn new(tape: Arc<Tape>, root: &Path) -> Self {
        Self { tape, root: root.to_owned() }
    }

    /// As the record has it: from the root on.
    fn name(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned()
    }

    fn may(&self, call: Call) -> io::Result<()> {
        if self.tape.fails(call) {
            return Err(io::Error::from_raw_os_error(INPUT_OUTPUT_ERROR));
        }
        Ok(())
    }

    fn number(&self, path: &Path) -> u64 {
        self.tape.opened(&self.name(path), true)
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// When the file system refuses or the call is to fail, as for all of these.
    pub fn make_dir(&self, path: &Path) -> io::Result<()> {
        self.may(Call::Open)?;
        if !path.is_dir() {
            fs::create_dir(path)?;
            self.tape.push(Op::MakeDir { name: self.name(path) });
        }
        Ok(())
    }

    /// Makes or empties a file.
    ///
    /// # Errors
    /// As above.
    pub fn create(&self, path: &Path) -> io::Result<File> {
        self.may(Call::Open)?;
        let existed = path.exists();
        let made = File::create(path)?;
        let file = self.tape.opened(&self.name(path), existed);
        if existed {
            self.tape.push(Op::Truncate { file, len: 0 });
        }
        Ok(made)
    }

    /// Appends; the first half when the call is to fail.
    ///
    /// # Errors
    /// As above.
    pub fn append(&self, mut file: &File, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let may = self.may(Call::Write);
        let bytes = if may.is_ok() { bytes } else { &bytes[..bytes.len() / 2] };
        let offset = file.stream_position()?;
        file.write_all(bytes)?;
        self.tape.push(Op::Write { file: self.number(path), offset, bytes: bytes.to_vec() });
        may
    }

    /// Makes durable, but for the name.
    ///
    /// # Errors
    /// As above.
    pub fn sync(&self, path: &Path) -> io::Result<()> {
        let file = self.number(path);
        if let Err(error) = self.may(Call::Sync) {
            self.tape.push(Op::SyncFailed { file });
            return Err(error);
        }
        self.tape.push(Op::Sync { file });
        Ok(())
    }

    /// Gives a file another name.
    ///
    /// # Errors
    /// As above.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.may(Call::Rename)?;
        fs::rename(from, to)?;
        self.tape.renamed(&self.name(from), &self.name(to));
        Ok(())
    }

    /// Removes a file.
    ///
    /// # Errors
    /// As above.
    pub fn remove(&self, path: &Path) -> io::Result<()> {
        self.may(Call::Delete)?;
        fs::remove_file(path)?;
        self.tape.deleted(&self.name(path), false);
        Ok(())
    }

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As above.
    pub fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.may(Call::Sync)?;
        self.tape.push(Op::SyncDir { dir: self.name(path) });
        Ok(())
    }
}
