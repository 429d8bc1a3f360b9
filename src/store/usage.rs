//! How much room each part of the data directory takes.

use std::collections::BTreeMap;
use std::path::Path;

/// Room on the disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of each file and directory that stands in the data directory, whatever is in it.
    pub parts: BTreeMap<String, u64>,
    /// Bytes free on the disk, for us.
    pub free: u64,
    /// Bytes of the whole disk.
    pub disk: u64,
}

impl Usage {
    /// Bytes that we take.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.parts.values().sum()
    }
}

/// Measures a data directory. A file that is gone meanwhile takes no room.
///
/// # Errors
/// When the directory cannot be read.
pub fn usage(dir: &Path) -> std::io::Result<Usage> {
    let mut usage = Usage::default();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(meta) = entry.metadata() else { continue };
        let bytes = if meta.is_dir() { bytes_below(&entry.path()) } else { meta.len() };
        usage.parts.insert(name, bytes);
    }
    let disk = rustix::fs::statvfs(dir)?;
    usage.free = disk.f_bavail.saturating_mul(disk.f_frsize);
    usage.disk = disk.f_blocks.saturating_mul(disk.f_frsize);
    Ok(usage)
}

/// Bytes of everything in a directory.
fn bytes_below(dir: &Path) -> u64 {
    let (mut sum, mut dirs) = (0_u64, vec![dir.to_owned()]);
    while let Some(next) = dirs.pop() {
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => dirs.push(entry.path()),
                Ok(meta) => sum = sum.saturating_add(meta.len()),
                Err(_) => {}
            }
        }
    }
    sum
}
