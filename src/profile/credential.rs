//! MQTT: what a message tells of a credential; the number that names a person becomes a pseudonym here.

use super::pointer::{Pointers, short_text};
use super::{Context, Refusal};
use crate::document::Reader;
use crate::model::{AccessResult, Carrier, CredentialUse, Direction, PersonRef, Personal, Reason, Service};
use crate::notice::json::Fields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeMap;

/// A word of ours, fixed or looked up in a field. What the device does not say, or says in a way nobody listed,
/// is the fixed word.
#[derive(Debug, Clone)]
struct Mapped<T> {
    otherwise: T,
    from: Option<(String, BTreeMap<String, T>)>,
}

impl<T: Copy> Mapped<T> {
    /// Reads `key = "word"` and `[key_from]` with `at` and `values`.
    fn parse(
        reader: &Reader<'_>,
        pointers: &mut Pointers<'_>,
        (key, key_from): (&str, &str),
        words: &[(&str, T)],
        otherwise: T,
    ) -> Self {
        let otherwise = reader.word_opt(key, words).unwrap_or(otherwise);
        let from = reader.table_opt(key_from).and_then(|table| {
            let at = pointers.read(&table, "at");
            let mut map = BTreeMap::new();
            if let Some(values) = table.table("values") {
                for value in values.keys() {
                    map.extend(values.word_opt(value, words).map(|word| (value.to_owned(), word)));
                }
                values.finish();
            }
            table.finish();
            Some((at?, map))
        });
        Self { otherwise, from }
    }

    fn read(&self, fields: &Fields) -> T {
        let listed = self.from.as_ref().and_then(|(at, map)| map.get(&fields.get(at)?.word()?));
        listed.copied().unwrap_or(self.otherwise)
    }
}

/// What a credential event tells besides that it happened.
#[derive(Debug, Clone)]
pub(super) struct CredentialFields {
    carrier: Mapped<Carrier>,
    service: Mapped<Service>,
    direction: Mapped<Direction>,
    result: Mapped<AccessResult>,
    reason: Mapped<Option<Reason>>,
    pub(super) person: Option<String>,
    /// Where the number stands if not there: a face has no card.
    person_else: Vec<String>,
    no_person: Vec<String>,
    /// The number is text in Base64.
    encoded: bool,
}

impl CredentialFields {
    pub(super) fn parse(reader: &Reader<'_>, pointers: &mut Pointers<'_>) -> Self {
        macro_rules! mapped {
            ($key:literal, $words:ident, $otherwise:expr) => {{
                let words: Vec<_> = $words::ALL.iter().map(|w| (w.as_str(), *w)).collect();
                Mapped::parse(reader, pointers, ($key, concat!($key, "_from")), &words, $otherwise)
            }};
        }
        let reasons: Vec<_> = Reason::ALL.iter().map(|r| (r.as_str(), Some(*r))).collect();
        Self {
            reason: Mapped::parse(reader, pointers, ("reason", "reason_from"), &reasons, None),
            carrier: mapped!("carrier", Carrier, Carrier::Unknown),
            service: mapped!("service", Service, Service::Access),
            direction: mapped!("direction", Direction, Direction::Unknown),
            result: mapped!("result", AccessResult, AccessResult::Reported),
            person: pointers.read_opt(reader, "person"),
            person_else: pointers.read_all(reader, "person_else"),
            encoded: reader.flag_opt("person_base64").unwrap_or(false),
            no_person: reader.texts("no_person").into_iter().map(|(text, _)| text).collect(),
        }
    }

    pub(super) fn read(&self, cx: &Context<'_>, fields: &Fields) -> Result<CredentialUse, Refusal> {
        let result = self.result.read(fields);
        Ok(CredentialUse {
            carrier: self.carrier.read(fields),
            service: self.service.read(fields),
            direction: self.direction.read(fields),
            result,
            reason: self.reason.read(fields).filter(|_| result.refused()),
            person: self.person(cx, fields)?,
            known: None,
        })
    }

    fn person(&self, cx: &Context<'_>, fields: &Fields) -> Result<Option<PersonRef>, Refusal> {
        for pointer in self.person.iter().chain(&self.person_else) {
            let number = short_text(fields, pointer)?.filter(|number| !self.no_person.contains(number));
            let Some(number) = number else { continue };
            let number = if self.encoded { decoded(&number, pointer)? } else { number };
            return Ok(Some(Personal::new(number).pseudonym(cx.site_key)));
        }
        Ok(None)
    }

    /// Whether a field names a person.
    pub(super) fn names(&self, pointer: &str) -> bool {
        self.person.iter().chain(&self.person_else).any(|p| p == pointer)
    }
}

/// Text in Base64 (RFC 4648, section 4), as plate readers send what is not ASCII.
fn decoded(number: &str, pointer: &str) -> Result<String, Refusal> {
    let bytes = STANDARD.decode(number).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| Refusal::new("bad_type", format!("{pointer} is no text in Base64")))
}
