//! How text is put into addresses, forms and JSON without becoming something else there.

use std::fmt::Write;

/// Everything but the unreserved characters of RFC 3986 as `%XX`.
pub(super) fn percent(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            // Writing to a text never fails.
            write!(out, "%{byte:02X}").ok();
        }
    }
    out
}

/// What stands between the quotes of a JSON string.
pub(super) fn json(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes() {
        assert_eq!(percent("a b&c=火/%".as_bytes()), "a%20b%26c%3D%E7%81%AB%2F%25");
        assert_eq!(json("a\"b\\c\n火\u{1}"), "a\\\"b\\\\c\\n火\\u0001");
        for text in ["\"", "\\", "\",\"x\":\"", "\u{2028}", ""] {
            let value: serde_json::Value = serde_json::from_str(&format!("\"{}\"", json(text))).unwrap();
            assert_eq!(value, text);
        }
    }
}
