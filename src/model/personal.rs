//! What could name a child: it cannot be printed, logged or serialised, only turned into a pseudonym.

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// A value that identifies a person. It has no `Display`, no `Serialize`, and prints as `[personal]`.
///
/// ```
/// use schoolgate::model::{Personal, SiteKey};
/// let card = Personal::new("0012345678".to_owned());
/// assert_eq!(format!("{card:?}"), "[personal]");
/// assert_eq!(card.pseudonym(&SiteKey::new([7; 32])).as_str().len(), 32);
/// ```
///
/// It cannot be printed:
/// ```compile_fail,E0277
/// let card = schoolgate::model::Personal::new("0012345678".to_owned());
/// println!("{card}");
/// ```
/// It cannot be logged:
/// ```compile_fail,E0277
/// let card = schoolgate::model::Personal::new("0012345678".to_owned());
/// tracing::info!(%card, "a card");
/// ```
/// It cannot be serialised:
/// ```compile_fail,E0277
/// let card = schoolgate::model::Personal::new("0012345678".to_owned());
/// serde_json::to_string(&card);
/// ```
/// And its value cannot be taken out:
/// ```compile_fail,E0616
/// let card = schoolgate::model::Personal::new("0012345678".to_owned());
/// let number: String = card.0;
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Personal<T>(T);

impl<T> Personal<T> {
    /// Wraps a value at the parser's boundary.
    pub fn new(value: T) -> Self {
        Self(value)
    }
}

impl Personal<String> {
    /// The pseudonym of this identifier under the school's key: the same for the same card,
    /// different in every school, and not to be undone without the key (HMAC-SHA-256, RFC 2104).
    #[must_use]
    pub fn pseudonym(&self, key: &SiteKey) -> PersonRef {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&key.0).expect("any key length");
        mac.update(self.0.trim().as_bytes());
        let digest = mac.finalize().into_bytes();
        PersonRef(hex(digest.iter().take(16)))
    }
}

/// Hexadecimal digits; made for each pass, so without a text for each byte.
fn hex<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)]).collect()
}

impl<T> fmt::Debug for Personal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[personal]")
    }
}

/// A person's pseudonym in this school: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PersonRef(String);

impl PersonRef {
    /// A pseudonym read back from the store.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// A pseudonym as somebody wrote it: 32 hexadecimal digits.
    #[must_use]
    pub fn from_digits(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| Self(text.to_owned()))
    }

    /// By which the audit trail tells of whom it speaks, without the pseudonym: 16 hexadecimal digits that whoever has
    /// the card and the school's key can make again, and nobody else.
    #[must_use]
    pub fn tag(&self) -> String {
        let digest = Sha256::new().chain_update("schoolgate.person.").chain_update(&self.0).finalize();
        hex(digest.iter().take(8))
    }

    /// The hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The school's own key for pseudonyms: 32 bytes made at first start, never printed.
#[derive(Clone)]
pub struct SiteKey([u8; 32]);

impl SiteKey {
    /// Takes the key's bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SiteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[site key]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_steady_keyed_and_not_the_number() {
        let card = Personal::new("0012345678".to_owned());
        let (a, b) = (SiteKey::new([1; 32]), SiteKey::new([2; 32]));
        assert_eq!(card.pseudonym(&a), card.pseudonym(&a));
        assert_ne!(card.pseudonym(&a), card.pseudonym(&b));
        assert_eq!(card.pseudonym(&a).as_str().len(), 32);
        assert!(!card.pseudonym(&a).as_str().contains("12345678"));
        assert_eq!(format!("{card:?} {a:?}"), "[personal] [site key]");
    }
}
