//! Reading a JSON payload that may be broken or hostile, keeping only the fields that are asked for.
//!
//! What nobody asks for is skipped by the parser and never held: a photograph in a card reader's message
//! is not even copied.

use super::Unreadable;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_json::error::Category;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::ops::Bound;

/// Deepest nesting of objects and lists. Checked by a scan before parsing, so the parser never recurses further.
pub(crate) const MAX_DEPTH: usize = 32;

/// One field of a payload. It has no `Debug`: it may name a person.
pub(crate) enum Leaf {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List,
    Object,
}

impl Leaf {
    /// What it is, for a refusal's reason.
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }

    /// The word a profile's value maps look up: texts trimmed, `true`, `1`, `2.5`; none for lists and objects.
    pub(crate) fn word(&self) -> Option<String> {
        match self {
            Self::Bool(flag) => Some(flag.to_string()),
            Self::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => Some(float.to_string()),
                _ => Some(number.to_string()),
            },
            Self::Text(text) => Some(text.trim().to_owned()),
            Self::Null | Self::List | Self::Object => None,
        }
    }
}

/// The fields of one payload by JSON pointer (RFC 6901).
#[derive(Default)]
pub(crate) struct Fields {
    found: BTreeMap<String, Leaf>,
    trouble: Option<Unreadable>,
}

impl Fields {
    /// The field at a pointer; null counts as not there.
    pub(crate) fn get(&self, pointer: &str) -> Option<&Leaf> {
        self.found.get(pointer).filter(|leaf| !matches!(leaf, Leaf::Null))
    }

    /// The field at a pointer as a short word; `None` when it is missing, empty, no scalar, or over-long.
    pub(crate) fn word(&self, pointer: &str) -> Option<String> {
        self.get(pointer)?.word().as_deref().and_then(super::short)
    }

    /// Takes the elements of the list at `list` apart: each with pointers of its own, in order.
    pub(crate) fn rows(mut self, list: &str) -> Vec<Self> {
        let below = format!("{list}/");
        let mut rows: BTreeMap<usize, Self> = BTreeMap::new();
        for (pointer, leaf) in std::mem::take(&mut self.found) {
            let Some(rest) = pointer.strip_prefix(&below) else { continue };
            let (index, inner) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if let Ok(index) = index.parse() {
                rows.entry(index).or_default().found.insert(inner.to_owned(), leaf);
            }
        }
        rows.into_values().collect()
    }

    /// A scalar where a wanted field's parent should be, if there was one.
    pub(crate) fn take_trouble(&mut self) -> Option<Unreadable> {
        self.trouble.take()
    }
}

/// Strips a byte order mark and checks the encoding.
pub(crate) fn text(payload: &[u8]) -> Result<&str, Unreadable> {
    let payload = payload.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(payload);
    std::str::from_utf8(payload).map_err(|error| {
        Unreadable::new(
            "not_utf8",
            format!("byte {} is not UTF-8; expected JSON in UTF-8", error.valid_up_to()),
        )
    })
}

/// Reads the wanted fields of a payload.
pub(crate) fn read(text: &str, wanted: &BTreeSet<String>) -> Result<Fields, Unreadable> {
    if text.trim().is_empty() {
        return Err(Unreadable::new("empty", "the payload is empty; expected JSON"));
    }
    check_depth(text)?;
    let mut fields = Fields::default();
    let mut parser = serde_json::Deserializer::from_str(text);
    let mut path = String::new();
    let walk = Walk { wanted, fields: &mut fields, path: &mut path };
    walk.deserialize(&mut parser).and_then(|()| parser.end()).map_err(|error| refusal(&error))?;
    Ok(fields)
}

/// The parser's errors name a position and never quote the payload.
fn refusal(error: &serde_json::Error) -> Unreadable {
    let kind = match error.classify() {
        // The walk takes every type, so the only data error is its own.
        Category::Data => "duplicate_key",
        _ if error.to_string().starts_with("number out of range") => "bad_number",
        Category::Io | Category::Syntax | Category::Eof => "not_json",
    };
    Unreadable::new(kind, error.to_string())
}

fn check_depth(text: &str) -> Result<(), Unreadable> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            let reason = format!("more than {MAX_DEPTH} objects or lists within each other at byte {at}");
            return Err(Unreadable::new("too_deep", reason));
        }
    }
    Ok(())
}

/// Walks one value at `path`.
struct Walk<'a> {
    wanted: &'a BTreeSet<String>,
    fields: &'a mut Fields,
    path: &'a mut String,
}

impl Walk<'_> {
    fn has_wanted_below(&self) -> bool {
        let path = self.path.as_str();
        let from = (Bound::Included(path), Bound::Unbounded);
        let mut same_start = self.wanted.range::<str, _>(from).take_while(|wanted| wanted.starts_with(path));
        same_start.any(|wanted| wanted.as_bytes().get(path.len()) == Some(&b'/'))
    }

    fn keep(self, leaf: Leaf) {
        let container = matches!(leaf, Leaf::List | Leaf::Object | Leaf::Null);
        if !container && self.fields.trouble.is_none() && self.has_wanted_below() {
            let place = if self.path.is_empty() { "the payload" } else { self.path.as_str() };
            let reason = format!("{place} is {}; expected an object", leaf.what());
            self.fields.trouble = Some(Unreadable::new("bad_type", reason));
        }
        if self.wanted.contains(self.path.as_str()) {
            self.fields.found.insert(self.path.clone(), leaf);
        }
    }

    /// The walk for a child, unless nothing in it is wanted. The path is the child's until it is cut again.
    fn child(&mut self, key: &str) -> Option<Walk<'_>> {
        self.path.push('/');
        self.path.push_str(key);
        let wanted = self.wanted.contains(self.path.as_str()) || self.has_wanted_below();
        wanted.then_some(Walk { wanted: self.wanted, fields: self.fields, path: self.path })
    }
}

/// Keys of one object: most have few, and somebody may send one with very many.
#[derive(Default)]
struct Keys {
    few: Vec<String>,
    many: HashSet<String>,
}

impl Keys {
    const FEW: usize = 16;

    fn have(&self, key: &str) -> bool {
        self.few.iter().any(|few| few == key) || self.many.contains(key)
    }

    fn add(&mut self, key: String) {
        if self.few.len() < Self::FEW {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
    }
}

/// A key as a JSON pointer writes it (RFC 6901, section 3).
fn escaped(key: &str) -> Cow<'_, str> {
    if key.contains(['~', '/']) { key.replace('~', "~0").replace('/', "~1").into() } else { key.into() }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.keep(Leaf::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(self, flag: bool) -> Result<(), E> {
        self.keep(Leaf::Bool(flag));
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.keep(Leaf::Number(number.into()));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.keep(Leaf::Number(number.into()));
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.keep(Number::from_f64(number).map_or(Leaf::Null, Leaf::Number));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.keep(Leaf::Text(text.to_owned()));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let (mut seen, here) = (Keys::default(), self.path.len());
        while let Some(key) = map.next_key::<String>()? {
            if seen.have(&key) {
                return Err(A::Error::custom("the same key stands twice in one object"));
            }
            match self.child(&escaped(&key)) {
                Some(child) => map.next_value_seed(child)?,
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            self.path.truncate(here);
            seen.add(key);
        }
        self.keep(Leaf::Object);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        let here = self.path.len();
        for index in 0_usize.. {
            let more = match self.child(&index.to_string()) {
                Some(child) => seq.next_element_seed(child)?.is_some(),
                None => seq.next_element::<IgnoredAny>()?.is_some(),
            };
            self.path.truncate(here);
            if !more {
                break;
            }
        }
        self.keep(Leaf::List);
        Ok(())
    }
}
