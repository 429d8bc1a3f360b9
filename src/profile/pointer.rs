//! JSON pointers in profiles (RFC 6901), and taking small things from the fields they name.

use super::{Both, Refusal};
use crate::document::Reader;
use crate::notice::json::{Fields, Leaf};
use std::collections::BTreeSet;

/// Longest code, serial or credential number taken from a device, in characters.
pub(super) const MAX_TEXT_CHARS: usize = 128;

pub(super) const POINTER_ADVICE: Both =
    ("写 JSON 指针，例如 \"/info/time\"", "write a JSON pointer such as \"/info/time\"");

/// Collects the pointers of one message while they are read, and keeps personal fields out of the others.
pub(super) struct Pointers<'r> {
    pub(super) dropped: &'r [String],
    pub(super) wanted: BTreeSet<String>,
}

impl Pointers<'_> {
    pub(super) fn read(&mut self, reader: &Reader<'_>, key: &str) -> Option<String> {
        let pointer = reader.parsed(key, POINTER_ADVICE, check_pointer)?;
        self.note(reader, key, &pointer);
        Some(pointer)
    }

    /// Notes a pointer that is read, and was written within `key`.
    pub(super) fn note(&mut self, reader: &Reader<'_>, key: &str, pointer: &str) {
        if self.dropped.iter().any(|d| within(pointer, d)) {
            reader.problem(
                key,
                (format!("'{pointer}' 已列在 mqtt.drop 里"), format!("'{pointer}' is listed in mqtt.drop")),
                ("从其中一处删去", "take it out of one of the two"),
            );
        }
        self.wanted.insert(pointer.to_owned());
    }

    /// A list of pointers; missing is an empty list.
    pub(super) fn read_all(&mut self, reader: &Reader<'_>, key: &str) -> Vec<String> {
        let mut pointers = Vec::new();
        for (text, spot) in reader.texts(key) {
            match check_pointer(&text) {
                Ok(pointer) => {
                    self.note(reader, key, &pointer);
                    pointers.push(pointer);
                }
                Err(why) => reader.problems().at(&spot, why, POINTER_ADVICE),
            }
        }
        pointers
    }

    pub(super) fn read_opt(&mut self, reader: &Reader<'_>, key: &str) -> Option<String> {
        if reader.has(key) { self.read(reader, key) } else { None }
    }
}

fn within(pointer: &str, parent: &str) -> bool {
    pointer.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// RFC 6901: empty, or levels that each begin with '/', with '~' only as `~0` and `~1`.
pub(super) fn check_pointer(text: &str) -> Result<String, Both> {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if (text.is_empty() || text.starts_with('/')) && escapes && text.len() <= 256 {
        Ok(text.to_owned())
    } else {
        Err(("这不是 JSON 指针（RFC 6901）", "this is not a JSON pointer (RFC 6901)"))
    }
}

/// The place of a pointer, for a person.
pub(super) fn place(pointer: &str) -> &str {
    if pointer.is_empty() { "the payload" } else { pointer }
}

/// A refusal of a field of the wrong type.
pub(super) fn bad_type(pointer: &str, expected: &str, leaf: &Leaf) -> Refusal {
    Refusal::new("bad_type", format!("{} is {}; expected {expected}", place(pointer), leaf.what()))
}

/// A text or number of at most [`MAX_TEXT_CHARS`]; missing and empty are `None`.
pub(super) fn short_text(fields: &Fields, pointer: &str) -> Result<Option<String>, Refusal> {
    let Some(leaf) = fields.get(pointer) else { return Ok(None) };
    match (leaf, leaf.word()) {
        (Leaf::Text(_) | Leaf::Number(_), Some(word)) if word.chars().count() <= MAX_TEXT_CHARS => {
            Ok((!word.is_empty()).then_some(word))
        }
        (Leaf::Text(_), _) => {
            let reason = format!("{} has more than {MAX_TEXT_CHARS} characters", place(pointer));
            Err(Refusal::new("bad_type", reason))
        }
        _ => Err(bad_type(pointer, "a text or a number", leaf)),
    }
}
