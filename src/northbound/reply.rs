//! What came back from a platform, or why nothing did.

use crate::model::Wall;
use std::time::Duration;

/// Longest pause a platform may ask for; a longer one is cut to this.
pub const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// A platform's answer, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// `Retry-After`, already a span and at most an hour (RFC 9110 10.2.3).
    pub retry_after: Option<Duration>,
    /// `Date`: the platform's own clock.
    pub date: Option<Wall>,
    /// The body.
    pub body: Vec<u8>,
}

impl Reply {
    /// An answer without headers.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, retry_after: None, date: None, body: body.into() }
    }
}

/// Why there is no answer. The platform may still have taken the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// No connection: name, address, port, certificate.
    Connect,
    /// No whole answer in time.
    Timeout,
    /// The connection broke before the answer was complete.
    Broken,
    /// The answer is longer than any platform's should be.
    TooLong,
}

impl Lost {
    /// The word in counters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Broken => "broken",
            Self::TooLong => "too_long",
        }
    }
}

/// No answer, and what the network said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoReply {
    /// For code.
    pub lost: Lost,
    /// For people: the causes on one line, without URLs; possibly nothing.
    pub cause: String,
}

impl From<Lost> for NoReply {
    fn from(lost: Lost) -> Self {
        Self { lost, cause: String::new() }
    }
}

/// Reads an HTTP date (RFC 9110 5.6.7).
#[must_use]
pub fn parse_http_date(text: &str) -> Option<Wall> {
    let at = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()?;
    Some(Wall(at.as_millisecond()))
}

/// Reads `Retry-After`: seconds, or a date reckoned by the platform's clock if the reply carried one, else by ours.
#[must_use]
pub fn parse_retry_after(text: &str, platform_now: Wall) -> Option<Duration> {
    let text = text.trim();
    let span = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs)
    } else {
        let ms = parse_http_date(text)?.since(platform_now);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    };
    Some(span.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
        let now = parse_http_date("Thu, 31 Dec 2020 16:00:00 GMT").expect("a date");
        assert_eq!(now, Wall(1_609_430_400_000));
        for (text, secs) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("86400", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("Thu, 31 Dec 2020 16:00:30 GMT", Some(30)),
            ("Thu, 31 Dec 2020 15:00:00 GMT", Some(0)),
            ("Fri, 31 Dec 2021 16:00:00 GMT", Some(3600)),
            ("", None),
            ("-5", None),
            ("soon", None),
        ] {
            assert_eq!(parse_retry_after(text, now), secs.map(Duration::from_secs), "{text:?}");
        }
    }
}
