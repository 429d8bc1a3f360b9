//! Counters that edges add to and `ops` reads; the names people see are given there.

use crate::model::{BusId, ChannelId, DestinationId, DeviceId, Fault};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub fn one(&self) {
        self.add(1);
    }

    /// `n` more.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// The number itself, for those who know nothing but numbers.
    #[must_use]
    pub fn number(&self) -> &AtomicU64 {
        &self.0
    }

    /// Replaces the number: for gauges.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }
}

/// Counters by label. The labels come from the configuration, so there are few.
#[derive(Debug)]
pub struct Family<K: Ord>(Mutex<BTreeMap<K, Arc<Count>>>);

impl<K: Ord> Default for Family<K> {
    fn default() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }
}

impl<K: Ord + Clone> Family<K> {
    /// The counter of a label, made when first asked for.
    #[must_use]
    pub fn of(&self, label: &K) -> Arc<Count> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = map.get(label) {
            return Arc::clone(count);
        }
        Arc::clone(map.entry(label.clone()).or_default())
    }

    /// Every label with its number.
    #[must_use]
    pub fn all(&self) -> Vec<(K, u64)> {
        let map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.iter().map(|(k, v)| (k.clone(), v.get())).collect()
    }
}

/// Everything the gateway counts.
#[derive(Debug, Default)]
pub struct Tally {
    /// Readings committed, by bus.
    pub readings: Family<BusId>,
    /// Events committed, by bus and kind word.
    pub events: Family<(BusId, &'static str)>,
    /// Deliveries that were repeats and left out, by bus.
    pub duplicates: Family<BusId>,
    /// Events left out because the device's own number for them was stored before.
    pub repeated_events: Count,
    /// Polled readings shed because the pipe could not follow.
    pub shed_deliveries: Count,
    /// Readings and events whose device time cannot be true, by bus.
    pub wrong_clocks: Family<BusId>,
    /// Payloads that could not be understood, by bus and kind word.
    pub refused: Family<(BusId, &'static str)>,
    /// Values of somebody's health that were not taken.
    pub withheld_health: Count,
    /// Messages with a picture, which was thrown away unread.
    pub withheld_pictures: Count,
    /// Pictures for alarms, by the word of what became of them.
    pub pictures: Family<&'static str>,
    /// Messages from devices that are not configured, by bus.
    pub unknown: Family<BusId>,
    /// Messages that came without wanting an acknowledgement, by device: what is lost of them, nobody misses.
    pub at_most_once: Family<DeviceId>,
    /// Messages thrown away because their device sent too many.
    pub shed_device: Family<DeviceId>,
    /// Messages of strangers thrown away because there were too many, by bus.
    pub shed_unknown: Family<BusId>,
    /// Logins refused, by bus.
    pub refused_logins: Family<BusId>,
    /// What a login may not publish or subscribe to, by bus.
    pub not_allowed: Family<BusId>,
    /// Gaps in the numbers of a terminal's events, by bus.
    pub gaps: Family<BusId>,
    /// Of those, the ones that the terminal could not be asked for or did not fill, by bus.
    pub gaps_left: Family<BusId>,
    /// Requests made to devices, by bus.
    pub requests: Family<BusId>,
    /// Failures by device and kind.
    pub device_faults: Family<(DeviceId, Fault)>,
    /// Replies that came too late or to another request and were thrown away, by bus.
    pub stale_replies: Family<BusId>,
    /// Polls left out because the bus could not keep up with its periods, by bus.
    pub skipped_polls: Family<BusId>,
    /// Sessions opened, by bus.
    pub connects: Family<BusId>,
    /// Alarms raised, by class word.
    pub alarms_raised: Family<&'static str>,
    /// Alarms that wait for a channel (a gauge).
    pub untold: Family<ChannelId>,
    /// Times a further channel was asked because the one before it had failed.
    pub failed_over: Count,
    /// Alarms that digests only count, because too many were followed.
    pub only_counted: Count,
    /// Tries to tell people, by channel and the word of the verdict.
    pub notify_attempts: Family<(ChannelId, &'static str)>,
    /// What they took together, milliseconds, by channel.
    pub notify_millis: Family<ChannelId>,
    /// Orders to switch something, by the word of their outcome.
    pub control_orders: Family<&'static str>,
    /// Sign-ins, by the word of what became of them.
    pub sign_ins: Family<&'static str>,
    /// Live streams that were cut off because nobody read them.
    pub streams_cut_off: Count,
    /// Passwords hashed, to keep one or to compare.
    pub password_hashes: Count,
    /// Rows that were given up, by reason word.
    pub dropped: Family<&'static str>,
    /// Rows stepped and not committed yet (a gauge).
    pub staged_rows: Count,
    /// Commits that failed, by the word of the fault; each is tried again or ends the process.
    pub commit_failures: Family<&'static str>,
    /// Steps of the wall clock.
    pub clock_steps: Count,
    /// What the data directory takes, bytes (a gauge).
    pub store_bytes: Count,
    /// What it may take, bytes (a gauge).
    pub store_budget_bytes: Count,
    /// Transactions committed.
    pub commits: Count,
    /// Longest commit so far, microseconds.
    pub commit_micros_max: Count,
    /// Sum of all commits, microseconds.
    pub commit_micros_sum: Count,
    /// Records acknowledged by a platform, by destination and record word.
    pub uploads: Family<(DestinationId, &'static str)>,
    /// Requests that failed and will be tried again, by destination and reason word.
    pub upload_failures: Family<(DestinationId, &'static str)>,
    /// Records set aside because the platform rejected them, by destination.
    pub set_aside: Family<DestinationId>,
    /// Records waiting, by destination (a gauge).
    pub backlog: Family<DestinationId>,
}
