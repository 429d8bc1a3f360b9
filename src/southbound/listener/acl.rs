//! Who may log in to the listener, and which topics each login may publish and subscribe to: nothing that is not named.

use super::codec::Hello;
use crate::config::{Device, MqttListener};
use crate::model::Secret;
use crate::profile::topic_matches;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One who may log in.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) name: String,
    password: Option<Secret>,
    /// Its devices, as indices into those of the bus.
    pub(super) devices: Vec<usize>,
    publishes: Vec<String>,
    subscribes: Vec<String>,
}

impl Login {
    pub(super) fn may_publish(&self, topic: &str) -> bool {
        self.publishes.iter().any(|filter| topic_matches(filter, topic))
    }

    /// Whether all that the filter takes in is allowed.
    pub(super) fn may_subscribe(&self, filter: &str) -> bool {
        self.subscribes.iter().any(|allowed| covers(allowed, filter))
    }
}

/// Why somebody may not log in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Rejected {
    #[error("it gives neither a user name nor a certificate that is known")]
    Anonymous,
    #[error("there is no login '{0}'")]
    Unknown(String),
    #[error("wrong password for '{0}'")]
    Password(String),
    #[error("'{0}' has no password: it must show a client certificate with this name, and did not")]
    Certificate(String),
}

/// Everybody who may log in.
#[derive(Debug)]
pub(super) struct Logins(BTreeMap<String, Arc<Login>>);

impl Logins {
    pub(super) fn new(listener: &MqttListener, devices: &[Device]) -> Self {
        let logins = listener.clients.iter().map(|client| {
            let mut login = Login {
                name: client.username.clone(),
                password: client.password.clone(),
                devices: Vec::new(),
                publishes: Vec::new(),
                subscribes: client.subscribe.clone(),
            };
            for (index, device) in devices.iter().enumerate().filter(|(_, d)| client.devices.contains(&d.id))
            {
                login.devices.push(index);
                login.publishes.extend(device.profile.topics(&device.address));
                login.subscribes.extend(device.profile.command_topics(&device.address));
            }
            (client.username.clone(), Arc::new(login))
        });
        Self(logins.collect())
    }

    /// Who it is, by its certificate or its password. `certified` are the names in a certificate that was verified.
    pub(super) fn judge(&self, hello: &Hello, certified: &[String]) -> Result<Arc<Login>, Rejected> {
        let by_certificate = certified.iter().find(|name| self.0.contains_key(*name));
        let Some(name) = hello.username.as_ref().or(by_certificate) else { return Err(Rejected::Anonymous) };
        let login = self.0.get(name);
        let given = hello.password.as_deref().unwrap_or_default();
        let wanted = login.and_then(|login| login.password.as_ref());
        // Also where nobody has this name: how long it takes tells nothing.
        let right = same(given, wanted.map_or("", Secret::expose).as_bytes()) && wanted.is_some();
        match login {
            None => Err(Rejected::Unknown(name.chars().take(64).collect())),
            Some(login) if right || certified.contains(name) => Ok(Arc::clone(login)),
            Some(login) if login.password.is_none() => Err(Rejected::Certificate(name.clone())),
            Some(_) => Err(Rejected::Password(name.clone())),
        }
    }
}

/// Whether two texts are the same, in a time that depends on neither.
fn same(a: &[u8], b: &[u8]) -> bool {
    let (a, b) = (Sha256::digest(a), Sha256::digest(b));
    std::hint::black_box(a.iter().zip(b.iter()).fold(0, |differ, (a, b)| differ | (a ^ b))) == 0
}

/// Whether every topic that `filter` takes in is taken in by `allowed`, too.
fn covers(allowed: &str, filter: &str) -> bool {
    if filter.starts_with('$') != allowed.starts_with('$') {
        return false;
    }
    let mut wanted = filter.split('/');
    for level in allowed.split('/') {
        if level == "#" {
            return true;
        }
        match wanted.next() {
            Some("#") | None => return false,
            Some(want) if level == want || (level == "+" && want != "#") => {}
            Some(_) => return false,
        }
    }
    wanted.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_allowed_only_where_all_of_it_is() {
        let cases = [
            ("a/b", "a/b", true),
            ("a/b", "a/+", false),
            ("a/b", "a/#", false),
            ("a/b", "#", false),
            ("a/b", "a/b/#", false),
            ("a/+", "a/b", true),
            ("a/+", "a/+", true),
            ("a/+", "a/#", false),
            ("a/+", "a/b/c", false),
            ("a/+", "a", false),
            ("a/#", "a/#", true),
            ("a/#", "a/+/c", true),
            ("a/#", "a", true),
            ("a/#", "b", false),
            ("a/#", "+/b", false),
            ("#", "#", true),
            ("#", "$SYS/#", false),
            ("+/b", "+/b", true),
            ("+/b", "a/b", true),
            ("+/b", "a/c", false),
        ];
        for (allowed, filter, expected) in cases {
            assert_eq!(covers(allowed, filter), expected, "{allowed} covers {filter}");
        }
    }

    #[test]
    fn the_same_is_the_same_and_nothing_else() {
        assert!(same(b"secret", b"secret") && same(b"", b""));
        for other in [&b"secres"[..], b"secret ", b"", b"s"] {
            assert!(!same(b"secret", other));
        }
    }
}
