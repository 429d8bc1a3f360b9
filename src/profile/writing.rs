//! What may be written to a device: which points, within which limits, and what goes over the line.

use super::cell::Cell;
use super::format::Format;
use super::register::Register;
use super::{Both, Point, RegisterTable, Write};
use crate::document::Reader;
use crate::model::{PointId, Text, Unit};

/// That a point may be written, and within which limits, in its unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Writing {
    multiple: bool,
    lowest: f64,
    highest: f64,
}

/// A point that may be written.
#[derive(Debug, Clone, PartialEq)]
pub struct Writable {
    /// Which.
    pub point: PointId,
    /// Where it stands.
    pub table: RegisterTable,
    /// Its first register or coil, 0-based.
    pub address: u16,
    /// How many.
    pub words: u16,
    /// The smallest value that may be written, in `unit`.
    pub lowest: f64,
    /// The largest.
    pub highest: f64,
    /// The unit of both.
    pub unit: Unit,
}

/// How far from a whole step of the register a value may be, as a share of the step.
const STEP_ERROR: f64 = 1e-6;

impl Writing {
    /// Reads `write`, `write_min` and `write_max`.
    pub(super) fn parse_opt(reader: &Reader<'_>, cell: Option<&Cell>, point: Option<&Point>) -> Option<Self> {
        let written = reader.has("write");
        let multiple = reader.word_opt("write", &[("single", false), ("multiple", true)]);
        let limit = |key| reader.number_opt(key, -1e12..=1e12);
        let (lowest, highest) = (limit("write_min"), limit("write_max"));
        if !written {
            for key in ["write_min", "write_max"].iter().filter(|key| reader.has(key)) {
                reader.problem(
                    key,
                    (
                        format!("'{key}' 写在不可写的测点上"),
                        format!("'{key}' on a point that is not written"),
                    ),
                    (
                        "写 write = \"single\"（功能码 5、6）或 \"multiple\"（功能码 15、16）",
                        "write = \"single\" (functions 5 and 6) or \"multiple\" (functions 15 and 16)",
                    ),
                );
            }
            return None;
        }
        let (multiple, cell, point) = (multiple?, cell?, point?);
        if let Some((key, message, advice)) = cannot(reader, cell, point, multiple) {
            reader.problem(key, message, advice);
            return None;
        }
        let (lowest, highest) = match (cell.table, lowest, highest) {
            (RegisterTable::Coil, None, None) => (0.0, 1.0),
            (_, Some(lowest), Some(highest)) if lowest < highest => (lowest, highest),
            _ => {
                let advice = (
                    format!("加上 write_min 和 write_max，单位 {}：设备允许的范围，见说明书", point.unit),
                    format!(
                        "add write_min and write_max, in {}: what the device can bear, from its manual",
                        point.unit
                    ),
                );
                reader.problem(
                    "write",
                    (
                        "可写的值必须有从小到大的两个限值",
                        "a value that is written must have two rising limits",
                    ),
                    advice,
                );
                return None;
            }
        };
        Some(Self { multiple, lowest, highest })
    }
}

/// Why a point cannot be written, if so: the key, what is wrong, and what to do.
fn cannot(
    reader: &Reader<'_>,
    cell: &Cell,
    point: &Point,
    multiple: bool,
) -> Option<(&'static str, Both, Both)> {
    if matches!(cell.table, RegisterTable::Input | RegisterTable::Discrete) {
        Some((
            "table",
            ("输入寄存器和离散输入只能读", "input registers and discrete inputs can only be read"),
            ("写 \"holding\" 或 \"coil\"", "write \"holding\" or \"coil\""),
        ))
    } else if cell.bits.is_some() {
        Some((
            "write",
            ("不能只写寄存器的几位", "some bits of a register cannot be written alone"),
            ("写整个寄存器，或不写", "write the whole register, or none"),
        ))
    } else if cell.format.words() > 1 && !multiple {
        Some((
            "write",
            ("占多个寄存器的值要在一次请求里写", "a value of several registers goes in one request"),
            ("写 write = \"multiple\"", "write = \"multiple\""),
        ))
    } else if cell.format == Format::WholeAndFraction || reader.has("scale_at") {
        Some((
            "write",
            ("分成两部分的值不能写", "a value in two parts cannot be written"),
            ("删去 `write`", "drop `write`"),
        ))
    } else if point.ratio.is_some() {
        Some((
            "write",
            ("测量值不能写", "a measured value cannot be written"),
            ("删去 `write` 或 `ratio`", "drop `write` or `ratio`"),
        ))
    } else {
        None
    }
}

/// What goes over the line to give a point a value; else why not, in a sentence for a person.
pub(super) fn write(register: &Register, value: f64) -> Result<Write, Text> {
    let Register { point, cell, .. } = register;
    let Some(writing) = register.writing else {
        return Err((
            format!("模板不允许写 '{}'", point.id),
            format!("the profile does not let '{}' be written", point.id),
        )
            .into());
    };
    let (lowest, highest) = (writing.lowest, writing.highest);
    if !(lowest..=highest).contains(&value) {
        return Err((
            format!(
                "'{}' 可写 {lowest} 到 {highest} {}，不能写 {value}：这是模板的限值",
                point.id, point.unit
            ),
            format!(
                "'{}' takes {lowest} to {highest} {}, not {value}: the limits of the profile",
                point.id, point.unit
            ),
        )
            .into());
    }
    let exact = register.scale.undo(value);
    let whole = exact.round();
    let raw = match cell.format {
        Format::Float32 | Format::Float64 => exact,
        _ if (exact - whole).abs() <= STEP_ERROR => whole,
        _ => {
            let (below, above) = (register.scale.apply(exact.floor()), register.scale.apply(exact.ceil()));
            let (below, above) = (below.min(above), below.max(above));
            return Err((
                format!(
                    "'{}' 按步长变化：{value} {unit} 在 {below} 与 {above} {unit} 之间",
                    point.id,
                    unit = point.unit
                ),
                format!(
                    "'{}' goes in steps: {value} {unit} lies between {below} and {above} {unit}",
                    point.id,
                    unit = point.unit
                ),
            )
                .into());
        }
    };
    let bits = cell.format.bits(raw).ok_or_else(|| {
        (
            format!("'{}' 的寄存器放不下 {value} {}：类型太短", point.id, point.unit),
            format!(
                "the register of '{}' cannot hold {value} {}: its type is too small",
                point.id, point.unit
            ),
        )
    })?;
    if register.invalid.contains(&bits) {
        return Err((
            format!("{value} {} 发出去会成为 '{1}' 的“无数值”", point.unit, point.id),
            format!("{value} {} would be sent as what means \"no value\" to '{}'", point.unit, point.id),
        )
            .into());
    }
    let words = cell.order.words(bits, cell.format.words());
    Ok(Write { table: cell.table, address: cell.address, words, multiple: writing.multiple })
}

/// A point as one that may be written.
pub(super) fn writable(register: &Register) -> Option<Writable> {
    let writing = register.writing?;
    let Register { point, cell, .. } = register;
    Some(Writable {
        point: point.id.clone(),
        table: cell.table,
        address: cell.address,
        words: cell.format.words(),
        lowest: writing.lowest,
        highest: writing.highest,
        unit: point.unit,
    })
}

#[cfg(test)]
mod tests;
