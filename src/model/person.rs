//! What the school says of a person behind a pseudonym: a role, a class, until when; never a name.

use super::event::words;
use super::{PersonRef, Wall};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

words! {
    /// What a person is to the school.
    Role {
        /// Pupil or student.
        Student = "student",
        /// Teacher or other staff.
        Staff = "staff",
        /// Guard or patrol.
        Guard = "guard",
        /// Visitor, also a parent.
        Visitor = "visitor",
        /// Somebody of a firm that works here.
        Contractor = "contractor",
        /// Anybody else.
        Other = "other",
    }
}

/// What the table of persons says of one pseudonym.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// What they are to the school.
    pub role: Role,
    /// Their class or department, a name of a group and not of a person.
    pub group: Option<String>,
    /// Their id at the platform, if it gave one.
    pub platform_id: Option<String>,
    /// Their credential is good from then on; no limit when absent.
    pub valid_from: Option<Wall>,
    /// Until then; no limit when absent.
    pub valid_until: Option<Wall>,
}

/// Everybody the school told.
pub type People = BTreeMap<PersonRef, Arc<Person>>;

/// A change to the table of persons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeopleChange {
    /// These and nobody else.
    Replace(Vec<(PersonRef, Person)>),
    /// These too, or otherwise than before.
    Put(Vec<(PersonRef, Person)>),
    /// Nothing is to be left of this person: not in the table, and not in anything stored of them.
    Erase(PersonRef),
}

impl PeopleChange {
    /// Makes the change to a table in memory.
    pub fn apply(&self, people: &mut People) {
        match self {
            Self::Replace(all) => {
                people.clear();
                people.extend(all.iter().map(|(who, person)| (who.clone(), Arc::new(person.clone()))));
            }
            Self::Put(some) => {
                people.extend(some.iter().map(|(who, person)| (who.clone(), Arc::new(person.clone()))));
            }
            Self::Erase(who) => {
                people.remove(who);
            }
        }
    }

    /// How many rows it changes, at the least.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self {
            Self::Replace(rows) | Self::Put(rows) => rows.len().max(1),
            Self::Erase(_) => 1,
        }
    }
}
