//! How much a device looks like a profile, judged by what stands in its registers.
//!
//! Each register is evidence of some weight: that it is there at all, that its value is one such a device could have,
//! and that values agree with each other as physics wants them. A value of zero says little.

use super::{Point, Profile, RegisterSpan, Wire};
use crate::model::{Body, PointKind, Quality, Quantity, Reading, Text, Unit};
use std::collections::BTreeMap;

/// How much a device looks like a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Likeness {
    /// 0: not at all; 100: in everything that was seen.
    pub percent: u8,
    /// How many values speak for it. Of two profiles that fit alike, the one for which more speaks is meant.
    pub speaking: usize,
    /// Why, the weightiest first.
    pub reasons: Vec<Text>,
}

/// Weight of what was not seen: a perfect fit of as much again is half believed, of ten times as much nearly.
const UNSEEN: f64 = 1.0;
/// What is left of a likeness when the device says that it is another model.
const OTHER_MODEL: f64 = 0.1;
/// How near a device that says that it is this model comes to certainty, besides what its values say.
const SAME_MODEL: f64 = 0.8;
/// The most names listed in one reason.
const MAX_NAMES: usize = 4;

/// Judges what a device answered: for each read its registers, or that it refused them.
///
/// Registers that no read was for do not count. Only profiles of Modbus devices have a likeness; others have 0.
#[must_use]
pub fn likeness(profile: &Profile, answers: &[(RegisterSpan, Result<Vec<u16>, ()>)]) -> Likeness {
    let Wire::Modbus(registers) = &profile.wire else {
        return Likeness { percent: 0, speaking: 0, reasons: Vec::new() };
    };
    let alternating = profile.points.iter().any(|point| point.unit.quantity() == Quantity::Frequency);
    let mut case = Case { alternating, ..Case::default() };
    let mut values = BTreeMap::new();
    let mut seen = Vec::new();
    for (span, answer) in answers {
        let Ok(words) = answer else { continue };
        for decoded in registers.decode(span.table, span.address, words) {
            let Body::Reading(reading) = decoded.body else { continue };
            let Some(point) = profile.point(reading.point.as_str()) else { continue };
            case.weigh_value(point, &reading);
            values.extend(
                reading.good().map(|value| (reading.point.as_str().to_owned(), (value, reading.unit))),
            );
            seen.push(reading.point);
        }
    }
    for register in registers.registers().iter().filter(|r| !seen.contains(&r.point.id)) {
        let at = register.span();
        let refused = |(span, answer): &&(RegisterSpan, Result<Vec<u16>, ()>)| {
            answer.is_err() && super::cell::overlap(*span, at)
        };
        if answers.iter().any(|answer| refused(&answer)) {
            case.add(0.0, 1.0);
            case.missing.push(register.point.name.clone());
        }
    }
    case.weigh_phases(&values);
    case.weigh_powers(&values);
    let said = registers.identities().iter().filter_map(|identity| {
        answers.iter().find_map(|(span, words)| identity.read(span.table, span.address, words.as_ref().ok()?))
    });
    // All that it says must fit: every SunSpec device begins alike, and names its model behind that.
    let model = said.reduce(|a, b| {
        let same = a.1 && b.1;
        (if a.1 { b.0 } else { a.0 }, same)
    });
    case.judge(model)
}

/// What speaks for and against.
#[derive(Debug, Default)]
struct Case {
    /// It measures a frequency, so its voltages are those of the mains.
    alternating: bool,
    fit: f64,
    weight: f64,
    speaking: usize,
    agreeing: Vec<Text>,
    strange: Vec<Text>,
    missing: Vec<Text>,
}

impl Case {
    fn add(&mut self, fit: f64, weight: f64) {
        self.fit += fit * weight;
        self.weight += weight;
    }

    fn weigh_value(&mut self, point: &Point, reading: &Reading) {
        let (fit, weight) = match (reading.value, reading.quality) {
            // The device says itself that it has no such value.
            (None, _) => (0.5, 0.25),
            (Some(_), Quality::Uncertain(_)) => (0.0, 1.0),
            (Some(0.0), _) if awake(point) => (0.25, 0.5),
            (Some(0.0), _) => (0.5, 0.25),
            (Some(value), _) => {
                let (usual, weight) = usual(point, value, self.alternating);
                (if usual { 1.0 } else { 0.0 }, weight)
            }
        };
        self.add(fit, weight);
        if fit == 1.0 {
            self.speaking += 1;
        } else if fit == 0.0 {
            self.strange.push(point.name.clone());
        }
    }

    /// Voltages of three phases are nearly the same.
    fn weigh_phases(&mut self, values: &Values) {
        let volts = ["voltage_l1", "voltage_l2", "voltage_l3"].map(|id| of(values, id, Unit::Volt));
        let [Some(a), Some(b), Some(c)] = volts else { return };
        let (low, high) = (a.min(b).min(c), a.max(b).max(c));
        if low <= 0.0 {
            return;
        }
        let agree = high / low < 1.2;
        self.add(if agree { 1.0 } else { 0.0 }, 2.0);
        let shown = format!("{a:.1} V, {b:.1} V, {c:.1} V");
        let (zh, en) = (format!("三相电压 {shown}"), format!("voltages of three phases: {shown}"));
        self.side(agree).push(Text::new(zh, en));
    }

    /// Active power is at most voltage times current, and the total is the sum of the phases.
    fn weigh_powers(&mut self, values: &Values) {
        for phase in ["", "_l1", "_l2", "_l3"] {
            let of = |what: &str, unit| of(values, &format!("{what}{phase}"), unit);
            let power = of("power", Unit::Watt).or_else(|| {
                if phase.is_empty() { self::of(values, "power_total", Unit::Watt) } else { None }
            });
            let (Some(volts), Some(amps), Some(watts)) =
                (of("voltage", Unit::Volt), of("current", Unit::Ampere), power)
            else {
                continue;
            };
            if volts <= 0.0 || amps.abs() < 0.05 {
                continue;
            }
            let agree = watts.abs() <= 1.1 * volts * amps.abs() + 5.0;
            self.add(if agree { 1.0 } else { 0.0 }, 2.0);
            let shown = format!("{volts:.1} V × {amps:.2} A, {watts:.0} W");
            let (zh, en) =
                (format!("功率与电压电流：{shown}"), format!("power against voltage and current: {shown}"));
            self.side(agree).push(Text::new(zh, en));
        }
        let parts = ["power_l1", "power_l2", "power_l3"].map(|id| of(values, id, Unit::Watt));
        let ([Some(a), Some(b), Some(c)], Some(total)) = (parts, of(values, "power_total", Unit::Watt))
        else {
            return;
        };
        if total.abs() > 50.0 {
            let agree = (a + b + c - total).abs() < 0.05 * total.abs() + 10.0;
            self.add(if agree { 1.0 } else { 0.0 }, 2.0);
            let shown = format!("{:.0} W, {total:.0} W", a + b + c);
            let (zh, en) =
                (format!("三相功率之和与总功率：{shown}"), format!("sum of phases and total power: {shown}"));
            self.side(agree).push(Text::new(zh, en));
        }
    }

    fn side(&mut self, agree: bool) -> &mut Vec<Text> {
        if agree { &mut self.agreeing } else { &mut self.strange }
    }

    fn judge(self, model: Option<(String, bool)>) -> Likeness {
        let mut share = self.fit / (self.weight + UNSEEN);
        let mut reasons = Vec::new();
        match model {
            Some((said, true)) => {
                share += (1.0 - share) * SAME_MODEL;
                let zh = format!("设备自报型号 {said}，与模板相符");
                reasons.push(Text::new(zh, format!("the device says it is {said}, as the profile expects")));
            }
            Some((said, false)) => {
                share *= OTHER_MODEL;
                let zh = format!("设备自报型号 {said}，与模板不符");
                reasons.push(Text::new(
                    zh,
                    format!("the device says it is {said}, which the profile is not for"),
                ));
            }
            None => {}
        }
        if self.speaking > 0 {
            let n = self.speaking;
            reasons.push(Text::new(
                format!("{n} 个数值合理"),
                format!("{n} values are as such a device has them"),
            ));
        }
        reasons.extend(self.agreeing);
        reasons.extend(listed(&self.strange, "不合理", "not as such a device has them"));
        reasons.extend(listed(&self.missing, "设备没有这些寄存器", "the device has no such registers"));
        Likeness { percent: percent(share), speaking: self.speaking, reasons }
    }
}

type Values = BTreeMap<String, (f64, Unit)>;

fn of(values: &Values, id: &str, unit: Unit) -> Option<f64> {
    let (value, own) = values.get(id)?;
    own.convert(*value, unit)
}

fn listed(names: &[Text], zh: &str, en: &str) -> Option<Text> {
    let rest = names.len().saturating_sub(MAX_NAMES);
    let some =
        |lang: fn(&Text) -> &str| names.iter().take(MAX_NAMES).map(lang).collect::<Vec<_>>().join(", ");
    let (mut in_zh, mut in_en) = (some(|t| &t.zh), some(|t| &t.en));
    if rest > 0 {
        in_zh.push_str(&format!(" 等 {} 个", names.len()));
        in_en.push_str(&format!(" and {rest} more"));
    }
    (!names.is_empty()).then(|| Text::new(format!("{zh}：{in_zh}"), format!("{en}: {in_en}")))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 100 after the clamp")]
fn percent(share: f64) -> u8 {
    (share * 100.0).round().clamp(0.0, 100.0) as u8
}

/// Whether a device that answers should have more than zero of it: the mains is there.
fn awake(point: &Point) -> bool {
    match point.unit.quantity() {
        Quantity::Frequency => true,
        Quantity::Voltage => matches!(point.id.as_str(), "voltage" | "voltage_l1" | "input_voltage"),
        _ => false,
    }
}

/// Whether a value other than zero is one that such a point has, and how much that says.
fn usual(point: &Point, value: f64, alternating: bool) -> (bool, f64) {
    let id = point.id.as_str();
    let mains = id.starts_with("voltage_l") || (alternating && id.starts_with("voltage"));
    let (base, size) = (to_base(value, point.unit), to_base(value, point.unit).abs());
    let counter = point.kind == PointKind::Counter;
    let (good, weight) = match point.unit.quantity() {
        Quantity::Frequency => ((45.0..=65.0).contains(&base), 3.0),
        Quantity::Voltage if mains => ((80.0..=520.0).contains(&base), 2.0),
        Quantity::Voltage => ((-1500.0..=1500.0).contains(&base), 0.5),
        Quantity::Current => ((1e-3..=6000.0).contains(&size), 0.5),
        Quantity::ActivePower | Quantity::ReactivePower | Quantity::ApparentPower => {
            ((1e-2..=1e7).contains(&size), 0.5)
        }
        Quantity::Energy | Quantity::ReactiveEnergy | Quantity::ApparentEnergy => {
            ((1e-3..=1e9).contains(&base), 1.0)
        }
        Quantity::Temperature => ((-40.0..=150.0).contains(&base), 1.0),
        Quantity::Ratio => ((0.0..=200.0).contains(&base), 1.0),
        Quantity::Number if id.starts_with("power_factor") => (size <= 1.0, 1.0),
        Quantity::Number if point.range.is_some() => (true, 1.0),
        Quantity::Number => (value.fract() == 0.0 && (0.0..=65_535.0).contains(&value), 0.25),
        // What a range is written for was found within it.
        _ => ((1e-4..=1e9).contains(&size), if point.range.is_some() { 1.0 } else { 0.5 }),
    };
    (good && !(counter && value < 0.0), if good { weight } else { weight.max(1.0) })
}

/// The value in a unit in which every quantity has one scale: V, A, W, kWh, °C.
fn to_base(value: f64, unit: Unit) -> f64 {
    let base = match unit.quantity() {
        Quantity::Voltage => Unit::Volt,
        Quantity::Current => Unit::Ampere,
        Quantity::ActivePower => Unit::Watt,
        Quantity::ReactivePower => Unit::Var,
        Quantity::ApparentPower => Unit::VoltAmpere,
        Quantity::Energy => Unit::KilowattHour,
        Quantity::ReactiveEnergy => Unit::KilovarHour,
        Quantity::ApparentEnergy => Unit::KilovoltAmpereHour,
        Quantity::Temperature => Unit::Celsius,
        _ => unit,
    };
    unit.convert(value, base).unwrap_or(value)
}

#[cfg(test)]
mod tests;
