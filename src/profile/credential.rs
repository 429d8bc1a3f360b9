//! MQTT: what a message tells of a credential; the number that names a person becomes a pseudonym here.

use super::pointer::{Pointers, short_text};
use super::{Context, Refusal};
use crate::document::Reader;
use crate::model::{AccessResult, Carrier, CredentialUse, Direction, PersonRef, Personal, Service};
use crate::notice::json::Fields;
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
    pub(super) person: Option<String>,
    no_person: Vec<String>,
}

impl CredentialFields {
    pub(super) fn parse(reader: &Reader<'_>, pointers: &mut Pointers<'_>) -> Self {
        macro_rules! mapped {
            ($key:literal, $words:ident, $otherwise:expr) => {{
                let words: Vec<_> = $words::ALL.iter().map(|w| (w.as_str(), *w)).collect();
                Mapped::parse(reader, pointers, ($key, concat!($key, "_from")), &words, $otherwise)
            }};
        }
        Self {
            carrier: mapped!("carrier", Carrier, Carrier::Unknown),
            service: mapped!("service", Service, Service::Access),
            direction: mapped!("direction", Direction, Direction::Unknown),
            result: mapped!("result", AccessResult, AccessResult::Reported),
            person: pointers.read_opt(reader, "person"),
            no_person: reader.texts("no_person").into_iter().map(|(text, _)| text).collect(),
        }
    }

    pub(super) fn read(&self, cx: &Context<'_>, fields: &Fields) -> Result<CredentialUse, Refusal> {
        Ok(CredentialUse {
            carrier: self.carrier.read(fields),
            service: self.service.read(fields),
            direction: self.direction.read(fields),
            result: self.result.read(fields),
            reason: None,
            person: self.person(cx, fields)?,
            known: None,
        })
    }

    fn person(&self, cx: &Context<'_>, fields: &Fields) -> Result<Option<PersonRef>, Refusal> {
        let Some(pointer) = &self.person else { return Ok(None) };
        let number = short_text(fields, pointer)?.filter(|number| !self.no_person.contains(number));
        Ok(number.map(|number| Personal::new(number).pseudonym(cx.site_key)))
    }
}
