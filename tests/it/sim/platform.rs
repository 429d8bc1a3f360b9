//! A platform with moods: it takes records, refuses them, loses its answers, and remembers all it ever took.

use super::Dice;
use schoolgate::model::{Lane, OutboxItem, Record};
use schoolgate::northbound::{Lost, NoReply, Reply, Request};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, PartialEq, Default)]
enum Mood {
    #[default]
    Well,
    Down,
    Busy,
    Failing,
    LosesAnswers,
}

#[derive(Default)]
pub(super) struct Platform {
    mood: Mood,
    recovered: bool,
    /// Uids in the order in which they were first taken.
    taken: Vec<String>,
    bodies: BTreeMap<String, String>,
}

/// The platform will never take these.
pub(super) fn poisoned(uid: &str) -> bool {
    uid.rsplit(':').next().and_then(|n| n.parse::<u64>().ok()).is_some_and(|n| n % 61 == 0)
}

impl Platform {
    pub(super) fn change_mood(&mut self, dice: &mut Dice) {
        if dice.one_in(6) {
            self.mood = match dice.below(8) {
                0 => Mood::Down,
                1 => Mood::Busy,
                2 => Mood::Failing,
                3 => Mood::LosesAnswers,
                _ => Mood::Well,
            };
        }
    }

    pub(super) fn recover(&mut self) {
        self.mood = Mood::Well;
        self.recovered = true;
    }

    pub(super) fn answer(&mut self, request: &Request, dice: &mut Dice) -> Result<Reply, NoReply> {
        match self.mood {
            Mood::Well => Ok(self.take(request)),
            Mood::Down => Err(Lost::Connect.into()),
            Mood::Busy => Ok(Reply::new(429, "")),
            Mood::Failing => Ok(Reply::new(500, "oops")),
            Mood::LosesAnswers => {
                if dice.one_in(2) {
                    self.take(request);
                }
                Err(Lost::Timeout.into())
            }
        }
    }

    fn take(&mut self, request: &Request) -> Reply {
        let body: Value = serde_json::from_slice(&request.body).expect("JSON");
        let records = body["records"].as_array().expect("records");
        if records.iter().any(|r| poisoned(r["uid"].as_str().expect("a uid"))) {
            return Reply::new(422, "a record is not as it should be");
        }
        for record in records {
            let uid = record["uid"].as_str().expect("a uid").to_owned();
            let text = record.to_string();
            let before = self.bodies.entry(uid.clone()).or_insert_with(|| text.clone());
            assert_eq!(*before, text, "one uid, two records");
            if !self.taken.contains(&uid) {
                self.taken.push(uid);
            }
        }
        Reply::new(200, r#"{"code":"1"}"#)
    }

    /// Every record ever owed was taken or set aside, and each device's were taken in order within their lane.
    pub(super) fn check(&self, id: &str, owed: &BTreeMap<String, OutboxItem>, set_aside: &BTreeSet<String>) {
        let taken: BTreeSet<String> = self.taken.iter().cloned().collect();
        for uid in owed.keys() {
            assert_eq!(taken.contains(uid), !poisoned(uid), "{id}: {uid} taken");
            assert_eq!(set_aside.contains(uid), poisoned(uid), "{id}: {uid} set aside");
        }
        assert_eq!(taken.len() + set_aside.len(), owed.len(), "{id}: nothing that was not owed");
        let mut last: BTreeMap<(Lane, String), u64> = BTreeMap::new();
        for uid in &self.taken {
            let item = &owed[uid];
            let device = match &item.record {
                Record::Aggregate(r) => r.device.to_string(),
                Record::Alarm(c) => c.alarm.device.as_ref().map(ToString::to_string).unwrap_or_default(),
                Record::AuditHead(_) => String::new(),
            };
            let before = last.insert((item.record.lane(), device), item.seq);
            assert!(before < Some(item.seq), "{id}: {uid} came after {before:?}");
        }
    }
}
