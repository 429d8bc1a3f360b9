//! The records of one request and the body that carries them; see docs/upload.md for the schema.

use crate::config::Site;
use crate::model::{AlarmChange, Lane, OutboxItem, Record, RollUp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// Who sends: fixed parts of every body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// Id of the gateway.
    pub gateway: String,
    /// 学校（机构）标识码, if known.
    pub school_code: Option<String>,
}

impl From<&Site> for Sender {
    fn from(site: &Site) -> Self {
        Self { gateway: site.gateway.to_string(), school_code: site.school_code.clone() }
    }
}

/// Bytes of a body besides its records: names, brackets, two numbers, the batch id. Gateway and code come on top.
const FRAME_BYTES: usize = 256;

/// Records that travel together. Its id and body never change: a batch is sent again unchanged until it is settled
/// or split, so that the platform can tell a repeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// First half of the SHA-256 of its records, 32 hexadecimal digits; sent as `Idempotency-Key`.
    pub id: String,
    /// The records, in order; never empty.
    pub items: Vec<OutboxItem>,
    /// The JSON body.
    pub body: Vec<u8>,
}

impl Batch {
    /// Makes a batch of all these records; `None` when there are none.
    #[must_use]
    pub fn new(sender: &Sender, items: Vec<OutboxItem>) -> Option<Self> {
        let (first, last) = (items.first()?.seq, items.last()?.seq);
        let records: Vec<Value> = items.iter().map(record_json).collect();
        let mut digest = Sha256::new();
        for record in &records {
            digest.update(record.to_string().as_bytes());
            digest.update(b"\n");
        }
        let mut id = String::new();
        for byte in digest.finalize().iter().take(16) {
            // Writing to a String cannot fail.
            write!(id, "{byte:02x}").ok();
        }
        let body = json!({
            "gateway": sender.gateway,
            "school_code": sender.school_code,
            "batch_id": id,
            "seq_from": first,
            "seq_to": last,
            "count": records.len(),
            "records": records,
        });
        Some(Self { id, items, body: body.to_string().into_bytes() })
    }

    /// Makes a batch of the leading records of a lane, as many as fit into `max_bytes` and at least one: a record that
    /// alone is larger is for the platform to judge, not for us to hold back.
    #[must_use]
    pub fn leading(
        sender: &Sender,
        owed: &[OutboxItem],
        lane: Lane,
        max_records: usize,
        max_bytes: usize,
    ) -> Option<Self> {
        let frame = FRAME_BYTES + sender.gateway.len() + sender.school_code.as_ref().map_or(0, String::len);
        let mut bytes = frame;
        let mut items = Vec::new();
        for item in owed.iter().filter(|i| i.record.lane() == lane).take(max_records.max(1)) {
            bytes += record_json(item).to_string().len() + 1;
            if bytes > max_bytes && !items.is_empty() {
                break;
            }
            items.push(item.clone());
        }
        Self::new(sender, items)
    }

    /// Both halves, the earlier first; `None` when it holds one record only.
    #[must_use]
    pub fn halves(mut self, sender: &Sender) -> Option<(Self, Self)> {
        if self.items.len() < 2 {
            return None;
        }
        let later = self.items.split_off(self.items.len() / 2);
        Some((Self::new(sender, self.items)?, Self::new(sender, later)?))
    }
}

/// One record as it goes north. Actors, notes and pseudonyms stay in the school.
fn record_json(item: &OutboxItem) -> Value {
    match &item.record {
        Record::Aggregate(roll_up) => aggregate_json(item, roll_up),
        Record::Alarm(change) => alarm_json(item, change),
        Record::AuditHead(head) => json!({
            "uid": item.uid, "seq": item.seq, "record": "audit_head",
            "at": head.at, "entries": head.entries, "hash": head.hash,
        }),
    }
}

fn aggregate_json(item: &OutboxItem, r: &RollUp) -> Value {
    json!({
        "uid": item.uid, "seq": item.seq, "record": "aggregate",
        "device": r.device, "point": r.point, "unit": r.unit, "kind": r.kind,
        "start": r.start, "period_secs": r.period_secs, "count": r.count,
        "sum": r.sum, "min": r.min, "max": r.max, "last": r.last, "delta": r.delta,
        "revision": r.revision,
    })
}

fn alarm_json(item: &OutboxItem, c: &AlarmChange) -> Value {
    let a = &c.alarm;
    json!({
        "uid": item.uid, "seq": item.seq, "record": "alarm",
        "change": c.kind, "at": c.at,
        "id": a.id, "class": a.class, "priority": a.priority, "rule": a.key.rule,
        "device": a.device, "place": a.place, "what": a.what,
        "raised_at": a.raised_at, "active": a.active, "occurrences": a.occurrences,
        "cleared_at": a.cleared_at, "latched": a.latched,
        "acknowledged": a.acknowledged.is_some(),
        "acknowledged_at": a.acknowledged.as_ref().map(|h| h.at),
        "reset_at": a.reset.as_ref().map(|h| h.at),
        "closed_at": a.closed_at,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::{
        Actor, Alarm, AlarmClass, AlarmId, AlarmKey, ChangeKind, DestinationId, DeviceId, Handled, PlaceId,
        PointId, PointKind, Priority, RuleId, Text, Unit, Wall,
    };

    pub fn sender() -> Sender {
        Sender { gateway: "gw-1".into(), school_code: Some("3134000001".into()) }
    }

    pub fn aggregate(seq: u64, device: &str) -> OutboxItem {
        let start = Wall(1_790_000_100_000);
        let record = Record::Aggregate(RollUp {
            device: DeviceId::new(device).expect("id"),
            point: PointId::new("energy").expect("id"),
            unit: Unit::KilowattHour,
            kind: PointKind::Counter,
            start,
            period_secs: 900,
            count: 3,
            sum: 6.0,
            min: 1.0,
            max: 3.0,
            last: 3.0,
            delta: Some(2.0),
            revision: 0,
        });
        item(seq, record)
    }

    pub fn alarm(seq: u64, device: &str) -> OutboxItem {
        let at = Wall(1_790_000_000_000);
        let by = Handled { by: Actor::named("王老师").expect("name"), at, note: "去看了".into() };
        let alarm = Alarm {
            id: AlarmId(7),
            key: AlarmKey { rule: RuleId::new("help").expect("id"), subject: "door-1 cafe0123".into() },
            class: AlarmClass::Help,
            priority: Priority::Critical,
            device: Some(DeviceId::new(device).expect("id")),
            place: Some(PlaceId::new("room-101").expect("id")),
            what: Text::new("紧急求助", "help button"),
            raised_at: at,
            active: true,
            occurrences: 1,
            cleared_at: None,
            acknowledged: Some(by.clone()),
            latched: true,
            reset: None,
            closed_at: None,
            marks: crate::model::Marks::default(),
        };
        let change = AlarmChange { kind: ChangeKind::Acknowledged, at, actor: by.by, note: by.note, alarm };
        item(seq, Record::Alarm(change))
    }

    fn item(seq: u64, record: Record) -> OutboxItem {
        OutboxItem {
            seq,
            destination: DestinationId::new("province").expect("id"),
            uid: format!("gw-1:{seq}"),
            created: Wall(1_790_000_000_000),
            record,
        }
    }

    #[test]
    fn the_body_is_as_documented_and_names_nobody() {
        let batch =
            Batch::new(&sender(), vec![aggregate(5, "meter-1"), alarm(6, "help-1")]).expect("a batch");
        let body: Value = serde_json::from_slice(&batch.body).expect("JSON");
        assert_eq!(body["gateway"], "gw-1");
        assert_eq!(body["school_code"], "3134000001");
        assert_eq!(body["batch_id"], batch.id.as_str());
        assert_eq!((&body["seq_from"], &body["seq_to"], &body["count"]), (&json!(5), &json!(6), &json!(2)));
        assert_eq!(
            body["records"][0],
            json!({"uid": "gw-1:5", "seq": 5, "record": "aggregate", "device": "meter-1", "point": "energy",
                "unit": "kWh", "kind": "counter", "start": 1_790_000_100_000i64, "period_secs": 900, "count": 3,
                "sum": 6.0, "min": 1.0, "max": 3.0, "last": 3.0, "delta": 2.0, "revision": 0})
        );
        let alarm = &body["records"][1];
        assert_eq!((&alarm["change"], &alarm["acknowledged"]), (&json!("acknowledged"), &json!(true)));
        assert_eq!(alarm["what"], json!({"zh": "紧急求助", "en": "help button"}));
        let text = String::from_utf8(batch.body).expect("UTF-8");
        for private in ["王老师", "去看了", "cafe0123"] {
            assert!(!text.contains(private), "{private} left the school");
        }
    }

    #[test]
    fn a_batch_keeps_to_its_limits_and_its_lane() {
        let owed: Vec<_> = (1..=3).map(|n| alarm(n, "a")).chain((4..=9).map(|n| aggregate(n, "m"))).collect();
        let seqs = |lane, records, bytes| {
            let batch = Batch::leading(&sender(), &owed, lane, records, bytes).expect("a batch");
            assert!(batch.body.len() <= bytes || batch.items.len() == 1, "{} > {bytes}", batch.body.len());
            batch.items.iter().map(|i| i.seq).collect::<Vec<_>>()
        };
        assert_eq!(seqs(Lane::Alarm, 100, 1 << 20), [1, 2, 3]);
        assert_eq!(seqs(Lane::Aggregate, 2, 1 << 20), [4, 5]);
        assert_eq!(seqs(Lane::Aggregate, 100, 10), [4], "too large alone is still sent");
        assert_eq!(seqs(Lane::Aggregate, 0, 1 << 20), [4]);
        for bytes in (100..4000).step_by(37) {
            assert!(!seqs(Lane::Aggregate, 100, bytes).is_empty());
        }
        assert_eq!(Batch::leading(&sender(), &[], Lane::Alarm, 1, 1), None);
    }

    #[test]
    fn the_same_records_have_the_same_id_and_halves_have_their_own() {
        let items: Vec<_> = (1..=5).map(|n| aggregate(n, "m")).collect();
        let batch = Batch::new(&sender(), items.clone()).expect("a batch");
        assert_eq!(Some(&batch), Batch::new(&sender(), items).as_ref());
        let id = batch.id.clone();
        let (a, b) = batch.halves(&sender()).expect("halves");
        assert_eq!((a.items.len(), b.items.len()), (2, 3));
        assert!(a.id != id && b.id != id && a.id != b.id);
        assert_eq!(Batch::new(&sender(), vec![aggregate(1, "m")]).expect("one").halves(&sender()), None);
    }
}
