//! Platforms that do not answer for long are worth an alarm: one each, or one for the line to the outside.

use super::{DestinationStatus, UplinkState};
use crate::model::{AlarmClass, AlarmKey, DestinationId, Mono, Now, Priority, RuleId, Text};
use crate::rules::{Finding, Level, UPLINK_ALL, UPLINK_RULE};
use std::collections::BTreeMap;
use std::time::Duration;

/// A platform that fails for so long is worth an alarm; shorter failures mend themselves and lose nothing.
pub const OUTAGE_AFTER: Duration = Duration::from_secs(300);

/// Since when each destination has failed, and what was said of it.
#[derive(Debug, Default)]
pub struct Outages {
    since: BTreeMap<DestinationId, Mono>,
    /// Subjects of which it was last said that they fail.
    said: BTreeMap<String, bool>,
}

impl Outages {
    /// Looks at every destination; what is new is reported, the line to the outside first.
    pub fn look<'a>(
        &mut self,
        now: Now,
        destinations: impl Iterator<Item = (&'a DestinationId, &'a DestinationStatus)>,
    ) -> Vec<Finding> {
        let (mut each, mut count, mut gone) = (Vec::new(), 0_usize, 0_usize);
        for (id, status) in destinations {
            count += 1;
            if matches!(status.state, UplinkState::Up | UplinkState::Starting) {
                self.since.remove(id);
            } else {
                self.since.entry(id.clone()).or_insert(now.mono);
            }
            let fails = self.since.get(id).is_some_and(|since| now.mono.since(*since) >= OUTAGE_AFTER);
            // One that answers, if only to refuse, is reached.
            gone += usize::from(fails && status.state == UplinkState::Retrying);
            each.push((id, status, fails));
        }
        let mut findings = Vec::new();
        if count > 1 {
            let (zh, en) = (
                format!("全部 {count} 个上级平台连接不上，请检查外网"),
                format!("none of the {count} platforms can be reached; look at the line to the outside"),
            );
            self.say(UPLINK_ALL, gone == count, Text::new(zh, en), &mut findings);
        }
        for (id, status, fails) in each {
            let why = status.last_error.clone().unwrap_or_else(|| Text::same(status.state.as_str()));
            let (zh, en) = (format!("上级平台 {id}：{}", why.zh), format!("platform {id}: {}", why.en));
            self.say(id.as_str(), fails, Text::new(zh, en), &mut findings);
        }
        findings
    }

    fn say(&mut self, subject: &str, fails: bool, what: Text, findings: &mut Vec<Finding>) {
        // Right after the start it is told once that all is well: the last run may have left an alarm open.
        if self.said.insert(subject.to_owned(), fails) == Some(fails) {
            return;
        }
        // The rule's name is an id by its form.
        let Ok(rule) = RuleId::new(UPLINK_RULE) else { return };
        findings.push(Finding {
            key: AlarmKey { rule, subject: subject.to_owned() },
            level: if fails { Level::Holds } else { Level::Ended },
            class: AlarmClass::Equipment,
            priority: Priority::Medium,
            device: None,
            place: None,
            what,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Wall;

    fn now(secs: u64) -> Now {
        Now { mono: Mono(secs * 1000), wall: Wall(1_790_000_000_000) }
    }

    #[test]
    fn one_platform_is_its_own_alarm_and_all_of_them_are_the_line() {
        let ids = ["city", "province"].map(|id| DestinationId::new(id).expect("an id"));
        let status = |state| DestinationStatus { state, ..DestinationStatus::starting() };
        let mut outages = Outages::default();
        let mut look = |secs, states: [UplinkState; 2]| {
            let statuses = states.map(status);
            let said = outages.look(now(secs), ids.iter().zip(&statuses));
            said.into_iter().map(|f| (f.key.subject, f.level == Level::Holds)).collect::<Vec<_>>()
        };
        use UplinkState::{AuthRefused, Retrying, Up};
        let said = |words: &[(&str, bool)]| -> Vec<(String, bool)> {
            words.iter().map(|(subject, fails)| ((*subject).to_owned(), *fails)).collect()
        };
        let well = said(&[("all", false), ("city", false), ("province", false)]);
        assert_eq!(look(0, [Up, Up]), well);
        assert_eq!(look(10, [Retrying, Up]), []);
        assert_eq!(look(309, [Retrying, Up]), []);
        assert_eq!(look(310, [Retrying, Up]), said(&[("city", true)]));
        assert_eq!(look(320, [Retrying, Retrying]), []);
        assert_eq!(look(700, [Retrying, Retrying]), said(&[("all", true), ("province", true)]));
        assert_eq!(look(710, [Retrying, AuthRefused]), said(&[("all", false)]), "it answers");
        assert_eq!(look(720, [Up, Up]), said(&[("city", false), ("province", false)]));
        // A short failure is nobody's business.
        assert_eq!(look(800, [Retrying, Up]), []);
        assert_eq!(look(900, [Up, Up]), []);
        assert_eq!(look(1150, [Retrying, Up]), []);
    }
}
