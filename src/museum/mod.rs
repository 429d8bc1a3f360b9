//! The bug museum: deliberate faults, one at a time, that the tests must notice; nothing of it is in a release.
//!
//! Each exhibit stands at the product line it spoils, as `museum::on("name")`. Without the feature `museum` that is
//! `false` for the compiler, and the feature does not build without debug assertions.

/// The faults, by name.
pub const EXHIBITS: &[&str] = &[
    // store
    "synchronous_normal",
    "synchronous_off",
    "partial_commit",
    "settled_in_two_commits",
    "set_aside_dropped",
    "retry_failed_fsync",
    "log_not_renewed",
    "acknowledged_whatever_happens",
    "acknowledged_before_commit",
    "ordered_by_wall_clock",
    "sequence_reused_after_restart",
    "alarm_forgotten_at_restart",
    "fingerprint_not_stored",
    "seal_before_durable",
    "sealed_file_not_in_directory",
    "unlinked_before_struck",
    "reuse_of_sequence_after_restore",
    // pipeline
    "redelivery_not_recognised",
    "roll_up_replayed_twice",
    // control
    "control_trusts_the_echo",
    "pulse_not_remembered",
    // field
    "late_answer_not_awaited",
    // people
    "status_alone_is_believed",
    // uplink
    "outbox_deleted_before_yes",
    "drop_on_400",
];

#[cfg(all(feature = "museum", not(debug_assertions)))]
compile_error!("the feature `museum` is for tests: it does not build without debug assertions");

#[cfg(not(feature = "museum"))]
/// Whether this fault is shown: never in this build.
#[must_use]
pub const fn on(_exhibit: &str) -> bool {
    false
}

#[cfg(feature = "museum")]
pub use shown::{Shown, on, show, show_everywhere};

#[cfg(feature = "museum")]
mod shown {
    use super::EXHIBITS;
    use std::cell::Cell;
    use std::sync::OnceLock;

    thread_local! {
        static HERE: Cell<Option<&'static str>> = const { Cell::new(None) };
    }
    static EVERYWHERE: OnceLock<&'static str> = OnceLock::new();

    /// Whether this fault is shown, on this thread or in the whole process.
    #[must_use]
    pub fn on(exhibit: &str) -> bool {
        debug_assert!(EXHIBITS.contains(&exhibit), "the museum has no {exhibit}");
        HERE.get() == Some(exhibit) || EVERYWHERE.get() == Some(&exhibit)
    }

    /// Shows a fault on this thread for as long as the answer is kept.
    #[derive(Debug)]
    #[must_use]
    pub struct Shown(());

    impl Drop for Shown {
        fn drop(&mut self) {
            HERE.set(None);
        }
    }

    /// Shows a fault on this thread; the others run beside it unspoilt.
    pub fn show(exhibit: &'static str) -> Shown {
        HERE.set(Some(exhibit));
        Shown(())
    }

    /// Shows a fault in the whole process until its end; whether there is one of that name.
    #[must_use]
    pub fn show_everywhere(exhibit: &str) -> bool {
        let known = EXHIBITS.iter().find(|name| **name == exhibit);
        known.is_some_and(|name| EVERYWHERE.set(name).is_ok())
    }
}
