//! `[[place]]`: campus, building, floor, room, and who holds whom.

use super::calendar::{Calendars, no_calendar};
use super::fields::{finish, name_opt};
use super::ground::Drawing;
use super::names::Names;
use super::resolve::Sources;
use crate::calendar::MAIN;
use crate::document::{Problems, Reader, Spot, one_of};
use crate::model::{Place, PlaceId, PlaceKind, Text};
use std::collections::{BTreeMap, BTreeSet};

struct Written {
    kind: PlaceKind,
    name: String,
    parent: Option<(PlaceId, Spot)>,
    counts: bool,
    assembly: bool,
    overnight: bool,
    calendar: Option<String>,
}

/// What places may refer to.
pub(super) struct Around<'a> {
    pub(super) calendars: &'a Calendars,
    pub(super) sources: &'a Sources<'a>,
}

/// Reads every place and works out its path.
pub(super) fn places(
    readers: Vec<Reader<'_>>,
    names: &mut Names,
    around: &Around<'_>,
    drawing: &mut Drawing,
    problems: &Problems,
) -> BTreeMap<PlaceId, Place> {
    let mut written = BTreeMap::new();
    let mut tables = Vec::new();
    for reader in readers {
        if let Some((id, place)) = read(&reader, names, around.calendars) {
            written.insert(id, place);
        }
        drawing.place(&reader, around.sources);
        tables.push(reader);
    }
    for reader in tables {
        if let Some(parent) = reader.text_opt("parent") {
            names.check(&reader, "parent", &parent);
        }
        finish(reader, None);
    }
    for (id, place) in &written {
        check_parent(id, place, &written, problems);
    }
    written.iter().map(|(id, place)| (id.clone(), resolve(id, place, &written))).collect()
}

fn read(reader: &Reader<'_>, names: &mut Names, calendars: &Calendars) -> Option<(PlaceId, Written)> {
    let id = names.declare(reader, PlaceId::new);
    let kinds: Vec<(&str, PlaceKind)> = PlaceKind::ALL.iter().map(|k| (k.as_str(), *k)).collect();
    let kind = reader.word("kind", &kinds);
    let name = name_opt(reader, "name");
    let advice = ("写它所在的上级地点的编号", "write the id of the place that holds it");
    let parent = reader.parsed_opt("parent", advice, PlaceId::new);
    let flag = |key| reader.flag_opt(key).unwrap_or(false);
    let (counts, assembly, overnight) = (flag("counts"), flag("assembly"), flag("overnight"));
    let calendar = calendar(reader, calendars);
    let id = id?;
    let name = name.unwrap_or_else(|| id.to_string());
    let parent = parent.map(|parent| (parent, reader.spot("parent")));
    Some((id, Written { kind: kind?, name, parent, counts, assembly, overnight, calendar }))
}

/// The calendar that holds here; one that does not exist is noted.
fn calendar(reader: &Reader<'_>, calendars: &Calendars) -> Option<String> {
    let name = reader.text_opt("calendar")?;
    if name != MAIN && !calendars.others.contains_key(&name) {
        let known: Vec<&str> =
            std::iter::once(MAIN).chain(calendars.others.keys().map(String::as_str)).collect();
        reader.problem("calendar", no_calendar(&name), one_of(&name, &known));
    }
    Some(name)
}

/// The places above `id`, nearest first; ends where the chain ends or meets itself.
fn above<'w>(id: &'w PlaceId, written: &'w BTreeMap<PlaceId, Written>) -> Vec<&'w PlaceId> {
    let mut seen = BTreeSet::new();
    let mut chain = Vec::new();
    let mut at = id;
    while let Some((parent, _)) = written.get(at).and_then(|place| place.parent.as_ref()) {
        if !seen.insert(parent) {
            break;
        }
        chain.push(parent);
        at = parent;
    }
    chain
}

fn check_parent(id: &PlaceId, place: &Written, written: &BTreeMap<PlaceId, Written>, problems: &Problems) {
    let Some((parent, spot)) = &place.parent else { return };
    let chain = above(id, written);
    if let Some(turn) = chain.iter().position(|up| *up == id) {
        let ring: Vec<&str> = chain.iter().take(turn + 1).map(|up| up.as_str()).collect();
        // Each ring is told once, at its first place by name.
        if ring.iter().all(|up| *up >= id.as_str()) {
            problems.at(
                spot,
                (
                    format!("地点互为上级，成了一圈：{id} 在 {} 里", ring.join(" 里，后者又在 ")),
                    format!("places hold each other in a ring: {id} is in {}", ring.join(", which is in ")),
                ),
                (
                    "删去其中最大的地点的 `parent`，或写真正的上级地点",
                    "remove the `parent` of the largest of them, or name the place that really holds it",
                ),
            );
        }
        return;
    }
    // PlaceKind::ALL goes from large to small, and so does its order.
    if let Some(holder) = written.get(parent).filter(|holder| holder.kind > place.kind) {
        problems.at(
            spot,
            (
                format!("{} 不能在 {} 里：'{id}' 在 '{parent}' 里", place.kind, holder.kind),
                format!("a {} cannot be in a {}: '{id}' in '{parent}'", place.kind, holder.kind),
            ),
            (
                "写更大的地点：从大到小是 campus、building、floor、room",
                "name a larger place: campus, building, floor, room go from large to small",
            ),
        );
    }
}

fn resolve(id: &PlaceId, place: &Written, written: &BTreeMap<PlaceId, Written>) -> Place {
    let mut path: Vec<&str> =
        above(id, written).into_iter().filter_map(|up| written.get(up)).map(|up| up.name.as_str()).collect();
    path.reverse();
    path.push(&place.name);
    Place {
        id: id.clone(),
        kind: place.kind,
        name: place.name.clone(),
        parent: place.parent.as_ref().map(|(parent, _)| parent.clone()),
        path: Text::same(path.join(" / ")),
        counts: place.counts,
        assembly: place.assembly,
        overnight: place.overnight,
        calendar: place.calendar.clone(),
    }
}
