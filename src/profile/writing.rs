//! What may be written to a device: which points, within which limits, and what goes over the line.

use super::cell::Cell;
use super::format::Format;
use super::register::Register;
use super::{Point, RegisterTable, Write};
use crate::document::Reader;
use crate::model::{PointId, Unit};

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
                    format!("'{key}' on a point that is not written"),
                    "write = \"single\" (functions 5 and 6) or \"multiple\" (functions 15 and 16)",
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
                let advice = format!(
                    "add write_min and write_max, in {}: what the device can bear, from its manual",
                    point.unit
                );
                reader.problem("write", "a value that is written must have two rising limits", advice);
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
) -> Option<(&'static str, &'static str, &'static str)> {
    if matches!(cell.table, RegisterTable::Input | RegisterTable::Discrete) {
        Some((
            "table",
            "input registers and discrete inputs can only be read",
            "write \"holding\" or \"coil\"",
        ))
    } else if cell.bits.is_some() {
        Some((
            "write",
            "some bits of a register cannot be written alone",
            "write the whole register, or none",
        ))
    } else if cell.format.words() > 1 && !multiple {
        Some(("write", "a value of several registers goes in one request", "write = \"multiple\""))
    } else if cell.format == Format::WholeAndFraction || reader.has("scale_at") {
        Some(("write", "a value in two parts cannot be written", "drop `write`"))
    } else if point.ratio.is_some() {
        Some(("write", "a measured value cannot be written", "drop `write` or `ratio`"))
    } else {
        None
    }
}

/// What goes over the line to give a point a value; else why not, in a sentence for a person.
pub(super) fn write(register: &Register, value: f64) -> Result<Write, String> {
    let Register { point, cell, .. } = register;
    let Some(writing) = register.writing else {
        return Err(format!("the profile does not let '{}' be written", point.id));
    };
    let (lowest, highest) = (writing.lowest, writing.highest);
    if !(lowest..=highest).contains(&value) {
        return Err(format!(
            "'{}' takes {lowest} to {highest} {}, not {value}: the limits of the profile",
            point.id, point.unit
        ));
    }
    let exact = register.scale.undo(value);
    let whole = exact.round();
    let raw = match cell.format {
        Format::Float32 | Format::Float64 => exact,
        _ if (exact - whole).abs() <= STEP_ERROR => whole,
        _ => {
            let (below, above) = (register.scale.apply(exact.floor()), register.scale.apply(exact.ceil()));
            let (below, above) = (below.min(above), below.max(above));
            return Err(format!(
                "'{}' goes in steps: {value} {unit} lies between {below} and {above} {unit}",
                point.id,
                unit = point.unit
            ));
        }
    };
    let bits = cell.format.bits(raw).ok_or_else(|| {
        format!("the register of '{}' cannot hold {value} {}: its type is too small", point.id, point.unit)
    })?;
    if register.invalid.contains(&bits) {
        return Err(format!(
            "{value} {} would be sent as what means \"no value\" to '{}'",
            point.unit, point.id
        ));
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
