//! Secrets that are sealed in their files: what is read there is of no use without the key of this machine.

use crate::model::Text;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::fmt;

/// What a sealed secret begins with; the number is that of the form.
const MARK: &str = "schoolgate-sealed:v1:";

/// The key that seals the secrets of one machine: ChaCha20-Poly1305 (RFC 8439).
#[derive(Clone)]
pub struct SealKey(LessSafeKey);

/// Why a sealed secret cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Sealed {
    /// It is cut off or has other characters in it.
    #[error("what is sealed there is broken")]
    Broken,
    /// It was sealed with another key, or changed since.
    #[error("it was sealed with another key than this machine's, or changed since")]
    OtherKey,
}

impl From<Sealed> for Text {
    fn from(why: Sealed) -> Self {
        let zh = match why {
            Sealed::Broken => "加密的内容坏了",
            Sealed::OtherKey => "是用别的机器的密钥加密的，或加密后改动过",
        };
        Self::new(zh, why.to_string())
    }
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKey")
    }
}

impl SealKey {
    /// Length of a key, bytes.
    pub const BYTES: usize = 32;
    /// Length of the random number that each sealing takes, bytes.
    pub const NONCE_BYTES: usize = NONCE_LEN;

    /// The key of these bytes; `None` unless there are [`SealKey::BYTES`].
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        UnboundKey::new(&CHACHA20_POLY1305, bytes).ok().map(LessSafeKey::new).map(Self)
    }

    /// Seals a secret; the nonce is random, and never used twice. `None` for a secret of absurd length.
    #[must_use]
    pub fn seal(&self, nonce: [u8; Self::NONCE_BYTES], secret: &str) -> Option<String> {
        let mut sealed = secret.as_bytes().to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0.seal_in_place_append_tag(unique, Aad::from(MARK), &mut sealed).ok()?;
        Some(format!("{MARK}{}\n", STANDARD.encode([&nonce[..], &sealed].concat())))
    }

    /// The secret.
    ///
    /// # Errors
    /// When it cannot be had from this text with this key.
    pub fn open(&self, text: &str) -> Result<String, Sealed> {
        let encoded = text.trim().strip_prefix(MARK).ok_or(Sealed::Broken)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| Sealed::Broken)?;
        let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN).ok_or(Sealed::Broken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| Sealed::Broken)?;
        let mut sealed = sealed.to_vec();
        let secret =
            self.0.open_in_place(nonce, Aad::from(MARK), &mut sealed).map_err(|_| Sealed::OtherKey)?;
        String::from_utf8(secret.to_vec()).map_err(|_| Sealed::Broken)
    }
}

/// Whether the text of a file is a sealed secret.
#[must_use]
pub fn is_sealed(text: &str) -> bool {
    text.trim_start().starts_with(MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_its_key_alone() {
        let key = SealKey::new(&[7; 32]).unwrap();
        let sealed = key.seal([1; 12], "s3cret 密码").unwrap();
        assert!(is_sealed(&sealed) && !sealed.contains("s3cret"));
        assert_eq!(key.open(&sealed).as_deref(), Ok("s3cret 密码"));
        assert_ne!(sealed, key.seal([2; 12], "s3cret 密码").unwrap());
        assert_eq!(SealKey::new(&[8; 32]).unwrap().open(&sealed), Err(Sealed::OtherKey));
        assert!(SealKey::new(&[7; 31]).is_none());
    }

    #[test]
    fn whatever_is_changed_is_noticed() {
        let key = SealKey::new(&[7; 32]).unwrap();
        let sealed = key.seal([1; 12], "s3cret").unwrap();
        let body = sealed.trim().strip_prefix(MARK).unwrap();
        for at in 0..body.len() {
            let mut bytes = body.as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = format!("{MARK}{}", String::from_utf8(bytes).unwrap());
            assert!(key.open(&changed).is_err(), "{changed}");
        }
        for broken in
            ["", MARK, "schoolgate-sealed:v1:AAAA", "schoolgate-sealed:v1:密", "schoolgate-sealed:v2:AAAA"]
        {
            assert!(key.open(broken).is_err(), "{broken}");
        }
    }
}
