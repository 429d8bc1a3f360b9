//! From the record of a disk to what its medium could hold when the power failed.

use super::Op;
use crate::chance::Chance;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;

/// Bytes that a medium writes as a whole.
pub const SECTOR: usize = 512;

/// What a power failure leaves of what was written and not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Everything: the process ended, the machine did not.
    Nothing,
    /// Everything but some sectors of the last write.
    Torn,
    /// Nothing.
    Everything,
    /// A random part, in any order between files; some writes torn.
    Some,
}

/// What a directory in an [`Image`] ends with.
const DIR: char = '/';

/// The files of a directory, and those of the directories in it, whose own names end with a slash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Image(pub BTreeMap<String, Vec<u8>>);

impl Image {
    /// Makes a directory hold these files and no others.
    ///
    /// # Errors
    /// When a file cannot be deleted or written.
    pub fn write_to(&self, dir: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        // A directory sorts before what is in it.
        self.0.iter().try_for_each(|(name, bytes)| match name.strip_suffix(DIR) {
            Some(name) => std::fs::create_dir(dir.join(name)),
            None => std::fs::write(dir.join(name), bytes),
        })
    }
}

/// Something done to a file and not yet on the medium.
#[derive(Debug, Clone, Copy)]
enum Change<'a> {
    Write(usize, &'a [u8]),
    Truncate(usize),
}

impl Change<'_> {
    fn apply(self, to: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => {
                if to.len() < at + bytes.len() {
                    to.resize(at + bytes.len(), 0);
                }
                to[at..at + bytes.len()].copy_from_slice(bytes);
            }
            Self::Truncate(len) => to.resize(len, 0),
        }
    }

    /// Lets some sectors of a write through.
    fn tear(self, to: &mut Vec<u8>, chance: &mut Chance) {
        let Self::Write(at, bytes) = self else { return };
        let mut done = 0;
        while done < bytes.len() {
            let len = (SECTOR - (at + done) % SECTOR).min(bytes.len() - done);
            if chance.one_in(2) {
                Change::Write(at + done, &bytes[done..done + len]).apply(to);
            }
            done += len;
        }
    }
}

#[derive(Debug, Default)]
struct Medium<'a> {
    /// As a program reads it.
    seen: Vec<u8>,
    /// As it is on the medium for certain.
    durable: Vec<u8>,
    pending: Vec<Change<'a>>,
}

/// Something done to the names in a directory and not yet on the medium.
#[derive(Debug, Clone)]
enum Naming {
    Made(String, u64),
    Moved(String, String),
    Gone(String),
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, u64>) {
        match self {
            Self::Made(name, file) => {
                names.insert(name.clone(), *file);
            }
            Self::Moved(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Gone(name) => {
                names.remove(name);
            }
        }
    }

    /// The directory that it changes.
    fn dir(&self) -> &str {
        let (Self::Made(name, _) | Self::Moved(_, name) | Self::Gone(name)) = self;
        directory(name)
    }
}

/// The directory that a name is in; the root's is empty.
fn directory(name: &str) -> &str {
    name.trim_end_matches(DIR).rsplit_once(DIR).map_or("", |(dir, _)| dir)
}

/// The file of a directory's name: none.
const NO_FILE: u64 = 0;

/// Plays a record op by op.
#[derive(Debug)]
pub struct Replay<'a> {
    log: &'a [Op],
    at: usize,
    files: BTreeMap<u64, Medium<'a>>,
    /// As a program sees them.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    pending_names: Vec<Naming>,
    last_mark: usize,
}

impl<'a> Replay<'a> {
    /// At the beginning: an empty directory.
    #[must_use]
    pub fn new(log: &'a [Op]) -> Self {
        Self {
            log,
            at: 0,
            files: BTreeMap::new(),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            pending_names: Vec::new(),
            last_mark: 0,
        }
    }

    /// The last mark that was passed.
    #[must_use]
    pub fn last_mark(&self) -> usize {
        self.last_mark
    }

    /// Plays one op; `None` at the end.
    pub fn step(&mut self) -> Option<&'a Op> {
        let op = self.log.get(self.at)?;
        self.at += 1;
        match op {
            Op::Create { file, name } => self.naming(Naming::Made(name.clone(), *file)),
            Op::Write { file, offset, bytes } => {
                self.change(*file, Change::Write(usize::try_from(*offset).expect("64 bits"), bytes));
            }
            Op::Truncate { file, len } => {
                self.change(*file, Change::Truncate(usize::try_from(*len).expect("64 bits")));
            }
            Op::Sync { file } => {
                let medium = self.files.entry(*file).or_default();
                for change in std::mem::take(&mut medium.pending) {
                    change.apply(&mut medium.durable);
                }
            }
            // The worst that a kernel does: the pages count as clean, and are never written.
            Op::SyncFailed { file } => self.files.entry(*file).or_default().pending.clear(),
            Op::Delete { name } => self.naming(Naming::Gone(name.clone())),
            Op::Rename { from, to } => self.naming(Naming::Moved(from.clone(), to.clone())),
            Op::MakeDir { name } => self.naming(Naming::Made(format!("{name}{DIR}"), NO_FILE)),
            Op::SyncDir { dir } => {
                let (here, elsewhere) = std::mem::take(&mut self.pending_names)
                    .into_iter()
                    .partition(|naming| naming.dir() == dir);
                self.pending_names = elsewhere;
                Vec::into_iter(here).for_each(|naming| naming.apply(&mut self.durable_names));
            }
            Op::Mark(mark) => self.last_mark = *mark,
        }
        Some(op)
    }

    fn naming(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.pending_names.push(naming);
    }

    fn change(&mut self, file: u64, change: Change<'a>) {
        let medium = self.files.entry(file).or_default();
        change.apply(&mut medium.seen);
        medium.pending.push(change);
    }

    /// What could be on the medium if the power failed now.
    #[must_use]
    pub fn cut(&self, cut: Cut, chance: &mut Chance) -> Image {
        let names = match cut {
            Cut::Nothing | Cut::Torn => self.names.clone(),
            Cut::Everything => self.durable_names.clone(),
            Cut::Some => {
                // A directory's changes reach the medium in their order, those of two directories in any.
                let mut names = self.durable_names.clone();
                let dirs: BTreeSet<&str> = self.pending_names.iter().map(Naming::dir).collect();
                for dir in dirs {
                    let here: Vec<_> =
                        self.pending_names.iter().filter(|naming| naming.dir() == dir).collect();
                    let kept = usize::try_from(chance.below(here.len() as u64 + 1)).expect("64 bits");
                    here.into_iter().take(kept).for_each(|naming| naming.apply(&mut names));
                }
                names
            }
        };
        let torn = match self.at.checked_sub(1).map(|last| &self.log[last]) {
            Some(Op::Write { file, .. }) if cut == Cut::Torn => Some(*file),
            _ => None,
        };
        let empty = Medium::default();
        // What is in a directory that is not there is not there.
        let there = |name: &str| {
            let dir = directory(name);
            dir.is_empty() || names.contains_key(&format!("{dir}{DIR}"))
        };
        let reached: Vec<(String, u64)> =
            names.iter().filter(|(name, _)| there(name)).map(|(name, file)| (name.clone(), *file)).collect();
        let contents = reached.into_iter().map(|(name, file)| {
            let medium = self.files.get(&file).unwrap_or(&empty);
            let bytes = match cut {
                Cut::Torn if torn == Some(file) => medium.torn(chance),
                Cut::Nothing | Cut::Torn => medium.seen.clone(),
                Cut::Everything => medium.durable.clone(),
                Cut::Some => medium.partly(chance),
            };
            (name, bytes)
        });
        Image(contents.collect())
    }
}

impl Medium<'_> {
    fn torn(&self, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        if let Some((last, before)) = self.pending.split_last() {
            before.iter().for_each(|change| change.apply(&mut bytes));
            last.tear(&mut bytes, chance);
        }
        bytes
    }

    fn partly(&self, chance: &mut Chance) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for change in &self.pending {
            match chance.below(16) {
                0 => change.tear(&mut bytes, chance),
                1..=8 => change.apply(&mut bytes),
                _ => {}
            }
        }
        bytes
    }
}
