//! Minutes of hot and sealed readings against the roll-ups that are stored of the same.

use super::*;
use crate::model::{Mono, Now, PointKind, Reading, Stamp, Unit};
use crate::pipeline::{Commit, StoredReading};
use crate::profile::Nature;
use crate::store::Store;
use tempfile::tempdir;

/// 2026-09-06T16:00:00Z, midnight in China.
const MIDNIGHT: Wall = Wall(1_788_710_400_000);

fn device() -> DeviceId {
    DeviceId::new("m").unwrap()
}

fn point(name: &str) -> PointId {
    PointId::new(name).unwrap()
}

fn at(second: i64) -> Wall {
    MIDNIGHT.plus_ms(second * 1000)
}

/// A reading of a moment that arrived at another.
fn stored(name: &str, second: i64, arrived: i64, value: f64, kind: PointKind) -> StoredReading {
    let reading = Reading::new(point(name), value, Unit::KilowattHour, kind);
    StoredReading { device: device(), stamp: Stamp::new(Some(at(second)), at(arrived)), reading }
}

fn commit(store: &mut Store, readings: Vec<StoredReading>) {
    store.commit(&[&Commit { readings, ..Commit::default() }]).unwrap();
}

#[test]
fn late_readings_are_in_their_minute_and_a_counter_is_never_negative_hot_or_sealed() {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let counter =
        |second, arrived, value| stored("energy_import", second, arrived, value, PointKind::Counter);
    // Before the span; a minute with a late reading; a wrap at 1000; a reset; another meter that shows less.
    let readings = vec![
        counter(-30, -30, 980.0),
        counter(0, 0, 981.0),
        counter(50, 50, 985.0),
        counter(65, 65, 990.0),
        counter(20, 66, 983.0),
        counter(130, 130, 5.0),
        counter(190, 190, 0.0),
        counter(200, 200, 2.0),
        counter(250, 250, 1.5),
        counter(310, 310, 1.75),
        stored("energy_total", 10, 10, 7.0, PointKind::Counter),
    ];
    commit(&mut store, readings);
    let look = || {
        let reader = Reader::open(dir.path()).unwrap();
        let span = (at(0), at(86_400));
        reader
            .minutes(
                &device(),
                &point("energy_import"),
                span,
                Nature { wrap: Some(1000.0), most_per_hour: None },
            )
            .unwrap()
            .unwrap()
    };
    let hot = look();
    let told: Vec<_> = hot.iter().map(|m| (m.start.since(MIDNIGHT) / 60_000, m.count, m.delta)).collect();
    assert_eq!(
        told,
        [
            (0, 3, Some(5.0)),
            (1, 1, Some(5.0)),
            (2, 1, Some(15.0)),
            // The first value of a new count is doubted until the next one.
            (3, 1, Some(2.0)),
            (5, 1, Some(0.25))
        ]
    );
    assert_eq!((hot[0].min, hot[0].max, hot[0].last, hot[0].period_secs), (981.0, 985.0, 985.0, 60));
    let later = at(3 * 86_400);
    commit(&mut store, vec![stored("other", 3 * 86_400, 3 * 86_400, 1.0, PointKind::Gauge)]);
    while store.maintain(Now { mono: Mono(0), wall: later }).unwrap() {}
    let sealed = std::fs::read_dir(dir.path().join("history")).unwrap().count();
    assert!(sealed > 0, "nothing was sealed");
    assert_eq!(look(), hot, "sealed as hot");
}

#[test]
fn minutes_begin_where_they_are_asked_for_and_are_not_made_of_too_much() {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let gauge = |second: i64| stored("power", second, second, 1.0, PointKind::Gauge);
    commit(&mut store, (0..3600).map(gauge).collect());
    let reader = Reader::open(dir.path()).unwrap();
    let count = |from: i64, to: i64| {
        let rows = reader.minutes(&device(), &point("power"), (at(from), at(to)), Nature::default()).unwrap();
        rows.map(|rows| (rows.len(), rows.iter().map(|m| m.count).sum::<u32>()))
    };
    assert_eq!(count(0, 600), Some((10, 600)));
    assert_eq!(count(1, 601), Some((10, 600)), "whole minutes that start in the span");
    assert_eq!(count(600, 600), Some((0, 0)));
    assert_eq!(count(-1_000_000, 3600), Some((0, 0)), "a span is cut to a day: {MINUTES_MS} ms");
    commit(&mut store, (3600..50_000).map(gauge).collect());
    assert_eq!(count(0, 50_000), None);
    assert_eq!(count(40_000, 41_000).map(|(_, readings)| readings), Some(17 * 60));
}
