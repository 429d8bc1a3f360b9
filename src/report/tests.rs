//! Shifts, and what is wanted of figures.

use super::*;
use crate::calendar::time_of_day;
use crate::model::{AlarmId, Priority, Wall};
use jiff::tz::TimeZoneDatabase;
use std::collections::BTreeMap;

#[test]
fn shifts_follow_the_clock_on_the_wall_also_when_it_is_turned() {
    let duty = |zone: &str, shifts: &[&str]| Duty {
        shifts: shifts.iter().map(|text| time_of_day(text).unwrap()).collect(),
        guards: 1,
        zone: TimeZoneDatabase::bundled().get(zone).unwrap(),
    };
    let moment = |text: &str| Wall(text.parse::<jiff::Timestamp>().unwrap().as_millisecond());
    for (zone, shifts, at, from, to) in [
        (
            "Asia/Shanghai",
            &["08:00", "20:00"][..],
            "2026-09-01T08:00:00+08:00",
            "2026-09-01T08:00:00+08:00",
            "2026-09-01T20:00:00+08:00",
        ),
        (
            "Asia/Shanghai",
            &["08:00", "20:00"],
            "2026-09-01T07:59:59+08:00",
            "2026-08-31T20:00:00+08:00",
            "2026-09-01T08:00:00+08:00",
        ),
        (
            "Asia/Shanghai",
            &["00:00", "08:00", "16:00"],
            "2026-12-31T23:00:00+08:00",
            "2026-12-31T16:00:00+08:00",
            "2027-01-01T00:00:00+08:00",
        ),
        (
            "Asia/Shanghai",
            &["07:30"],
            "2026-09-01T03:00:00+08:00",
            "2026-08-31T07:30:00+08:00",
            "2026-09-01T07:30:00+08:00",
        ),
        // The night in which 02:00 becomes 03:00, and the one in which 03:00 becomes 02:00.
        (
            "Europe/Berlin",
            &["06:00", "22:00"],
            "2026-03-29T00:00:00Z",
            "2026-03-28T22:00:00+01:00",
            "2026-03-29T06:00:00+02:00",
        ),
        (
            "Europe/Berlin",
            &["06:00", "22:00"],
            "2026-10-25T00:00:00Z",
            "2026-10-24T22:00:00+02:00",
            "2026-10-25T06:00:00+01:00",
        ),
        // A time that is not there, and one that is there twice.
        (
            "Europe/Berlin",
            &["02:30", "14:00"],
            "2026-03-29T03:00:00Z",
            "2026-03-29T03:30:00+02:00",
            "2026-03-29T14:00:00+02:00",
        ),
        (
            "Europe/Berlin",
            &["02:30", "14:00"],
            "2026-10-25T01:00:00Z",
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T14:00:00+01:00",
        ),
    ] {
        let found = duty(zone, shifts).shift(moment(at));
        assert_eq!(found, Some((moment(from), moment(to))), "{zone} {shifts:?} {at}");
    }
    // One follows on the other for a year.
    let duty = duty("Europe/Berlin", &["02:30", "14:00"]);
    let (mut at, end) = (moment("2026-01-01T00:00:00Z"), moment("2027-01-01T00:00:00Z"));
    while at < end {
        let (from, to) = duty.shift(at).unwrap();
        assert!(from <= at && at < to);
        assert_eq!(duty.shift(to.plus_ms(-1)), Some((from, to)));
        at = to;
    }
}

#[test]
fn each_figure_is_judged_by_what_is_wanted_of_it() {
    use crate::alarm::kpi::{Flood, Kpi, Prompt};
    let good = Kpi {
        announced: 400,
        per_guard: 1.0,
        most: 10,
        flood_share: 0.0099,
        top_share: 0.0499,
        standing: (1..5).map(AlarmId).collect(),
        by_priority: BTreeMap::from([
            (Priority::Critical, 4),
            (Priority::High, 16),
            (Priority::Medium, 60),
            (Priority::Low, 320),
        ]),
        life: Prompt { count: 1000, first: 800, second: 985 },
        others: Prompt { count: 1000, first: 800, second: 985 },
        ..Kpi::default()
    };
    let bad = |kpi: &Kpi| -> Vec<String> {
        figures(kpi).into_iter().filter(|f| f.holds == Some(false)).map(|f| f.name.en).collect()
    };
    assert_eq!(bad(&good), Vec::<String>::new());
    assert_eq!(bad(&Kpi::default()), Vec::<String>::new());
    let flood = Flood { begin: Wall(0), end: None, announced: 11 };
    for (kpi, wanted) in [
        (Kpi { per_guard: 1.01, ..good.clone() }, "per guard and 10 minutes"),
        (Kpi { most: 11, ..good.clone() }, "most within 10 minutes"),
        (Kpi { flood_share: 0.01, floods: vec![flood], ..good.clone() }, "floods"),
        (Kpi { chattering: 1, ..good.clone() }, "alarms that came and went"),
        (Kpi { standing: (1..6).map(AlarmId).collect(), ..good.clone() }, "there for more than 24 hours"),
        (Kpi { top_share: 0.05, ..good.clone() }, "share of the 10 busiest"),
        (Kpi { by_priority: BTreeMap::from([(Priority::Critical, 5)]), ..good.clone() }, "by priority"),
        (Kpi { by_priority: BTreeMap::from([(Priority::High, 21)]), ..good.clone() }, "by priority"),
        (
            Kpi { life: Prompt { count: 1000, first: 799, second: 1000 }, ..good.clone() },
            "help and fire acknowledged in time",
        ),
        (
            Kpi { others: Prompt { count: 1000, first: 900, second: 984 }, ..good.clone() },
            "other critical and high alarms acknowledged in time",
        ),
        (Kpi { untaken: 1, ..good.clone() }, "announced and not taken"),
    ] {
        assert_eq!(bad(&kpi), [wanted]);
    }
    // Ten of less than two hundred are always more than a twentieth.
    assert_eq!(
        bad(&Kpi { announced: 199, top_share: 1.0, by_priority: BTreeMap::new(), ..good }),
        Vec::<String>::new()
    );
}
