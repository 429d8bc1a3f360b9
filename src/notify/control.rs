//! A siren or lamp that is switched on through the controls: done when it was read back; they switch it off again.

use super::robot::per_minute;
use super::wording::title;
use super::{Means, Message, Notifier, NotifierKind, Occasion, Rate, Told, Verdict};
use crate::config::{Channel, ControlChannel};
use crate::control::{By, Failure, MAX_REASON_CHARS, Outcome, Refusal};
use crate::model::{Actor, Lang};
use crate::runtime::control_desk::ControlDesk;

/// Sirens and lamps.
pub const KIND: NotifierKind = NotifierKind {
    name: "control",
    doc: "通过 [[control]] 打开警号或警灯，回读确认，到时自动关闭。A siren or lamp is switched on through a [[control]].",
    example: r#"control = "siren"
on = 1
"#,
};

/// A siren.
#[derive(Debug)]
pub(super) struct Siren {
    channel: String,
    control: ControlChannel,
    desk: ControlDesk,
    said: Option<String>,
}

impl Siren {
    pub(super) fn new(channel: &Channel, control: &ControlChannel, means: &Means) -> Self {
        let desk = means.controls.clone();
        Self { channel: channel.id.to_string(), control: control.clone(), desk, said: None }
    }

    async fn switch(&mut self, message: &Message) -> Verdict {
        let actor = Actor::named(&format!("channel:{}", self.channel)).unwrap_or_else(Actor::gateway);
        let reason: String = title(message, Lang::Zh).chars().take(MAX_REASON_CHARS).collect();
        let id = self.control.control.clone();
        let order = self.desk.order(id, self.control.on, By::Person(actor), (reason, false));
        let outcome = match tokio::time::timeout(super::OWN_LIMIT, order).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => return Verdict::Failed { why: "the gateway is stopping".into() },
            Err(_) => {
                return Verdict::Failed { why: "it was not read back in time; the order goes on".into() };
            }
        };
        let says = outcome.says().en;
        self.said = Some(says.clone());
        judge(&outcome, says)
    }
}

/// What an outcome means to whoever wants to be heard.
fn judge(outcome: &Outcome, why: String) -> Verdict {
    match outcome {
        Outcome::Done { .. } => Verdict::Accepted,
        Outcome::Refused(Refusal::TooSoon { wait } | Refusal::TooMany { wait, .. }) => {
            Verdict::Busy { retry_after: Some(*wait) }
        }
        Outcome::DryRun { .. } | Outcome::Refused(Refusal::Off | Refusal::NotAllowed { .. }) => {
            Verdict::Refused { why }
        }
        Outcome::Refused(
            Refusal::Interlock(_) | Refusal::UnderWay { .. } | Refusal::NotStored | Refusal::Overtaken { .. },
        )
        | Outcome::Failed(Failure::Refused(_) | Failure::NotDone { .. } | Failure::Silent(_)) => {
            Verdict::Failed { why }
        }
    }
}

impl Notifier for Siren {
    fn rate(&self) -> Rate {
        per_minute(12)
    }

    fn tell<'a>(&'a mut self, message: &'a Message) -> Told<'a> {
        Box::pin(async move {
            // Another alarm may need it still; its longest time and people end it.
            if message.occasion == Occasion::Over {
                return Verdict::Accepted;
            }
            self.switch(message).await
        })
    }

    fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }
}
