//! What the school says of a person behind a pseudonym: a role, a class, until when; never a name.

use super::event::words;
use super::{PersonRef, Text, Wall};
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

/// Most persons in the table.
pub const MAX_PEOPLE: usize = 50_000;
/// Longest class or platform id, characters.
const MAX_CHARS: usize = 64;
/// Weights of the digits of an identity number, and the check digit by the remainder (GB 11643-1999).
const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
const CHECKS: [u8; 11] = *b"10X98765432";

impl Person {
    /// Whether it may be stored: short texts, none of which is itself an identity or telephone number.
    ///
    /// # Errors
    /// What is wrong, without repeating it.
    pub fn check(&self) -> Result<(), Text> {
        for (zh, en, text) in [("班级", "class", &self.group), ("平台编号", "platform id", &self.platform_id)]
        {
            let Some(text) = text else { continue };
            let wrong = |why_zh: &str, why_en: &str| {
                Err(Text::new(format!("{zh}{why_zh}"), format!("the {en} {why_en}")))
            };
            if text.trim().is_empty() || text.chars().any(char::is_control) {
                return wrong("是空的或含有控制字符", "is empty or has control characters");
            }
            if text.chars().count() > MAX_CHARS {
                return wrong("超过 64 字", "is longer than 64 characters");
            }
            if names_somebody(text) {
                return wrong(
                    "像是身份证号或手机号，不予存储",
                    "looks like an identity or telephone number, which is never stored",
                );
            }
        }
        match (self.valid_from, self.valid_until) {
            (Some(from), Some(until)) if until <= from => {
                Err(Text::new("有效期止不晚于有效期起", "the validity ends before it begins"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a text is an identity number (with a letter before it: 学籍号) or a mobile telephone number.
fn names_somebody(text: &str) -> bool {
    let text = text.trim().trim_start_matches(|c: char| c.is_ascii_alphabetic()).as_bytes();
    let digits = |bytes: &[u8]| bytes.iter().all(u8::is_ascii_digit);
    match text {
        [b'1', b'3'..=b'9', rest @ ..] if rest.len() == 9 => digits(rest),
        [number @ .., check] if number.len() == 17 && digits(number) => {
            let sum: u32 =
                number.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
            let expected = usize::try_from(sum % 11).ok().and_then(|at| CHECKS.get(at));
            expected == Some(&check.to_ascii_uppercase())
        }
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_names_somebody_is_not_stored_as_a_class_or_id() {
        for (text, named) in [
            ("11010519491231002X", true),
            ("11010519491231002x", true),
            ("G11010519491231002X", true),
            ("110105194912310021", false),
            ("13800138000", true),
            ("12800138000", false),
            ("2026级3班", false),
            ("20260012345", false),
        ] {
            assert_eq!(names_somebody(text), named, "{text}");
            let person = Person {
                role: Role::Student,
                group: Some(text.into()),
                platform_id: None,
                valid_from: None,
                valid_until: None,
            };
            let told = person.check();
            assert_eq!(told.is_err(), named, "{text}");
            assert!(told.is_ok() || !format!("{told:?}").contains(text), "it is not repeated");
        }
    }
}
