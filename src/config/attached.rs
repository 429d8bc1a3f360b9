//! Files that a configuration names: secrets and certificates, and why one could not be taken.

use super::fields::quiet;
use super::resolve::Sources;
use crate::document::Reader;
use crate::model::Secret;
use std::path::Path;

/// Largest secret or certificate file, in bytes.
pub const MAX_ATTACHED_BYTES: usize = 256 * 1024;

/// What a named file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attached {
    /// A password, token or key: only its owner may read it.
    Secret,
    /// Something anyone may read, such as certificates.
    Public,
}

/// Why a file could not be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is not there.
    #[error("there is no file {0}")]
    Missing(String),
    /// It is a directory, pipe or device.
    #[error("{0} is not a plain file")]
    NotFile(String),
    /// Nothing is in it.
    #[error("the file {0} is empty")]
    Empty(String),
    /// A secret that others may read.
    #[error("other users can read the secret in {path} (mode {mode:03o})")]
    Open {
        /// Which file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not text in UTF-8.
    #[error("{path} is not text in UTF-8: line {line}, column {column}")]
    NotText {
        /// Which file.
        path: String,
        /// 1-based line of the first wrong byte.
        line: usize,
        /// 1-based column of the first wrong byte, in characters.
        column: usize,
    },
    /// It is too large.
    #[error("{path} has {bytes} bytes")]
    TooLarge {
        /// Which file.
        path: String,
        /// Its size.
        bytes: u64,
        /// The largest size taken.
        limit: usize,
    },
    /// The system refused.
    #[error("{path} cannot be read: {why}")]
    Refused {
        /// Which file.
        path: String,
        /// In the words of the system.
        why: String,
    },
}

impl Unreadable {
    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Missing(path) => format!("create {path}, or write the path of the file that is meant"),
            Self::NotFile(_) => "write the path of a plain file".into(),
            Self::Empty(path) => format!("put the secret on the first line of {path}"),
            Self::Open { path, .. } => format!("run: chmod 600 {path}"),
            Self::NotText { .. } => "save the file as UTF-8 (记事本：另存为，编码选 UTF-8)".into(),
            Self::TooLarge { limit, .. } => format!("write the path of a file of at most {limit} bytes"),
            Self::Refused { path, .. } => format!("let the user that runs schoolgate read {path}"),
        }
    }
}

/// Reads the file named by `key`; what is wrong is noted.
fn text(reader: &Reader<'_>, key: &str, what: Attached, sources: &Sources<'_>) -> Option<String> {
    let path = reader.text_opt(key)?;
    if path.trim().is_empty() {
        reader.problem(key, format!("'{key}' is empty"), "write the path of a file");
        return None;
    }
    // A pasted secret is refused as a missing file, and must then not be printed.
    let looks_pasted = what == Attached::Secret && !path.contains(['/', '.']);
    match (sources.read)(&sources.base.join(Path::new(&path)), what) {
        Ok(text) => Some(text),
        Err(Unreadable::Missing(_)) if looks_pasted => {
            quiet(
                reader,
                key,
                format!("'{key}' names no file"),
                &format!("write the path of a file that holds the secret, such as `{key} = \"secrets/…\"`"),
            );
            None
        }
        Err(error) => {
            reader.problem(key, format!("'{key}': {error}"), error.advice());
            None
        }
    }
}

/// The secret in the file named by `key`.
pub(super) fn secret_opt(reader: &Reader<'_>, key: &str, sources: &Sources<'_>) -> Option<Secret> {
    text(reader, key, Attached::Secret, sources).map(|text| Secret::from_file_text(&text))
}

/// The secret in the file named by `key`, that must be there.
pub(super) fn secret(reader: &Reader<'_>, key: &str, sources: &Sources<'_>) -> Option<Secret> {
    if reader.has(key) { secret_opt(reader, key, sources) } else { reader.text(key).and(None) }
}

/// The certificates in the file named by `key`, PEM (RFC 7468).
pub(super) fn certificates_opt(reader: &Reader<'_>, key: &str, sources: &Sources<'_>) -> Option<Vec<u8>> {
    let text = text(reader, key, Attached::Public, sources)?;
    if text.contains("-----BEGIN CERTIFICATE-----") {
        return Some(text.into_bytes());
    }
    reader.problem(
        key,
        format!("the file of '{key}' holds no certificate"),
        "write the path of a PEM file; it contains the line -----BEGIN CERTIFICATE-----",
    );
    None
}
