//! Which events are meant: a kind, a device's own code, a reader's decision.

use super::Watched;
use super::event::words;
use super::subject::{self, Subject};
use crate::document::Reader;
use crate::model::{AccessResult, Event, EventKind, Phase, Text};

/// Longest `code`, in characters.
const MAX_CODE: usize = 128;

/// A reader's decision as a rule names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Granted,
    Refused,
}

/// Events of a kind.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    pub(super) kind: EventKind,
    code: Option<String>,
    decision: Option<Decision>,
}

impl Pattern {
    /// Reads `event`, and `code` and `result` if they are there.
    pub(super) fn parse(reader: &Reader<'_>) -> Option<Self> {
        let kinds: Vec<_> = EventKind::ALL.iter().map(|kind| (kind.as_str(), *kind)).collect();
        let kind = reader.word("event", &kinds);
        let code = reader.text_opt("code");
        if code.as_ref().is_some_and(|code| code.is_empty() || code.chars().count() > MAX_CODE) {
            reader.problem(
                "code",
                ("设备不会有这样的代码", "this can be no device's code"),
                (
                    format!("按设备发来的样子写，1 到 {MAX_CODE} 个字符"),
                    format!("write the code as the device sends it, 1 to {MAX_CODE} characters"),
                ),
            );
        }
        let words = [("granted", Decision::Granted), ("denied", Decision::Refused)];
        let decision = reader.word_opt("result", &words);
        if decision.is_some() && kind.is_some_and(|kind| kind != EventKind::Credential) {
            reader.problem(
                "result",
                ("只有凭证读取器才有放行和拒绝", "only readers of credentials let through or refuse"),
                (
                    "写 event = \"credential\"，或不写 `result`",
                    "write event = \"credential\", or leave `result` out",
                ),
            );
        }
        Some(Self { kind: kind?, code, decision })
    }

    /// Notes a problem for each profile that does not give such events.
    pub(super) fn given_by(&self, reader: &Reader<'_>, chosen: &[(Subject, &Watched)]) {
        subject::gives(reader, "event", self.kind, chosen);
    }

    /// Whether this is such an event, in whatever phase.
    pub(super) fn fits(&self, event: &Event) -> bool {
        let result = event.credential.as_ref().map(|credential| credential.result);
        self.kind == event.kind
            && (self.code.is_none() || self.code == event.code)
            && self.decision.is_none_or(|decision| match decision {
                Decision::Granted => result.is_some_and(|result| !result.refused()),
                Decision::Refused => result.is_some_and(AccessResult::refused),
            })
    }

    /// What it is called.
    pub(super) fn name(&self) -> Text {
        match self.decision {
            Some(Decision::Granted) => Text::new("刷卡通过", "credential let through"),
            Some(Decision::Refused) => Text::new("刷卡被拒绝", "credential refused"),
            None => words(self.kind),
        }
    }
}

/// Whether a device's state is on, so that one which tells it again and again has begun it once.
#[derive(Debug, Default)]
pub(super) struct State {
    on: bool,
}

impl State {
    /// Whether the phase is a moment, or the beginning of a state that was not on.
    pub(super) fn happens(&mut self, phase: Phase) -> bool {
        match phase {
            Phase::Moment => true,
            Phase::Start => !std::mem::replace(&mut self.on, true),
            Phase::End => {
                self.on = false;
                false
            }
        }
    }
}
