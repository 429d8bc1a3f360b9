//! The files of the registry and of this machine's token: readable by their owner only, and whole or as before.

use super::AccessError;
use crate::access::Registry;
use crate::model::Now;
use crate::runtime::Chain;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Who may come in.
const ACCESS: &str = "access.json";
/// What is left of one that could not be understood.
const DAMAGED: &str = "access.json.damaged";
/// The file in the data directory by which the command line on this machine comes in.
pub const LOCAL: &str = "local.token";

/// The registry of a data directory; an empty one where there is none.
pub(super) fn read(dir: &Path, now: Now) -> Result<Registry, AccessError> {
    let path = dir.join(ACCESS);
    let why = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Registry::default()),
        Err(error) => Chain(&error).to_string(),
        Ok(text) => match Registry::from_text(&text, now) {
            Ok(registry) => return Ok(registry),
            Err(why) => why,
        },
    };
    let aside = dir.join(DAMAGED);
    std::fs::rename(&path, &aside).map_err(|cause| AccessError::File {
        path: path.clone(),
        doing: "setting a damaged file aside",
        cause,
    })?;
    tracing::error!(
        file = %path.display(), problem = why, aside = %aside.display(),
        "who may sign in could not be read and was set aside: nobody may, until the gateway is claimed anew"
    );
    Ok(Registry::default())
}

/// Writes the registry; returns when it is on the medium.
pub(super) fn write(dir: &Path, text: &str) -> Result<(), AccessError> {
    put(dir, ACCESS, text)
}

/// Writes this machine's token.
pub(super) fn write_local(dir: &Path, token: &str) -> Result<(), AccessError> {
    put(dir, LOCAL, token)
}

/// Under another name first, so that a power cut leaves the old or the new and nothing between.
fn put(dir: &Path, name: &str, text: &str) -> Result<(), AccessError> {
    let failed = |doing| {
        let path = dir.join(name);
        move |cause| AccessError::File { path, doing, cause }
    };
    let unfinished = dir.join(format!("{name}.new"));
    // One that is left over may be readable by others.
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("making room")(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .map_err(failed("making a file"))?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(failed("writing"))?;
    std::fs::rename(&unfinished, dir.join(name)).map_err(failed("naming a file"))?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed("syncing the data directory"))
}
