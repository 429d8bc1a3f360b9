//! A control with its clocks, its store and a device that may be told to misbehave, for the tests of this room.

use super::*;
use crate::model::{ClockQuality, Mono, Now, PointKind, Quality, Reading, Stamp, Unit, Wall};
use crate::pipeline::{DeviceLive, Live, PointLive};
use std::sync::Arc;

pub(super) const T0: i64 = 1_790_000_000_000;

pub(super) fn id<T, E: fmt::Debug>(made: Result<T, E>) -> T {
    made.unwrap()
}

pub(super) fn spec() -> Spec {
    let (device, point) = (id(DeviceId::new("relay")), id(PointId::new("light")));
    Spec {
        id: id(ControlId::new("hall")),
        name: "大厅照明".into(),
        place: id(PlaceId::new("hall")),
        allowed: Allowed::Values(vec![0.0, 1.0]),
        rest: Some(0.0),
        max_on: None,
        min_interval: Duration::from_secs(1),
        max_per_hour: 3,
        interlocks: Vec::new(),
        read_back: (device.clone(), point.clone()),
        device,
        point,
        settle: Duration::from_secs(2),
        dry_run: false,
        off_when: BTreeSet::new(),
        exit: false,
        inert_in_fire: false,
    }
}

pub(super) fn pulse() -> Spec {
    Spec { max_on: Some(Duration::from_secs(60)), ..spec() }
}

pub(super) fn locked() -> Spec {
    let lock = Interlock {
        device: id(DeviceId::new("panel")),
        point: id(PointId::new("hand")),
        holds: Condition::Is(0.0),
        max_age: Duration::from_secs(60),
    };
    Spec { interlocks: vec![lock], ..spec() }
}

/// A control, its clocks, and a device that may be told what to do with writes.
pub(super) struct Rig {
    pub(super) control: Control,
    pub(super) mono: u64,
    /// What the wall clock was set by.
    pub(super) set: i64,
    pub(super) live: Live,
    /// What the device reads; `None` while it is dead.
    pub(super) output: Option<f64>,
    /// It answers writes and does nothing.
    pub(super) echoes_only: bool,
    /// Told outcomes by order.
    pub(super) told: Vec<(u64, Outcome)>,
    pub(super) rows: Vec<Audit>,
    /// What is durable.
    pub(super) memory: Memory,
    pub(super) reports: Vec<Level>,
    pub(super) written: Vec<f64>,
    /// Nothing becomes durable.
    pub(super) disk_stalls: bool,
    pub(super) pending: Vec<Step>,
    pub(super) number: u64,
}

impl Rig {
    pub(super) fn new(spec: Spec) -> Self {
        Self::started(spec, true, None, Some(0.0))
    }

    pub(super) fn started(spec: Spec, enabled: bool, memory: Option<&Memory>, output: Option<f64>) -> Self {
        let mono = 100_000;
        let now = Now { mono: Mono(mono), wall: Wall(T0) };
        Self {
            control: Control::new(Arc::new(spec), enabled, memory, now),
            mono,
            set: T0 - 100_000,
            live: Live::default(),
            output,
            echoes_only: false,
            told: Vec::new(),
            rows: Vec::new(),
            memory: memory.cloned().unwrap_or_default(),
            reports: Vec::new(),
            written: Vec::new(),
            disk_stalls: false,
            pending: Vec::new(),
            number: 0,
        }
    }

    pub(super) fn now(&self) -> Now {
        Now { mono: Mono(self.mono), wall: Wall(i64::try_from(self.mono).unwrap() + self.set) }
    }

    pub(super) fn by(actor: &str) -> By {
        By::Person(Actor::named(actor).unwrap())
    }

    /// Gives an order without letting anything come of it yet.
    pub(super) fn give(&mut self, actor: &str, value: f64, dry_run: bool) -> u64 {
        self.number += 1;
        let order = Order { number: self.number, value, by: Self::by(actor), reason: "test".into(), dry_run };
        let steps = self.control.order(self.now(), &self.live, order);
        self.pending.extend(steps);
        self.number
    }

    /// Gives an order and lets everything come of it; its outcome.
    pub(super) fn order(&mut self, value: f64) -> Outcome {
        let number = self.give("王老师", value, false);
        self.settle();
        self.outcome(number).expect("an outcome")
    }

    pub(super) fn outcome(&self, number: u64) -> Option<Outcome> {
        self.told.iter().find(|(n, _)| *n == number).map(|(_, outcome)| outcome.clone())
    }

    /// Answers every step until there is none left that is due now.
    pub(super) fn work(&mut self) {
        while !self.pending.is_empty() {
            self.work_one();
        }
    }

    /// Answers the next step.
    pub(super) fn work_one(&mut self) {
        let now = self.now();
        let more = match self.pending.remove(0) {
            Step::Store { ticket, memory, audit } => {
                assert!(!audit.is_empty(), "every note has a row: the store knows a repeat by it");
                if self.disk_stalls {
                    return;
                }
                self.memory = memory;
                self.rows.extend(audit);
                ticket.map(|ticket| self.control.stored(now, &self.live, ticket))
            }
            Step::Write { ticket, value } => {
                self.written.push(value);
                let result = match self.output {
                    None => Err(NotWritten::Unclear(Text::same("no reply"))),
                    Some(before) => {
                        self.output = Some(if self.echoes_only { before } else { value });
                        Ok(())
                    }
                };
                Some(self.control.wrote(now, ticket, result))
            }
            Step::Read { ticket } => {
                let result = self.output.ok_or_else(|| Text::same("no reply"));
                Some(self.control.read(now, ticket, result))
            }
            Step::Tell { number, outcome } => {
                self.told.push((number, outcome));
                None
            }
            Step::Report(finding) => {
                self.reports.push(finding.level);
                None
            }
        };
        self.pending.extend(more.into_iter().flatten());
    }

    /// Lets time pass until `secs` from now, deadline by deadline.
    pub(super) fn pass(&mut self, secs: u64) {
        let end = self.mono + secs * 1000;
        loop {
            self.work();
            let next = self.control.next_deadline().filter(|next| next.0 <= end);
            self.mono = next.map_or(end, |next| next.0.max(self.mono));
            let steps = self.control.expire(self.now());
            if steps.is_empty() && next.is_none() {
                return;
            }
            self.pending.extend(steps);
        }
    }

    /// As long as an order can take.
    pub(super) fn settle(&mut self) {
        self.pass(8);
    }

    pub(super) fn see(&mut self, value: Option<f64>, age_secs: i64, quality: Quality) {
        let point = id(PointId::new("hand"));
        let mut reading = Reading::new(point.clone(), 0.0, Unit::One, PointKind::State);
        (reading.value, reading.quality) = (value, quality);
        let gateway = self.now().wall.plus_ms(-age_secs * 1000);
        let stamp = Stamp { device: None, gateway, clock: ClockQuality::NoDeviceTime };
        let mut panel = DeviceLive::default();
        panel.points.insert(point, PointLive { reading, stamp });
        self.live.devices.insert(id(DeviceId::new("panel")), Arc::new(panel));
    }

    pub(super) fn results(&self) -> Vec<String> {
        let result = |row: &Audit| row.detail.split_once(' ').unwrap().0.replace("result=", "");
        self.rows.iter().map(|row| format!("{} {}", row.actor, result(row))).collect()
    }
}

pub(super) fn word(outcome: &Outcome) -> &'static str {
    outcome.word()
}
