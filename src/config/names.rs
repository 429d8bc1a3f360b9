//! The ids that were written, each with where it stands first: duplicates and dangling references.

use crate::document::{Reader, Spot, one_of};
use crate::model::{BadId, Text};
use std::collections::BTreeMap;

/// The word for one of a kind of thing, in Chinese and as it is written in `[[…]]`.
pub(super) type What = (&'static str, &'static str);

/// The ids of one kind of thing.
#[derive(Debug)]
pub(super) struct Names {
    what: What,
    first: BTreeMap<String, Spot>,
}

impl Names {
    /// None yet; `what` is the word for one of them.
    pub(super) fn of(what: What) -> Self {
        Self { what, first: BTreeMap::new() }
    }

    /// Reads `id`; a duplicate is noted with the place of the first, and is not declared again.
    pub(super) fn declare<T>(
        &mut self,
        reader: &Reader<'_>,
        new: impl FnOnce(&str) -> Result<T, BadId>,
    ) -> Option<T> {
        let (zh, en) = self.what;
        let advice = (format!("写一个编号，如 \"{en}-1\""), format!("write an id such as \"{en}-1\""));
        let id = reader.parsed("id", advice, new)?;
        let text = reader.text_opt("id")?;
        if let Some(first) = self.first.get(&text) {
            reader.problem(
                "id",
                (
                    format!("{zh} '{text}' 写了两次；第一个在 {}", at(first)),
                    format!("the {en} '{text}' is written twice; the first is at {}", at(first)),
                ),
                ("各用一个编号", "give each its own id"),
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
        let (message, advice) = self.absent(id);
        reader.problem(key, message, advice);
        false
    }

    /// That `id` was not declared, and what to write instead.
    pub(super) fn absent(&self, id: &str) -> (Text, Text) {
        absent(self.what, id, self.ids())
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

/// That nothing of a kind has this id, and what to write instead.
pub(super) fn absent<'k>((zh, en): What, id: &str, known: impl Iterator<Item = &'k str>) -> (Text, Text) {
    let known: Vec<&str> = known.collect();
    let advice = if known.is_empty() {
        Text::new(
            format!("加一个 [[{en}]]，其中 `id = \"{id}\"`"),
            format!("add a [[{en}]] with `id = \"{id}\"`"),
        )
    } else {
        one_of(id, &known)
    };
    (Text::new(format!("没有{zh} '{id}'"), format!("there is no {en} '{id}'")), advice)
}

/// `file:line:column`.
pub(super) fn at(spot: &Spot) -> String {
    format!("{}:{}:{}", spot.file, spot.line, spot.column)
}
