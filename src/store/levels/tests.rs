//! Levels on a real file: sums agree whatever happens in between, days are the school's, and old rows go in their turn.

use super::*;
use crate::model::{Mono, PointKind, Unit};
use crate::pipeline::Commit;
use crate::store::{Metered, Store};
use tempfile::tempdir;

/// 2026-09-06T16:00:00Z, midnight in China.
const MIDNIGHT: i64 = 1_788_710_400_000;

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

fn commit(store: &mut Store, roll_ups: Vec<RollUp>) {
    store.commit(&[&Commit { roll_ups, ..Commit::default() }]).unwrap();
}

fn later(wall: i64) -> Now {
    Now { mono: Mono(u64::try_from(wall - MIDNIGHT).unwrap()), wall: Wall(wall) }
}

/// Upkeep until nothing is left to do, and again after each of a few pauses.
fn settle(store: &mut Store, mut now: Now) {
    for _ in 0..4 {
        let ends = (0..100_000).any(|_| !store.maintain(now).unwrap());
        assert!(ends, "upkeep does not end");
        now.mono = now.mono.plus(PRUNE_EVERY);
    }
}

fn rows(store: &Store, level: Level, device: &str) -> Vec<RollUp> {
    let reader = Reader::open(store.path().parent().unwrap()).unwrap();
    reader.levels(level, &DeviceId::new(device).unwrap(), None, Wall(0), Wall(i64::MAX)).unwrap()
}

fn kwh(store: &Store) -> f64 {
    let reader = Reader::open(store.path().parent().unwrap()).unwrap();
    let all = [(Wall(0), Wall(i64::MAX))];
    reader.metered(Level::Day, &all, |_| true).unwrap().iter().filter_map(Metered::kwh).sum()
}

#[test]
fn hours_and_days_are_the_sums_of_their_parts_through_crashes_and_late_data() {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let mut grown = 0.0;
    let mut steps = 0_u32;
    for quarter in 0..200_i64 {
        let start = MIDNIGHT + quarter * 900_000;
        let delta = f64::from(u32::try_from(quarter % 7).unwrap());
        commit(&mut store, vec![part("a", start, delta), part("b", start, 0.5)]);
        grown += delta + 0.5;
        // Whatever is made and whatever is not, a question has the whole.
        assert_eq!(kwh(&store), grown, "after quarter {quarter}");
        for _ in 0..quarter % 5 {
            store.maintain(later(start + 900_000)).unwrap();
            steps += 1;
            if steps.is_multiple_of(3) {
                drop(store);
                store = Store::open(dir.path()).unwrap();
            }
        }
    }
    let end = MIDNIGHT + 3 * DAY_MS + SETTLE_MS;
    settle(&mut store, later(end));
    let sum = |rows: &[RollUp]| rows.iter().filter_map(|r| r.delta).sum::<f64>();
    for device in ["a", "b"] {
        let [parts, hours, days] =
            [Level::Upload, Level::Hour, Level::Day].map(|level| rows(&store, level, device));
        assert_eq!((parts.len(), hours.len(), days.len()), (200, 50, 3));
        assert_eq!(sum(&hours), sum(&parts));
        assert_eq!(sum(&days), sum(&parts));
        assert_eq!(days[0].start, Wall(MIDNIGHT));
        assert_eq!((days[0].count, days[0].period_secs), (96 * 15, 86_400));
        assert_eq!(days[0].last, parts[95].last);
    }
    // A part that late data changed makes its hour and day anew, with the next revision.
    let before = rows(&store, Level::Day, "a");
    let mut late = part("a", MIDNIGHT + 5 * 900_000, 100.0);
    late.revision = 1;
    commit(&mut store, vec![late]);
    grown += 95.0;
    assert_eq!(kwh(&store), grown);
    settle(&mut store, later(end));
    let after = rows(&store, Level::Day, "a");
    assert_eq!((after[0].revision, after[1].revision), (before[0].revision + 1, before[1].revision));
    assert_eq!(rows(&store, Level::Hour, "a")[1].max, 101.0);
    assert_eq!(rows(&store, Level::Day, "b")[0].revision, rows(&store, Level::Day, "b")[1].revision);
    assert_eq!(kwh(&store), grown);
}

#[test]
fn a_day_is_as_long_as_the_zone_has_it() {
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let kathmandu = TimeZone::get("Asia/Kathmandu").unwrap();
    let at = |text: &str| Wall(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
    for (zone, moment, start, hours) in [
        (&berlin, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", 23),
        (&berlin, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", 25),
        (&berlin, "2026-10-24T22:00:00Z", "2026-10-24T22:00:00Z", 25),
        (&kathmandu, "2026-10-25T18:14:59Z", "2026-10-24T18:15:00Z", 24),
        (&kathmandu, "2026-10-25T18:15:00Z", "2026-10-25T18:15:00Z", 24),
    ] {
        let (day, ends) = day_of(zone, at(moment));
        assert_eq!(day, at(start), "{moment}");
        assert_eq!(ends.since(day), hours * HOUR_MS, "{moment}");
    }
}

#[test]
fn old_levels_go_in_their_turn_and_days_stay() {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    commit(&mut store, vec![part("a", MIDNIGHT, 1.0)]);
    let count = |store: &Store| [Level::Upload, Level::Hour, Level::Day].map(|l| rows(store, l, "a").len());
    // However old: what the day is made of stays until it is made.
    settle(&mut store, later(MIDNIGHT + KEEP_PARTS_MS - HOUR_MS));
    assert_eq!(count(&store), [1, 1, 1]);
    settle(&mut store, later(MIDNIGHT + KEEP_PARTS_MS + HOUR_MS));
    assert_eq!(count(&store), [0, 1, 1]);
    settle(&mut store, later(MIDNIGHT + KEEP_HOURS_MS + HOUR_MS));
    assert_eq!(count(&store), [0, 0, 1]);
    assert_eq!(kwh(&store), 1.0);
}

#[test]
fn one_counter_of_a_meter_is_its_energy() {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let mut others = vec![part("a", MIDNIGHT, 3.0), part("b", MIDNIGHT, 4.0), part("a", MIDNIGHT, 9.0)];
    others[1].point = PointId::new("energy_total").unwrap();
    others[2].point = PointId::new("energy_total").unwrap();
    commit(&mut store, others);
    let reader = Reader::open(dir.path()).unwrap();
    let energy = reader.metered(Level::Day, &[(Wall(0), Wall(i64::MAX))], |_| true).unwrap();
    let told: Vec<_> = energy.iter().map(|e| (e.device.as_str(), e.point.as_str(), e.kwh())).collect();
    assert_eq!(told, [("a", "energy_import", Some(3.0)), ("b", "energy_total", Some(4.0))]);
}
