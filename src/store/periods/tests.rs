//! What is recalled is what was stored: each moment once, oldest first, and no further back than is asked.

use super::*;
use crate::model::{Mono, Now, PointKind, Unit};
use crate::pipeline::Commit;
use tempfile::tempdir;

/// 2026-09-06T16:00:00Z, midnight in China.
const MIDNIGHT: i64 = 1_788_710_400_000;
const QUARTER_MS: i64 = 900_000;

fn part(device: &str, start: i64, delta: f64) -> RollUp {
    RollUp {
        device: DeviceId::new(device).unwrap(),
        point: PointId::new("energy_import").unwrap(),
        unit: Unit::KilowattHour,
        kind: PointKind::Counter,
        start: Wall(start),
        period_secs: 900,
        count: 15,
        sum: 15.0 * delta,
        min: delta,
        max: delta + 1.0,
        last: delta,
        delta: Some(delta),
        revision: 0,
    }
}

fn store(store: &mut Store, parts: Vec<RollUp>) {
    store.commit(&[&Commit { roll_ups: parts, ..Commit::default() }]).unwrap();
}

fn settle(store: &mut Store, wall: i64) {
    let now = Now { mono: Mono(1), wall: Wall(wall) };
    let ends = (0..100_000).any(|_| !store.maintain(now).unwrap());
    assert!(ends, "upkeep does not end");
}

fn wanted(devices: &[(&str, u64)]) -> BTreeMap<(DeviceId, PointId), Duration> {
    let point = PointId::new("energy_import").unwrap();
    let days = |days: u64| Duration::from_secs(days * 86_400);
    devices.iter().map(|(id, back)| ((DeviceId::new(id).unwrap(), point.clone()), days(*back))).collect()
}

fn shown(store: &Store, wanted: &BTreeMap<(DeviceId, PointId), Duration>, now: Wall) -> Vec<RollUp> {
    let mut all: Vec<RollUp> = Vec::new();
    store.periods(wanted, now, |period| all.push(period.clone())).unwrap();
    assert!(all.is_sorted_by_key(|period| period.start), "oldest first");
    all
}

/// Two meters of which one counts 1 in each quarter of an hour, for so many days that end at `MIDNIGHT`.
fn history(days: i64) -> (tempfile::TempDir, Store) {
    let dir = tempdir().unwrap();
    let mut opened = Store::open(dir.path()).unwrap();
    for day in -days..0 {
        let start = MIDNIGHT + day * DAY_MS;
        let parts = (0..96).map(|quarter| start + quarter * QUARTER_MS);
        store(&mut opened, parts.flat_map(|at| [part("a", at, 1.0), part("b", at, 2.0)]).collect());
    }
    (dir, opened)
}

#[test]
fn every_moment_is_shown_once_whatever_the_levels_are_made_of() {
    let (_dir, mut opened) = history(70);
    for made in [false, true] {
        if made {
            settle(&mut opened, MIDNIGHT + 60_000);
        }
        let all = shown(&opened, &wanted(&[("a", 100)]), Wall(MIDNIGHT));
        let sum: f64 = all.iter().filter_map(|period| period.delta).sum();
        assert_eq!(sum, 70.0 * 96.0, "made: {made}");
        let secs: i64 = all.iter().map(|period| i64::from(period.period_secs)).sum();
        assert_eq!(secs, 70 * 86_400);
        let ends_before_the_next = all
            .windows(2)
            .all(|two| two[0].start.plus_ms(i64::from(two[0].period_secs) * 1000) <= two[1].start);
        assert!(ends_before_the_next && all.iter().all(|period| period.device.as_str() == "a"));
        let of = |secs: u32| all.iter().filter(|period| period.period_secs == secs).count();
        if made {
            assert_eq!((of(86_400), of(3600), of(900)), (9, 57 * 24, 4 * 96));
        }
        // A late value: its hour and day are due again, and are given by their parts until they are made.
        store(&mut opened, vec![RollUp { revision: 1, ..part("a", MIDNIGHT - 20 * DAY_MS, 1.0) }]);
        let again: f64 =
            shown(&opened, &wanted(&[("a", 100)]), Wall(MIDNIGHT)).iter().filter_map(|p| p.delta).sum();
        assert_eq!(again, 70.0 * 96.0);
    }
}

#[test]
fn each_point_is_shown_as_far_back_as_is_asked_and_no_other_point_at_all() {
    let (_dir, opened) = history(10);
    let all = shown(&opened, &wanted(&[("a", 2), ("b", 5), ("nobody", 9)]), Wall(MIDNIGHT));
    let first = |id: &str| all.iter().find(|p| p.device.as_str() == id).map(|p| p.start);
    let newest = MIDNIGHT - QUARTER_MS;
    assert_eq!(first("a"), Some(Wall(newest - 2 * DAY_MS)));
    assert_eq!(
        first("b").map(|at| at.period_start(3_600_000)),
        Some(Wall(newest - 5 * DAY_MS).period_start(3_600_000))
    );
    assert_eq!(first("nobody"), None);
    assert!(shown(&opened, &BTreeMap::new(), Wall(MIDNIGHT)).is_empty());
}

#[test]
fn a_clock_that_is_not_set_shortens_nothing_and_rows_of_the_future_are_left_out() {
    let (_dir, mut opened) = history(4);
    let asked = wanted(&[("a", 10)]);
    let all = shown(&opened, &asked, Wall(MIDNIGHT));
    assert_eq!(shown(&opened, &asked, Wall(5_000)), all);
    // The clock ran a year ahead for a while.
    store(&mut opened, vec![part("a", MIDNIGHT + 365 * DAY_MS, 1.0)]);
    assert_eq!(shown(&opened, &asked, Wall(MIDNIGHT)), all);
}

#[test]
fn an_empty_store_shows_nothing() {
    let dir = tempdir().unwrap();
    let opened = Store::open(dir.path()).unwrap();
    assert!(shown(&opened, &wanted(&[("a", 10)]), Wall(MIDNIGHT)).is_empty());
}
