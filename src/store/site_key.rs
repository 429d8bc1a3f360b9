//! The school's key for pseudonyms: 32 random bytes beside the database, readable by its owner only.

use super::StoreError;
use crate::model::SiteKey;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

pub(super) fn read_or_make(path: &Path) -> Result<SiteKey, StoreError> {
    let failed = |doing| move |cause| StoreError::File { path: path.to_owned(), doing, cause };
    match File::open(path) {
        Ok(mut file) => {
            let mut bytes = [0; 32];
            file.read_exact(&mut bytes).map_err(failed("reading the 32-byte site key"))?;
            Ok(SiteKey::new(bytes))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make(path),
        Err(error) => Err(failed("opening the site key")(error)),
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
