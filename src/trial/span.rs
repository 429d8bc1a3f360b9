//! Moments as a case has them: `+1h30m` after its beginning, a time of its first day, or a date and time.

use crate::model::{Text, Wall};
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;

/// What to write for a moment.
pub(super) const MOMENT: (&str, &str) = (
    "写从开头算起多久（\"+30s\"、\"+1h30m\"、\"+2d\"）、第一天的时刻（\"17:30\"），或日期和时刻（\"2026-10-09T17:30\"）",
    "write a span from the beginning (\"+30s\", \"+1h30m\", \"+2d\"), a time of the first day (\"17:30\"), or a \
     date and time (\"2026-10-09T17:30\")",
);
/// What to write for a span.
pub(super) const SPAN: (&str, &str) =
    ("写数字加 d、h、m 或 s：\"30s\"、\"1h30m\"", "write numbers with d, h, m or s: \"30s\", \"1h30m\"");
/// Longest span, milliseconds: a year and a month.
const MAX_MS: i64 = 400 * 24 * 3_600_000;

/// A date and time of day in a zone.
pub(super) fn local(text: &str, zone: &TimeZone) -> Result<Wall, Text> {
    let at: DateTime = text.parse().map_err(|_| {
        Text::new(format!("\"{text}\" 不是日期和时刻"), format!("\"{text}\" is no date and time"))
    })?;
    Ok(Wall(zone.to_timestamp(at).map_err(out_of_reach)?.as_millisecond()))
}

/// A moment that no clock shows.
#[expect(clippy::needless_pass_by_value, reason = "it is handed to `map_err`")]
fn out_of_reach(error: jiff::Error) -> Text {
    Text::new(format!("这个时刻不能用：{error}"), error.to_string())
}

/// A moment of a case that begins at `start`.
pub(super) fn moment(text: &str, start: Wall, zone: &TimeZone) -> Result<Wall, Text> {
    if let Some(span) = text.strip_prefix('+') {
        return Ok(start.plus_ms(span_ms(span)?));
    }
    let at = match text.parse::<Time>() {
        Ok(time) if !text.contains('T') => {
            let first = jiff::Timestamp::from_millisecond(start.0).map_err(out_of_reach)?;
            let day = first.to_zoned(zone.clone()).date().to_datetime(time);
            Wall(zone.to_timestamp(day).map_err(out_of_reach)?.as_millisecond())
        }
        _ => local(text, zone)?,
    };
    if at < start {
        Err(Text::new(format!("\"{text}\" 早于用例开始"), format!("\"{text}\" is before the case begins")))
    } else {
        Ok(at)
    }
}

/// A span, milliseconds.
pub(super) fn span_ms(text: &str) -> Result<i64, Text> {
    let wrong = || Text::new(format!("\"{text}\" 不是时长"), format!("\"{text}\" is no span"));
    let (mut total, mut digits) = (0_i64, String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c {
            'd' => 24 * 3_600_000,
            'h' => 3_600_000,
            'm' => 60_000,
            's' => 1000,
            _ => return Err(wrong()),
        };
        let number: i64 = digits.parse().map_err(|_| wrong())?;
        total = total.saturating_add(number.saturating_mul(unit));
        digits.clear();
    }
    if text.is_empty() || !digits.is_empty() || total > MAX_MS { Err(wrong()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_spans_times_of_day_or_dates() {
        let zone = TimeZone::fixed(jiff::tz::offset(8));
        let start = local("2026-10-09T12:00", &zone).unwrap();
        for (text, ms) in [
            ("+0s", Some(0)),
            ("+1h30m", Some(5_400_000)),
            ("+2d", Some(172_800_000)),
            ("12:00:30", Some(30_000)),
            ("2026-10-09T12:01", Some(60_000)),
            ("11:59", None),
            ("+", None),
            ("+5", None),
            ("+5x", None),
            ("+999d", None),
            ("noon", None),
            ("+-5s", None),
        ] {
            let found = moment(text, start, &zone).ok().map(|at| at.since(start));
            assert_eq!(found, ms, "{text}");
        }
    }
}
