//! Files that a configuration names: secrets and certificates, and why one could not be taken.

use super::fields::quiet;
use super::resolve::Sources;
use crate::document::Reader;
use crate::model::{Secret, Text};
use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject, SectionKind};
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
    /// It is sealed, and cannot be opened here.
    #[error("the secret in {path} is sealed: {}", .why.en)]
    Sealed {
        /// Which file.
        path: String,
        /// Why it stays shut.
        why: Text,
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
    pub fn advice(&self) -> Text {
        match self {
            Self::Missing(path) => Text::new(
                format!("建立 {path}，或写对文件的路径"),
                format!("create {path}, or write the path of the file that is meant"),
            ),
            Self::NotFile(_) => Text::new("写普通文件的路径", "write the path of a plain file"),
            Self::Empty(path) => Text::new(
                format!("把密码或密钥写在 {path} 的第一行"),
                format!("put the secret on the first line of {path}"),
            ),
            Self::Open { path, .. } => {
                Text::new(format!("运行：chmod 600 {path}"), format!("run: chmod 600 {path}"))
            }
            Self::NotText { .. } => {
                Text::new("把文件存成 UTF-8（记事本：另存为，编码选 UTF-8）", "save the file as UTF-8")
            }
            Self::TooLarge { limit, .. } => Text::new(
                format!("换一个最多 {limit} 字节的文件"),
                format!("write the path of a file of at most {limit} bytes"),
            ),
            Self::Sealed { path, .. } => {
                let name = Path::new(path).file_name().unwrap_or_default().to_string_lossy();
                Text::new(
                    format!("把加密它的那台机器的 secret.key 带来，或运行：schoolgate secret seal {name}"),
                    format!(
                        "bring the key of the machine where it was sealed, or run: schoolgate secret seal {name}"
                    ),
                )
            }
            Self::Refused { path, .. } => Text::new(
                format!("让运行 schoolgate 的用户能读 {path}"),
                format!("let the user that runs schoolgate read {path}"),
            ),
        }
    }
}

impl From<&Unreadable> for Text {
    fn from(error: &Unreadable) -> Self {
        let zh = match error {
            Unreadable::Missing(path) => format!("没有文件 {path}"),
            Unreadable::NotFile(path) => format!("{path} 不是普通文件"),
            Unreadable::Empty(path) => format!("文件 {path} 是空的"),
            Unreadable::Open { path, mode } => {
                format!("{path} 里是密码或密钥，别的用户也能读（权限 {mode:03o}）")
            }
            Unreadable::NotText { path, line, column } => {
                format!("{path} 不是 UTF-8 文本：第 {line} 行，第 {column} 列")
            }
            Unreadable::TooLarge { path, bytes, .. } => format!("{path} 有 {bytes} 字节"),
            Unreadable::Sealed { path, why } => format!("{path} 已加密，解不开：{}", why.zh),
            Unreadable::Refused { path, why } => format!("读不了 {path}：{why}"),
        };
        Self::new(zh, error.to_string())
    }
}

/// Reads the file named by `key`; what is wrong is noted.
fn text(reader: &Reader<'_>, key: &str, what: Attached, sources: &Sources<'_>) -> Option<String> {
    let path = reader.text_opt(key)?;
    if path.trim().is_empty() {
        reader.problem(
            key,
            (format!("'{key}' 是空的"), format!("'{key}' is empty")),
            ("写文件的路径", "write the path of a file"),
        );
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
                (format!("'{key}' 不是文件的路径"), format!("'{key}' names no file")),
                (
                    format!("写存放密码或密钥的文件的路径，如 `{key} = \"secrets/…\"`"),
                    format!(
                        "write the path of a file that holds the secret, such as `{key} = \"secrets/…\"`"
                    ),
                ),
            );
            None
        }
        Err(Unreadable::NotText { path, .. }) if what == Attached::Public => {
            // What Windows exports as .cer is often DER, which is not text.
            reader.problem(
                key,
                (format!("'{key}'：{path} 不是 PEM 文件"), format!("'{key}': {path} is not a PEM file")),
                (
                    format!("如果它是证书，运行：openssl x509 -inform der -in {path} -out {path}.pem"),
                    format!(
                        "if it is a certificate, run: openssl x509 -inform der -in {path} -out {path}.pem"
                    ),
                ),
            );
            None
        }
        Err(error) => {
            let why = Text::from(&error);
            let message = (format!("'{key}'：{}", why.zh), format!("'{key}': {}", why.en));
            reader.problem(key, message, error.advice());
            None
        }
    }
}

/// The secret in the file named by `key`.
fn secret_opt(reader: &Reader<'_>, key: &str, sources: &Sources<'_>) -> Option<Secret> {
    text(reader, key, Attached::Secret, sources).map(|text| Secret::from_file_text(&text))
}

/// The secret in the file named by `key`, that must be there.
pub(super) fn secret(reader: &Reader<'_>, key: &str, sources: &Sources<'_>) -> Option<Secret> {
    if reader.has(key) { secret_opt(reader, key, sources) } else { reader.text(key).and(None) }
}

/// The certificates in the file named by `key`, PEM (RFC 7468): each is decoded here, so that none is refused later.
pub(super) fn certificates_opt(reader: &Reader<'_>, key: &str, sources: &Sources<'_>) -> Option<Vec<u8>> {
    let text = text(reader, key, Attached::Public, sources)?;
    let mut store = RootCertStore::empty();
    let mut good = true;
    for (line, block) in pem_blocks(&text) {
        let wrong = match <(SectionKind, Vec<u8>)>::from_pem_slice(block.as_bytes()) {
            Ok((SectionKind::Certificate, der)) => {
                store.add(der.into()).err().map(|_| ("内容不是 X.509", "what it encodes is not X.509"))
            }
            // Other things may stand beside certificates; not all their names are known.
            Ok(_) | Err(pem::Error::NoItemsFound) => None,
            Err(pem::Error::MissingSectionEnd { .. }) => {
                Some(("没有结尾的 -----END 行", "the line -----END that ends it is missing"))
            }
            Err(pem::Error::IllegalSectionStart { .. }) => {
                Some(("第一行不以 ----- 结尾", "its first line does not end with -----"))
            }
            Err(_) => Some(("内容不是 base64", "it is not base64")),
        };
        if let Some((zh, en)) = wrong {
            good = false;
            reader.problem(
                key,
                (
                    format!("'{key}'：文件第 {line} 行开始的 PEM 段坏了：{zh}"),
                    format!("'{key}': the PEM block at line {line} of the file is broken: {en}"),
                ),
                (
                    "从来源处重新完整复制；`openssl x509 -noout -text -in FILE` 应当能显示它",
                    "copy the whole file again from where it came from; \
                     `openssl x509 -noout -text -in FILE` must be able to show it",
                ),
            );
        }
    }
    if good && store.is_empty() {
        reader.problem(
            key,
            (format!("'{key}' 的文件里没有证书"), format!("the file of '{key}' holds no certificate")),
            (
                "写 PEM 文件的路径；其中有 -----BEGIN CERTIFICATE----- 这一行",
                "write the path of a PEM file; it contains the line -----BEGIN CERTIFICATE-----",
            ),
        );
    }
    (good && !store.is_empty()).then(|| text.into_bytes())
}

/// What stands from each `-----BEGIN` to the next, with the 1-based line it begins at.
fn pem_blocks(text: &str) -> Vec<(usize, &str)> {
    let begins =
        |at: usize| text.get(..at).is_none_or(|before| before.is_empty() || before.ends_with(['\n', '\r']));
    let starts: Vec<usize> =
        text.match_indices("-----BEGIN ").map(|(at, _)| at).filter(|at| begins(*at)).collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| {
            let line = text.get(..*start)?.matches('\n').count() + 1;
            Some((line, text.get(*start..end)?))
        })
        .collect()
}
