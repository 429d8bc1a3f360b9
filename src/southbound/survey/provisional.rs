//! How much the answers of an unknown device look like those of a profile, and what words may stand for.

use crate::model::{Body, DeviceId, Quality, Reading, SiteKey, Text, Unit, Wall};
use crate::profile::{Context, Profile, RegisterSpan};

/// How much a device looks like a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Likeness {
    /// 0 to 100.
    pub percent: u8,
    /// What speaks for it and against it.
    pub reasons: Vec<Text>,
}

/// What a number in this unit can be in a school.
fn is_likely(reading: &Reading) -> bool {
    let (Some(value), Quality::Good) = (reading.value, reading.quality) else { return false };
    let id = reading.point.as_str();
    match reading.unit {
        Unit::Volt => value == 0.0 || (80.0..=500.0).contains(&value),
        Unit::Hertz => (45.0..=65.0).contains(&value),
        Unit::KilowattHour | Unit::KilovarHour | Unit::CubicMetre => (0.0..1e9).contains(&value),
        Unit::Celsius => (-40.0..=85.0).contains(&value),
        Unit::RelativeHumidity | Unit::Percent => (0.0..=100.0).contains(&value),
        Unit::Ampere => (-10_000.0..=10_000.0).contains(&value),
        _ if id.contains("factor") => (-1.0..=1.0).contains(&value),
        _ => value.abs() < 1e9,
    }
}

/// How much the answers look like those of a device of this profile.
#[must_use]
pub fn likeness(profile: &Profile, answers: &[(RegisterSpan, Result<Vec<u16>, ()>)]) -> Likeness {
    let (site_key, zone) = (SiteKey::new([0; 32]), jiff::tz::TimeZone::UTC);
    let Ok(device) = DeviceId::new("found") else { return Likeness { percent: 0, reasons: Vec::new() } };
    let cx = Context { device: &device, now: Wall(0), site_key: &site_key, zone: &zone };
    let (mut there, mut likely, mut read, mut odd) = (0_usize, 0_usize, 0_usize, Vec::new());
    for (span, words) in answers {
        let Ok(words) = words else { continue };
        there += 1;
        for one in profile.decode_registers(&cx, span.table, span.address, words) {
            let Body::Reading(reading) = one.body else { continue };
            read += 1;
            if is_likely(&reading) {
                likely += 1;
            } else {
                odd.push(format!("{} = {:?} {}", reading.point, reading.value, reading.unit.symbol()));
            }
        }
    }
    let of = answers.len();
    let share = |part: usize, of: usize| (part * 100).checked_div(of).unwrap_or(0);
    let percent = (share(there, of) * 4 + share(likely, read) * 6) / 10;
    let percent = if there == 0 { 0 } else { u8::try_from(percent).unwrap_or(100) };
    let mut reasons = Vec::new();
    if there < of {
        reasons.push(Text::new(
            format!("{of} 处寄存器只有 {there} 处有应答"),
            format!("{there} of {of} registers answer"),
        ));
    }
    odd.truncate(3);
    if !odd.is_empty() {
        reasons.push(Text::new(
            format!("不合理的值：{}", odd.join("，")),
            format!("unlikely values: {}", odd.join(", ")),
        ));
    }
    Likeness { percent, reasons }
}

/// One meaning of words.
#[derive(Debug, Clone, PartialEq)]
pub struct Meaning {
    /// `f32`, `u32` …
    pub kind: &'static str,
    /// `ABCD`, `CDAB` …
    pub order: &'static str,
    /// The number.
    pub value: f64,
    /// Whether a device would say that.
    pub plausible: bool,
}

/// What two words may stand for, in all four orders, as a float and as an integer.
#[must_use]
pub fn orders(words: &[u16]) -> Vec<Meaning> {
    let [a, b] = words else { return Vec::new() };
    let join = |high: u16, low: u16| (u32::from(high) << 16) | u32::from(low);
    let all = [
        ("ABCD", join(*a, *b)),
        ("CDAB", join(*b, *a)),
        ("BADC", join(a.swap_bytes(), b.swap_bytes())),
        ("DCBA", join(b.swap_bytes(), a.swap_bytes())),
    ];
    let mut meanings = Vec::new();
    for (order, bits) in all {
        let value = f64::from(f32::from_bits(bits));
        let plausible = value == 0.0 || (value.is_finite() && (1e-3..1e8).contains(&value.abs()));
        meanings.push(Meaning { kind: "f32", order, value, plausible });
    }
    for (order, bits) in all {
        meanings.push(Meaning { kind: "u32", order, value: f64::from(bits), plausible: bits < 100_000_000 });
    }
    meanings
}
