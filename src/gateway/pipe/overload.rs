//! That readings are shed because card or processor cannot follow is an alarm, once for each time it begins.

use crate::model::{AlarmClass, AlarmKey, Mono, Priority, RuleId, Text};
use crate::rules::{Finding, Level};
use std::time::Duration;

/// Nothing was shed for this long: it is over.
const CALM: Duration = Duration::from_secs(60);

/// When readings were last shed, while that is told.
#[derive(Debug, Default)]
pub(super) struct Overload(Option<Mono>);

impl Overload {
    /// Readings were shed; what to tell, if that is news.
    pub(super) fn lost(&mut self, now: Mono) -> Option<Finding> {
        let news = self.0.replace(now).is_none();
        if news { finding(Level::Holds) } else { None }
    }

    /// Whether it is over.
    pub(super) fn look(&mut self, now: Mono) -> Option<Finding> {
        self.0.take_if(|last| now.since(*last) >= CALM)?;
        finding(Level::Ended)
    }
}

fn finding(level: Level) -> Option<Finding> {
    Some(Finding {
        key: AlarmKey { rule: RuleId::new("store.overload").ok()?, subject: "store".into() },
        level,
        class: AlarmClass::Equipment,
        priority: Priority::Medium,
        device: None,
        place: None,
        what: Text::new(
            "数据来得太快或存储卡太慢，部分轮询读数被丢弃",
            "data comes faster than it can be stored: polled readings are being given up",
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_once_and_ends_when_nothing_was_shed_for_a_minute() {
        let mut overload = Overload::default();
        let level = |finding: Option<Finding>| finding.map(|f| f.level);
        assert_eq!(level(overload.look(Mono(0))), None);
        assert_eq!(level(overload.lost(Mono(1000))), Some(Level::Holds));
        assert_eq!(level(overload.lost(Mono(30_000))), None);
        assert_eq!(level(overload.look(Mono(89_999))), None);
        assert_eq!(level(overload.look(Mono(90_000))), Some(Level::Ended));
        assert_eq!(level(overload.look(Mono(90_001))), None);
        assert_eq!(level(overload.lost(Mono(95_000))), Some(Level::Holds));
    }
}
