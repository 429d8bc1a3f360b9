//! Why a device or its connection does not work: a short closed list that code can branch on.

use super::Text;
use super::event::words;
use serde::{Deserialize, Serialize};

words! {
    /// What is wrong, by what a technician would do about it.
    Fault {
        /// No connection: cable, power, address, port.
        Unreachable = "unreachable",
        /// Connected, but no answer in time.
        Timeout = "timeout",
        /// The other side closed the connection.
        Gone = "gone",
        /// User name, password or certificate refused.
        Unauthorized = "unauthorized",
        /// The answer is not what the protocol says.
        Protocol = "protocol",
        /// The device answered that it will not or cannot (Modbus exception, SOAP fault).
        Refused = "refused",
        /// The device is configured wrongly on our side (no such register, no such profile).
        Misconfigured = "misconfigured",
        /// Connected, but nothing flows any more.
        Stalled = "stalled",
        /// Our own code failed; the device is innocent.
        Internal = "internal",
    }
}

impl Fault {
    /// The plain cause and what to look at.
    #[must_use]
    pub fn advice(self) -> Text {
        match self {
            Self::Unreachable => Text::new(
                "连接不上：请检查网线、电源、IP 地址和端口",
                "no connection: check cable, power, address and port",
            ),
            Self::Timeout => Text::new(
                "无应答：请检查站号、波特率、接线，或延长超时",
                "no answer in time: check unit id, wiring, or lengthen the timeout",
            ),
            Self::Gone => Text::new(
                "对方关闭了连接：请检查是否有其他程序占用该设备",
                "the other side closed the connection: look for another program using the device",
            ),
            Self::Unauthorized => {
                Text::new("用户名、密码或证书被拒绝", "user name, password or certificate refused")
            }
            Self::Protocol => Text::new(
                "应答格式不对：请检查设备型号与模板是否一致",
                "the answer is not what the protocol says: check that the profile fits the device",
            ),
            Self::Refused => Text::new("设备拒绝了请求", "the device answered that it will not do this"),
            Self::Misconfigured => {
                Text::new("配置有误：请运行 schoolgate check", "configured wrongly: run `schoolgate check`")
            }
            Self::Stalled => Text::new(
                "已连接但数据停止：请检查设备是否死机",
                "connected, but nothing flows: the device may hang",
            ),
            Self::Internal => Text::new(
                "网关内部错误：请把日志交给开发者",
                "an error of the gateway itself: send the log to its developers",
            ),
        }
    }
}
