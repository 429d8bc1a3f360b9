//! The ids that were written, each with where it stands first: duplicates and dangling references.

use crate::document::{Reader, Spot, one_of};
use crate::model::BadId;
use std::collections::BTreeMap;

/// The ids of one kind of thing.
#[derive(Debug)]
pub(super) struct Names {
    what: &'static str,
    first: BTreeMap<String, Spot>,
}

impl Names {
    /// None yet; `what` is the word for one of them.
    pub(super) fn of(what: &'static str) -> Self {
        Self { what, first: BTreeMap::new() }
    }

    /// Reads `id`; a duplicate is noted with the place of the first, and is not declared again.
    pub(super) fn declare<T>(
        &mut self,
        reader: &Reader<'_>,
        new: impl FnOnce(&str) -> Result<T, BadId>,
    ) -> Option<T> {
        let advice = format!("write an id such as \"{}-1\"", self.what);
        let id = reader.parsed("id", &advice, new)?;
        let text = reader.text_opt("id")?;
        if let Some(first) = self.first.get(&text) {
            reader.problem(
                "id",
                format!("the {} '{text}' is written twice; the first is at {}", self.what, at(first)),
                "give each its own id",
            );
            return None;
        }
        self.first.insert(text, reader.spot("id"));
        Some(id)
    }

    /// Whether `id` was declared, well or badly.
    pub(super) fn has(&self, id: &str) -> bool {
        self.first.contains_key(id)
    }

    /// Notes that `key` refers to nothing, if so.
    pub(super) fn check(&self, reader: &Reader<'_>, key: &str, id: &str) -> bool {
        if self.has(id) {
            return true;
        }
        let known: Vec<&str> = self.ids().collect();
        let advice = if known.is_empty() {
            format!("add a [[{}]] with `id = \"{id}\"`", self.what)
        } else {
            one_of(id, &known)
        };
        reader.problem(key, format!("there is no {} '{id}'", self.what), advice);
        false
    }

    /// Where it was declared.
    pub(super) fn spot(&self, id: &str) -> Option<&Spot> {
        self.first.get(id)
    }

    /// Every id.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.first.keys().map(String::as_str)
    }
}

/// `file:line:column`.
pub(super) fn at(spot: &Spot) -> String {
    format!("{}:{}:{}", spot.file, spot.line, spot.column)
}
