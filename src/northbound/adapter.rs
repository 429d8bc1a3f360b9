//! What one family of platform interfaces has to know: how a batch is signed and what an answer means.

use super::{Batch, Eduyun, Envelope, Reply, Shield};
use crate::config::{Agreed, Destination, DestinationKind};
use crate::model::{Secret, Wall};
use std::fmt;
use std::time::Duration;

/// What a request is made with, besides the batch.
#[derive(Debug, Clone, Copy)]
pub struct EncodeContext<'a> {
    /// Time put into the signature.
    pub wall: Wall,
    /// Random bytes, new for every request.
    pub nonce: [u8; 16],
    /// The access token, if the family has one.
    pub token: Option<&'a Secret>,
}

/// One HTTP POST with a JSON body.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// Path below the destination's base URL, beginning with `/`.
    pub path: String,
    /// Query parameters; values may be tokens.
    pub query: Vec<(&'static str, Secret)>,
    /// Headers besides `Content-Type`.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl fmt::Debug for Request {
    /// Leaves out headers and body: they carry signatures and records.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.body.len();
        f.debug_struct("Request").field("path", &self.path).field("body_len", &len).finish_non_exhaustive()
    }
}

/// Why an answer is a failure: a word for counters, a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// One of a short list, for counters.
    pub word: &'static str,
    /// What the platform said: code and message, cut to a line.
    pub said: String,
}

/// What an answer to a batch means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The platform has all of it.
    Accepted,
    /// It has all but some, by place in the batch.
    Partial {
        /// It will never take these, with its reason.
        rejected: Vec<(usize, String)>,
        /// It could not take these now.
        again: Vec<usize>,
    },
    /// It will not take the batch as it is: something in it is wrong or it is too large.
    Rejected(Why),
    /// The token is no longer valid.
    TokenExpired(Why),
    /// It does not know us or does not believe our signature.
    AuthRefused(Why),
    /// It cannot now. The pause it asked for is in the reply.
    Retry(Why),
    /// A code that is in no list.
    Unknown(Why),
}

/// What an answer to a token request means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenVerdict {
    /// A token, and how long it may be used if the platform said so.
    Granted {
        /// The token.
        token: Secret,
        /// How long it is valid.
        valid: Option<Duration>,
    },
    /// It does not know us.
    AuthRefused(Why),
    /// It cannot now.
    Retry(Why),
}

/// One family of platform interfaces. Pure: no I/O, no clock.
pub trait PlatformAdapter: Send + Sync + fmt::Debug {
    /// Makes the request that delivers a batch.
    fn encode(&self, cx: &EncodeContext<'_>, batch: &Batch) -> Request;
    /// Says what the answer means.
    fn judge(&self, reply: &Reply, batch: &Batch) -> Verdict;
    /// Makes the request for a token; `None` when the family has none.
    fn token_request(&self, cx: &EncodeContext<'_>) -> Option<Request> {
        let _ = cx;
        None
    }
    /// Says what the answer to a token request means.
    fn judge_token(&self, reply: &Reply) -> TokenVerdict {
        let _ = reply;
        TokenVerdict::Retry(Why { word: "protocol", said: "this family has no tokens".into() })
    }
}

/// Where a platform takes records and how it words its answers. No platform seen so far publishes an interface for
/// device records, so these are agreed with each platform's operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Path that takes records.
    pub record_path: String,
    /// Path that gives tokens, for families that have them.
    pub token_path: String,
    /// Group of the record interface at the gateway (`S-Auth-GroupId`), if it was given one.
    pub group_id: Option<String>,
    /// Stage of the platform: `RELEASE`, `TEST` or `PRE`.
    pub stage: String,
    /// How answers are worded.
    pub envelope: Envelope,
}

impl Interface {
    /// Lays what was agreed over what the family has. A list that was agreed replaces the family's; a code that was
    /// agreed means that and nothing else.
    #[must_use]
    pub fn with(self, agreed: &Agreed) -> Self {
        let mut envelope = self.envelope;
        let lists = [
            (&mut envelope.ok, &agreed.ok_codes),
            (&mut envelope.busy, &agreed.busy_codes),
            (&mut envelope.token_expired, &agreed.token_expired_codes),
            (&mut envelope.auth_refused, &agreed.auth_refused_codes),
            (&mut envelope.rejected, &agreed.rejected_codes),
        ];
        let written: Vec<&String> = lists.iter().flat_map(|(_, agreed)| agreed.iter().flatten()).collect();
        for (list, agreed) in lists {
            match agreed {
                Some(codes) => list.clone_from(codes),
                None => list.retain(|code| !written.contains(&code)),
            }
        }
        Self {
            record_path: agreed.record_path.clone().unwrap_or(self.record_path),
            token_path: agreed.token_path.clone().unwrap_or(self.token_path),
            group_id: agreed.group_id.clone().or(self.group_id),
            stage: agreed.stage.clone().unwrap_or(self.stage),
            envelope,
        }
    }
}

/// Why an adapter cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// The base URL cannot be used.
    #[error("base_url '{url}': expected http:// or https://, a host and no query")]
    BaseUrl {
        /// What was written.
        url: String,
    },
}

/// Makes the adapter of a destination.
pub type MakeAdapter = fn(&Destination, Interface) -> Result<Box<dyn PlatformAdapter>, AdapterError>;

/// A family of platform interfaces that can be named in the configuration.
pub struct AdapterKind {
    /// Its kind in the configuration.
    pub kind: DestinationKind,
    /// The word in the configuration.
    pub name: &'static str,
    /// What it is, in one sentence.
    pub doc: &'static str,
    /// An example in the configuration's language.
    pub example: &'static str,
    /// Paths and answers unless agreed otherwise.
    pub interface: fn() -> Interface,
    /// Makes the adapter.
    pub make: MakeAdapter,
}

/// Every family.
pub static ADAPTER_KINDS: &[AdapterKind] = &[Shield::KIND, Eduyun::KIND];

/// The adapter of a destination: its family's interface with what was agreed with the operator.
///
/// # Errors
/// When the destination's settings do not fit the family.
pub fn adapter_for(destination: &Destination) -> Result<Box<dyn PlatformAdapter>, AdapterError> {
    // The match keeps the table complete: a new kind does not compile until it has an entry.
    let kind = match destination.kind {
        DestinationKind::Shield => &Shield::KIND,
        DestinationKind::Eduyun => &Eduyun::KIND,
    };
    (kind.make)(destination, (kind.interface)().with(&destination.agreed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_is_listed_once_with_doc_and_example() {
        for kind in ADAPTER_KINDS {
            assert_eq!(
                ADAPTER_KINDS.iter().filter(|k| k.name == kind.name || k.kind == kind.kind).count(),
                1
            );
            assert!(kind.doc.ends_with('.') && kind.example.contains(&format!("kind = \"{}\"", kind.name)));
            assert!(toml::from_str::<toml::Value>(kind.example).is_ok(), "{}", kind.name);
            let interface = (kind.interface)();
            assert!(interface.record_path.starts_with('/'));
            assert_eq!(interface.envelope.ok, [kind.kind.success_code()]);
            assert_eq!(interface.clone().with(&Agreed::default()), interface);
        }
    }

    #[test]
    fn what_was_agreed_lies_over_the_family() {
        let codes = |codes: &[&str]| Some(codes.iter().map(|c| (*c).to_owned()).collect());
        let agreed = Agreed {
            record_path: Some("/v2/records".into()),
            group_id: Some("G7".into()),
            stage: Some("TEST".into()),
            ok_codes: codes(&["0", "200"]),
            busy_codes: codes(&["-1"]),
            token_expired_codes: codes(&[]),
            ..Agreed::default()
        };
        let interface = (Shield::KIND.interface)().with(&agreed);
        assert_eq!((interface.record_path.as_str(), interface.stage.as_str()), ("/v2/records", "TEST"));
        assert_eq!((interface.token_path.as_str(), interface.group_id.as_deref()), ("", Some("G7")));
        let envelope = interface.envelope;
        assert_eq!(envelope.ok, ["0", "200"], "replaced");
        assert_eq!(
            (envelope.busy, envelope.rejected),
            (vec!["-1".to_owned()], vec!["-3".to_owned()]),
            "moved"
        );
        assert!(envelope.token_expired.is_empty() && envelope.auth_refused.is_empty());
    }
}
