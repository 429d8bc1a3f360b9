//! What a platform keeps: each record once, what was acknowledged, what came out of order.

use super::Mood;
use super::eduyun::Token;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Most records kept whole; older ones are forgotten, their uids and counts are not.
const KEPT: usize = 100_000;
/// Most nonces remembered.
const NONCES: usize = 100_000;

/// What a platform has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Distinct records taken and acknowledged, by type.
    pub acknowledged: BTreeMap<String, u64>,
    /// Distinct records taken, acknowledged or not, by type.
    pub taken: BTreeMap<String, u64>,
    /// Records that came again and were known already.
    pub repeated: u64,
    /// Records of one device and type that came after a later one.
    pub out_of_order: u64,
    /// Requests refused: signature, token, time, form.
    pub refused: u64,
    /// Requests failed on purpose.
    pub failed: u64,
    /// Tokens given.
    pub tokens: u64,
}

impl Stats {
    /// Distinct records acknowledged, of all types.
    #[must_use]
    pub fn acknowledged_total(&self) -> u64 {
        self.acknowledged.values().sum()
    }
}

/// The books.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) tokens: u64,
    pub(super) token: Option<Token>,
    requests: usize,
    stats: Stats,
    taken: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
    latest: BTreeMap<(String, String), u64>,
    kept: VecDeque<Value>,
    nonces: VecDeque<String>,
    known_nonces: BTreeSet<String>,
}

impl Ledger {
    pub(super) fn stats(&self) -> Stats {
        Stats { refused: self.refused, failed: self.failed, tokens: self.tokens, ..self.stats.clone() }
    }

    pub(super) fn records(&self) -> Vec<Value> {
        self.kept.iter().cloned().collect()
    }

    /// How to treat the next request that is in order.
    pub(super) fn next_mood(&mut self, moods: &[Mood]) -> Mood {
        let number = self.requests;
        self.requests += 1;
        if moods.is_empty() { Mood::Take } else { moods[number % moods.len()] }
    }

    /// Whether this nonce was never seen; remembers it.
    pub(super) fn is_new_nonce(&mut self, nonce: &str) -> bool {
        if !self.known_nonces.insert(nonce.to_owned()) {
            return false;
        }
        self.nonces.push_back(nonce.to_owned());
        if self.nonces.len() > NONCES
            && let Some(oldest) = self.nonces.pop_front()
        {
            self.known_nonces.remove(&oldest);
        }
        true
    }

    /// Takes records; returns those that cannot be taken, as the answer names them.
    pub(super) fn take(&mut self, records: Vec<Value>, acknowledge: bool) -> Vec<Value> {
        let mut failed = Vec::new();
        for record in records {
            let text = |name: &str| record.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
            let (uid, kind, device) = (text("uid"), text("record"), text("device"));
            let Some(seq) =
                record.get("seq").and_then(Value::as_u64).filter(|_| !uid.is_empty() && !kind.is_empty())
            else {
                failed
                    .push(json!({"uid": uid, "code": "400001", "message": "uid, record and seq are needed"}));
                continue;
            };
            if acknowledge && self.acknowledged.insert(uid.clone()) {
                *self.stats.acknowledged.entry(kind.clone()).or_default() += 1;
            }
            if !self.taken.insert(uid) {
                self.stats.repeated += 1;
                continue;
            }
            let latest = self.latest.entry((device, kind.clone())).or_default();
            if seq < *latest {
                self.stats.out_of_order += 1;
            }
            *latest = seq.max(*latest);
            *self.stats.taken.entry(kind).or_default() += 1;
            if self.kept.len() >= KEPT {
                self.kept.pop_front();
            }
            self.kept.push_back(record);
        }
        failed
    }
}
