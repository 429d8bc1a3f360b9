//! One point in a device's registers: where it stands, what it means, and whether it may be written.

use super::cell::{Cell, overlap};
use super::format::{Format, Order};
use super::parse::{self, Scale};
use super::writing::Writing;
use super::{Point, RegisterSpan};
use crate::document::Reader;
use crate::model::{Doubt, PointId, PointKind, Reading};
use std::collections::BTreeSet;

/// SunSpec: a scale register that says that the value is not there (Device Information Model, section 4.2.6).
const NO_SCALE: u16 = 0x8000;
/// The largest power of ten a scale register may mean; SunSpec has −10 to 10.
const MAX_EXPONENT: i32 = 10;

/// One point in the registers.
#[derive(Debug, Clone)]
pub(super) struct Register {
    pub(super) point: Point,
    pub(super) cell: Cell,
    pub(super) scale: Scale,
    pub(super) invalid: Vec<u64>,
    /// The register that holds the power of ten to multiply by.
    scale_at: Option<u16>,
    pub(super) writing: Option<Writing>,
}

impl Register {
    pub(super) fn parse(
        reader: &Reader<'_>,
        order: Order,
        max_words: u16,
        taken: &mut BTreeSet<PointId>,
    ) -> Option<Self> {
        let cell = Cell::parse(reader, order, max_words);
        let flag = cell.is_some_and(|cell| cell.is_flag());
        let otherwise = if flag { PointKind::State } else { PointKind::Gauge };
        let point = parse::point(reader, taken, otherwise);
        let scale = Scale::parse(reader);
        let invalid = invalid(reader, cell.map_or(1, |cell| cell.format.words()));
        let scale_at = scale_at(reader, cell.as_ref(), max_words);
        let every = parse::every(reader);
        let writing = Writing::parse_opt(reader, cell.as_ref(), point.as_ref());
        let point = Point { every, ..point? };
        Some(Self { point, cell: cell?, scale, invalid, scale_at, writing })
    }

    /// What must be read in one piece: the value, and the register that scales it.
    pub(super) fn span(&self) -> RegisterSpan {
        let own = self.cell.span(self.point.every);
        let Some(scale_at) = self.scale_at else { return own };
        let first = own.address.min(scale_at);
        let end = u32::from(own.address) + u32::from(own.words);
        let words = end.max(u32::from(scale_at) + 1) - u32::from(first);
        RegisterSpan { address: first, words: u16::try_from(words).unwrap_or(own.words), ..own }
    }

    /// Its value in the registers read from `address` on; `None` when they are not all there.
    pub(super) fn read(&self, address: u16, words: &[u16]) -> Option<Reading> {
        let own = self.cell.find(address, words)?;
        let exponent = match self.scale_at {
            None => 0,
            Some(at) => match *words.get(usize::from(at.checked_sub(address)?))? {
                NO_SCALE => return Some(self.point.absent(Doubt::Sentinel)),
                word => i32::from(self.cell.order.word(word).cast_signed()),
            },
        };
        let raw = self.cell.raw(own);
        if self.invalid.contains(&raw) {
            return Some(self.point.absent(Doubt::Sentinel));
        }
        if exponent.abs() > MAX_EXPONENT {
            return Some(self.point.absent(Doubt::NotANumber));
        }
        let value = self.cell.number(raw);
        // A power of ten below one has no exact binary form; dividing by one above has.
        let value = if exponent < 0 { value / 10_f64.powi(-exponent) } else { value * 10_f64.powi(exponent) };
        let value = self.scale.apply(value);
        Some(if value.is_finite() { self.point.reading(value) } else { self.point.absent(Doubt::NotANumber) })
    }

    /// Whether the value is a 32-bit float, and so has seven digits.
    pub(super) fn is_float32(&self) -> bool {
        self.cell.format == Format::Float32
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
                (format!("'{text}' 不是这种类型的值"), format!("'{text}' is not the bits of this type")),
                (
                    format!("写 {digits} 位十六进制数，例如 \"{}\"", "F".repeat(digits)),
                    format!("write {digits} hexadecimal digits, such as \"{}\"", "F".repeat(digits)),
                ),
            ),
        }
    }
    patterns
}

/// Reads `scale_at`: a register of the same table, near enough to be read together with the value.
fn scale_at(reader: &Reader<'_>, cell: Option<&Cell>, max_words: u16) -> Option<u16> {
    let at = reader.integer_opt("scale_at", 0..=0xFFFF).and_then(|at| u16::try_from(at).ok())?;
    let cell = cell?;
    let part = cell.bits.is_some() || matches!(cell.format, Format::Bit | Format::WholeAndFraction);
    if part || matches!(cell.format, Format::Float32 | Format::Float64) {
        reader.problem(
            "scale_at",
            ("只有整数才有倍率寄存器", "only whole numbers have a scale register"),
            (
                "删去 `scale_at`，或对照说明书检查 `type`",
                "drop `scale_at`, or check `type` against the manual",
            ),
        );
        return None;
    }
    let own = cell.span(1);
    let scale = RegisterSpan { address: at, words: 1, ..own };
    if overlap(own, scale) {
        reader.problem(
            "scale_at",
            ("倍率寄存器是数值自己的寄存器", "the scale register is one of the value's own"),
            (
                "写存放 10 的幂次的寄存器地址，从 0 起",
                "write the 0-based address of the register that holds the power of ten",
            ),
        );
        return None;
    }
    let first = u32::from(own.address.min(at));
    let end = (u32::from(own.address) + u32::from(own.words)).max(u32::from(at) + 1);
    if end - first > u32::from(max_words) {
        reader.problem(
            "scale_at",
            (
                format!("数值与倍率相距 {} 个寄存器，而一次最多读 {max_words} 个", end - first),
                format!(
                    "value and scale are {} registers apart, but one read may have {max_words}",
                    end - first
                ),
            ),
            (
                "调大 modbus.max_registers（最大 125）：两者必须同时读",
                "raise modbus.max_registers (125 at most): both must be of the same moment",
            ),
        );
        return None;
    }
    Some(at)
}
