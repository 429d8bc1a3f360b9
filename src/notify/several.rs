//! One message to several recipients: who has it already gets it no second time, and what their verdicts come to.

use super::Verdict;
use crate::model::ChannelId;
use std::collections::BTreeSet;

/// Who has the last message.
#[derive(Debug)]
pub(super) struct Several {
    channel: ChannelId,
    number: Option<u64>,
    have_it: BTreeSet<usize>,
}

impl Several {
    pub(super) fn of(channel: &ChannelId) -> Self {
        Self { channel: channel.clone(), number: None, have_it: BTreeSet::new() }
    }

    /// Who of so many is still to be told this message.
    pub(super) fn left(&mut self, number: u64, recipients: usize) -> Vec<usize> {
        if self.number != Some(number) {
            self.number = Some(number);
            self.have_it.clear();
        }
        (0..recipients).filter(|nth| !self.have_it.contains(nth)).collect()
    }

    /// What became of one.
    pub(super) fn note(&mut self, nth: usize, verdict: &Verdict) {
        if *verdict == Verdict::Accepted {
            self.have_it.insert(nth);
        }
    }

    /// What the verdicts come to: as long as a further try is of use it is asked for; a recipient who can never be told
    /// does not keep the others from having been.
    pub(super) fn summed(&self, verdicts: Vec<(usize, Verdict)>, recipients: usize) -> Verdict {
        let said = |nth: usize, why: String| match recipients {
            1 => why,
            _ => format!("recipient {} of {recipients}: {why}", nth + 1),
        };
        let (mut busy, mut failed, mut refused) = (None, None, None);
        for (nth, verdict) in verdicts {
            match verdict {
                Verdict::Accepted => {}
                Verdict::Busy { retry_after } => busy = busy.max(Some(retry_after)),
                Verdict::Failed { why } => failed = failed.or(Some(said(nth, why))),
                Verdict::Refused { why } => refused = refused.or(Some(said(nth, why))),
            }
        }
        match (failed, busy, refused) {
            (Some(why), ..) => Verdict::Failed { why },
            (None, Some(retry_after), _) => Verdict::Busy { retry_after },
            (None, None, Some(why)) if self.have_it.is_empty() => Verdict::Refused { why },
            (None, None, Some(why)) => {
                tracing::warn!(channel = %self.channel, why, "somebody who is to be told cannot be");
                Verdict::Accepted
            }
            (None, None, None) => Verdict::Accepted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn run(several: &mut Several, number: u64, verdicts: &[Verdict]) -> (usize, Verdict) {
        let left = several.left(number, verdicts.len());
        let told: Vec<_> = left.iter().map(|nth| (*nth, verdicts[*nth].clone())).collect();
        for (nth, verdict) in &told {
            several.note(*nth, verdict);
        }
        (left.len(), several.summed(told, verdicts.len()))
    }

    #[test]
    fn who_has_it_is_told_no_second_time_and_a_new_message_goes_to_all() {
        let failed = || Verdict::Failed { why: "no".into() };
        let mut several = Several::of(&ChannelId::new("sms").unwrap());
        let why = Verdict::Failed { why: "recipient 2 of 3: no".into() };
        assert_eq!(run(&mut several, 1, &[Verdict::Accepted, failed(), Verdict::Accepted]), (3, why));
        assert_eq!(run(&mut several, 1, &[failed(), Verdict::Accepted, failed()]), (1, Verdict::Accepted));
        assert_eq!(run(&mut several, 1, &[failed(), failed(), failed()]), (0, Verdict::Accepted));
        assert_eq!(run(&mut several, 2, &[failed()]), (1, failed()));
    }

    #[test]
    fn one_wrong_number_does_not_close_the_channel() {
        let refused = || Verdict::Refused { why: "unknown".into() };
        let busy = |secs| Verdict::Busy { retry_after: Some(Duration::from_secs(secs)) };
        let none = Verdict::Busy { retry_after: None };
        let mut several = Several::of(&ChannelId::new("sms").unwrap());
        assert_eq!(run(&mut several, 1, &[refused(), Verdict::Accepted]).1, Verdict::Accepted);
        let all = Verdict::Refused { why: "recipient 1 of 2: unknown".into() };
        assert_eq!(run(&mut several, 2, &[refused(), refused()]).1, all);
        assert_eq!(run(&mut several, 3, &[none, busy(9), busy(3), refused()]).1, busy(9));
    }
}
