//! The device profiles a configuration may use.

use crate::document::{Problem, Problems, Spot};
use crate::model::Text;
use crate::profile::{self, Profile};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Device profiles by id.
#[derive(Debug, Default)]
pub struct ProfileSet {
    good: BTreeMap<String, (Arc<Profile>, String)>,
    broken: BTreeSet<String>,
    unreadable: bool,
}

impl ProfileSet {
    /// Reads profiles; each file is named `…/<class>/<id>/profile.toml`. What is wrong in them is noted.
    #[must_use]
    pub fn parse(files: &[(String, String)], problems: &Problems) -> Self {
        let mut set = Self::default();
        for (file, text) in files {
            let Some(profile) = profile::parse(file, text, problems) else {
                set.broken.extend(directory(file).map(ToOwned::to_owned));
                continue;
            };
            let id = profile.id.to_string();
            if let Some((_, first)) = set.good.get(&id) {
                problems.add(Problem {
                    spot: Spot { file: file.as_str().into(), line: 1, column: 1, text: String::new() },
                    message: Text::new(
                        format!("有两个设备模板都叫 '{id}'；第一个在 {first}"),
                        format!("there are two device profiles '{id}'; the first is in {first}"),
                    ),
                    advice: Text::new(
                        "各用一个编号，或删去其中一个文件",
                        "give each its own id, or remove one of the files",
                    ),
                });
            } else {
                set.good.insert(id, (Arc::new(profile), file.clone()));
            }
        }
        set
    }

    /// A set that could not be read: which profiles exist is not known.
    #[must_use]
    pub fn unreadable() -> Self {
        Self { unreadable: true, ..Self::default() }
    }

    /// Finds a profile.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Profile>> {
        self.good.get(id).map(|(profile, _)| Arc::clone(profile))
    }

    /// The ids of all good profiles, in alphabetical order.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.good.keys().map(String::as_str)
    }

    /// Whether a missing profile is already told as a problem of its file or of the directory.
    pub(super) fn may_have(&self, id: &str) -> bool {
        self.unreadable || self.broken.contains(id)
    }
}

/// The name of the directory a profile file is in, which is the profile's id.
fn directory(file: &str) -> Option<&str> {
    file.rsplit('/').nth(1)
}
