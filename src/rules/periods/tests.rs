//! Amounts, windows, comparisons.

use super::*;

fn stretch(start: i64, quarters: i64, amount: f64) -> Stretch {
    Stretch { start: Wall(start * 900_000), end: Wall((start + quarters) * 900_000), amount }
}

#[test]
fn the_smallest_rate_is_that_of_an_unbroken_run_of_the_span() {
    let mut windows = Windows::default();
    let night = (Wall(0), Wall(12 * 900_000));
    for (start, amount) in
        [(0, 4.0), (1, 0.0), (2, 0.0), (3, 2.0), (5, 0.0), (6, 1.0), (7, 1.0), (8, 1.0), (9, 1.0)]
    {
        windows.add(night, stretch(start, 1, amount));
    }
    let over = windows.over(Wall(12 * 900_000));
    let least = |minutes: u64| over[0].least(Duration::from_secs(minutes * 60));
    assert_eq!(least(15), Some(0.0));
    assert_eq!(least(60), Some(3.0), "0, 1, 1, 1 in an hour; the run before it is broken after 4, 0, 0, 2");
    assert_eq!(least(90), None, "no run is as long");
}

#[test]
fn a_window_is_given_once_and_again_when_it_changed() {
    let mut windows = Windows::default();
    let night = (Wall(0), Wall(4 * 900_000));
    windows.add(night, stretch(0, 1, 1.0));
    assert!(windows.over(Wall(900_000)).is_empty());
    assert_eq!(windows.over(Wall(4 * 900_000)).len(), 1);
    windows.add(night, stretch(0, 1, 1.0));
    assert!(windows.over(Wall(5 * 900_000)).is_empty(), "nothing new");
    windows.add(night, stretch(0, 1, 2.0));
    assert_eq!(windows.over(Wall(5 * 900_000))[0].amount(), 2.0);
    for turn in 0..1000 {
        windows.add((Wall(turn), Wall(i64::MAX)), stretch(turn, 1, 1.0));
    }
    assert!(windows.windows.len() <= MOST_WINDOWS);
}

#[test]
fn a_history_compares_with_the_last_before_and_not_with_fewer_than_half() {
    let mut history = History::new(4);
    let now = Now { mono: crate::model::Mono(0), wall: Wall(0) };
    for turn in 0..10 {
        history.note(now, true, Wall(turn), number(usize::try_from(turn).expect("small")));
    }
    assert_eq!(history.before(&true, Wall(9)), Some(vec![8.0, 7.0, 6.0, 5.0]));
    assert_eq!(history.before(&true, Wall(8)), Some(vec![7.0, 6.0, 5.0]));
    assert_eq!(history.before(&true, Wall(7)), None);
    assert_eq!(history.before(&false, Wall(9)), None);
    let set_back = Now { wall: crate::model::time::EARLIEST_TRUE_WALL.plus_ms(5), ..now };
    history.note(set_back, true, set_back.wall.plus_ms(1), 1.0);
    history.note(set_back, true, set_back.wall, 2.0);
    assert_eq!(history.outcomes[&true].last_key_value(), Some((&set_back.wall, &2.0)));
}

#[test]
fn the_median_is_the_middle() {
    for (values, expected) in [
        (&[][..], None),
        (&[3.0][..], Some(3.0)),
        (&[9.0, 1.0, 2.0][..], Some(2.0)),
        (&[4.0, 1.0][..], Some(2.5)),
    ] {
        assert_eq!(median(values), expected);
    }
}
