//! The last message of each topic that its sender wants kept for those who subscribe later.

use super::codec::Message;
use crate::model::Mono;
use crate::profile::topic_matches;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most topics with a message kept.
pub(super) const MAX_TOPICS: usize = 2000;
/// Most bytes of all of them.
pub(super) const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Most topics of one login.
pub(super) const MAX_TOPICS_OF_LOGIN: usize = 500;

#[derive(Debug)]
struct Kept {
    message: Message,
    login: Arc<str>,
    at: Mono,
}

impl Kept {
    /// Seconds it is still wanted; `None` is for ever.
    fn left_secs(&self, now: Mono) -> Option<u32> {
        let passed = u32::try_from(now.0.saturating_sub(self.at.0) / 1000).unwrap_or(u32::MAX);
        self.message.expires_secs.map(|secs| secs.saturating_sub(passed))
    }
}

/// The retained messages.
#[derive(Debug, Default)]
pub(super) struct Retained {
    kept: BTreeMap<Arc<str>, Kept>,
    bytes: usize,
}

impl Retained {
    /// Keeps a message in place of the one before; an empty one only removes it (MQTT 5, section 3.3.1.3). `false` when
    /// there is no room.
    pub(super) fn set(&mut self, message: &Message, login: &Arc<str>, now: Mono) -> bool {
        let old = self.kept.remove(&message.topic);
        self.bytes = self.bytes.saturating_sub(old.as_ref().map_or(0, |old| old.message.bytes()));
        if message.payload.is_empty() {
            return true;
        }
        if self.kept.len() >= MAX_TOPICS {
            self.forget_expired(now);
        }
        let of_login = || self.kept.values().filter(|kept| kept.login == *login).count();
        let room = (old.is_some() || (self.kept.len() < MAX_TOPICS && of_login() < MAX_TOPICS_OF_LOGIN))
            && self.bytes.saturating_add(message.bytes()) <= MAX_BYTES;
        if room {
            self.bytes += message.bytes();
            let kept = Kept { message: message.clone(), login: Arc::clone(login), at: now };
            self.kept.insert(Arc::clone(&message.topic), kept);
        }
        room
    }

    /// Those of the topics that a filter takes in, each with the seconds left to it.
    pub(super) fn matching(&self, filter: &str, now: Mono) -> Vec<Message> {
        let kept = self.kept.iter().filter(|(topic, _)| topic_matches(filter, topic));
        let fresh = kept.filter_map(|(_, kept)| {
            let left = kept.left_secs(now);
            (left != Some(0)).then(|| Message { expires_secs: left, ..kept.message.clone() })
        });
        fresh.collect()
    }

    fn forget_expired(&mut self, now: Mono) {
        self.kept.retain(|_, kept| kept.left_secs(now) != Some(0));
        self.bytes = self.kept.values().map(|kept| kept.message.bytes()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt_protocol_core::mqtt::packet::Qos;

    fn message(topic: &str, payload: &[u8]) -> Message {
        Message::plain(topic, payload, Qos::AtLeastOnce, true)
    }

    #[test]
    fn the_last_one_is_kept_until_it_is_cleared_or_expires() {
        let (mut retained, me) = (Retained::default(), Arc::from("me"));
        assert!(retained.set(&message("a/b", b"1"), &me, Mono(0)));
        assert!(retained.set(&message("a/b", b"2"), &me, Mono(0)));
        let short = Message { expires_secs: Some(10), ..message("a/c", b"3") };
        assert!(retained.set(&short, &me, Mono(0)));
        let found = retained.matching("a/+", Mono(4000));
        let found: Vec<_> = found.iter().map(|m| (m.payload.as_slice(), m.expires_secs)).collect();
        assert_eq!(found, [(&b"2"[..], None), (&b"3"[..], Some(6))]);
        assert_eq!(retained.matching("#", Mono(10_000)).len(), 1);
        assert!(retained.set(&message("a/b", b""), &me, Mono(0)));
        assert!(retained.matching("a/b", Mono(0)).is_empty());
        retained.forget_expired(Mono(10_000));
        assert_eq!((retained.kept.len(), retained.bytes), (0, 0));
    }

    #[test]
    fn one_login_takes_its_share_and_all_together_the_whole() {
        let mut retained = Retained::default();
        for login in 0..10 {
            let name: Arc<str> = format!("login-{login}").into();
            for topic in 0..MAX_TOPICS_OF_LOGIN + 10 {
                retained.set(&message(&format!("{login}/{topic}"), b"x"), &name, Mono(0));
            }
            let of_login = retained.matching(&format!("{login}/+"), Mono(0)).len();
            assert_eq!(of_login, if login < 4 { MAX_TOPICS_OF_LOGIN } else { 0 });
        }
        assert_eq!(retained.kept.len(), MAX_TOPICS);
        let large = vec![0; 1024 * 1024];
        let mut retained = Retained::default();
        let me: Arc<str> = "me".into();
        let kept = (0..40).filter(|n| retained.set(&message(&n.to_string(), &large), &me, Mono(0))).count();
        assert_eq!(kept, 15, "up to 16 MiB with their topics");
    }
}
