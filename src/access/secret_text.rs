//! Session ids, tokens and claim codes as texts, and the digests that are kept in their place.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::Digest as _;
use std::fmt;

/// The letters of Crockford's base 32: none is taken for another when read aloud.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Groups of a claim code, and letters in each: 100 bits.
const GROUPS: (usize, usize) = (5, 4);
/// Hexadecimal digits by which a list tells digests apart.
const SHORT: usize = 16;

/// The SHA-256 of a session id, a token or a claim code. The texts hold 100 random bits and more, so nothing slower is
/// needed, and who finds one by it learns nothing from how long it took.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(sha2::Sha256::digest(text).into())
    }

    /// The beginning, for lists: it gives nobody the text.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(SHORT).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes: Option<Vec<u8>> = text
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("expected 64 hexadecimal digits"))
    }
}

/// 256 random bits as a text for cookies and headers.
#[must_use]
pub fn text_of(random: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(random)
}

/// What a page has to send with every change: it follows from the session's id, which no page can read.
#[must_use]
pub fn csrf(session: &str) -> String {
    let mut hasher = sha2::Sha256::new();
    hasher.update(b"schoolgate csrf\0");
    hasher.update(session);
    URL_SAFE_NO_PAD.encode(hasher.finalize())
}

/// A claim code, such as `7K3M-Q0WX-…`: five groups of four letters.
#[must_use]
pub fn claim_code(random: &[u8; 32]) -> String {
    let letters = random.iter().map(|byte| {
        let letter = LETTERS.get(usize::from(byte % 32));
        letter.map_or('0', |letter| char::from(*letter))
    });
    let letters: Vec<char> = letters.take(GROUPS.0 * GROUPS.1).collect();
    let groups: Vec<String> = letters.chunks(GROUPS.1).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

/// A claim code as somebody typed it: small letters, other separators, and the letters that are taken for digits.
pub(super) fn typed_code(text: &str) -> String {
    let letters = text.chars().filter(char::is_ascii_alphanumeric).map(|c| match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    });
    let letters: Vec<char> = letters.collect();
    let groups: Vec<String> = letters.chunks(GROUPS.1).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_is_typed() {
        let code = claim_code(&std::array::from_fn(|i| u8::try_from(i * 7).unwrap()));
        assert_eq!(code.len(), 24, "{code}");
        assert!(code.split('-').count() == 5 && code.split('-').all(|group| group.len() == 4), "{code}");
        let typed = code.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
        assert_eq!(typed_code(&typed), code);
        assert_ne!(typed_code(&code.replacen('7', "8", 1)), code);
    }

    #[test]
    fn a_digest_survives_its_text_and_prints_little_of_itself() {
        let digest = Digest::of("a session id");
        let text = serde_json::to_string(&digest).unwrap();
        assert_eq!(serde_json::from_str::<Digest>(&text).unwrap(), digest);
        assert_eq!(format!("{digest:?}").len(), SHORT);
        for wrong in ["\"\"", "\"zz\"", "\"é\"", "7", &text.replace('"', "\"0")] {
            assert!(serde_json::from_str::<Digest>(wrong).is_err(), "{wrong}");
        }
        assert_ne!(csrf("a"), csrf("b"));
        assert_ne!(csrf("a"), text_of(&[0; 32]));
    }
}
