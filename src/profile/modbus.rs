//! Modbus: a device's registers and bits, and what they mean.

use super::cell::Cell;
use super::format::Order;
use super::identity::Identity;
use super::register::Register;
use super::register_event::RegisterEvent;
use super::{Decoded, ModbusLimits, Point, RegisterSpan, RegisterTable};
use crate::document::Reader;
use crate::model::{Body, EventKind, PointId};
use std::collections::{BTreeMap, BTreeSet};

/// The most points in one profile, and the most events.
const MAX_POINTS: usize = 1000;
/// The most places by which a model is known.
const MAX_IDENTITIES: usize = 4;

/// A device's registers.
#[derive(Debug, Clone)]
pub(super) struct Registers {
    registers: Vec<Register>,
    events: Vec<RegisterEvent>,
    identities: Vec<Identity>,
    limits: ModbusLimits,
}

impl Registers {
    /// Reads `[modbus]`, every `[[point]]`, `[[event]]` and `[[identity]]`.
    pub(super) fn parse(reader: &Reader<'_>) -> Self {
        let (limits, order) = limits(reader);
        let max_words = limits.max_registers;
        let tables = reader.tables("point");
        let events = reader.tables("event");
        if tables.is_empty() && events.is_empty() || tables.len().max(events.len()) > MAX_POINTS {
            reader.problem(
                "point",
                (
                    format!("模板有 {} 个测点、{} 个事件", tables.len(), events.len()),
                    format!("the profile has {} points and {} events", tables.len(), events.len()),
                ),
                (
                    format!("每个量写一个 `[[point]]`，1 到 {MAX_POINTS} 个"),
                    format!("write one `[[point]]` per quantity, 1 to {MAX_POINTS}"),
                ),
            );
        }
        let mut taken = BTreeSet::new();
        let mut this = Self { registers: Vec::new(), events: Vec::new(), identities: Vec::new(), limits };
        for table in tables.into_iter().take(MAX_POINTS) {
            if let Some(register) = Register::parse(&table, order, max_words, &mut taken) {
                this.check_place(&table, &register);
                this.registers.push(register);
            }
            table.finish();
        }
        let mut told = BTreeSet::new();
        for table in events.into_iter().take(MAX_POINTS) {
            if let Some(event) = RegisterEvent::parse(&table, order, max_words, &mut told) {
                this.check_event_place(&table, event.cell());
                this.events.push(event);
            }
            table.finish();
        }
        let identities = reader.tables("identity");
        if identities.len() > MAX_IDENTITIES {
            let advice = (format!("留下 {MAX_IDENTITIES} 个"), format!("keep {MAX_IDENTITIES}"));
            reader.problem(
                "identity",
                (
                    format!("有 {} 个 [[identity]]", identities.len()),
                    format!("there are {} [[identity]]", identities.len()),
                ),
                advice,
            );
        }
        for table in identities {
            this.identities.extend(Identity::parse(&table, order, max_words));
            table.finish();
        }
        this
    }

    fn check_place(&self, reader: &Reader<'_>, new: &Register) {
        let Some(other) = self.registers.iter().find(|r| r.cell.clashes(&new.cell)) else { return };
        reader.problem(
            "address",
            (
                format!("'{}' 与 '{}' 在同一个寄存器", new.point.id, other.point.id),
                format!("'{}' stands in the same register as '{}'", new.point.id, other.point.id),
            ),
            ("对照说明书检查两者的地址和类型", "check both addresses and types against the manual"),
        );
    }

    /// An event may be told by a point's own register, but not by half of one.
    fn check_event_place(&self, reader: &Reader<'_>, new: &Cell) {
        let whole = |r: &&Register| r.cell.clashes(new) && r.cell.span(1) != new.span(1);
        let Some(other) = self.registers.iter().find(whole) else { return };
        reader.problem(
            "address",
            (
                format!("这个事件只用了 '{}' 的一部分寄存器", other.point.id),
                format!("the event is told by a part of the registers of '{}'", other.point.id),
            ),
            ("对照说明书检查地址和类型", "check address and type against the manual"),
        );
    }

    pub(super) fn points(&self) -> Vec<Point> {
        self.registers.iter().map(|r| r.point.clone()).collect()
    }

    pub(super) fn points_mut(&mut self) -> impl Iterator<Item = &mut Point> {
        self.registers.iter_mut().map(|r| &mut r.point)
    }

    pub(super) fn events(&self) -> Vec<EventKind> {
        self.events.iter().map(|event| event.kind).collect()
    }

    /// What must be read, each place once.
    pub(super) fn spans(&self) -> Vec<RegisterSpan> {
        let mut spans: BTreeMap<(RegisterTable, u16, u16), u16> = BTreeMap::new();
        let all =
            self.registers.iter().map(Register::span).chain(self.events.iter().map(RegisterEvent::span));
        for span in all {
            let every = spans.entry((span.table, span.address, span.words)).or_insert(span.every);
            *every = span.every.min(*every);
        }
        let span = |((table, address, words), every)| RegisterSpan { table, address, words, every };
        spans.into_iter().map(span).collect()
    }

    /// Where one point is read.
    pub(super) fn span(&self, point: &PointId) -> Option<RegisterSpan> {
        self.read_with(self.register(point.as_str())?.span())
    }

    /// Where events are read, each place once.
    pub(super) fn event_spans(&self) -> Vec<RegisterSpan> {
        let mut spans: Vec<RegisterSpan> = Vec::new();
        for span in self.events.iter().filter_map(|event| self.read_with(event.span())) {
            if !spans.contains(&span) {
                spans.push(span);
            }
        }
        spans
    }

    /// The place that is read, which others share and may want more often.
    fn read_with(&self, own: RegisterSpan) -> Option<RegisterSpan> {
        let same = |s: &RegisterSpan| (s.table, s.address, s.words) == (own.table, own.address, own.words);
        self.spans().into_iter().find(same)
    }

    pub(super) fn limits(&self) -> ModbusLimits {
        self.limits.clone()
    }

    pub(super) fn register(&self, point: &str) -> Option<&Register> {
        self.registers.iter().find(|r| r.point.id.as_str() == point)
    }

    pub(super) fn registers(&self) -> &[Register] {
        &self.registers
    }

    pub(super) fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// Decodes every point and event that stands wholly within the words.
    pub(super) fn decode(&self, table: RegisterTable, address: u16, words: &[u16]) -> Vec<Decoded> {
        let registers = self.registers.iter().filter(|r| r.cell.table == table);
        let readings = registers.filter_map(|r| r.read(address, words)).map(Body::Reading);
        let events = self.events.iter().filter(|e| e.cell().table == table);
        let events = events.filter_map(|e| e.read(address, words)).map(Body::Event);
        readings.chain(events).map(|body| Decoded { device_time: None, body }).collect()
    }
}

fn limits(reader: &Reader<'_>) -> (ModbusLimits, Order) {
    let mut limits = ModbusLimits { max_registers: 125, max_gap: 0 };
    let Some(modbus) = reader.table_opt("modbus") else { return (limits, Order::ABCD) };
    let whole = |key, range| modbus.integer_opt(key, range).and_then(|v| u16::try_from(v).ok());
    limits.max_registers = whole("max_registers", 1..=125).unwrap_or(limits.max_registers);
    limits.max_gap = whole("max_gap", 0..=124).unwrap_or(limits.max_gap);
    let order = modbus.word_opt("order", &Order::WORDS).unwrap_or(Order::ABCD);
    modbus.finish();
    (limits, order)
}

#[cfg(test)]
mod tests;
