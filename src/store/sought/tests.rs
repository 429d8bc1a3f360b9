//! What is looked for is found, whatever else is there, and a page ends however rare it is.

use super::*;
use crate::store::Store;
use tempfile::tempdir;

const AT: i64 = 1_790_000_000_000;

fn ids(reader: &Reader, filter: &AlarmFilter, limit: u32) -> Vec<u64> {
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let page = reader.alarms(filter, before, limit).unwrap();
        found.extend(page.rows.iter().map(|(id, _)| *id));
        before = page.next_before;
        if before.is_none() {
            return found;
        }
    }
}

/// Alarms of every class, place and state in turn.
fn school() -> (tempfile::TempDir, Reader) {
    let dir = tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let db = rusqlite::Connection::open(store.path()).unwrap();
    for n in 1..=24_i64 {
        let class = AlarmClass::ALL[usize::try_from(n % 3).unwrap()].as_str();
        let priority = Priority::ALL[usize::try_from(n % 4).unwrap()].as_str();
        let marks = [
            "ack_at = 1",
            "shelf_at = 1",
            "suppressed_at = 1",
            "inhibited_by = 1",
            "out_at = 1",
            "active = 1",
        ];
        let closed = if n % 2 == 0 { "1" } else { "null" };
        db.execute(
            &format!(
                "insert into alarm (id, rule, subject, class, priority, device, place, what_zh, what_en, raised_at, active, \
                 occurrences, latched, closed_at) values ({n}, 'rule-{}', 's{n}', '{class}', '{priority}', 'd{}', 'p{}', '', \
                 '', {}, 0, 1, 0, {closed})",
                n % 5,
                n % 2,
                n % 4,
                AT + n * 1000,
            ),
            [],
        )
        .unwrap();
        let mark = marks[usize::try_from(n % 6).unwrap()];
        db.execute(&format!("update alarm set {mark} where id = {n}"), []).unwrap();
    }
    let reader = Reader::open(dir.path()).unwrap();
    (dir, reader)
}

#[test]
fn each_way_to_narrow_finds_what_it_says() {
    let (_dir, reader) = school();
    let all = AlarmFilter::default;
    let wall = |n: i64| Some(Wall(AT + n * 1000));
    let place = |n: &str| PlaceId::new(n).unwrap();
    type Keeps = fn(u64) -> bool;
    let cases: [(AlarmFilter, Keeps); 10] = [
        (all(), |_| true),
        (AlarmFilter { class: Some(AlarmClass::ALL[1]), ..all() }, |n| n % 3 == 1),
        (AlarmFilter { priority: Some(Priority::ALL[3]), ..all() }, |n| n % 4 == 3),
        (AlarmFilter { places: Some(vec![place("p1"), place("p2")]), ..all() }, |n| matches!(n % 4, 1 | 2)),
        (AlarmFilter { places: Some(vec![]), ..all() }, |_| false),
        (AlarmFilter { device: DeviceId::new("d1").ok(), ..all() }, |n| n % 2 == 1),
        (AlarmFilter { rule: Some("-3".into()), ..all() }, |n| n % 5 == 3),
        (AlarmFilter { from: wall(7), to: wall(20), ..all() }, |n| (7..20).contains(&n)),
        (AlarmFilter { from: wall(100), ..all() }, |_| false),
        (
            AlarmFilter {
                state: Some(AlarmState::Closed),
                to: wall(9),
                class: Some(AlarmClass::ALL[2]),
                ..all()
            },
            |n| n % 2 == 0 && n < 9 && n % 3 == 2,
        ),
    ];
    for (filter, keeps) in cases {
        let wanted: Vec<u64> = (1..=24).rev().filter(|n| keeps(*n)).collect();
        for limit in [1, 4, 1000] {
            assert_eq!(ids(&reader, &filter, limit), wanted, "{filter:?}");
        }
    }
}

#[test]
fn the_states_of_open_alarms_share_them_out() {
    let (_dir, reader) = school();
    let of = |state| {
        let mut found = ids(&reader, &AlarmFilter { state: Some(state), ..AlarmFilter::default() }, 2);
        found.sort_unstable();
        found
    };
    assert_eq!(of(AlarmState::Open), (1..24).step_by(2).collect::<Vec<u64>>());
    // Odd numbers have the marks 1, 3 and 5: shelved, explained, and none.
    assert_eq!(of(AlarmState::Shelved), [1, 7, 13, 19]);
    assert_eq!(of(AlarmState::Suppressed), [3, 9, 15, 21]);
    assert_eq!(of(AlarmState::Unacknowledged), [5, 11, 17, 23]);
    assert_eq!(of(AlarmState::Acknowledged), Vec::<u64>::new(), "what was taken is over");
    assert_eq!(of(AlarmState::OutOfService), Vec::<u64>::new());
}

#[test]
fn what_is_rare_among_many_takes_several_looks_of_bounded_work() {
    let (dir, reader) = school();
    let db = rusqlite::Connection::open(dir.path().join(crate::store::FILE_NAME)).unwrap();
    db.execute(
        "with recursive n(i) as (select 100 union all select i + 1 from n where i < 100 + ?1) \
         insert into alarm (id, rule, subject, class, priority, what_zh, what_en, raised_at, active, occurrences, latched, closed_at) \
         select i, 'many', 's' || i, 'energy', 'low', '', '', ?2 + i * 1000, 0, 1, 0, 1 from n",
        [ALARMS_PER_PAGE + 10, AT],
    )
    .unwrap();
    let rare = AlarmFilter { rule: Some("rule-0".into()), ..AlarmFilter::default() };
    let first = reader.alarms(&rare, None, 10).unwrap();
    assert_eq!(first.rows.len(), 0, "so many were looked at in vain");
    assert!(first.next_before.is_some(), "and there is more");
    assert_eq!(ids(&reader, &rare, 10), [20, 15, 10, 5]);
    // A span of time is looked up, however many are behind it.
    let then = AlarmFilter { from: Some(Wall(AT)), to: Some(Wall(AT + 11_000)), ..rare };
    assert_eq!(reader.alarms(&then, None, 10).unwrap().rows.len(), 2);
    let plan: String = db
        .query_row(
            "explain query plan select min(id), max(id) from alarm where raised_at >= 1 and raised_at < 2",
            [],
            |row| row.get("detail"),
        )
        .unwrap();
    assert!(plan.contains("alarm_raised"), "{plan}");
}
