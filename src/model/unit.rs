//! Units of measure: a closed list, each with its quantity and its factor to the quantity's base unit.

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
    /// Frequency.
    Frequency,
    /// Temperature.
    Temperature,
    /// A share: humidity, battery, power factor in percent.
    Ratio,
    /// Volume.
    Volume,
    /// Volume per time.
    Flow,
    /// Pressure.
    Pressure,
    /// Gas share of volume.
    Concentration,
    /// Light.
    Illuminance,
    /// Time span.
    Duration,
    /// A bare number: a count, a state, a power factor.
    Number,
}

macro_rules! units {
    ($($(#[$doc:meta])* $name:ident, $symbol:literal, $quantity:ident, $factor:literal, $offset:literal;)+) => {
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
    /// Ampere.
    Ampere, "A", Current, 1.0, 0.0;
    /// Watt.
    Watt, "W", ActivePower, 1.0, 0.0;
    /// Kilowatt.
    Kilowatt, "kW", ActivePower, 1000.0, 0.0;
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
    /// Kilovar-hour.
    KilovarHour, "kvarh", ReactiveEnergy, 1.0, 0.0;
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
    /// Cubic metre.
    CubicMetre, "m3", Volume, 1.0, 0.0;
    /// Litre.
    Litre, "L", Volume, 0.001, 0.0;
    /// Cubic metre per hour.
    CubicMetrePerHour, "m3/h", Flow, 1.0, 0.0;
    /// Kilopascal.
    Kilopascal, "kPa", Pressure, 1.0, 0.0;
    /// Hectopascal.
    Hectopascal, "hPa", Pressure, 0.1, 0.0;
    /// Megapascal.
    Megapascal, "MPa", Pressure, 1000.0, 0.0;
    /// Parts per million.
    PartsPerMillion, "ppm", Concentration, 1.0, 0.0;
    /// Lux.
    Lux, "lx", Illuminance, 1.0, 0.0;
    /// Second.
    Second, "s", Duration, 1.0, 0.0;
    /// Hour.
    Hour, "h", Duration, 3600.0, 0.0;
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
}
