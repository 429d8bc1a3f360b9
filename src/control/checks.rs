//! What must hold before something is switched, and the alarm when it will not return.

use super::{Interlock, Refusal};
use crate::model::{AlarmClass, AlarmKey, ControlId, DeviceId, Now, PlaceId, Priority, RuleId, Text};
use crate::pipeline::Live;
use crate::rules::{Finding, Level};
use std::time::Duration;

/// The rule of that alarm.
const ALARM_RULE: &str = "always.control";

/// An alarm of a control.
pub(super) fn finding(
    id: &ControlId,
    level: Level,
    at: Option<(DeviceId, PlaceId)>,
    what: Text,
) -> Option<Finding> {
    let (device, place) = at.unzip();
    Some(Finding {
        key: AlarmKey { rule: RuleId::new(ALARM_RULE).ok()?, subject: id.to_string() },
        level,
        class: AlarmClass::Equipment,
        priority: Priority::High,
        device,
        place,
        what,
    })
}

/// Whether everything that must hold first does.
pub(super) fn interlocked(interlocks: &[Interlock], now: Now, live: &Live) -> Result<(), Refusal> {
    interlocks.iter().try_for_each(|lock| {
        let (device, point) = (&lock.device, &lock.point);
        let (wanted, max) = (lock.holds.says(), lock.max_age.as_secs());
        let refuse = |zh: String, en: String| {
            Err(Refusal::Interlock(Text::new(
                format!("联锁：要求 {device} 的 {point} {}，{zh}", wanted.zh),
                format!("interlock: {point} of {device} must be {}, {en}", wanted.en),
            )))
        };
        let Some(seen) = live.devices.get(device).and_then(|d| d.points.get(point)) else {
            return refuse("但还没有读到过".into(), "but was not read yet".into());
        };
        let age = now.wall.since(seen.stamp.gateway);
        if !(0..=span(lock.max_age)).contains(&age) {
            return refuse(
                format!("但最近 {max} 秒内没有读到"),
                format!("but was not read in the last {max} s"),
            );
        }
        match seen.reading.value {
            Some(value) if seen.reading.quality.doubt().is_none() => {
                if lock.holds.met(value) {
                    return Ok(());
                }
                refuse(format!("但现在为 {value}"), format!("but is {value}"))
            }
            _ => refuse("但读数不可信".into(), "but its value cannot be trusted".into()),
        }
    })
}

/// Milliseconds, as times are counted.
pub(super) fn span(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
