//! What a device means when it says no: the exception codes, each with its cause in plain words.

use crate::model::{Fault, Text};
use std::fmt;

/// An exception code (MODBUS Application Protocol Specification V1.1b3, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exception {
    /// 01: the device does not know the function.
    IllegalFunction,
    /// 02: there is no such register.
    IllegalAddress,
    /// 03: the request itself is not accepted.
    IllegalValue,
    /// 04: the device failed while working on it.
    DeviceFailure,
    /// 05: accepted, will take long.
    Acknowledge,
    /// 06: the device is busy.
    Busy,
    /// 08: the device's memory is damaged.
    MemoryParity,
    /// 0A: the converter has no way to the device.
    GatewayPath,
    /// 0B: the device behind the converter does not answer.
    GatewayTarget,
    /// A code the specification does not give.
    Other(u8),
}

impl Exception {
    /// The exception of a code.
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        match code {
            0x01 => Self::IllegalFunction,
            0x02 => Self::IllegalAddress,
            0x03 => Self::IllegalValue,
            0x04 => Self::DeviceFailure,
            0x05 => Self::Acknowledge,
            0x06 => Self::Busy,
            0x08 => Self::MemoryParity,
            0x0A => Self::GatewayPath,
            0x0B => Self::GatewayTarget,
            other => Self::Other(other),
        }
    }

    /// The code on the wire.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::IllegalFunction => 0x01,
            Self::IllegalAddress => 0x02,
            Self::IllegalValue => 0x03,
            Self::DeviceFailure => 0x04,
            Self::Acknowledge => 0x05,
            Self::Busy => 0x06,
            Self::MemoryParity => 0x08,
            Self::GatewayPath => 0x0A,
            Self::GatewayTarget => 0x0B,
            Self::Other(code) => code,
        }
    }

    /// What kind of fault it is. A device that is silent behind its converter is as good as one that is silent.
    #[must_use]
    pub fn fault(self) -> Fault {
        match self {
            Self::IllegalFunction | Self::IllegalAddress | Self::IllegalValue => Fault::Misconfigured,
            Self::DeviceFailure | Self::Acknowledge | Self::Busy | Self::MemoryParity | Self::Other(_) => {
                Fault::Refused
            }
            Self::GatewayPath | Self::GatewayTarget => Fault::Timeout,
        }
    }

    /// The cause in plain words.
    #[must_use]
    pub fn text(self) -> Text {
        match self {
            Self::IllegalFunction => Text::new(
                "设备不支持此功能码：请检查模板中的寄存器表",
                "the device does not know this function: check the register table in the profile",
            ),
            Self::IllegalAddress => Text::new(
                "设备没有这些寄存器：请检查型号与模板",
                "no such registers: check that the profile fits",
            ),
            Self::IllegalValue => Text::new(
                "设备不接受此读取长度：请减小模板中的最大寄存器数",
                "the device does not accept a read of this length: lower the profile's largest read",
            ),
            Self::DeviceFailure => {
                Text::new("设备内部故障：请查看设备", "the device failed while answering: look at the device")
            }
            Self::Acknowledge => Text::new(
                "设备处理时间较长，稍后再读",
                "the device needs long for this; it is asked again later",
            ),
            Self::Busy => Text::new("设备忙，稍后再读", "the device is busy; it is asked again later"),
            Self::MemoryParity => Text::new(
                "设备存储器校验错误：请检修设备",
                "the device's memory is damaged: have it serviced",
            ),
            Self::GatewayPath => Text::new(
                "转换器没有到该站号的通路：请检查转换器的串口设置和站号",
                "the converter has no path to this unit: check its serial settings and the unit id",
            ),
            Self::GatewayTarget => Text::new(
                "转换器后面的设备无应答：请检查设备电源、485 接线和站号",
                "the device behind the converter does not answer: check its power, its RS-485 wiring and the unit id",
            ),
            Self::Other(code) => Text::new(
                format!("设备返回未知异常码 {code:#04x}"),
                format!("the device gave exception code {code:#04x}, which the specification does not know"),
            ),
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exception {:02X}: {}", self.code(), self.text().en)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn m06_every_code_has_a_text_of_its_own() {
        let mut texts = BTreeSet::new();
        for code in 0..=255 {
            let exception = Exception::from_code(code);
            assert_eq!(exception.code(), code);
            assert!(texts.insert(exception.text().en), "{code}");
            assert!(texts.insert(exception.text().zh), "{code}");
        }
    }
}
