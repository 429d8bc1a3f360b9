//! The alarms of responses and their rows of the audit trail, in words.

use super::run::{Goal, Slot};
use super::{Response, State};
use crate::model::alarm::{DRILLED_RULES, RESPONSE_RULES, SILENT_RULES};
use crate::model::{AlarmClass, AlarmKey, Now, PlaceId, Priority, ResponseId, RuleId, Text};
use crate::pipeline::Audit;
use crate::rules::{Finding, Level};

/// What it is the alarm of: what is practised is another alarm than what is in earnest.
pub(super) fn key(spec: &Response, drill: bool) -> Option<AlarmKey> {
    let begin = if drill { DRILLED_RULES } else { RESPONSE_RULES };
    let end = if spec.silent { SILENT_RULES } else { "" };
    let rule = RuleId::new(&format!("{begin}{}{end}", spec.kind)).ok()?;
    Some(AlarmKey { rule, subject: spec.id.to_string() })
}

pub(super) fn found(key: AlarmKey, level: Level, place: Option<PlaceId>, what: Text) -> Finding {
    let (class, priority) = (AlarmClass::Security, Priority::Critical);
    Finding { key, level, class, priority, device: None, place, what }
}

pub(super) fn started(spec: &Response) -> Text {
    Text::new(format!("{}：已启动", spec.name.zh), format!("{}: it is on", spec.name.en))
}

pub(super) fn because_of_fire(spec: &Response) -> Text {
    Text::new(
        format!("{}：发生火警，全部控制输出立即恢复到静止值", spec.name.zh),
        format!("{}: there is a fire alarm, so all it had switched goes back to rest at once", spec.name.en),
    )
}

pub(super) fn reason(spec: &Response, why: &str) -> String {
    format!("response {} ({}): {why}", spec.id, spec.kind)
}

/// An output and what came of it, for the audit trail.
pub(super) fn told(slot: &Slot) -> String {
    let wanted = if slot.goal == Goal::Set { "set" } else { "back" };
    let why = match &slot.state {
        State::Failed(why) | State::Refused(why) => format!(" said={:?}", why.en),
        _ => String::new(),
    };
    format!("output={:?} wanted={wanted} outcome={}{why}", slot.output.name, slot.state.word())
}

pub(super) fn row(now: Now, id: &ResponseId, actor: &str, result: &str, said: &str) -> Audit {
    Audit {
        at: now.wall,
        actor: actor.to_owned().into(),
        action: "response",
        subject: id.to_string().into(),
        detail: format!("result={result} {said}"),
    }
}
