//! Commits that fail, by every kind of fault, over a medium that fails as it is told.

use super::*;
use crate::model::{DeviceId, Link, Wall};
use crate::pipeline::LinkChange;
use crate::store::StoreFault;
use crate::store::doubles::{Fate, Medium};

fn commit(at: i64) -> Commit {
    let device = DeviceId::new("d").unwrap();
    Commit { links: vec![LinkChange { device, at: Wall(at), link: Link::Up }], ..Commit::default() }
}

struct Run {
    medium: Medium,
    handle: Handle,
    thread: JoinHandle<()>,
}

fn run(fates: &[Fate]) -> Run {
    let medium = Medium::new(fates);
    let (handle, thread) = medium.open(&Arc::new(Tally::default()));
    Run { medium, handle, thread }
}

impl Run {
    fn close(self) -> Medium {
        drop(self.handle);
        self.thread.join().unwrap();
        self.medium
    }
}

const FAULTS: [StoreFault; 6] = [
    StoreFault::Full,
    StoreFault::ReadOnly,
    StoreFault::Io,
    StoreFault::Corrupt,
    StoreFault::Busy,
    StoreFault::Other,
];

#[tokio::test]
async fn a_commit_that_fails_is_sent_again_on_a_new_connection_and_stored_once() {
    for fault in FAULTS {
        for first in [Fate::Fails(fault), Fate::Lies(fault)] {
            let run = run(&[Fate::Good, first]);
            for at in 1..=3 {
                run.handle.commit(commit(at)).await.unwrap_or_else(|e| panic!("{first:?}: {e}"));
            }
            assert_eq!(run.handle.health().borrow().fault, None, "{first:?}: it is over");
            let medium = run.close();
            let script = medium.script();
            assert_eq!(script.stored, [commit(1), commit(2), commit(3)], "{first:?}");
            assert_eq!(script.reopened, 1, "{first:?}");
        }
    }
}

#[tokio::test]
async fn a_fault_that_does_not_pass_is_given_up_after_three_in_a_row() {
    for fault in [StoreFault::Io, StoreFault::Corrupt, StoreFault::Other] {
        let two = [Fate::Fails(fault); 2];
        let run = run(&[two.as_slice(), &[Fate::Good], &two, &[Fate::Fails(fault)]].concat());
        run.handle.commit(commit(1)).await.expect("the third attempt is good");
        let error = run.handle.commit(commit(2)).await.expect_err("three in a row");
        assert_eq!(error.fault(), fault);
        let medium = run.close();
        let script = medium.script();
        assert_eq!(script.stored, [commit(1)]);
        assert_eq!(script.suspected, fault == StoreFault::Corrupt);
    }
}

#[tokio::test]
async fn opening_anew_may_fail_too() {
    let run = run(&[Fate::Fails(StoreFault::Io)]);
    run.medium.script().reopenings = [StoreFault::Io].into();
    run.handle.commit(commit(1)).await.expect("the third attempt is good");
    run.medium.script().fates = [Fate::Lies(StoreFault::Io)].into();
    run.medium.script().reopenings = [StoreFault::Io, StoreFault::Io].into();
    run.handle.commit(commit(2)).await.expect_err("three in a row, whether it was the commit or the opening");
    assert_eq!(
        run.close().script().stored,
        [commit(1), commit(2)],
        "stored and never answered: it comes again"
    );
}

#[tokio::test]
async fn a_disk_that_is_full_or_read_only_is_waited_for_and_told() {
    for fault in [StoreFault::Full, StoreFault::ReadOnly, StoreFault::Busy] {
        // More than would be given up, and more than fits between two pauses.
        let run = run(&[Fate::Fails(fault); 4]);
        let mut health = run.handle.health();
        let (committed, ()) = tokio::join!(run.handle.commit(commit(1)), async {
            health.wait_for(|health| health.fault == Some(fault)).await.unwrap();
            // Others are served meanwhile, and a settlement is put off.
            let to = DestinationId::new("city").unwrap();
            run.handle.owed(&to, 1).await.unwrap();
            let refused = run.handle.settle(&to, Settlement::default()).await;
            assert!(matches!(refused, Err(StoreError::Waiting)), "{refused:?}");
            assert!(run.medium.script().stored.is_empty());
        });
        committed.unwrap();
        assert_eq!(health.borrow().fault, None);
        assert_eq!(run.close().script().stored, [commit(1)]);
    }
}

#[tokio::test]
async fn room_is_made_at_once_as_long_as_there_is_any_to_make() {
    let run = run(&[Fate::Fails(StoreFault::Full); 3]);
    run.medium.script().room = 10;
    let health = run.handle.health();
    run.handle.commit(commit(1)).await.unwrap();
    assert!(!health.has_changed().unwrap(), "nobody had to wait");
    let medium = run.close();
    let script = medium.script();
    assert_eq!((script.room, script.reopened), (7, 3));
}

#[tokio::test]
async fn a_disk_too_full_to_be_opened_anew_is_waited_for_without_haste() {
    let run = run(&[Fate::Fails(StoreFault::Full)]);
    run.medium.script().reopenings = [StoreFault::Full; 3].into();
    run.handle.commit(commit(1)).await.unwrap();
    let medium = run.close();
    let script = medium.script();
    assert_eq!((script.stored.as_slice(), script.reopened), ([commit(1)].as_slice(), 4));
}

#[tokio::test]
async fn what_came_later_is_not_taken_for_stored_with_what_failed_before() {
    let run = run(&[Fate::Lies(StoreFault::ReadOnly), Fate::Good]);
    run.medium.script().reopenings = [StoreFault::ReadOnly].into();
    let mut health = run.handle.health();
    let (first, second) = tokio::join!(run.handle.commit(commit(1)), async {
        health.wait_for(|health| health.fault.is_some()).await.unwrap();
        run.handle.commit(commit(2)).await
    });
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(run.close().script().stored, [commit(1), commit(2)]);
}
