//! DL/T 645 and CJ/T 188: quantities in binary-coded decimal, asked for by a data identifier.
//!
//! Both standards write a quantity's layout as the digits on the display, `XXXXXX.XX`: two digits to a byte, the last
//! two first on the line (DL/T 645-2007, annex A; CJ/T 188-2004, section 6).

use super::parse::{self, Scale};
use super::{Both, Decoded, Point};
use crate::document::Reader;
use crate::model::{Body, Doubt, PointId, PointKind, Reading, Unit};
use std::collections::BTreeSet;
use std::fmt;

/// The most points in one profile.
const MAX_POINTS: usize = 500;
/// Most data bytes of one answer.
const MAX_DATA: i64 = 255;
/// Most digits of one quantity: what an f64 holds exactly.
const MAX_DIGITS: usize = 14;

/// The standard by which a device names and writes its quantities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standard {
    /// DL/T 645-2007.
    Dlt645,
    /// CJ/T 188-2004 and -2018.
    Cjt188,
}

/// Names what one answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identifier {
    /// DI3 DI2 DI1 DI0, as the standard writes them.
    Dlt645(u32),
    /// DI0 and DI1 in the order in which they go over the line, which makers disagree about.
    Cjt188([u8; 2]),
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dlt645(di) => write!(f, "{di:08X}"),
            Self::Cjt188([first, second]) => write!(f, "{first:02X}{second:02X}"),
        }
    }
}

/// CJ/T 188: answers whatever the kind.
const ANY_KIND: u8 = 0xAA;

/// How a quantity lies in its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Digits, two to a byte; of the most significant byte the top bit may be the sign.
    Digits { bytes: usize, decimals: u32, signed: bool },
    /// Bits of a status word, least significant byte first.
    Bits { first: u32, width: u32 },
}

/// One quantity in an answer.
#[derive(Debug, Clone)]
struct Field {
    point: Point,
    identifier: Identifier,
    at: usize,
    layout: Layout,
    scale: Scale,
    /// The byte behind it names its unit.
    unit_byte: bool,
}

/// A device's quantities.
#[derive(Debug, Clone)]
pub(super) struct Digits {
    fields: Vec<Field>,
    standard: Standard,
    meter_kind: u8,
}

impl Digits {
    /// Reads `[cjt188]` and every `[[point]]`.
    pub(super) fn parse(reader: &Reader<'_>, standard: Standard) -> Self {
        let meter_kind = match standard {
            Standard::Dlt645 => None,
            Standard::Cjt188 => meter_kind(reader),
        };
        let mut taken = BTreeSet::new();
        let tables = reader.tables("point");
        if tables.is_empty() || tables.len() > MAX_POINTS {
            reader.problem(
                "point",
                (
                    format!("模板有 {} 个测点", tables.len()),
                    format!("the profile has {} points", tables.len()),
                ),
                (
                    format!("每个量写一个 `[[point]]`，1 到 {MAX_POINTS} 个"),
                    format!("write one `[[point]]` per quantity, 1 to {MAX_POINTS}"),
                ),
            );
        }
        let mut fields = Vec::new();
        for table in tables.into_iter().take(MAX_POINTS) {
            fields.extend(field(&table, standard, &mut taken));
            table.finish();
        }
        Self { fields, standard, meter_kind: meter_kind.unwrap_or(ANY_KIND) }
    }

    pub(super) fn points(&self) -> Vec<Point> {
        self.fields.iter().map(|field| field.point.clone()).collect()
    }

    pub(super) fn points_mut(&mut self) -> impl Iterator<Item = &mut Point> {
        self.fields.iter_mut().map(|field| &mut field.point)
    }

    /// What to ask for, each once, in the order of the profile.
    pub(super) fn identifiers(&self) -> Vec<Identifier> {
        let mut seen = BTreeSet::new();
        self.fields.iter().map(|field| field.identifier).filter(|id| seen.insert(*id)).collect()
    }

    /// At every so-manieth poll: as often as the hastiest of its points wants it.
    pub(super) fn every(&self, identifier: Identifier) -> u16 {
        let points = self.fields.iter().filter(|field| field.identifier == identifier);
        points.map(|field| field.point.every).min().unwrap_or(1)
    }

    pub(super) fn identifier_of(&self, point: &PointId) -> Option<Identifier> {
        self.fields.iter().find(|field| field.point.id == *point).map(|field| field.identifier)
    }

    /// Reads an identifier in a vector.
    pub(super) fn identifier(&self, reader: &Reader<'_>) -> Option<Identifier> {
        identifier(reader, self.standard)
    }

    /// CJ/T 188: the kind of meter, which is part of its address.
    pub(super) fn meter_kind(&self) -> u8 {
        self.meter_kind
    }

    /// Decodes every point of an answer; those beyond its end are left out, as a meter with fewer phases has them.
    pub(super) fn decode(&self, identifier: Identifier, data: &[u8]) -> Vec<Decoded> {
        let fields = self.fields.iter().filter(|field| field.identifier == identifier);
        let readings = fields.filter_map(|field| field.read(data));
        readings.map(|reading| Decoded { device_time: None, body: Body::Reading(reading) }).collect()
    }
}

/// CJ/T 188-2004, table 1: 10h cold water, 11h hot water, 20h heat, 21h cooling, 30h gas, 40h electricity.
fn meter_kind(reader: &Reader<'_>) -> Option<u8> {
    let table = reader.table_opt("cjt188")?;
    let advice = (
        "写两位十六进制数：\"10\" 冷水、\"11\" 热水、\"20\" 热量、\"30\" 燃气",
        "write two hexadecimal digits: \"10\" cold water, \"11\" hot water, \"20\" heat, \"30\" gas",
    );
    let kind = table.parsed("kind", advice, |text| match u8::from_str_radix(text, 16) {
        Ok(kind @ 0x10..=0x49) if text.len() == 2 => Ok(kind),
        _ => Err(("没有这种表", "this is no kind of meter")),
    });
    table.finish();
    kind
}

fn identifier(reader: &Reader<'_>, standard: Standard) -> Option<Identifier> {
    let digits = match standard {
        Standard::Dlt645 => 8,
        Standard::Cjt188 => 4,
    };
    let advice = (
        format!("按标准写 {digits} 位十六进制数"),
        format!("write {digits} hexadecimal digits, as the standard has them"),
    );
    reader.parsed("di", advice, |text| {
        let hex = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
        let number = if hex { u32::from_str_radix(text, 16).ok() } else { None };
        let identifier = number.map(|number| match (standard, number.to_be_bytes()) {
            (Standard::Dlt645, _) => Identifier::Dlt645(number),
            (Standard::Cjt188, [.., first, second]) => Identifier::Cjt188([first, second]),
        });
        identifier.ok_or(("这不是数据标识", "this is no data identifier"))
    })
}

fn field(reader: &Reader<'_>, standard: Standard, taken: &mut BTreeSet<PointId>) -> Option<Field> {
    let point = parse::point(reader, taken, PointKind::Gauge);
    let identifier = identifier(reader, standard);
    let at = reader.integer_opt("at", 0..=MAX_DATA).and_then(|at| usize::try_from(at).ok()).unwrap_or(0);
    let signed = reader.flag_opt("signed").unwrap_or(false);
    let unit_byte = reader.flag_opt("unit_byte").unwrap_or(false);
    let layout = if reader.has("bit") {
        let number = |n: Option<i64>| n.and_then(|n| u32::try_from(n).ok());
        let first = number(reader.integer("bit", 0..=31));
        let width = number(reader.integer_opt("width", 1..=16)).unwrap_or(1);
        first.map(|first| Layout::Bits { first, width })
    } else {
        reader.parsed(
            "format",
            ("按标准的写法写数位：\"XXXXXX.XX\"", "write the digits as the standard does: \"XXXXXX.XX\""),
            |text| digits(text).map(|(bytes, decimals)| Layout::Digits { bytes, decimals, signed }),
        )
    };
    if unit_byte && !matches!(layout, Some(Layout::Digits { .. })) {
        reader.problem(
            "unit_byte",
            ("位没有单位字节", "bits have no unit byte"),
            ("删去 `unit_byte`，或写 `format`", "drop `unit_byte`, or write a `format`"),
        );
    }
    let scale = Scale::parse(reader);
    let point = Point { every: parse::every(reader), ..point? };
    Some(Field { point, identifier: identifier?, at, layout: layout?, scale, unit_byte })
}

/// Bytes and decimals of a layout such as `XXX.X`.
fn digits(text: &str) -> Result<(usize, u32), Both> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let count = whole.len() + fraction.len();
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b == b'X') {
        return Err((
            "数位格式里每位写一个 X，最多一个小数点",
            "a layout has X for each digit and at most one point",
        ));
    }
    if count % 2 == 1 || count > MAX_DIGITS {
        return Err(("数位格式有 2 到 14 位，每字节两位", "a layout has 2 to 14 digits, two to a byte"));
    }
    Ok((count / 2, u32::try_from(fraction.len()).unwrap_or(0)))
}

impl Field {
    /// `None` when the data end before it.
    fn read(&self, data: &[u8]) -> Option<Reading> {
        let own = data.get(self.at..)?;
        let raw = match self.layout {
            Layout::Bits { first, width } => {
                let word =
                    own.get(..4.min(own.len()))?.iter().rev().fold(0_u64, |w, b| w << 8 | u64::from(*b));
                if u64::from(first + width) > 8 * u64::try_from(own.len()).ok()? {
                    return None;
                }
                let bits = word >> first & ((1 << width) - 1);
                f64::from(u32::try_from(bits).ok()?)
            }
            Layout::Digits { bytes, decimals, signed } => match decimal(own.get(..bytes)?, signed) {
                Decimal::Absent => return Some(self.point.absent(Doubt::Sentinel)),
                Decimal::Not => return Some(self.point.absent(Doubt::NotANumber)),
                Decimal::Of(number) => {
                    let value = number / 10_f64.powi(i32::try_from(decimals).ok()?);
                    match self.unit_byte.then(|| own.get(bytes).copied().and_then(unit_factor)) {
                        None => value,
                        Some(Some((unit, factor))) if unit.quantity() == self.point.unit.quantity() => {
                            unit.convert(value * factor, self.point.unit)?
                        }
                        // A unit that is not the point's: no value is better than a wrong one.
                        Some(_) => return Some(self.point.absent(Doubt::DeviceSays)),
                    }
                }
            },
        };
        Some(self.point.reading(self.scale.apply(raw)))
    }
}

enum Decimal {
    Of(f64),
    /// All bits set: the device has no such quantity.
    Absent,
    /// Not digits.
    Not,
}

#[expect(clippy::cast_precision_loss, reason = "at most 14 digits")]
fn decimal(bytes: &[u8], signed: bool) -> Decimal {
    if bytes.iter().all(|byte| *byte == 0xFF) {
        return Decimal::Absent;
    }
    let (mut number, mut negative) = (0_u64, false);
    for (i, byte) in bytes.iter().rev().enumerate() {
        let mut byte = *byte;
        if i == 0 && signed {
            negative = byte & 0x80 != 0;
            byte &= 0x7F;
        }
        for digit in [byte >> 4, byte & 0x0F] {
            if digit > 9 {
                return Decimal::Not;
            }
            number = number * 10 + u64::from(digit);
        }
    }
    let value = number as f64;
    Decimal::Of(if negative { -value } else { value })
}

/// What a unit byte means (CJ/T 188-2004, table 3): the unit, and by how much the number is to be multiplied.
fn unit_factor(byte: u8) -> Option<(Unit, f64)> {
    Some(match byte {
        0x01 => (Unit::WattHour, 1.0 / 3600.0),
        0x02 => (Unit::WattHour, 1.0),
        0x05 => (Unit::KilowattHour, 1.0),
        0x08 => (Unit::KilowattHour, 1e3),
        0x0B => (Unit::WattHour, 1.0 / 3.6),
        0x0E => (Unit::WattHour, 1e3 / 3.6),
        0x11 => (Unit::KilowattHour, 1e3 / 3.6),
        0x14 => (Unit::Watt, 1.0),
        0x17 => (Unit::Kilowatt, 1.0),
        0x1A => (Unit::Kilowatt, 1e3),
        0x29 => (Unit::Litre, 1.0),
        0x2C => (Unit::CubicMetre, 1.0),
        0x35 => (Unit::CubicMetrePerHour, 1.0),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_are_those_of_the_standard() {
        for (text, expected) in [
            ("XXXXXX.XX", Ok((4, 2))),
            ("XXX.X", Ok((2, 1))),
            ("XXX.XXX", Ok((3, 3))),
            ("XX.XXXX", Ok((3, 4))),
            ("XXXX", Ok((2, 0))),
            ("XXX", Err(())),
            ("", Err(())),
            (".XX", Err(())),
            ("XX.X.X", Err(())),
            ("NN.NN", Err(())),
            ("XXXXXXXXXXXXXXXX", Err(())),
        ] {
            assert_eq!(digits(text).map_err(drop), expected, "{text}");
        }
    }

    #[test]
    fn digits_are_read_from_the_last_byte_on() {
        let read = |bytes: &[u8], signed| match decimal(bytes, signed) {
            Decimal::Of(value) => value,
            Decimal::Absent => f64::INFINITY,
            Decimal::Not => f64::NAN,
        };
        assert_eq!(read(&[0x78, 0x56, 0x34, 0x12], false), 12_345_678.0);
        assert_eq!(read(&[0x45, 0x23, 0x81], true), -12_345.0);
        assert_eq!(read(&[0x45, 0x23, 0x81], false), 812_345.0);
        assert_eq!(read(&[0x99; 7], false), 99_999_999_999_999.0);
        assert!(read(&[0xFF, 0xFF], true).is_infinite());
        assert!(read(&[0x4A, 0x01], false).is_nan());
    }
}
