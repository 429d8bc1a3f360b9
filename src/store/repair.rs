//! Making a usable database of a damaged one, at leisure: everything is compared, and what can be read is kept.

use super::backup::BackupError;
use super::lock::DirLock;
use super::replace::{DAMAGED, Replacement, carry_on};
use super::salvage::{Salvage, Saved};
use super::{Broken, Depth, FILE_NAME, Reader, Store, StoreError, Verdict, history, rescue};
use crate::model::{Text, Wall};
use crate::runtime::Chain;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Repaired {
    /// What was wrong; empty if nothing was, and then nothing was done.
    pub found: Verdict,
    /// Rows kept.
    pub kept: u64,
    /// Rows that were read and do not fit the tables.
    pub refused: u64,
    /// Places at which rows could not be read.
    pub gaps: u64,
    /// Tables of which not everything was kept as it was.
    pub torn: Vec<String>,
    /// Where the old data are.
    pub moved_to: Option<PathBuf>,
}

/// Repairs the data of a stopped gateway, if anything is wrong with them. Chains and sums begin anew with what was
/// kept, and the audit trail says so.
///
/// # Errors
/// When the gateway runs, there are no data, they are another program's or a newer version's, or the disk refuses; the
/// data are as they were then.
pub fn repair(data_dir: &Path, now: Wall) -> Result<Repaired, BackupError> {
    let lock = DirLock::take(data_dir)?;
    carry_on(data_dir)?;
    let found = look(data_dir)?;
    if found.broken.is_empty() {
        return Ok(Repaired { found, ..Repaired::default() });
    }
    let replacement = Replacement::begin(data_dir, DAMAGED)?;
    let why = format!("{} problems", found.broken.len());
    let salvage = Salvage { actor: "db repair", why: &why, now, deadline: None };
    let Saved { rows, refused, gaps, torn } =
        salvage.run(&data_dir.join(FILE_NAME), &replacement.new_dir())?;
    let report = replacement.old_dir().join("report.txt");
    write_report(&report, &found).map_err(|cause| BackupError::File {
        path: report,
        doing: "writing down what was wrong",
        cause,
    })?;
    let moved_to = replacement.finish()?;
    drop(lock);
    let mut store = Store::open(data_dir)?;
    history::check_listed(&mut store.db, &store.place, now)?;
    for sealed in history::listed(&store.db, "order by first_seq", [])? {
        history::examine(&mut store.db, &store.place, sealed, now)?;
    }
    let torn = torn.into_iter().map(str::to_owned).collect();
    Ok(Repaired { found, kept: rows, refused, gaps, torn, moved_to })
}

/// Compares everything with its hashes.
fn look(data_dir: &Path) -> Result<Verdict, StoreError> {
    let path = data_dir.join(FILE_NAME);
    std::fs::metadata(&path).map_err(|cause| StoreError::File {
        path: path.clone(),
        doing: "looking for the database",
        cause,
    })?;
    // Brings an older schema up to date, and refuses what is not ours to repair.
    let ready = rescue::make_ready(data_dir, &path, None);
    match ready.and_then(|_ready| Reader::open(data_dir)?.verify(Depth::Whole)) {
        Err(error) if rescue::damaged(data_dir, &error) => {
            let why = Chain(&error).to_string();
            let problem = Text::new(format!("读不出来：{why}"), format!("cannot be read: {why}"));
            let broken = vec![Broken { place: "database".into(), seq: None, problem }];
            Ok(Verdict { broken, ..Verdict::default() })
        }
        other => other,
    }
}

/// Writes beside the old data what was wrong with them.
fn write_report(path: &Path, found: &Verdict) -> io::Result<()> {
    let mut file = File::create(path)?;
    for broken in &found.broken {
        let seq = broken.seq.map(|seq| format!(" row {seq}")).unwrap_or_default();
        writeln!(file, "{}{seq}: {}", broken.place, broken.problem.en)?;
    }
    file.sync_all()
}
