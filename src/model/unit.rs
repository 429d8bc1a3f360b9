//! Units of measure: a closed list, each with its quantity and its factor to the quantity's base unit.
//!
//! Symbols are those of UCUM (<https://ucum.org>) where a meter's plate says the same, in ASCII save for `°`: there are two
//! characters that look like µ, so a microgram is written `ug`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a unit measures; values convert only within one quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Electric potential.
    Voltage,
    /// Electric current.
    Current,
    /// Active power.
    ActivePower,
    /// Reactive power.
    ReactivePower,
    /// Apparent power.
    ApparentPower,
    /// Active energy.
    Energy,
    /// Reactive energy.
    ReactiveEnergy,
    /// Apparent energy.
    ApparentEnergy,
    /// Electric charge.
    Charge,
    /// Electric resistance.
    Resistance,
    /// Frequency.
    Frequency,
    /// Temperature.
    Temperature,
    /// A share: humidity, battery, power factor in percent.
    Ratio,
    /// Share of the lower explosive limit of a gas.
    ExplosiveLimit,
    /// Volume.
    Volume,
    /// Volume per time.
    Flow,
    /// Pressure.
    Pressure,
    /// Gas share of volume.
    Concentration,
    /// Mass in a volume of air or water: dust, formaldehyde, chlorine.
    MassConcentration,
    /// Light.
    Illuminance,
    /// Power of sunlight on an area.
    Irradiance,
    /// Sound, weighted as the ear hears it.
    SoundLevel,
    /// Strength of a radio signal.
    SignalLevel,
    /// Length: a level, a depth, rain.
    Length,
    /// Length per time: wind, rain.
    Speed,
    /// Direction.
    Angle,
    /// Mass.
    Mass,
    /// Turning speed.
    Rotation,
    /// Electric conductivity of water.
    Conductivity,
    /// Acidity.
    Acidity,
    /// Cloudiness of water.
    Turbidity,
    /// Time span.
    Duration,
    /// A bare number: a count, a state, a power factor.
    Number,
}

macro_rules! units {
    ($($(#[$doc:meta])* $name:ident, $symbol:literal, $quantity:ident, $factor:expr, $offset:literal;)+) => {
        /// A unit of measure. `base = value * factor + offset`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Unit { $($(#[$doc])* $name),+ }

        impl Unit {
            /// Every unit, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The symbol written in profiles, configuration and the database.
            #[must_use]
            pub fn symbol(self) -> &'static str {
                match self { $(Self::$name => $symbol),+ }
            }

            /// What it measures.
            #[must_use]
            pub fn quantity(self) -> Quantity {
                match self { $(Self::$name => Quantity::$quantity),+ }
            }

            fn to_base(self) -> (f64, f64) {
                match self { $(Self::$name => ($factor, $offset)),+ }
            }
        }
    };
}

units! {
    /// Volt.
    Volt, "V", Voltage, 1.0, 0.0;
    /// Millivolt.
    Millivolt, "mV", Voltage, 0.001, 0.0;
    /// Kilovolt.
    Kilovolt, "kV", Voltage, 1000.0, 0.0;
    /// Ampere.
    Ampere, "A", Current, 1.0, 0.0;
    /// Milliampere: leakage.
    Milliampere, "mA", Current, 0.001, 0.0;
    /// Watt.
    Watt, "W", ActivePower, 1.0, 0.0;
    /// Kilowatt.
    Kilowatt, "kW", ActivePower, 1000.0, 0.0;
    /// Megawatt.
    Megawatt, "MW", ActivePower, 1e6, 0.0;
    /// Volt-ampere reactive.
    Var, "var", ReactivePower, 1.0, 0.0;
    /// Kilovar.
    Kilovar, "kvar", ReactivePower, 1000.0, 0.0;
    /// Volt-ampere.
    VoltAmpere, "VA", ApparentPower, 1.0, 0.0;
    /// Kilovolt-ampere.
    KilovoltAmpere, "kVA", ApparentPower, 1000.0, 0.0;
    /// Watt-hour.
    WattHour, "Wh", Energy, 0.001, 0.0;
    /// Kilowatt-hour.
    KilowattHour, "kWh", Energy, 1.0, 0.0;
    /// Megawatt-hour.
    MegawattHour, "MWh", Energy, 1000.0, 0.0;
    /// Megajoule.
    Megajoule, "MJ", Energy, (1.0 / 3.6), 0.0;
    /// Gigajoule: heat.
    Gigajoule, "GJ", Energy, (1000.0 / 3.6), 0.0;
    /// Var-hour.
    VarHour, "varh", ReactiveEnergy, 0.001, 0.0;
    /// Kilovar-hour.
    KilovarHour, "kvarh", ReactiveEnergy, 1.0, 0.0;
    /// Volt-ampere-hour.
    VoltAmpereHour, "VAh", ApparentEnergy, 0.001, 0.0;
    /// Kilovolt-ampere-hour.
    KilovoltAmpereHour, "kVAh", ApparentEnergy, 1.0, 0.0;
    /// Ampere-hour.
    AmpereHour, "Ah", Charge, 1.0, 0.0;
    /// Ohm.
    Ohm, "Ohm", Resistance, 1.0, 0.0;
    /// Kiloohm.
    Kiloohm, "kOhm", Resistance, 1000.0, 0.0;
    /// Hertz.
    Hertz, "Hz", Frequency, 1.0, 0.0;
    /// Degree Celsius.
    Celsius, "°C", Temperature, 1.0, 0.0;
    /// Kelvin.
    Kelvin, "K", Temperature, 1.0, -273.15;
    /// Percent.
    Percent, "%", Ratio, 1.0, 0.0;
    /// Relative humidity, percent.
    RelativeHumidity, "%RH", Ratio, 1.0, 0.0;
    /// Percent of the lower explosive limit: combustible gas.
    LowerExplosiveLimit, "%LEL", ExplosiveLimit, 1.0, 0.0;
    /// Cubic metre.
    CubicMetre, "m3", Volume, 1.0, 0.0;
    /// Litre.
    Litre, "L", Volume, 0.001, 0.0;
    /// Cubic metre per hour.
    CubicMetrePerHour, "m3/h", Flow, 1.0, 0.0;
    /// Litre per hour.
    LitrePerHour, "L/h", Flow, 0.001, 0.0;
    /// Litre per minute.
    LitrePerMinute, "L/min", Flow, 0.06, 0.0;
    /// Litre per second.
    LitrePerSecond, "L/s", Flow, 3.6, 0.0;
    /// Pascal.
    Pascal, "Pa", Pressure, 0.001, 0.0;
    /// Hectopascal.
    Hectopascal, "hPa", Pressure, 0.1, 0.0;
    /// Kilopascal.
    Kilopascal, "kPa", Pressure, 1.0, 0.0;
    /// Megapascal.
    Megapascal, "MPa", Pressure, 1000.0, 0.0;
    /// Bar.
    Bar, "bar", Pressure, 100.0, 0.0;
    /// Parts per million.
    PartsPerMillion, "ppm", Concentration, 1.0, 0.0;
    /// Parts per billion.
    PartsPerBillion, "ppb", Concentration, 0.001, 0.0;
    /// Microgram per cubic metre.
    MicrogramPerCubicMetre, "ug/m3", MassConcentration, 0.001, 0.0;
    /// Milligram per cubic metre.
    MilligramPerCubicMetre, "mg/m3", MassConcentration, 1.0, 0.0;
    /// Milligram per litre: chlorine, dissolved solids.
    MilligramPerLitre, "mg/L", MassConcentration, 1000.0, 0.0;
    /// Lux.
    Lux, "lx", Illuminance, 1.0, 0.0;
    /// Kilolux.
    Kilolux, "klx", Illuminance, 1000.0, 0.0;
    /// Watt per square metre.
    WattPerSquareMetre, "W/m2", Irradiance, 1.0, 0.0;
    /// Decibel, A-weighted.
    DecibelA, "dB(A)", SoundLevel, 1.0, 0.0;
    /// Decibel above one milliwatt.
    DecibelMilliwatt, "dBm", SignalLevel, 1.0, 0.0;
    /// Metre.
    Metre, "m", Length, 1.0, 0.0;
    /// Centimetre.
    Centimetre, "cm", Length, 0.01, 0.0;
    /// Millimetre: rain.
    Millimetre, "mm", Length, 0.001, 0.0;
    /// Metre per second: wind.
    MetrePerSecond, "m/s", Speed, 1.0, 0.0;
    /// Millimetre per hour: rain.
    MillimetrePerHour, "mm/h", Speed, (0.001 / 3600.0), 0.0;
    /// Degree of a circle: wind direction, from north by east.
    Degree, "°", Angle, 1.0, 0.0;
    /// Kilogram.
    Kilogram, "kg", Mass, 1.0, 0.0;
    /// Gram.
    Gram, "g", Mass, 0.001, 0.0;
    /// Turn per minute.
    TurnPerMinute, "r/min", Rotation, 1.0, 0.0;
    /// Microsiemens per centimetre.
    MicrosiemensPerCentimetre, "uS/cm", Conductivity, 1.0, 0.0;
    /// pH.
    Ph, "pH", Acidity, 1.0, 0.0;
    /// Nephelometric turbidity unit.
    Ntu, "NTU", Turbidity, 1.0, 0.0;
    /// Second.
    Second, "s", Duration, 1.0, 0.0;
    /// Millisecond.
    Millisecond, "ms", Duration, 0.001, 0.0;
    /// Minute.
    Minute, "min", Duration, 60.0, 0.0;
    /// Hour.
    Hour, "h", Duration, 3600.0, 0.0;
    /// Day.
    Day, "d", Duration, 86400.0, 0.0;
    /// No unit: a count, a state, a factor.
    One, "1", Number, 1.0, 0.0;
}

impl Unit {
    /// Finds a unit by its symbol.
    #[must_use]
    pub fn from_symbol(symbol: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|u| u.symbol() == symbol)
    }

    /// Converts a value of this unit to another of the same quantity; `None` across quantities.
    #[must_use]
    pub fn convert(self, value: f64, to: Self) -> Option<f64> {
        if self == to {
            return Some(value);
        }
        if self.quantity() != to.quantity() {
            return None;
        }
        let (factor, offset) = self.to_base();
        let (to_factor, to_offset) = to.to_base();
        Some((value * factor + offset - to_offset) / to_factor)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

impl Serialize for Unit {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.symbol())
    }
}

impl<'de> Deserialize<'de> for Unit {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let symbol = String::deserialize(d)?;
        Self::from_symbol(&symbol)
            .ok_or_else(|| serde::de::Error::custom(format!("'{symbol}' is not a known unit")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_are_unique_and_found_again() {
        for unit in Unit::ALL {
            assert_eq!(Unit::from_symbol(unit.symbol()), Some(*unit));
        }
    }

    #[test]
    fn converts_within_a_quantity_only() {
        assert_eq!(Unit::Kilowatt.convert(1.5, Unit::Watt), Some(1500.0));
        assert_eq!(Unit::WattHour.convert(2500.0, Unit::KilowattHour), Some(2.5));
        assert_eq!(Unit::Celsius.convert(0.0, Unit::Kelvin), Some(273.15));
        assert_eq!(Unit::Watt.convert(1.0, Unit::WattHour), None);
    }

    /// Each pair is an equality of the SI or of its units in daily use.
    #[test]
    fn what_a_school_measures_converts_as_the_books_say() {
        let cases = [
            ("1 GJ", "kWh", 1000.0 / 3.6),
            ("3.6 MJ", "kWh", 1.0),
            ("1.5 MWh", "kWh", 1500.0),
            ("2500 varh", "kvarh", 2.5),
            ("2 kVAh", "VAh", 2000.0),
            ("30 mA", "A", 0.03),
            ("10 kV", "V", 10_000.0),
            ("0.4 MW", "kW", 400.0),
            ("20 L/min", "m3/h", 1.2),
            ("1 L/s", "m3/h", 3.6),
            ("500 L/h", "m3/h", 0.5),
            ("1013 hPa", "kPa", 101.3),
            ("4 bar", "MPa", 0.4),
            ("250 Pa", "kPa", 0.25),
            ("400 ppb", "ppm", 0.4),
            ("75 ug/m3", "mg/m3", 0.075),
            ("0.3 mg/L", "mg/m3", 300.0),
            ("1.2 klx", "lx", 1200.0),
            ("36 mm/h", "m/s", 0.00001),
            ("25 mm", "cm", 2.5),
            ("250 g", "kg", 0.25),
            ("2 d", "h", 48.0),
            ("90 min", "h", 1.5),
            ("250 ms", "s", 0.25),
            ("4.7 kOhm", "Ohm", 4700.0),
        ];
        for (from, to, expected) in cases {
            let (value, unit) = from.split_once(' ').unwrap();
            let unit = Unit::from_symbol(unit).unwrap();
            let got = unit.convert(value.parse().unwrap(), Unit::from_symbol(to).unwrap()).unwrap();
            assert!((got / expected - 1.0).abs() < 1e-12, "{from} is {expected} {to}, not {got}");
        }
        for (a, b) in [("%LEL", "%"), ("dB(A)", "dBm"), ("ppm", "mg/m3"), ("kvarh", "kWh"), ("kVAh", "kWh")] {
            let (from, to) = (Unit::from_symbol(a).unwrap(), Unit::from_symbol(b).unwrap());
            assert_eq!(from.convert(1.0, to), None, "{a} is not {b}");
        }
    }

    #[test]
    fn symbols_can_be_typed() {
        for unit in Unit::ALL {
            let typed = unit.symbol().replace('°', "");
            assert!(typed.is_ascii(), "{}", unit.symbol());
        }
    }
}
