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
        Outcome::DryRun { .. }
        | Outcome::Refused(Refusal::Off | Refusal::NotAllowed { .. } | Refusal::Exit) => {
            Verdict::Refused { why }
        }
        Outcome::Refused(
            Refusal::Fire
            | Refusal::Interlock(_)
            | Refusal::UnderWay { .. }
            | Refusal::NotStored
            | Refusal::Overtaken { .. },
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

#[cfg(test)]
mod tests {
    use super::super::testing::{channel, means, message};
    use super::*;
    use crate::config::ChannelKind;
    use crate::model::{ControlId, Text};
    use crate::runtime::control_desk;
    use std::time::Duration;

    fn siren() -> (Siren, control_desk::ControlOffice) {
        let (desk, office) = control_desk::desk(true);
        let control = ControlChannel { control: ControlId::new("siren").unwrap(), on: 1.0 };
        let channel = channel(ChannelKind::Control(control.clone()));
        (Siren::new(&channel, &control, &Means { controls: desk, ..means() }), office)
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_was_read_back_counts() {
        let (mut siren, mut office) = siren();
        let wait = Duration::from_secs(3);
        for (outcome, word) in [
            (Outcome::Done { value: 1.0, back_in: Some(wait) }, "accepted"),
            (Outcome::DryRun { value: 1.0 }, "refused"),
            (Outcome::Refused(Refusal::TooSoon { wait }), "busy"),
            (Outcome::Refused(Refusal::Off), "refused"),
            (Outcome::Refused(Refusal::Interlock(Text::same("x"))), "failed"),
            (Outcome::Failed(Failure::NotDone { wanted: 1.0, read: 0.0 }), "failed"),
        ] {
            let message = message();
            let gateway = async {
                let parcel = office.orders.recv().await.expect("an order");
                assert_eq!((parcel.control.as_str(), parcel.value, parcel.dry_run), ("siren", 1.0, false));
                assert_eq!(parcel.by.actor(), "channel:people");
                assert_eq!(parcel.reason, "求助按钮被按下");
                parcel.outcome.send(outcome.clone()).expect("somebody waits");
            };
            let (verdict, ()) = tokio::join!(siren.tell(&message), gateway);
            assert_eq!(verdict.word(), word, "{outcome:?}");
        }
        // Nobody takes the order: time passes by itself here.
        assert!(
            matches!(siren.tell(&message()).await, Verdict::Failed { why } if why.contains("not read back"))
        );
        let over = Message { occasion: Occasion::Over, ..message() };
        assert_eq!(siren.tell(&over).await, Verdict::Accepted);
        drop(office);
        assert_eq!(siren.tell(&message()).await.word(), "failed");
    }
}
