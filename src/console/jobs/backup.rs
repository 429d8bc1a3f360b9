//! The job `backup`: a copy of the data in a directory of its own, from where it is taken away. It is not served: it holds
//! pseudonyms of persons.

use super::office::{Bench, Outcome, on_thread};
use crate::model::Text;
use crate::store::{self, BACKUP_DATABASE, Backup, BackupError, MANIFEST};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// Where backups are, below the data directory.
pub(crate) const BACKUPS_DIR: &str = "backups";
/// So many are kept; older ones are deleted once a new one is whole.
const KEPT: usize = 2;
/// Room that is to be left on the disk, bytes.
const LEFT_FREE: u64 = 128 * 1024 * 1024;

/// A backup has no choices.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "BackupOrder")]
pub(crate) struct Order {
    /// Who asks, where that is not known by itself.
    pub(super) actor: Option<String>,
}

/// What a backup was not made for.
enum Not {
    Room(u64),
    Failed(BackupError),
}

pub(super) async fn run(bench: Bench) -> Outcome {
    match on_thread(move || copy(&bench)).await {
        Some(Ok((to, done))) => {
            let (files, bytes) = (done.files, done.bytes);
            let place = to.display().to_string();
            let mut outcome = Outcome::done(json!({"files": files, "bytes": bytes, "dir": place}));
            outcome.note = Some(Text::new(format!("备份在 {place}"), format!("the backup is in {place}")));
            outcome
        }
        Some(Err(Not::Room(bytes))) => {
            let mib = bytes.div_ceil(1024 * 1024);
            Outcome::failed(Text::new(
                format!("空间不足：备份需要 {mib} MiB；可用 schoolgate db backup 备份到别的磁盘"),
                format!(
                    "there is no room: a backup takes {mib} MiB; `schoolgate db backup` makes one on another disk"
                ),
            ))
        }
        Some(Err(Not::Failed(BackupError::Stopped))) => Outcome::stopped(None),
        Some(Err(Not::Failed(error))) => Outcome::broken("备份失败", &error),
        None => Outcome::failed(Text::new("备份中断", "the backup broke off")),
    }
}

fn copy(bench: &Bench) -> Result<(PathBuf, Backup), Not> {
    let all = bench.data_dir.join(BACKUPS_DIR);
    let failed = |doing| {
        let path = all.clone();
        move |cause| Not::Failed(BackupError::File { path, doing, cause })
    };
    let usage = store::usage(&bench.data_dir).map_err(failed("measuring"))?;
    let of = usage.parts.iter().filter(|(name, _)| is_copied(name)).map(|(_, bytes)| bytes).sum();
    if usage.used().saturating_add(of) > bench.work.budget_bytes || of.saturating_add(LEFT_FREE) > usage.free
    {
        return Err(Not::Room(of));
    }
    let to = all.join(bench.id.to_string());
    let progress = |bytes: u64| {
        let (done, mib) = (bytes.min(of), bytes / 1024 / 1024);
        bench.tell(done, Some(of), Text::new(format!("已复制 {mib} MiB"), format!("{mib} MiB copied")));
        if bench.halted() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let done = store::backup_while(&bench.data_dir, &to, &progress);
    if done.is_err() {
        // Half a backup is none, and would take room.
        fs::remove_dir_all(&to).ok();
    } else {
        retire(&all);
    }
    Ok((to, done.map_err(Not::Failed)?))
}

fn is_copied(name: &str) -> bool {
    name.starts_with(BACKUP_DATABASE) || name == "history"
}

/// Deletes what is older than the newest few, and what has no manifest.
fn retire(all: &Path) {
    let whole = backups(all);
    let stale = whole.iter().rev().skip(KEPT).map(|(at, _)| at.to_string());
    for name in stale {
        if let Err(error) = fs::remove_dir_all(all.join(&name)) {
            tracing::warn!(%error, backup = name, "an old backup cannot be deleted");
        }
    }
}

/// The backups that are whole, oldest first: when each was begun, and its bytes.
pub(crate) fn backups(all: &Path) -> Vec<(i64, u64)> {
    let mut found: Vec<(i64, u64)> = fs::read_dir(all)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join(MANIFEST).is_file())
        .filter_map(|entry| {
            let at = entry.file_name().to_str()?.parse().ok()?;
            let usage = store::usage(&entry.path()).ok()?;
            Some((at, usage.used()))
        })
        .collect();
    found.sort_unstable();
    found
}
