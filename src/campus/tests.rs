//! Who is where, the night, and the muster from its beginning to its end.

use super::testing::{Player, card, local, who};
use super::*;
use crate::model::Direction::{In, Out, Unknown};
use crate::model::{AccessResult, Actor, Body, Called, EventKind, MusterCommand, Phase, Wall};

fn order(order: MusterOrder) -> MusterCommand {
    MusterCommand { order, actor: Actor::named("王老师").expect("a name"), note: String::new() }
}

fn school() -> Player {
    Player::at("2026-10-09T08:00", Settings::default())
}

#[test]
fn a_pass_leads_into_a_zone_and_out_of_it_into_the_one_around() {
    let mut p = school();
    p.pass("g", "a", In).pass("g", "b", In).pass("t", "a", In).pass("r", "c", In);
    assert_eq!(p.shown(), "campus 3 teaching 2");
    assert_eq!(p.pass("t", "a", Out).shown(), "campus 3 teaching 1");
    assert_eq!(p.pass("g", "a", Out).pass("t", "b", Unknown).shown(), "campus 2 teaching 1");
    assert_eq!(p.pass("l", "c", In).shown(), "campus 2 lab 1 teaching 1", "a zone in a zone");
    assert_eq!(p.pass("d", "c", In).shown(), "campus 2 dorm 1", "nobody is in two houses");
    assert_eq!(p.pass("d", "c", Out).pass("g", "c", Out).pass("g", "b", Out).shown(), "");
}

#[test]
fn a_reader_that_leads_somewhere_needs_no_direction() {
    let mut p = school();
    assert_eq!(p.pass("t", "a", In).pass("bridge", "a", Unknown).shown(), "campus 1 dorm 1");
    assert_eq!(p.pass("bridge", "a", Out).shown(), "campus 1 teaching 1");
    assert_eq!(p.pass("exit", "a", Unknown).shown(), "");
}

#[test]
fn refused_retained_and_a_tag_no_longer_heard_move_nobody() {
    let mut p = school();
    let mut denied = card("t", "a", In, (None, p.now));
    let Body::Event(event) = &mut denied.body else { panic!() };
    event.credential.as_mut().expect("it has one").result = AccessResult::Denied;
    assert_eq!(p.see(&denied).shown(), "");
    let mut retained = card("t", "a", In, (None, p.now));
    retained.retained = true;
    assert_eq!(p.see(&retained).shown(), "");
    let tag = |phase| {
        let mut seen = card("r", "a", Unknown, (None, local("2026-10-09T08:00")));
        let Body::Event(event) = &mut seen.body else { panic!() };
        (event.kind, event.phase) = (EventKind::Presence, phase);
        seen
    };
    assert_eq!(p.see(&tag(Phase::Start)).shown(), "campus 1 teaching 1");
    assert_eq!(p.see(&tag(Phase::End)).shown(), "campus 1 teaching 1", "not seen leaving");
}

#[test]
fn who_has_no_name_is_counted_where_a_zone_is_entered_and_left() {
    let mut p = school();
    p.pass("g", "", In).pass("g", "", In).pass("g", "", In).pass("t", "", In);
    assert_eq!(p.shown(), "campus 0+3 teaching 0+1");
    assert_eq!(p.pass("t", "", Out).pass("t", "", Out).pass("g", "", Out).shown(), "campus 0+2");
    p.pass("d", "", In).pass("d", "", In).pass("d", "", In);
    assert_eq!(p.shown(), "campus 0+3 dorm 0+3", "at least as many as in the houses");
    assert_eq!(p.until("2026-10-10T03:00").shown(), "");
}

#[test]
fn vehicles_are_counted_apart() {
    let mut p = school();
    let mut car = card("g", "plate", In, (None, p.now));
    let Body::Event(event) = &mut car.body else { panic!() };
    event.kind = EventKind::VehiclePass;
    assert_eq!(p.see(&car).shown(), "");
    assert_eq!(p.picture().zones[0].vehicles, Inside { known: 1, anonymous: 0 });
}

#[test]
fn what_comes_late_undoes_nothing_newer() {
    let mut p = school();
    p.until("2026-10-09T12:00").pass("t", "a", In);
    assert_eq!(p.late("t", "a", Out, "2026-10-09T09:00").shown(), "campus 1 teaching 1");
    // A clock ahead of ours: it was no later than it arrived, and what comes next is newer.
    assert_eq!(p.late("g", "a", Out, "2026-10-09T12:04").pass("t", "a", In).shown(), "campus 1 teaching 1");
    p.until("2026-10-09T12:30").late("g", "a", Out, "2026-10-09T12:10");
    assert_eq!(p.late("t", "a", In, "2026-10-09T12:10").shown(), "campus 1 teaching 1", "rather in than out");
    assert_eq!(p.late("g", "a", Out, "2026-10-09T12:10").shown(), "campus 1 teaching 1");
    assert_eq!(p.late("g", "a", Out, "2026-10-09T12:20").shown(), "");
}

#[test]
fn while_our_clock_is_not_set_the_order_of_arrival_holds() {
    let mut p = school();
    p.pass("t", "a", In);
    p.now = Wall(5_000);
    assert_eq!(p.pass("d", "a", In).pass("d", "b", In).shown(), "campus 2 dorm 2");
    p.until("2026-10-09T09:00");
    assert_eq!(p.shown(), "campus 2 dorm 2", "the clock is set");
    assert_eq!(p.late("g", "b", Out, "2026-10-09T08:59").shown(), "campus 2 dorm 2", "before it was");
    assert_eq!(p.late("g", "a", Out, "2026-10-09T08:59").shown(), "campus 1 dorm 1", "by the time of 08:00");
    // Set back: what comes now is newer all the same.
    p.until("2026-10-09T08:30");
    assert_eq!(p.late("d", "b", Out, "2026-10-09T08:29").pass("g", "b", Out).shown(), "");
}

#[test]
fn in_the_night_those_who_do_not_sleep_here_are_taken_out() {
    let boarders = BTreeSet::from(["b3".to_owned()]);
    let mut p = Player::at("2026-10-09T08:00", Settings { boarders, ..Settings::default() });
    p.pass("t", "a1.x", In).pass("d", "a1.y", In).pass("t", "b3.z", In).pass("g", "a1.w", In);
    p.until("2026-10-10T02:59");
    assert_eq!(p.shown(), "campus 4 dorm 1 teaching 2");
    p.until("2026-10-10T03:00");
    assert_eq!(p.shown(), "campus 2 dorm 1 teaching 1");
    let forgotten: Vec<_> =
        p.picture().zones.iter().map(|z| (z.place.to_string(), z.not_seen_leaving)).collect();
    let expected = [("campus", 2), ("dorm", 0), ("lab", 0), ("teaching", 1)];
    assert_eq!(forgotten, expected.map(|(place, count)| (place.to_owned(), count)));
    // What happened before the night and comes after it is of the day before.
    assert_eq!(p.late("t", "a1.v", In, "2026-10-10T01:00").shown(), "campus 2 dorm 1 teaching 1");
    assert_eq!(p.late("t", "a1.v", In, "2026-10-10T03:00").shown(), "campus 3 dorm 1 teaching 2");
    p.until("2026-10-12T12:00");
    assert_eq!(p.picture().zones[0].not_seen_leaving, 0, "of one night only");
}

#[test]
fn a_fire_lists_who_is_in_by_place_and_class_until_it_is_reset() {
    let mut p = school();
    p.pass("t", "3a.x", In)
        .pass("t", "3a.y", In)
        .pass("t", "3b.z", In)
        .pass("d", "3a.w", In)
        .pass("t", "", In);
    assert_eq!(p.muster(), None);
    let begun = p.campus.settle(p.now, &p.world, true);
    assert_eq!(begun.notes[0].detail, "cause=fire listed=4");
    assert_eq!((begun.notes[0].action, begun.notes[0].actor.as_str()), ("muster_start", "gateway"));
    assert!(begun.row.is_some_and(|row| !row.is_empty()));
    assert_eq!(
        p.rows(),
        [
            "dorm 3a missing 1 safe 0 left 0",
            "teaching 3a missing 2 safe 0 left 0",
            "teaching 3b missing 1 safe 0 left 0"
        ]
    );
    p.pass("y", "3a.x", Unknown).pass("g", "3b.z", Out).pass("y", "", Unknown).pass("t", "3a.w", In);
    p.late("t", "3b.late", In, "2026-10-09T08:00:00.500");
    assert_eq!(
        p.rows(),
        ["teaching 3a missing 2 safe 1 left 0", "teaching 3b missing 1 safe 0 left 1"],
        "who was in and is told of late is listed"
    );
    assert_eq!(p.campus.order(p.now, &order(MusterOrder::Close), &p.world), Err(MusterRefused::FireAlarm));
    p.campus.order(p.now, &order(MusterOrder::SafeGroup("3a".into())), &p.world).expect("they are listed");
    p.pass("t", "3a.x", In);
    let muster = p.muster().expect("a muster");
    assert_eq!(
        (muster.sum.missing, muster.sum.safe, muster.sum.left),
        (2, 2, 1),
        "whoever goes in again is missing"
    );
    assert_eq!((muster.anonymous_safe, muster.anonymous.len()), (1, 2));
    assert_eq!(muster.persons, None, "nobody is named unless the school says so");
    assert_eq!(p.campus.settle(p.now, &p.world, true).notes.len(), 1, "the safe");
    let over = p.campus.settle(p.now, &p.world, false);
    assert_eq!(over.notes[0].detail, "listed=5 safe=2 left=1 missing=2");
    assert_eq!((over.row, p.muster()), (Some(String::new()), None));
}

#[test]
fn a_drill_is_called_and_closed_and_a_fire_outlasts_it() {
    let mut p = Player::at("2026-10-09T08:00", Settings { lists_persons: true, ..Settings::default() });
    p.pass("t", "3a.x", In);
    let say = |what: MusterOrder, p: &mut Player| p.campus.order(p.now, &order(what), &p.world);
    assert_eq!(say(MusterOrder::Close, &mut p), Err(MusterRefused::None));
    assert_eq!(say(MusterOrder::Start(Called::Drill), &mut p), Ok(()));
    assert_eq!(say(MusterOrder::Start(Called::Evacuation), &mut p), Err(MusterRefused::CalledAlready));
    let settled = p.campus.settle(p.now, &p.world, false);
    assert_eq!((settled.notes[0].actor.as_str(), settled.notes.len()), ("王老师", 1));
    assert_eq!(p.muster().expect("a muster").persons.expect("names").len(), 1);
    let nobody = vec![who("nobody")];
    assert_eq!(say(MusterOrder::SafePersons(nobody), &mut p), Err(MusterRefused::NotListed(1)));
    let group = "3z".to_owned();
    assert_eq!(say(MusterOrder::SafeGroup(group.clone()), &mut p), Err(MusterRefused::NobodyListed(group)));
    assert_eq!(say(MusterOrder::SafePersons(vec![who("3a.x")]), &mut p), Ok(()));
    p.campus.settle(p.now, &p.world, true);
    assert_eq!(say(MusterOrder::Close, &mut p), Ok(()));
    p.campus.settle(p.now, &p.world, true);
    assert_eq!(p.rows(), ["teaching 3a missing 0 safe 1 left 0"], "it burns still");
    // The night takes nobody off the list.
    p.pass("t", "3a.y", In).until("2026-10-10T03:30");
    p.campus.settle(p.now, &p.world, true);
    assert_eq!(p.rows(), ["teaching 3a missing 1 safe 1 left 0"]);
    assert_eq!(p.shown(), "");
    p.campus.settle(p.now, &p.world, false);
    assert_eq!(p.muster(), None);
}

#[test]
fn who_is_forgotten_is_nowhere() {
    let mut p = Player::at("2026-10-09T08:00", Settings { lists_persons: true, ..Settings::default() });
    p.pass("t", "3a.x", In);
    p.campus.settle(p.now, &p.world, true);
    p.campus.order(p.now, &order(MusterOrder::SafePersons(vec![who("3a.x")])), &p.world).expect("listed");
    p.campus.settle(p.now, &p.world, true);
    p.campus.know(&People::new());
    assert_eq!(p.rows(), ["teaching - missing 0 safe 1 left 0"]);
    p.campus.forget(&who("3a.x"));
    let row = p.campus.settle(p.now, &p.world, true).row.expect("a row");
    assert!(!row.contains("3a.x"), "{row}");
    assert_eq!((p.shown(), p.rows().len()), (String::new(), 0));
}

#[test]
fn of_too_many_those_seen_longest_ago_are_forgotten() {
    let mut p = school();
    let some = |p: &mut Player, name: &str, device: &str, direction| {
        p.now = p.now.plus_ms(1);
        let seen = card(device, name, direction, (None, p.now));
        p.see(&seen);
    };
    for n in 0..=MAX_PERSONS {
        let (device, direction) = if n % 2 == 0 { ("t", In) } else { ("g", Out) };
        some(&mut p, &format!("p{n}"), device, direction);
    }
    let picture = p.picture();
    assert_eq!((picture.dropped, picture.zones[0].persons.known), (0, 25_001), "of those who are out");
    for n in 0..=MAX_PERSONS {
        some(&mut p, &format!("q{n}"), "t", In);
    }
    let picture = p.picture();
    assert!(picture.zones[0].persons.known <= 50_000);
    assert_eq!(picture.dropped + picture.zones[0].persons.known, 75_002);
}
