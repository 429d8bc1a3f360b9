//! The school's key for pseudonyms: 32 random bytes beside the database, readable by its owner only.

use super::StoreError;
use crate::model::SiteKey;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Its file in the data directory.
const FILE: &str = "site.key";

/// The school's key for pseudonyms, from a data directory that has been used.
///
/// # Errors
/// When there is none yet, or it may not be read.
pub fn site_key(dir: &Path) -> Result<SiteKey, StoreError> {
    read(&dir.join(FILE)).map_err(|cause| StoreError::File {
        path: dir.join(FILE),
        doing: "reading the site key (has the gateway run, and are you its user?)",
        cause,
    })
}

fn read(path: &Path) -> std::io::Result<SiteKey> {
    let mut bytes = [0; 32];
    File::open(path)?.read_exact(&mut bytes)?;
    Ok(SiteKey::new(bytes))
}

pub(super) fn read_or_make(path: &Path) -> Result<SiteKey, StoreError> {
    let failed = |doing| move |cause| StoreError::File { path: path.to_owned(), doing, cause };
    match read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        outcome => outcome.map_err(failed("reading the 32-byte site key")),
    }
}

/// Written under another name and renamed, so that a power cut leaves no half key.
fn make(path: &Path) -> Result<SiteKey, StoreError> {
    let failed = |doing| move |cause| StoreError::File { path: path.to_owned(), doing, cause };
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)
        .map_err(|error| failed("asking the system for random bytes")(std::io::Error::other(error)))?;
    let unfinished = path.with_extension("key.new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(failed("making the site key"))?;
    file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed("writing the site key"))?;
    std::fs::rename(&unfinished, path).map_err(failed("naming the site key"))?;
    let dir = path.parent().unwrap_or(Path::new("."));
    File::open(dir).and_then(|d| d.sync_all()).map_err(failed("syncing the data directory"))?;
    Ok(SiteKey::new(bytes))
}
