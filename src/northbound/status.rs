//! How a destination is doing, for the console and the API.

use crate::model::event::words;
use crate::model::{Text, Wall};
use serde::{Deserialize, Serialize};
use std::time::Duration;

words! {
    /// What the uplink to a destination is doing.
    UplinkState {
        /// Nothing is owed, or what is owed is being sent without trouble.
        Up = "up",
        /// The last request failed; the same records are tried again later.
        Retrying = "retrying",
        /// The platform refuses the application id or its signature; tried again after a long pause.
        AuthRefused = "auth_refused",
        /// As `auth_refused`, and the platform's clock differs from ours: look at the clock first.
        ClockSkew = "clock_skew",
        /// Nothing has been sent since start.
        Starting = "starting",
    }
}

/// How a destination is doing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DestinationStatus {
    /// What the uplink is doing.
    pub state: UplinkState,
    /// When records were last accepted.
    pub last_success: Option<Wall>,
    /// When the last failure was.
    pub last_failure: Option<Wall>,
    /// What the last failure was, in words; kept after recovery.
    pub last_error: Option<Text>,
    /// Requests that failed since the last accepted one.
    pub consecutive_failures: u32,
    /// When the oldest record in hand was owed; `None` when nothing waits.
    pub oldest_owed: Option<Wall>,
    /// Platform's clock minus ours by the last reply, milliseconds.
    pub clock_ahead_ms: Option<i64>,
}

impl DestinationStatus {
    /// Before the first request.
    #[must_use]
    pub fn starting() -> Self {
        Self {
            state: UplinkState::Starting,
            last_success: None,
            last_failure: None,
            last_error: None,
            consecutive_failures: 0,
            oldest_owed: None,
            clock_ahead_ms: None,
        }
    }

    /// How far the destination is behind.
    #[must_use]
    pub fn lag(&self, now: Wall) -> Duration {
        let ms = self.oldest_owed.map_or(0, |owed| now.since(owed));
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

/// A failure in words: what it means and what the platform said.
pub(super) fn in_words(word: &str, said: &str) -> Text {
    let (zh, en) = match word {
        "connect" => (
            "连接不上平台：请检查外网、地址、端口和证书",
            "no connection: check uplink, address, port and certificate",
        ),
        "timeout" => ("平台超时未应答", "no answer in time"),
        "broken" => ("应答未完成，连接已断开", "the connection broke before the answer was complete"),
        "too_long" => ("平台应答过长", "the answer is too long"),
        "envelope" => ("应答格式与约定不符", "the answer is not worded as agreed"),
        "token_expired" | "unauthorized" => ("访问令牌失效", "the access token is no longer valid"),
        "auth_refused" => {
            ("平台拒绝了应用标识或签名", "the platform refuses the application id or signature")
        }
        "rejected" => ("平台拒收记录", "the platform rejects records"),
        "too_large" => ("平台认为请求过大", "the request is too large for the platform"),
        "busy" | "rate_limited" | "token_busy" => ("平台繁忙，稍后重试", "the platform is busy"),
        "server_error" => ("平台内部错误", "an error inside the platform"),
        "redirect" => ("平台要求跳转：请检查地址", "the platform redirects: check the address"),
        "unexpected_status" => ("意外的 HTTP 状态：请检查接口路径", "unexpected HTTP status: check the path"),
        _ => ("平台返回未约定的代码", "the platform answers with a code that was not agreed"),
    };
    match said {
        "" => Text::new(zh, en),
        said => Text::new(format!("{zh}（{said}）"), format!("{en} ({said})")),
    }
}
