//! Terminals, recorders and panels: which of a device's own codes is which event, and which of its numbers are points.

use super::fields::Health;
use super::parse::{self, Scale};
use super::{Context, Decoded, Point, Protocol, Refusal};
use crate::document::Reader;
use crate::model::{
    AccessResult, Body, Carrier, CredentialUse, Direction, Event, EventKind, Personal, Phase, PointKind,
    Reason, Service, Wall,
};
use crate::notice::{Amount, At, Notice, Unreadable, contact_id, dahua, fire, isapi, zkteco};
use std::collections::{BTreeMap, BTreeSet};

/// Longest code of an event, in characters: code, part and label.
const MAX_CODE_CHARS: usize = 128;

/// What the phase of an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// As the notice says; a moment if it does not.
    As,
    /// The other way round: panels report that they are disarmed as a beginning.
    Reversed,
    /// Whatever the notice says.
    Always(Phase),
}

/// What codes mean.
#[derive(Debug, Clone)]
struct Meaning {
    kind: EventKind,
    phase: Told,
    /// States that it ends besides: a closed door is no longer held open.
    ends: Vec<EventKind>,
    carrier: Option<Carrier>,
    service: Option<Service>,
    direction: Option<Direction>,
    result: Option<AccessResult>,
    reason: Option<Reason>,
}

/// An amount that is a point.
#[derive(Debug, Clone)]
struct AmountPoint {
    point: Point,
    from: String,
    scale: Scale,
    health: Health,
}

/// A device's table of codes.
#[derive(Debug, Clone)]
pub(super) struct Codes {
    /// By code; `None` is left out.
    exact: BTreeMap<String, Option<Meaning>>,
    /// By how the code begins, the longest first.
    prefixes: Vec<(String, Option<Meaning>)>,
    points: Vec<AmountPoint>,
}

impl Meaning {
    fn parse(reader: &Reader<'_>) -> Option<Self> {
        let kind = parse::event_kind(reader);
        let phases = [
            ("start", Told::Always(Phase::Start)),
            ("end", Told::Always(Phase::End)),
            ("moment", Told::Always(Phase::Moment)),
            ("reversed", Told::Reversed),
        ];
        let phase = reader.word_opt("phase", &phases).unwrap_or(Told::As);
        macro_rules! word {
            ($key:literal, $words:ident) => {{
                let words: Vec<_> = $words::ALL.iter().map(|w| (w.as_str(), *w)).collect();
                reader.word_opt($key, &words)
            }};
        }
        let mut ends = Vec::new();
        for (word, spot) in reader.texts("ends") {
            match EventKind::from_word(&word) {
                Some(kind) => ends.push(kind),
                None => reader.problems().at(
                    &spot,
                    ("没有这类事件", "this is no kind of event"),
                    ("写一个 `kind` 里能用的事件类型", "write a kind as in `kind`"),
                ),
            }
        }
        let meaning = Self {
            kind: kind?,
            phase,
            ends,
            carrier: word!("carrier", Carrier),
            service: word!("service", Service),
            direction: word!("direction", Direction),
            result: word!("result", AccessResult),
            reason: word!("reason", Reason),
        };
        if meaning.reason.is_some() && !meaning.result.is_some_and(AccessResult::refused) {
            let advice =
                ("写 result = \"denied\"，或删去 `reason`", "write result = \"denied\" or drop `reason`");
            reader.problem(
                "reason",
                ("'reason' 写在不是拒绝的代码上", "'reason' on a code that is no refusal"),
                advice,
            );
        }
        Some(meaning)
    }

    /// Whether its event says who it was.
    fn names_somebody(&self, notice: &Notice) -> bool {
        match self.kind {
            EventKind::Credential | EventKind::VehiclePass => true,
            EventKind::Duress | EventKind::Help | EventKind::Presence => {
                notice.subject.is_some() || self.carrier.is_some()
            }
            _ => false,
        }
    }

    fn event(&self, cx: &Context<'_>, notice: &Notice) -> Event {
        let phase = match (self.phase, notice.phase.unwrap_or(Phase::Moment)) {
            (Told::Always(phase), _) | (Told::As, phase) => phase,
            (Told::Reversed, Phase::Start) => Phase::End,
            (Told::Reversed, Phase::End) => Phase::Start,
            (Told::Reversed, Phase::Moment) => Phase::Moment,
        };
        let mut event = Event::bare(self.kind, phase);
        if self.names_somebody(notice) {
            event.credential = Some(CredentialUse {
                carrier: notice.carrier.or(self.carrier).unwrap_or(Carrier::Unknown),
                service: notice.service.or(self.service).unwrap_or(Service::Access),
                direction: notice.direction.or(self.direction).unwrap_or(Direction::Unknown),
                result: self.result.unwrap_or(AccessResult::Reported),
                reason: self.reason,
                person: notice.subject.as_ref().map(|number| number.pseudonym(cx.site_key)),
                known: None,
            });
        }
        event
    }
}

impl Codes {
    /// Reads every `[[code]]` and `[[point]]`.
    pub(super) fn parse(reader: &Reader<'_>) -> Self {
        let mut codes = Self { exact: BTreeMap::new(), prefixes: Vec::new(), points: Vec::new() };
        let tables = reader.tables("code");
        if tables.is_empty() {
            reader.problem(
                "code",
                ("模板里没有代码", "the profile has no code"),
                ("每类事件写一个 `[[code]]`", "write one `[[code]]` for each kind of event"),
            );
        }
        for table in tables {
            codes.add(&table);
            table.finish();
        }
        codes.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        let mut taken = BTreeSet::new();
        for table in reader.tables("point") {
            let point = parse::point(&table, &mut taken, PointKind::Gauge);
            let (from, scale, health) = (table.text("from"), Scale::parse(&table), Health::parse(&table));
            if let (Some(point), Some(from)) = (point, from) {
                codes.points.push(AmountPoint { point, from, scale, health });
            }
            table.finish();
        }
        codes
    }

    fn add(&mut self, reader: &Reader<'_>) {
        let matches = reader.texts("match");
        let left_out = reader.flag_opt("leave_out") == Some(true);
        if left_out == reader.has("kind") {
            let advice = (
                "写 kind = \"credential\" 或 leave_out = true，只写一个",
                "write kind = \"credential\", or leave_out = true, and not both",
            );
            reader.problem(
                "kind",
                ("一个代码要么有事件类型，要么不取", "a code either has a kind of event or is left out"),
                advice,
            );
        }
        let meaning =
            if left_out { None } else { reader.has("kind").then(|| Meaning::parse(reader)).flatten() };
        if matches.is_empty() {
            let advice = ("写设备的代码：match = [\"5/75\"]", "write the device's codes: match = [\"5/75\"]");
            reader.problem("match", ("缺少 'match'，或者是空的", "'match' is missing or empty"), advice);
        }
        for (code, spot) in matches {
            let known = match code.strip_suffix('*') {
                Some(prefix) if !prefix.contains('*') => {
                    let known = self.prefixes.iter().any(|(p, _)| p == prefix);
                    self.prefixes.push((prefix.to_owned(), meaning.clone()));
                    known
                }
                _ => self.exact.insert(code.clone(), meaning.clone()).is_some(),
            };
            if known {
                reader.problems().at(
                    &spot,
                    (format!("代码 '{code}' 写了两次"), format!("the code '{code}' is there twice")),
                    ("留下一个", "keep one of them"),
                );
            }
        }
    }

    /// The quantities it gives.
    pub(super) fn points(&self) -> Vec<Point> {
        self.points.iter().map(|p| p.point.clone()).collect()
    }

    pub(super) fn points_mut(&mut self) -> impl Iterator<Item = &mut Point> {
        self.points.iter_mut().map(|p| &mut p.point)
    }

    /// The kinds of events it gives: those of codes that nobody named are [`EventKind::Other`].
    pub(super) fn events(&self) -> Vec<EventKind> {
        let named = self.exact.values().chain(self.prefixes.iter().map(|(_, meaning)| meaning));
        let named =
            named.flatten().flat_map(|meaning| std::iter::once(meaning.kind).chain(meaning.ends.clone()));
        named
            .chain((!self.prefixes.iter().any(|(prefix, _)| prefix.is_empty())).then_some(EventKind::Other))
            .collect()
    }

    /// What a code means: the outer `None` is one that nobody named.
    fn find(&self, code: &str) -> Option<&Option<Meaning>> {
        let prefixed = || self.prefixes.iter().find(|(prefix, _)| code.starts_with(prefix.as_str()));
        self.exact.get(code).or_else(|| prefixed().map(|(_, meaning)| meaning))
    }

    pub(super) fn decode(&self, cx: &Context<'_>, notice: &Notice) -> Result<Vec<Decoded>, Refusal> {
        let device_time = match notice.at {
            Some(At::Wall(at)) => Some(at),
            Some(At::Local(at)) => {
                let at = cx.zone.to_ambiguous_timestamp(at).compatible().ok();
                at.map(|at| Wall(at.as_millisecond()))
            }
            None => None,
        };
        let mut bodies: Vec<Body> = Vec::new();
        let mut withheld = false;
        for AmountPoint { point, from, scale, health } in &self.points {
            let Some(Amount { value, .. }) = notice.amounts.iter().find(|amount| amount.name == *from) else {
                continue;
            };
            if health.withholds(cx) {
                withheld = true;
                continue;
            }
            bodies.push(Body::Reading(point.reading(scale.apply(*value))));
        }
        let unnamed = Event::bare(EventKind::Other, notice.phase.unwrap_or(Phase::Moment));
        let (event, ends) = match self.find(&notice.code) {
            Some(None) => (None, [].as_slice()),
            Some(Some(meaning)) => (Some(meaning.event(cx, notice)), meaning.ends.as_slice()),
            None => (Some(unnamed), [].as_slice()),
        };
        if let Some(mut event) = event {
            event.code = Some(code(notice));
            event.serial = notice.serial.clone().or_else(|| own_number(cx, notice));
            let ends = ends.iter().map(|kind| {
                let serial = event.serial.as_ref().map(|serial| format!("{serial}/{kind}"));
                Event { code: event.code.clone(), serial, ..Event::bare(*kind, Phase::End) }
            });
            let events: Vec<Body> = ends.map(Body::Event).collect();
            bodies.insert(0, Body::Event(event));
            bodies.extend(events);
        }
        if bodies.is_empty() && withheld {
            return Err(Refusal::health());
        }
        Ok(bodies.into_iter().map(|body| Decoded { device_time, body }).collect())
    }
}

/// The code of the event: the device's code, the part, and what the device calls it.
fn code(notice: &Notice) -> String {
    let words = [Some(&notice.code), notice.part.as_ref(), notice.label.as_ref()];
    let words: Vec<&str> = words.into_iter().flatten().map(String::as_str).collect();
    words.join(" ").chars().take(MAX_CODE_CHARS).collect()
}

/// A number for a notice that has none, so that one that is sent again is known: of whose, when and what, and nothing
/// of that can be read from it.
fn own_number(cx: &Context<'_>, notice: &Notice) -> Option<String> {
    let at = match notice.at? {
        At::Wall(at) => at.0.to_string(),
        At::Local(at) => at.to_string(),
    };
    let person = notice.subject.as_ref()?.pseudonym(cx.site_key);
    let part = notice.part.as_deref().unwrap_or_default();
    let whole = Personal::new(format!("{at} {} {part} {}", notice.code, person.as_str()));
    Some(whole.pseudonym(cx.site_key).as_str().chars().take(16).collect())
}

/// The notices in what a device sent: of ISAPI, `form` is the content type; of ZKTeco the table.
pub(super) fn read(protocol: Protocol, form: &str, raw: &[u8]) -> Result<Vec<Notice>, Unreadable> {
    match protocol {
        Protocol::Isapi if form == "page" => Ok(isapi::page(raw)?.notices),
        Protocol::Isapi => Ok(isapi::read(form, raw)?.notices),
        Protocol::Dahua => Ok(dahua::read(raw)?.into_iter().collect()),
        Protocol::Zkteco => match zkteco::records(form, raw) {
            (notices, unreadable) if notices.is_empty() => {
                unreadable.into_iter().next().map_or(Ok(notices), Err)
            }
            (notices, _) => Ok(notices),
        },
        Protocol::Gb26875 => {
            let mut frames = fire::Frames::new();
            frames.feed(raw);
            let mut notices = Vec::new();
            while let Some(frame) = frames.next() {
                notices.extend(fire::read(&frame?)?);
            }
            Ok(notices)
        }
        Protocol::ContactId => {
            let mut frames = contact_id::Frames::new();
            frames.feed(raw);
            let mut notices = Vec::new();
            while let Some(frame) = frames.next() {
                notices.extend(contact_id::read(&frame?)?);
            }
            Ok(notices)
        }
        Protocol::Modbus | Protocol::Dlt645 | Protocol::Cjt188 | Protocol::Mqtt | Protocol::Onvif => {
            Ok(Vec::new())
        }
    }
}

#[cfg(test)]
mod tests;
