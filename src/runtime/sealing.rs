//! Sealing secrets into files, with a key that is made when it is first needed.

use super::whole::{private_dir, write_private};
use crate::config::{self, SEAL_KEY_FILE, SealKey, Unreadable};
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

/// Why a secret cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// The key is there and cannot be used.
    #[error("the key that seals secrets cannot be used")]
    Key(#[source] Unreadable),
    /// A file cannot be written.
    #[error("{path} cannot be written")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// The system gives no random bytes, or the secret is too long.
    #[error("the secret cannot be sealed")]
    Seal,
}

/// Seals a secret into a file that its owner alone can read. The key is the credential of the service, or a file of the
/// data directory, which is made where there is none.
///
/// # Errors
/// When the key cannot be read or made, or the file not be written.
pub fn seal(data_dir: &Path, file: &Path, secret: &str) -> Result<(), SealingError> {
    let key = match config::seal_key(data_dir).map_err(SealingError::Key)? {
        Some(key) => key,
        None => make_key(data_dir)?,
    };
    let mut nonce = [0; SealKey::NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|_| SealingError::Seal)?;
    let sealed = key.seal(nonce, secret).ok_or(SealingError::Seal)?;
    let dir = file.parent().unwrap_or(Path::new("."));
    let written = private_dir(dir).and_then(|()| write_private(file, sealed.as_bytes()));
    written.map_err(|cause| SealingError::Write { path: file.to_owned(), cause })
}

fn make_key(data_dir: &Path) -> Result<SealKey, SealingError> {
    let path = data_dir.join(SEAL_KEY_FILE);
    let mut bytes = [0; SealKey::BYTES];
    getrandom::fill(&mut bytes).map_err(|_| SealingError::Seal)?;
    let key = SealKey::new(&bytes).ok_or(SealingError::Seal)?;
    let write = || {
        private_dir(data_dir)?;
        write_private(&path, &bytes)?;
        // Whoever seals is often root; whoever reads is the service's own user, whose directory this is.
        let owner = std::fs::metadata(data_dir)?;
        if owner.uid() != std::fs::metadata(&path)?.uid() {
            chown(&path, Some(owner.uid()), Some(owner.gid()))?;
        }
        Ok(())
    };
    write().map_err(|cause| SealingError::Write { path: path.clone(), cause })?;
    Ok(key)
}
