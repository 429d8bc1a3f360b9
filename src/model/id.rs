//! Names a person gives to things in the configuration: short, lower-case, safe in topics, paths and metrics.

use super::Text;
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Longest id, in bytes.
pub const MAX_ID_LEN: usize = 64;

/// Why a text cannot be an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not an id: use 1 to 64 lower-case letters, digits, '-', '_' or '.', starting with a letter or digit"
)]
pub struct BadId {
    /// The refused text, cut to 80 characters.
    pub text: String,
}

impl From<BadId> for Text {
    fn from(bad: BadId) -> Self {
        let zh = format!(
            "'{}' 不能作编号：用 1 到 64 个小写字母、数字、'-'、'_'、'.'，以字母或数字开头",
            bad.text
        );
        Self::new(zh, bad.to_string())
    }
}

fn check(text: &str) -> Result<(), BadId> {
    let head = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let body =
        text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
    if head && body && text.len() <= MAX_ID_LEN {
        Ok(())
    } else {
        Err(BadId { text: text.chars().take(80).collect() })
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Accepts 1 to 64 of `a-z 0-9 - _ .`, starting with a letter or digit.
            ///
            /// # Errors
            /// [`BadId`] with the refused text.
            pub fn new(text: &str) -> Result<Self, BadId> {
                check(text)?;
                Ok(Self(text.into()))
            }

            /// The id as written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                Self::new(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }
    )+};
}

ids! {
    /// A device: a meter, sensor, reader, button or camera.
    DeviceId,
    /// A measured or counted quantity of a device, e.g. `energy_import`.
    PointId,
    /// A campus, building, floor or room.
    PlaceId,
    /// A rule written in the configuration, or one that is always on (`always.help`).
    RuleId,
    /// A connection to the field: a Modbus endpoint, a broker, or one camera.
    BusId,
    /// A platform that is owed aggregates and alarms.
    DestinationId,
    /// A device profile, `<vendor>-<model>`.
    ProfileId,
    /// Something that may be switched.
    ControlId,
    /// A way to tell people: a robot of a chat, a mailbox, a loudspeaker.
    ChannelId,
    /// Part of the school that can be armed against intruders.
    AreaId,
    /// What a school does at once when there is danger: a lockdown, an evacuation.
    ResponseId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_plain_names_and_refuses_the_rest() {
        for good in ["a", "meter-1", "0x", "always.help", &"a".repeat(64)] {
            assert!(DeviceId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a b", "a/b", "门", &"a".repeat(65)] {
            assert!(DeviceId::new(bad).is_err(), "{bad}");
        }
    }
}
