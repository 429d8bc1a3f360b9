//! A bus is dead when none of its devices answers, and not before that is known.

use super::*;
use crate::model::{Event, EventKind, Fault, Phase, Stamp, Wall};
use crate::rules::testing::{device, world};

fn see(rule: &mut Buses, id: &str, body: Body) -> Vec<(String, Level)> {
    let wall = Wall(1_790_000_000_000);
    let seen = Observation { device: device(id), stamp: Stamp::new(None, wall), body, retained: false };
    let mut out = Vec::new();
    rule.observe(Now { mono: Mono(0), wall }, &seen, &mut out);
    out.into_iter().map(|finding| (finding.key.subject, finding.level)).collect()
}

#[test]
fn all_devices_down_is_one_alarm_of_the_bus_and_one_that_answers_ends_it() {
    let mut world = world();
    for (id, bus) in [("m1", "line"), ("m2", "line"), ("k1", "line"), ("t1", "alone")] {
        world.devices.get_mut(id).unwrap().bus = BusId::new(bus).ok();
    }
    let mut rule = Buses::new(&world);
    let (down, up) = (Body::Link(Link::Down(Fault::Timeout)), Body::Link(Link::Up));
    let heard = Body::Event(Event::bare(EventKind::Motion, Phase::Moment));
    let holds = [("line".to_owned(), Level::Holds)];
    let ended = [("line".to_owned(), Level::Ended)];
    assert!(rule.judges("line") && !rule.judges("alone"), "a bus of one device is that device");
    for _ in 0..2 {
        rule.start(Now { mono: Mono(0), wall: Wall(0) });
        for (id, body, said) in [
            ("m1", &down, &[][..]),
            ("m2", &down, &[]),
            ("m2", &down, &[]),
            ("t1", &down, &[]),
            ("k1", &down, &holds),
            ("k1", &down, &[]),
            ("m2", &heard, &ended),
            ("m2", &up, &[]),
            ("m2", &down, &holds),
            ("m1", &up, &ended),
        ] {
            assert_eq!(see(&mut rule, id, body.clone()), said, "{id} {body:?}");
        }
    }
    // Right after the start one that answers is enough to end what the last run had left open.
    rule.start(Now { mono: Mono(0), wall: Wall(0) });
    assert_eq!(see(&mut rule, "m1", up), ended);
}
