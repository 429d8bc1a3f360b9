//! ONVIF access control: what a notification tells of a credential (Access Control Service Specification, section 6).

use super::find;
use crate::document::Reader;
use crate::model::{AccessResult, Carrier, CredentialUse, Direction, Personal, Reason, Service};
use crate::notice::short;
use crate::profile::{Context, Notification};
use std::collections::BTreeMap;

/// What a notification tells besides that a credential was presented.
#[derive(Debug, Clone)]
pub(super) struct Credential {
    carrier: Carrier,
    service: Service,
    direction: Direction,
    result: AccessResult,
    /// The item with the reason of a refusal, and what its words mean.
    reason: Option<(String, BTreeMap<String, Reason>)>,
    /// The item that says whose it is; it becomes a pseudonym at once.
    pub(super) person: Option<String>,
}

impl Credential {
    /// Reads `[notification.credential]`.
    pub(super) fn parse(reader: &Reader<'_>) -> Self {
        macro_rules! word {
            ($key:literal, $words:ident, $otherwise:expr) => {{
                let words: Vec<_> = $words::ALL.iter().map(|w| (w.as_str(), *w)).collect();
                reader.word_opt($key, &words).unwrap_or($otherwise)
            }};
        }
        let reason = reader.table_opt("reason_from").and_then(|table| {
            let item = table.text("item");
            let words: Vec<_> = Reason::ALL.iter().map(|w| (w.as_str(), *w)).collect();
            let mut reasons = BTreeMap::new();
            if let Some(values) = table.table("values") {
                for value in values.keys() {
                    reasons.extend(values.word_opt(value, &words).map(|reason| (value.to_owned(), reason)));
                }
                values.finish();
            }
            table.finish();
            Some((item?, reasons))
        });
        Self {
            carrier: word!("carrier", Carrier, Carrier::Unknown),
            service: word!("service", Service, Service::Access),
            direction: word!("direction", Direction, Direction::Unknown),
            result: word!("result", AccessResult, AccessResult::Reported),
            reason,
            person: reader.text_opt("person"),
        }
    }

    /// The items that it is read from.
    pub(super) fn items(&self) -> impl Iterator<Item = &str> {
        let reason = self.reason.as_ref().map(|(item, _)| item);
        reason.into_iter().chain(&self.person).map(String::as_str)
    }

    pub(super) fn read(&self, cx: &Context<'_>, note: &Notification) -> CredentialUse {
        let item = |name: &str| find(&note.data, name).or_else(|| find(&note.source, name));
        let reason = self.reason.as_ref().and_then(|(name, reasons)| {
            let word = item(name)?.trim();
            // `pt:InvalidPIN` and `InvalidPIN` are the same; one that nobody listed is some other reason.
            let word = word.rsplit(':').next().unwrap_or(word);
            (!word.is_empty()).then(|| reasons.get(word).copied().unwrap_or(Reason::Other))
        });
        let person = self.person.as_deref().and_then(item).and_then(short);
        CredentialUse {
            carrier: self.carrier,
            service: self.service,
            direction: self.direction,
            result: self.result,
            reason: reason.filter(|_| self.result.refused()),
            person: person.map(|number| Personal::new(number).pseudonym(cx.site_key)),
            known: None,
        }
    }
}
