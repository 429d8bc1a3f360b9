//! Whoever was away hears of every step once and in order, or is told that there is no going on.

use super::*;
use crate::alarm::{AlarmBook, Before, Setup};
use crate::model::{AlarmClass, AlarmKey, Mono, Now, Priority, RuleId, Text};
use crate::pipeline::Commit;
use crate::rules::{Finding, Level};
use crate::store::{Committed, Store};
use tempfile::tempdir;

const AT: Wall = Wall(1_790_000_000_000);

fn finding(n: u64) -> Finding {
    Finding {
        key: AlarmKey { rule: RuleId::new("r").unwrap(), subject: format!("d{n}") },
        level: Level::Holds,
        class: AlarmClass::Security,
        priority: Priority::ALL[usize::try_from(n % 4).unwrap()],
        device: None,
        place: None,
        what: Text::new("某事", "something"),
    }
}

/// Commits alarms until that many steps are stored, some in one commit.
fn fill(store: &mut Store, book: &mut AlarmBook, from: u64, to: u64) {
    let mut n = from;
    while n < to {
        let together = (n % 3 + 1).min(to - n);
        let now = Now { mono: Mono(n * 1000), wall: AT.plus_ms(i64::try_from(n).unwrap() * 1000) };
        let changes = (n..n + together).flat_map(|n| book.apply(now, &finding(n), &[])).collect::<Vec<_>>();
        assert_eq!(changes.len() as u64, together);
        n += together;
        let commit = Commit { alarm_changes: changes, ..Commit::default() };
        assert_eq!(store.commit(&[&commit]).unwrap(), [Committed { last_step: n, ..Committed::default() }]);
    }
}

#[test]
fn steps_are_told_in_pages_without_gap_and_a_commit_says_the_number_of_its_last() {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let mut book = AlarmBook::restore(Before::default(), Setup::default());
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.standing().unwrap(), Standing { last: 0, open: vec![] });
    assert_eq!(reader.missed(0, 10).unwrap(), Some(Missed { rows: vec![], through: 0, more: false }));
    fill(&mut store, &mut book, 0, 25);

    let standing = reader.standing().unwrap();
    assert_eq!((standing.last, standing.open.len()), (25, 25));
    let order: Vec<_> =
        standing.open.iter().map(|alarm| (alarm.priority, std::cmp::Reverse(alarm.id))).collect();
    assert!(order.is_sorted(), "the most urgent first: {order:?}");
    for start in [0, 1, 7, 24, 25] {
        let (mut after, mut told) = (start, Vec::new());
        loop {
            let missed = reader.missed(after, 10).unwrap().unwrap();
            told.extend(missed.rows.iter().map(|(seq, _)| *seq));
            after = missed.through;
            if !missed.more {
                break;
            }
        }
        assert_eq!((told, after), ((start + 1..=25).collect::<Vec<_>>(), 25));
    }
    assert_eq!(reader.missed(26, 10).unwrap(), None, "there was no such step");
}

#[test]
fn there_is_no_going_on_over_what_was_deleted_left_out_or_is_too_much() {
    let dir = tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let mut book = AlarmBook::restore(Before::default(), Setup::default());
    fill(&mut store, &mut book, 0, MOST_MISSED + 1);
    let reader = Reader::open(dir.path()).unwrap();
    assert_eq!(reader.missed(0, 10).unwrap(), None, "too many");
    assert_eq!(reader.missed(1, 10).unwrap().unwrap().rows.len(), 10);
    let db = rusqlite::Connection::open(store.path()).unwrap();
    db.execute("delete from alarm_change where seq <= 500", []).unwrap();
    assert_eq!(reader.missed(499, 10).unwrap(), None, "one is gone");
    assert_eq!(reader.missed(500, 10).unwrap().unwrap().rows.len(), 10, "all behind it are there");
}
