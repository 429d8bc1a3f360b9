//! Hold, secure, lockdown, evacuate, shelter: two steps to begin, a second person to end, and nothing locked while it
//! burns.
//!
//! [`Responses`] decides and touches nothing. It is told of orders, of what came of each output, of fire and of time, and
//! answers with [`Step`]s for whoever has the controls, the channels and the store. Every output ends in a result.

#[cfg(test)]
mod histories;
mod machine;
mod memory;
mod refused;
mod restart;
mod run;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod wording;

pub use machine::{Given, Responses};
pub use refused::Refused;

use crate::control::{By, Failure, Outcome, Refusal};
use crate::model::{Actor, ChannelId, ControlId, PlaceId, ResponseId, ResponseKind, Text, Verdict, Wall};
use crate::pipeline::Audit;
use crate::rules::Finding;
use std::sync::Arc;
use std::time::Duration;

/// The code of the first step is good for so long.
pub const CODE_FOR: Duration = Duration::from_secs(30);
/// An output of which nothing was heard for so long has not answered.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Most outputs of one response.
pub const MAX_OUTPUTS: usize = 64;
/// What is locked for less than this is hardly locked for long enough.
pub const SHORT: Duration = Duration::from_secs(15 * 60);
/// Pauses before an output that failed is tried again.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];
/// Longest wait that an output may ask for; who asks for more has failed.
const MOST_WAIT: Duration = Duration::from_secs(60);

/// What a school does at once when there is danger.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Its id.
    pub id: ResponseId,
    /// Which of the five it is.
    pub kind: ResponseKind,
    /// Its name for people.
    pub name: Text,
    /// Where, if not in the whole school.
    pub place: Option<PlaceId>,
    /// Nothing that sounds or shows at the place itself is told.
    pub silent: bool,
    /// What is switched and who is told, all at once.
    pub outputs: Vec<Output>,
}

/// One thing that a response does.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// Its name for people.
    pub name: String,
    /// What is done.
    pub does: Does,
    /// It is done in drills, too.
    pub drills: bool,
}

/// What an output does.
#[derive(Debug, Clone, PartialEq)]
pub enum Does {
    /// A control is brought to a value.
    Switch {
        /// Which.
        control: ControlId,
        /// To what.
        value: f64,
        /// To what afterwards.
        rest: Option<f64>,
    },
    /// People are told by a channel.
    Tell {
        /// Which.
        channel: ChannelId,
        /// What.
        text: Text,
    },
}

impl Does {
    /// The control that it switches.
    #[must_use]
    pub fn control(&self) -> Option<&ControlId> {
        match self {
            Self::Switch { control, .. } => Some(control),
            Self::Tell { .. } => None,
        }
    }

    /// The control that it brings away from rest.
    #[must_use]
    pub fn away(&self) -> Option<&ControlId> {
        match self {
            Self::Switch { control, value, rest } if *rest != Some(*value) => Some(control),
            Self::Switch { .. } | Self::Tell { .. } => None,
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Order a control; [`Responses::took`] is called when it is known what came of it. Those of one control are given
    /// in turn.
    Switch {
        /// The number under which the answer is told.
        ticket: u64,
        /// Which control.
        control: ControlId,
        /// To what.
        value: f64,
        /// On whose behalf.
        by: By,
        /// Why.
        reason: String,
    },
    /// Send a message; [`Responses::took`] is called when it is known what came of it.
    Tell {
        /// The number under which the answer is told.
        ticket: u64,
        /// By which channel.
        channel: ChannelId,
        /// What.
        text: Text,
        /// It is over.
        over: bool,
        /// It is practised.
        drill: bool,
    },
    /// Tell the pipeline.
    Report(Finding),
    /// Make this durable: what a restart has to know, and rows of the audit trail.
    Note(String, Vec<Audit>),
}

/// What came of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It was read back, or accepted.
    Done {
        /// When it goes back by itself.
        back_in: Option<Duration>,
    },
    /// Not now.
    Later {
        /// Why.
        why: Text,
        /// How long to wait, if it says so.
        wait: Option<Duration>,
    },
    /// Not at all.
    Never(Text),
}

impl From<&Outcome> for Answer {
    fn from(outcome: &Outcome) -> Self {
        let why = outcome.says();
        match outcome {
            Outcome::Done { back_in, .. } => Self::Done { back_in: *back_in },
            Outcome::Refused(Refusal::TooSoon { wait } | Refusal::TooMany { wait, .. }) => {
                Self::Later { why, wait: Some(*wait) }
            }
            Outcome::Refused(
                Refusal::Interlock(_)
                | Refusal::UnderWay { .. }
                | Refusal::NotStored
                | Refusal::Overtaken { .. },
            )
            | Outcome::Failed(Failure::Refused(_) | Failure::NotDone { .. } | Failure::Silent(_)) => {
                Self::Later { why, wait: None }
            }
            Outcome::DryRun { .. }
            | Outcome::Refused(Refusal::Off | Refusal::NotAllowed { .. } | Refusal::Exit | Refusal::Fire) => {
                Self::Never(why)
            }
        }
    }
}

impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accepted => Self::Done { back_in: None },
            Verdict::Busy { retry_after } => Self::Later {
                why: Text::new("渠道暂不接收", "the channel takes no more for now"),
                wait: retry_after,
            },
            Verdict::Failed { why } => Self::Later { why: Text::same(why), wait: None },
            Verdict::Refused { why } => Self::Never(Text::same(why)),
        }
    }
}

/// How an output stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is on its way.
    Waiting,
    /// It failed and is tried again in a moment.
    Again(Text),
    /// It is so.
    Done,
    /// It was so, and has gone back by itself: its longest time is over.
    ByItself,
    /// It was tried often enough.
    Failed(Text),
    /// It will not be done.
    Refused(Text),
    /// Nothing was heard of it.
    NoAnswer,
    /// There is nothing to do: it is not for drills, has no rest to return to, or another response holds it.
    LeftOut,
}

impl State {
    /// One word.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Again(_) => "trying_again",
            Self::Done => "done",
            Self::ByItself => "back_by_itself",
            Self::Failed(_) => "failed",
            Self::Refused(_) => "refused",
            Self::NoAnswer => "no_answer",
            Self::LeftOut => "left_out",
        }
    }

    /// For people.
    #[must_use]
    pub fn says(&self) -> Text {
        let because = |zh: &str, en: &str, why: &Text| {
            Text::new(format!("{zh}：{}", why.zh), format!("{en}: {}", why.en))
        };
        match self {
            Self::Waiting => Text::new("执行中", "on its way"),
            Self::Again(why) => because("未成功，正在重试", "not yet, tried again", why),
            Self::Done => Text::new("已完成", "done"),
            Self::ByItself => {
                Text::new("到达最长时间，已自动恢复", "its longest time is over: it went back by itself")
            }
            Self::Failed(why) => because("失败", "failed", why),
            Self::Refused(why) => because("被拒绝", "refused", why),
            Self::NoAnswer => Text::new("没有回应", "no answer"),
            Self::LeftOut => Text::new("无需动作", "nothing to do"),
        }
    }

    /// Whether it is known what came of it.
    #[must_use]
    pub fn known(&self) -> bool {
        !matches!(self, Self::Waiting | Self::Again(_))
    }

    /// Whether it is known not to be so.
    #[must_use]
    pub fn failing(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Refused(_) | Self::NoAnswer)
    }
}

/// How far a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Nothing is on.
    Off,
    /// It is on.
    On,
    /// It is on, and what it had switched was given back: there is fire, or everybody must out.
    GivenBack,
    /// All is clear, and what it had switched returns.
    Returning,
}

impl Stage {
    /// One word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::On => "on",
            Self::GivenBack => "given_back",
            Self::Returning => "returning",
        }
    }

    /// For people.
    #[must_use]
    pub fn name(self) -> Text {
        match self {
            Self::Off => Text::new("未启动", "off"),
            Self::On => Text::new("已启动", "on"),
            Self::GivenBack => Text::new("输出已恢复，待解除", "given back, not clear yet"),
            Self::Returning => Text::new("正在解除", "returning"),
        }
    }
}

/// A response as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// What it is.
    pub spec: Arc<Response>,
    /// How far it is.
    pub stage: Stage,
    /// Who took the first step, while the code is good.
    pub prepared_by: Option<Actor>,
    /// Who began it last, and when.
    pub begun: Option<(Actor, Wall)>,
    /// It is, or was, a drill.
    pub drill: bool,
    /// What came of each output that was used last.
    pub outputs: Vec<(Output, State)>,
}
