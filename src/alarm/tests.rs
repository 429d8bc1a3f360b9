//! What the book does: each state and each event, long random walks, and the cases of the field.

use super::*;
use crate::model::{AlarmClass, ArmMode, Command, Order, Priority, RuleId, Text, Truth};
use std::collections::BTreeSet;

mod cases;
mod table;
mod walk;

const AT: Wall = Wall(1_790_000_000_000);
/// The alarm of a bus, in the tests.
const BUS: &str = "line";

fn now(ms: u64) -> Now {
    Now { mono: Mono(ms), wall: AT.plus_ms(i64::try_from(ms).unwrap()) }
}

fn secs(secs: u64) -> Now {
    now(secs * 1000)
}

fn rule(id: &str) -> RuleId {
    RuleId::new(id).unwrap()
}

fn device(id: &str) -> DeviceId {
    DeviceId::new(id).unwrap()
}

fn place(id: &str) -> PlaceId {
    PlaceId::new(id).unwrap()
}

fn area_id() -> AreaId {
    AreaId::new("lab").unwrap()
}

fn key(id: &str, subject: &str) -> AlarmKey {
    AlarmKey { rule: rule(id), subject: subject.into() }
}

fn finding(class: AlarmClass, subject: &str, level: Level) -> Finding {
    Finding {
        key: key("r", subject),
        level,
        class,
        priority: Priority::High,
        device: Some(device(subject)),
        place: Some(place("lab")),
        what: Text::same("it"),
    }
}

/// What the rule of dead buses says.
fn bus(level: Level) -> Finding {
    Finding {
        key: key(BUS_RULE, BUS),
        level,
        class: AlarmClass::Equipment,
        priority: Priority::High,
        device: None,
        place: None,
        what: Text::same("dead"),
    }
}

/// Devices `m1`, `m2` … on one bus, polled each second.
fn causes(devices: usize) -> Causes {
    let mut causes = Causes::default();
    for n in 1..=devices {
        causes.put(&device(&format!("m{n}")), &BusId::new(BUS).unwrap(), Duration::from_secs(1));
    }
    causes
}

fn area() -> Area {
    Area {
        id: area_id(),
        name: "实验楼".into(),
        places: BTreeSet::from([place("lab")]),
        perimeter: BTreeSet::from([device("window")]),
        entry: BTreeSet::from([device("door")]),
        entry_delay: Duration::ZERO,
        exit_delay: Duration::ZERO,
        schedule: None,
    }
}

fn setup() -> Setup {
    Setup { settings: Settings::default(), causes: causes(40), areas: vec![area()] }
}

/// An area's row, as it stands in a mode.
fn stands(mode: ArmMode) -> Vec<(AreaId, String)> {
    let row = format!(
        r#"{{"mode":"{mode}","by":"guard","since":1,"note":"","leaving":false,"open":[],"bypassed":[],"entered":[],"followed":null}}"#
    );
    vec![(area_id(), row)]
}

/// A book with an armed area and nothing open.
fn book() -> AlarmBook {
    let before = Before { next_id: 7, areas: stands(ArmMode::Armed), ..Before::default() };
    let mut book = AlarmBook::restore(before, setup());
    assert_eq!(book.start(now(0), |_| Vec::new()), []);
    book
}

fn command(order: Order, who: &str, note: &str) -> Command {
    Command { order, actor: Actor::named(who).unwrap(), note: note.into() }
}

fn words(changes: &[AlarmChange]) -> String {
    changes.iter().map(|c| c.kind.as_str()).collect::<Vec<_>>().join(" ")
}
