//! A polled unit: what it asks, what it leaves out, and when it is up or down.

use super::unit::{PolledUnit, Progress};
use super::*;
use crate::config::{Bus, BusKind, ModbusTcp, Mqtt, Serial, SerialPlace};
use crate::document::Problems;
use crate::model::{BusId, DeviceId, Mono, PlaceId};
use crate::profile;
use crate::southbound::drivers;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// A device with `count` single registers that cannot be merged; with `merged`, one read for all.
fn device(count: u16, merged: bool) -> Device {
    let mut text =
        "id = 'test-meter'\nclass = 'energy-meter'\nvendor = 'Test'\nmodel = 'Meter'\nname_zh = '电表'\n\
        name_en = 'meter'\nsource = 'this test'\nconfirmed = true\nprotocol = 'modbus'\n"
            .to_owned();
    for i in 0..count {
        let address = if merged { i } else { i * 2 };
        writeln!(
            text,
            "[[point]]\nid = 'r{i}'\nname_zh = '量'\nname_en = 'r'\ntable = 'input'\naddress = {address}\n\
             type = 'u16'\nunit = '1'"
        )
        .unwrap();
    }
    let problems = Problems::default();
    let profile = profile::parse("profile.toml", &text, &problems);
    Device {
        id: DeviceId::new("meter").unwrap(),
        name: "meter".into(),
        profile: Arc::new(profile.unwrap_or_else(|| panic!("{problems:?}"))),
        bus: BusId::new("line").unwrap(),
        address: "7".into(),
        place: PlaceId::new("room").unwrap(),
        poll: Duration::from_secs(60),
        alarmed: BTreeSet::new(),
    }
}

const T0: Mono = Mono(0);

fn block(unit: &mut PolledUnit, now: Mono) -> Block {
    match unit.next_ask(now) {
        Some(Ask::Registers(block)) => block,
        other => panic!("{other:?}"),
    }
}

fn next(unit: &mut PolledUnit) -> u16 {
    block(unit, T0).address
}

#[test]
fn a_failed_read_ends_the_poll_and_the_next_one_begins_behind_it() {
    let mut unit = PolledUnit::new(&device(3, false)).unwrap();
    assert_eq!((next(&mut unit), unit.answered()), (0, Progress::More));
    assert_eq!((next(&mut unit), unit.failed()), (2, Progress::Done), "the poll gave a value");
    assert_eq!((next(&mut unit), unit.answered()), (4, Progress::More));
    assert_eq!((next(&mut unit), unit.answered()), (0, Progress::More));
    assert_eq!((next(&mut unit), unit.failed()), (2, Progress::Done));
}

#[test]
fn three_polls_in_a_row_without_a_value_are_down_and_one_value_is_up() {
    let mut unit = PolledUnit::new(&device(2, false)).unwrap();
    for down_after in [false, false, true, true] {
        next(&mut unit);
        assert_eq!(unit.failed(), Progress::Missed);
        assert_eq!(unit.is_down(), down_after);
    }
    next(&mut unit);
    unit.answered();
    assert!(!unit.is_down());
}

#[test]
fn a_missing_register_is_found_by_halving_left_out_and_asked_again_after_an_hour() {
    let mut unit = PolledUnit::new(&device(16, true)).unwrap();
    let (mut refused, mut read) = (0, 0);
    loop {
        let block = block(&mut unit, T0);
        let progress = if (block.address..block.address + block.words).contains(&11) {
            refused += 1;
            unit.split(T0).0
        } else {
            read += block.words;
            unit.answered()
        };
        if progress != Progress::More {
            assert_eq!(progress, Progress::Done);
            break;
        }
    }
    assert_eq!((refused, read), (5, 15), "log2(16) + 1 refusals, every other register read in the same poll");
    let mut asked = Vec::new();
    loop {
        let block = block(&mut unit, T0);
        asked.push((block.address, block.words));
        if unit.answered() == Progress::Done {
            break;
        }
    }
    assert_eq!(asked, [(0, 8), (8, 2), (10, 1), (12, 4)]);
    assert_eq!(block(&mut unit, Mono(3_600_000)).words, 16);
}

#[test]
fn a_device_that_has_none_of_its_registers_is_asked_again_for_all() {
    let mut unit = PolledUnit::new(&device(4, true)).unwrap();
    for _ in 0..3 {
        assert_eq!(block(&mut unit, T0).words, 4);
        while unit.split(T0).0 == Progress::More {
            block(&mut unit, T0);
        }
    }
    assert!(unit.is_down());
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
        let made = drivers(&line, &[device(1, true), other.clone()]);
        assert_eq!(made.iter().map(|d| d.devices().len()).collect::<Vec<_>>(), [1]);
        assert!(drivers(&line, &[]).is_empty());
    }
    assert!(drivers(&bus("hall", BusKind::Mqtt(broker)), &[device(1, true)]).is_empty());
}
