//! Roll-ups against a plain computation, over restarts, late data, wraps and clock steps.

use super::*;
use crate::model::Unit;

const T0: Wall = Wall(1_790_000_100_000);
const PERIOD: i64 = 900_000;

fn device() -> DeviceId {
    DeviceId::new("m").unwrap()
}

fn start() -> Wall {
    T0.period_start(PERIOD)
}

fn reading(value: f64, kind: PointKind) -> Reading {
    Reading::new(PointId::new("p").unwrap(), value, Unit::KilowattHour, kind)
}

fn add(a: &mut Aggregates, at: Wall, value: f64, kind: PointKind, wrap: Option<f64>) {
    let nature = Nature { wrap, most_per_hour: None };
    a.add(&device(), &Stamp::new(Some(at), at), &reading(value, kind), nature);
}

#[test]
fn a_period_is_given_once_when_it_is_over() {
    let mut a = Aggregates::new(900);
    for (i, v) in [3.0, 1.0, 2.0].into_iter().enumerate() {
        add(&mut a, start().plus_ms(i64::try_from(i).unwrap() * 1000), v, PointKind::Gauge, None);
    }
    assert_eq!(a.close(start().plus_ms(PERIOD)), [], "still in its grace time");
    let closed = a.close(start().plus_ms(PERIOD + 15_000));
    assert_eq!(closed.len(), 1);
    let r = &closed[0];
    assert_eq!((r.count, r.sum, r.min, r.max, r.last, r.delta), (3, 6.0, 1.0, 3.0, 2.0, None));
    assert_eq!(a.close(start().plus_ms(PERIOD * 2)), []);
}

#[test]
fn late_data_reopens_its_period_with_a_higher_revision() {
    let mut a = Aggregates::new(900);
    add(&mut a, start(), 1.0, PointKind::Gauge, None);
    let later = start().plus_ms(PERIOD * 2);
    assert_eq!(a.close(later).len(), 1);
    a.add(
        &device(),
        &Stamp::new(Some(start().plus_ms(5)), later),
        &reading(9.0, PointKind::Gauge),
        Nature::default(),
    );
    let again = a.close(later);
    assert_eq!(
        again.iter().map(|r| (r.start, r.revision, r.count, r.max)).collect::<Vec<_>>(),
        [(start(), 1, 2, 9.0)]
    );
}

#[test]
fn doubted_values_and_unset_clocks_enter_nothing() {
    let mut a = Aggregates::new(900);
    let doubted = reading(5.0, PointKind::Gauge).doubted(crate::model::Doubt::OutOfRange);
    a.add(&device(), &Stamp::new(None, T0), &doubted, Nature::default());
    a.add(&device(), &Stamp::new(None, Wall(0)), &reading(5.0, PointKind::Gauge), Nature::default());
    assert_eq!(a.close(T0.plus_ms(PERIOD * 4)), []);
}

#[test]
fn counters_give_growth_through_wrap_and_reset_never_negative() {
    let mut a = Aggregates::new(900);
    for (i, v) in [90.0, 99.0, 4.0, 10.0, 2.0, 3.0].into_iter().enumerate() {
        add(&mut a, start().plus_ms(i64::try_from(i).unwrap()), v, PointKind::Counter, Some(100.0));
    }
    // 9 + wrap 5 + 6 + (10 to 2 is no wrap: 92 of 100 would be more than half) 0 + 1
    assert_eq!(a.close(start().plus_ms(PERIOD * 2))[0].delta, Some(21.0));
}

#[test]
fn a_restart_loses_and_doubles_nothing() {
    let readings: Vec<(Wall, f64)> =
        (0..100).map(|i| (start().plus_ms(i64::from(i) * 60_000), f64::from(i * 2))).collect();
    let run = |restart_at: Option<usize>| {
        let mut a = Aggregates::new(900);
        let mut given: BTreeMap<Wall, RollUp> = BTreeMap::new();
        for (i, (at, value)) in readings.iter().enumerate() {
            if restart_at == Some(i) {
                a = Aggregates::new(900);
                given.values().for_each(|r| a.restore(r));
                for (at, value) in &readings[..i] {
                    a.replay(
                        &device(),
                        &Stamp::new(Some(*at), *at),
                        &reading(*value, PointKind::Counter),
                        Nature::default(),
                    );
                }
            }
            add(&mut a, *at, *value, PointKind::Counter, None);
            for r in a.close(*at) {
                assert!(given.insert(r.start, r).is_none(), "given twice");
            }
        }
        given
    };
    let straight = run(None);
    assert!(straight.len() >= 5);
    for i in 0..readings.len() {
        assert_eq!(run(Some(i)), straight, "restart before reading {i}");
    }
}

#[test]
fn the_next_close_is_never_past() {
    let a = Aggregates::new(900);
    for ms in [0, 1, 14_999, 15_000, 15_001, PERIOD - 1] {
        let wait = a.next_close_ms(start().plus_ms(ms));
        assert!(wait > 0 && wait <= 900_000, "{ms}: {wait}");
    }
}

#[test]
fn a_clock_set_back_years_goes_on_aggregating() {
    let mut a = Aggregates::new(900);
    let future = T0.plus_ms(10 * 365 * 86_400_000);
    for i in 0..20 {
        let at = future.plus_ms(i * PERIOD);
        add(&mut a, at, 1.0, PointKind::Gauge, None);
        let _ = a.close(at.plus_ms(PERIOD * 2));
    }
    add(&mut a, T0, 1.0, PointKind::Gauge, None);
    let closed = a.close(T0.plus_ms(PERIOD * 2));
    assert!(closed.iter().any(|r| r.start == start()), "{closed:?}");
    assert_eq!(a.too_late, 0);
}

#[test]
fn a_counter_that_was_once_ahead_of_time_goes_on_counting() {
    let mut a = Aggregates::new(900);
    add(&mut a, start().plus_ms(-PERIOD), 10.0, PointKind::Counter, None);
    // Our own clock was a day ahead for one reading.
    add(&mut a, start().plus_ms(86_400_000), 11.0, PointKind::Counter, None);
    add(&mut a, start(), 12.0, PointKind::Counter, None);
    add(&mut a, start().plus_ms(1000), 14.0, PointKind::Counter, None);
    let closed = a.close(start().plus_ms(2 * PERIOD));
    let now = closed.iter().find(|r| r.start == start()).unwrap();
    assert_eq!(now.delta, Some(3.0));
}

#[test]
fn after_a_restart_a_period_that_may_have_been_given_is_not_opened_anew() {
    let mut a = Aggregates::new(900);
    a.remember_from(start(), start().plus_ms(PERIOD + 1));
    let old = Stamp::new(Some(start().plus_ms(-1)), start());
    a.add(&device(), &old, &reading(1.0, PointKind::Gauge), Nature::default());
    assert_eq!((a.too_late, a.close(start().plus_ms(9 * PERIOD)).len()), (1, 0));
    // Half of the second period was not replayed: it was given before, or will be by late data only.
    a.replay(
        &device(),
        &Stamp::new(None, start().plus_ms(PERIOD + 1)),
        &reading(1.0, PointKind::Gauge),
        Nature::default(),
    );
    assert_eq!(a.close(start().plus_ms(9 * PERIOD)), []);
    a.replay(
        &device(),
        &Stamp::new(None, start().plus_ms(2 * PERIOD)),
        &reading(1.0, PointKind::Gauge),
        Nature::default(),
    );
    assert_eq!(a.close(start().plus_ms(9 * PERIOD)).len(), 1);
}

#[test]
fn a_period_changed_while_the_clock_is_set_back_is_given_again_later() {
    let mut a = Aggregates::new(900);
    add(&mut a, start(), 1.0, PointKind::Gauge, None);
    assert_eq!(a.close(start().plus_ms(PERIOD + 15_000)).len(), 1);
    let back = start().plus_ms(PERIOD - 15_000);
    add(&mut a, back, 2.0, PointKind::Gauge, None);
    assert_eq!(a.close(back), []);
    let again = a.close(start().plus_ms(PERIOD + 15_000));
    assert_eq!(again.iter().map(|r| (r.revision, r.count)).collect::<Vec<_>>(), [(1, 2)]);
}

#[test]
fn values_too_large_to_add_up_stay_out() {
    let mut a = Aggregates::new(900);
    add(&mut a, start(), 1e308, PointKind::Gauge, None);
    add(&mut a, start(), 1e308, PointKind::Gauge, None);
    assert_eq!(a.close(start().plus_ms(2 * PERIOD))[0].count, 1);
}

#[test]
fn a_meter_silent_for_longer_than_a_restart_looks_back_loses_no_energy() {
    let mut a = Aggregates::new(900);
    let now = start().plus_ms(100 * PERIOD);
    a.remember_from(now.plus_ms(-REVISABLE_SPAN * PERIOD), now);
    let standing =
        Standing { device: device(), point: PointId::new("p").unwrap(), start: start(), last: 10.0 };
    a.restore_counter(&standing);
    add(&mut a, now, 25.0, PointKind::Counter, None);
    assert_eq!(a.close(now.plus_ms(2 * PERIOD))[0].delta, Some(15.0));
}

#[test]
fn periods_too_old_for_a_restart_to_know_are_closed_without_one_too() {
    let mut a = Aggregates::new(900);
    let now = start().plus_ms(REVISABLE_SPAN * PERIOD);
    for (at, too_late) in [(now, 0), (start(), 0), (start().plus_ms(-1), 1)] {
        a.add(&device(), &Stamp::new(Some(at), now), &reading(1.0, PointKind::Gauge), Nature::default());
        assert_eq!(a.too_late, too_late);
    }
}
