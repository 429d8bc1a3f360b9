//! Modbus: where points stand in a device's registers, and what the registers mean.

use super::parse::{self, Scale};
use super::{Decoded, ModbusLimits, Point, RegisterSpan, RegisterTable};
use crate::document::Reader;
use crate::model::{Body, Doubt, PointId, Reading};
use std::collections::BTreeSet;

/// The most points in one profile.
const MAX_POINTS: usize = 1000;

/// How the bits of a value are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Unsigned { words: u16 },
    Signed { words: u16 },
    Float32,
    Float64,
    Bcd { words: u16 },
}

impl Format {
    const WORDS: [(&str, Self); 10] = [
        ("u16", Self::Unsigned { words: 1 }),
        ("i16", Self::Signed { words: 1 }),
        ("u32", Self::Unsigned { words: 2 }),
        ("i32", Self::Signed { words: 2 }),
        ("u64", Self::Unsigned { words: 4 }),
        ("i64", Self::Signed { words: 4 }),
        ("f32", Self::Float32),
        ("f64", Self::Float64),
        ("bcd16", Self::Bcd { words: 1 }),
        ("bcd32", Self::Bcd { words: 2 }),
    ];

    fn words(self) -> u16 {
        match self {
            Self::Unsigned { words } | Self::Signed { words } | Self::Bcd { words } => words,
            Self::Float32 => 2,
            Self::Float64 => 4,
        }
    }

    /// The number these bits stand for; not finite when they stand for none.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a 64-bit counter beyond 2^53 loses less than one part in 10^15"
    )]
    fn value(self, bits: u64) -> f64 {
        match self {
            Self::Unsigned { .. } => bits as f64,
            Self::Signed { words } => {
                let shift = 64_u32.saturating_sub(16 * u32::from(words));
                ((bits << shift).cast_signed() >> shift) as f64
            }
            Self::Float32 => f64::from(f32::from_bits(u32::try_from(bits).unwrap_or(u32::MAX))),
            Self::Float64 => f64::from_bits(bits),
            Self::Bcd { words } => {
                let digits = (0..u32::from(words) * 4).rev().map(|i| (bits >> (4 * i)) & 0xF);
                let mut value = 0_u64;
                for digit in digits {
                    if digit > 9 {
                        return f64::NAN;
                    }
                    value = value * 10 + digit;
                }
                value as f64
            }
        }
    }
}

/// How the bytes of a value lie in its registers; A is the most significant byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    low_word_first: bool,
    low_byte_first: bool,
}

impl Order {
    const WORDS: [(&str, Self); 4] = [
        ("ABCD", Self { low_word_first: false, low_byte_first: false }),
        ("CDAB", Self { low_word_first: true, low_byte_first: false }),
        ("BADC", Self { low_word_first: false, low_byte_first: true }),
        ("DCBA", Self { low_word_first: true, low_byte_first: true }),
    ];
    const ABCD: Self = Self { low_word_first: false, low_byte_first: false };

    fn bits(self, words: &[u16]) -> u64 {
        let join = |bits: u64, word: &u16| {
            let word = if self.low_byte_first { word.swap_bytes() } else { *word };
            (bits << 16) | u64::from(word)
        };
        if self.low_word_first { words.iter().rev().fold(0, join) } else { words.iter().fold(0, join) }
    }
}

/// One point in the registers.
#[derive(Debug)]
struct Register {
    point: Point,
    span: RegisterSpan,
    format: Format,
    order: Order,
    scale: Scale,
    invalid: Vec<u64>,
}

impl Register {
    fn parse(
        reader: &Reader<'_>,
        order: Order,
        max_words: u16,
        taken: &mut BTreeSet<PointId>,
    ) -> Option<Self> {
        let point = parse::point(reader, taken);
        let tables = [("holding", RegisterTable::Holding), ("input", RegisterTable::Input)];
        let table = reader.word("table", &tables);
        let address = reader.integer("address", 0..=0xFFFF).and_then(|a| u16::try_from(a).ok());
        let format = reader.word("type", &Format::WORDS);
        let own_order = reader.word_opt("order", &Order::WORDS);
        let scale = Scale::parse(reader);
        let words = format.map_or(1, Format::words);
        if words == 1 && own_order.is_some_and(|o| o.low_word_first) {
            reader.problem(
                "order",
                "'order' swaps words, but the value has one",
                "write \"ABCD\" or \"BADC\"",
            );
        }
        if words > max_words {
            reader.problem(
                "type",
                format!("the value has {words} registers, but one read may have {max_words}"),
                "raise modbus.max_registers or choose a smaller type",
            );
        }
        if address.is_some_and(|a| u32::from(a) + u32::from(words) > 0x1_0000) {
            reader.problem(
                "address",
                format!("the value has {words} registers and would end beyond register 65535"),
                "write the 0-based address as on the wire (a manual's 40001 or 30001 is 0)",
            );
        }
        let invalid = invalid(reader, words);
        Some(Self {
            point: point?,
            span: RegisterSpan { table: table?, address: address?, words, every: 1 },
            format: format?,
            order: own_order.unwrap_or(order),
            scale,
            invalid,
        })
    }

    fn read(&self, words: &[u16]) -> Reading {
        let bits = self.order.bits(words);
        if self.invalid.contains(&bits) {
            return self.point.absent(Doubt::Sentinel);
        }
        let value = self.scale.apply(self.format.value(bits));
        if value.is_finite() { self.point.reading(value) } else { self.point.absent(Doubt::NotANumber) }
    }
}

/// The raw bit patterns that mean "no value", most significant digit first.
fn invalid(reader: &Reader<'_>, words: u16) -> Vec<u64> {
    let digits = usize::from(words) * 4;
    let mut patterns = Vec::new();
    for (text, spot) in reader.texts("invalid") {
        let hex = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
        match u64::from_str_radix(&text, 16) {
            Ok(bits) if hex => patterns.push(bits),
            _ => reader.problems().at(
                &spot,
                format!("'{text}' is not the bits of this type"),
                format!("write {digits} hexadecimal digits, such as \"{}\"", "F".repeat(digits)),
            ),
        }
    }
    patterns
}

/// A device's registers.
#[derive(Debug)]
pub(super) struct Registers {
    registers: Vec<Register>,
    limits: ModbusLimits,
}

impl Registers {
    /// Reads `[modbus]` and every `[[point]]`.
    pub(super) fn parse(reader: &Reader<'_>) -> Self {
        let mut limits = ModbusLimits { max_registers: 125, max_gap: 0 };
        let mut order = Order::ABCD;
        if let Some(modbus) = reader.table_opt("modbus") {
            let whole = |key, high| modbus.integer_opt(key, high).and_then(|v| u16::try_from(v).ok());
            limits.max_registers = whole("max_registers", 1..=125).unwrap_or(limits.max_registers);
            limits.max_gap = whole("max_gap", 0..=124).unwrap_or(limits.max_gap);
            order = modbus.word_opt("order", &Order::WORDS).unwrap_or(order);
            modbus.finish();
        }
        let mut taken = BTreeSet::new();
        let mut registers: Vec<Register> = Vec::new();
        let tables = reader.tables("point");
        if tables.is_empty() || tables.len() > MAX_POINTS {
            reader.problem(
                "point",
                format!("the profile has {} points", tables.len()),
                format!("write one `[[point]]` per quantity, 1 to {MAX_POINTS}"),
            );
        }
        for table in tables.into_iter().take(MAX_POINTS) {
            if let Some(register) = Register::parse(&table, order, limits.max_registers, &mut taken) {
                if let Some(other) = registers.iter().find(|r| overlap(r.span, register.span)) {
                    table.problem(
                        "address",
                        format!(
                            "'{}' stands in the same register as '{}'",
                            register.point.id, other.point.id
                        ),
                        "check both addresses and types against the manual",
                    );
                }
                registers.push(register);
            }
            table.finish();
        }
        Self { registers, limits }
    }

    pub(super) fn points(&self) -> Vec<Point> {
        self.registers.iter().map(|r| r.point.clone()).collect()
    }

    pub(super) fn spans(&self) -> Vec<RegisterSpan> {
        self.registers.iter().map(|r| r.span).collect()
    }

    pub(super) fn span(&self, point: &PointId) -> Option<RegisterSpan> {
        self.registers.iter().find(|r| r.point.id == *point).map(|r| r.span)
    }

    pub(super) fn limits(&self) -> ModbusLimits {
        self.limits.clone()
    }

    /// Whether a point is sent as a 32-bit float, so its value has seven digits.
    pub(super) fn is_float32(&self, point: &str) -> bool {
        self.registers.iter().any(|r| r.point.id.as_str() == point && r.format == Format::Float32)
    }

    /// Decodes every point that stands wholly within the words.
    pub(super) fn decode(&self, table: RegisterTable, address: u16, words: &[u16]) -> Vec<Decoded> {
        let mut decoded = Vec::new();
        for register in self.registers.iter().filter(|r| r.span.table == table) {
            let Some(start) = register.span.address.checked_sub(address).map(usize::from) else { continue };
            let Some(own) = words.get(start..start + usize::from(register.span.words)) else { continue };
            decoded.push(Decoded { device_time: None, body: Body::Reading(register.read(own)) });
        }
        decoded
    }
}

fn overlap(a: RegisterSpan, b: RegisterSpan) -> bool {
    let end = |s: RegisterSpan| u32::from(s.address) + u32::from(s.words);
    a.table == b.table && u32::from(a.address) < end(b) && u32::from(b.address) < end(a)
}
