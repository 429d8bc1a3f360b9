//! A polled unit: what it asks, what it leaves out, and when it is up or down.

use super::schedule::Rank;
use super::unit::{PolledUnit, Progress, Round};
use super::*;
use crate::config::{Bus, BusKind, ModbusTcp, Mqtt, Serial, SerialPlace};
use crate::document::Problems;
use crate::model::{BusId, DeviceId, Event, EventKind, Mono, Phase, PlaceId, PointId};
use crate::profile;
use crate::southbound::drivers as every_driver;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

const PROFILE: &str = "id = 'test-meter'\nclass = 'energy-meter'\nvendor = 'Test'\nmodel = 'Meter'\n\
    name_zh = '电表'\nname_en = 'meter'\nsource = 'this test'\nconfirmed = true\nprotocol = 'modbus'\n";

fn point(id: &str, address: u16, every: u16) -> String {
    format!(
        "[[point]]\nid = '{id}'\nname_zh = '量'\nname_en = 'r'\ntable = 'input'\naddress = {address}\ntype = 'u16'\n\
         unit = '1'\nevery = {every}\n"
    )
}

/// A device with `count` single registers that cannot be merged; with `merged`, one read for all.
fn device(count: u16, merged: bool) -> Device {
    let points = (0..count).map(|i| point(&format!("r{i}"), if merged { i } else { i * 2 }, 1));
    device_of(&std::iter::once(PROFILE.to_owned()).chain(points).collect::<String>())
}

fn device_of(profile: &str) -> Device {
    let problems = Problems::default();
    let profile = profile::parse("profile.toml", profile, &problems);
    Device {
        id: DeviceId::new("meter").unwrap(),
        name: "meter".into(),
        profile: Arc::new(profile.unwrap_or_else(|| panic!("{problems:?}"))),
        bus: BusId::new("line").unwrap(),
        address: "7".into(),
        place: PlaceId::new("room").unwrap(),
        poll: Duration::from_secs(60),
        alarmed: BTreeSet::new(),
        item: None,
    }
}

const T0: Mono = Mono(0);

fn round(device: &Device) -> Round {
    let (_, mut rounds) = PolledUnit::new(device, Duration::from_secs(1), 1).unwrap();
    assert_eq!(rounds.len(), 1);
    rounds.pop().unwrap()
}

fn block(round: &mut Round, now: Mono) -> Block {
    match round.next_ask(now) {
        Some(Ask::Registers(block)) => block,
        other => panic!("{other:?}"),
    }
}

fn next(round: &mut Round) -> u16 {
    block(round, T0).address
}

/// One round in which the device has not these registers; what was asked, and whether it was refused.
fn play(round: &mut Round, now: Mono, holes: &[u16]) -> Vec<(u16, u16, bool)> {
    let mut asked = Vec::new();
    loop {
        let block = block(round, now);
        let has = |at: &u16| (block.address..block.address + block.words).contains(at);
        let refused = holes.iter().any(has);
        asked.push((block.address, block.words, refused));
        let progress = if refused { round.refused(now).0 } else { round.answered() };
        if progress != Progress::More {
            assert_eq!(progress, Progress::Done);
            return asked;
        }
    }
}

#[test]
fn a_failed_read_ends_the_round_and_the_next_one_begins_behind_it() {
    let mut round = round(&device(3, false));
    assert_eq!((next(&mut round), round.answered()), (0, Progress::More));
    assert_eq!((next(&mut round), round.failed(true).0), (2, Progress::Done), "the round gave a value");
    assert_eq!((next(&mut round), round.answered()), (4, Progress::More));
    assert_eq!((next(&mut round), round.answered()), (0, Progress::More));
    assert_eq!((next(&mut round), round.failed(true).0), (2, Progress::Done));
}

#[test]
fn a_read_that_a_device_never_answers_is_made_ever_less_often() {
    let mut round = round(&device(3, false));
    let (mut rounds, mut failed, mut read) = (0_u32, Vec::new(), 0_u32);
    while rounds < 400 {
        let progress = match round.next_ask(T0) {
            Some(Ask::Registers(block)) if block.address == 2 => {
                failed.push(rounds);
                round.failed(true).0
            }
            Some(_) => {
                read += 1;
                round.answered()
            }
            None => Progress::Done,
        };
        rounds += u32::from(progress != Progress::More);
    }
    assert!((6..=14).contains(&failed.len()), "{failed:?}");
    assert!(read >= 780, "the others are read all the time: {read} of 800");
    // A device that is silent altogether is left alone as a whole, and begins anew when it answers.
    let mut round =
        super::unit::PolledUnit::new(&device(1, false), Duration::from_secs(1), 1).unwrap().1.remove(0);
    for _ in 0..100 {
        assert_eq!(next(&mut round), 0);
        assert_eq!(round.failed(false), (Progress::Missed, 0));
    }
    assert_eq!((next(&mut round), round.answered()), (0, Progress::Done));
}

#[test]
fn m06_a_busy_device_is_asked_for_the_same_again() {
    let mut round = round(&device(3, false));
    assert_eq!((next(&mut round), round.answered()), (0, Progress::More));
    assert_eq!((next(&mut round), round.busy()), (2, Progress::Done));
    assert_eq!((next(&mut round), round.busy()), (2, Progress::Missed));
    assert_eq!((next(&mut round), round.answered()), (2, Progress::More));
}

#[test]
fn m06_a_hole_is_found_by_log2_of_n_plus_2_reads_and_remembered_for_an_hour() {
    for count in 2..=100_u16 {
        let most = usize::try_from(count.next_power_of_two().ilog2()).unwrap() + 2;
        for hole in [0, 1, count / 3, count / 2, count - 2, count - 1] {
            let mut round = round(&device(count, true));
            let asked = play(&mut round, T0, &[hole]);
            let found = asked.iter().rposition(|(_, _, refused)| *refused).unwrap();
            assert_eq!((asked[found].0, asked[found].1), (hole, 1), "{asked:?}");
            assert!(found < most, "{count} registers, {hole} missing: {asked:?}");
            let read: u16 = asked.iter().filter(|(_, _, refused)| !refused).map(|(_, words, _)| words).sum();
            assert_eq!(read, count - 1, "every other register in the same round");
            // What touches is joined again, around the hole.
            let pieces = usize::from(hole > 0) + usize::from(hole + 1 < count);
            assert_eq!(play(&mut round, T0, &[hole]).len(), pieces, "{count} registers, {hole} missing");
            assert_eq!(block(&mut round, Mono(3_600_000)).words, count, "asked again");
        }
    }
}

#[test]
fn m06_several_holes_are_all_found_in_one_round() {
    let mut round = round(&device(64, true));
    let holes = [3, 4, 40, 63];
    let asked = play(&mut round, T0, &holes);
    let read: u16 = asked.iter().filter(|(_, _, refused)| !refused).map(|(_, words, _)| words).sum();
    assert_eq!(read, 60, "{asked:?}");
    let again = play(&mut round, T0, &holes);
    assert_eq!(again, [(0, 3, false), (5, 35, false), (41, 22, false)]);
}

#[test]
fn m06_a_read_that_is_too_long_is_shortened_for_good() {
    let mut round = round(&device(100, true));
    for _ in 0..2 {
        let (mut longest, mut read) = (0, 0);
        loop {
            let block = block(&mut round, T0);
            let progress = if block.words > 30 {
                round.too_long(T0).0
            } else {
                (longest, read) = (longest.max(block.words), read + block.words);
                round.answered()
            };
            if progress != Progress::More {
                break;
            }
        }
        assert_eq!((longest, read), (25, 100));
    }
}

#[test]
fn a_device_that_has_none_of_its_registers_is_asked_again_for_all() {
    let mut round = round(&device(4, true));
    for _ in 0..3 {
        assert_eq!(block(&mut round, T0).words, 4);
        while round.refused(T0).0 == Progress::More {
            block(&mut round, T0);
        }
    }
}

#[test]
fn points_that_rules_judge_are_read_in_a_round_of_their_own() {
    let mut device = device(4, false);
    device.alarmed = ["r1", "r3", "unknown"].iter().filter_map(|id| PointId::new(id).ok()).collect();
    let (_, rounds) = PolledUnit::new(&device, Duration::from_secs(1), 1).unwrap();
    let asked: Vec<(Rank, Vec<u16>)> = rounds
        .into_iter()
        .map(|mut round| {
            let mut all = vec![next(&mut round)];
            while round.answered() == Progress::More {
                all.push(next(&mut round));
            }
            (round.rhythm.rank, all)
        })
        .collect();
    assert_eq!(asked, [(Rank::Alarmed, vec![2, 6]), (Rank::Normal, vec![0, 4])]);
}

#[test]
fn points_of_several_rates_are_read_in_rounds_of_their_own() {
    let text = PROFILE.to_owned()
        + &[("a", 0, 1), ("b", 1, 10), ("c", 2, 1), ("d", 3, 10), ("e", 4, 60)]
            .map(|(id, address, every)| point(id, address, every))
            .concat();
    let device = device_of(&text);
    let (_, rounds) = PolledUnit::new(&device, Duration::from_secs(1), 1).unwrap();
    let periods: Vec<(Rank, u64, usize)> = rounds
        .into_iter()
        .map(|mut round| {
            let mut count = 1;
            next(&mut round);
            while round.answered() == Progress::More {
                next(&mut round);
                count += 1;
            }
            (round.rhythm.rank, round.rhythm.period.as_secs(), count)
        })
        .collect();
    assert_eq!(periods, [(Rank::Normal, 60, 2), (Rank::Slow, 600, 2), (Rank::Slow, 3600, 1)]);
}

#[test]
fn an_event_is_news_only_when_it_changes_and_a_kind_ends_with_its_last_state() {
    let (mut unit, _) = PolledUnit::new(&device(1, true), Duration::from_secs(1), 1).unwrap();
    let event =
        |phase, code: &str| Event { code: Some(code.into()), ..Event::bare(EventKind::WaterLeak, phase) };
    let (found, changed) = (Some(true), Some(false));
    for (phase, code, news) in [
        // It may have ended while nobody asked; that is said once for the kind.
        (Phase::End, "a", found),
        (Phase::End, "a", None),
        (Phase::End, "c", None),
        (Phase::Start, "a", changed),
        (Phase::Start, "a", None),
        (Phase::Start, "b", changed),
        (Phase::End, "a", None),
        (Phase::Start, "b", None),
        (Phase::End, "b", changed),
        (Phase::End, "b", None),
        (Phase::Start, "a", changed),
        (Phase::End, "a", changed),
    ] {
        assert_eq!(unit.news(&event(phase, code)), news, "{phase} {code}");
    }
}

#[test]
fn drivers_are_made_for_own_buses_and_devices_only() {
    let second = Duration::from_secs(1);
    let bus = |id: &str, kind| Bus { id: BusId::new(id).unwrap(), kind };
    let tcp = ModbusTcp { host: "meter".into(), port: 502, timeout: second, gap: Duration::ZERO };
    let place = SerialPlace::Converter { host: "box".into(), port: 8899 };
    let serial = Serial { place, baud: 9600, timeout: second, gap: Duration::ZERO };
    let broker = Mqtt {
        host: "broker".into(),
        port: 1883,
        client_id: "x".into(),
        login: None,
        tls: None,
        max_payload: 1,
    };
    let other = Device { bus: BusId::new("other").unwrap(), ..device(1, true) };
    for kind in [BusKind::ModbusTcp(tcp), BusKind::Serial(serial)] {
        let line = bus("line", kind);
        let made = every_driver(&line, &[device(1, true), other.clone()]);
        assert_eq!(made.iter().map(|d| d.devices().len()).collect::<Vec<_>>(), [1]);
        assert!(every_driver(&line, &[]).is_empty());
    }
    assert!(every_driver(&bus("hall", BusKind::Mqtt(broker)), &[device(1, true)]).is_empty());
}
