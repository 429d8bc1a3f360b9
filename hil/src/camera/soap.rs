//! Reading what a client asks: the operation, its parameters, the token and the echoed reference parameters.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::events::Event;
use quick_xml::reader::Reader;
use sha1::{Digest, Sha1};
use std::collections::BTreeMap;

/// A request taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Local name of the body's first element.
    pub(super) operation: String,
    /// Texts below it by local name; of several with one name the first.
    pub(super) parameters: BTreeMap<String, String>,
    /// `SubscriptionId` in the header, echoed from the subscription's reference parameters.
    pub(super) subscription: Option<String>,
    /// WS-UsernameToken in the header.
    pub(super) token: Option<Token>,
}

/// A WS-UsernameToken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) username: String,
    pub(super) digest: String,
    pub(super) nonce: String,
    pub(super) created: String,
}

/// Takes a SOAP envelope apart; `None` when it is not one.
pub(super) fn parse(text: &str) -> Option<Asked> {
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut header = BTreeMap::new();
    let mut asked = Asked::default();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                path.push(local(start.local_name().as_ref()));
                note_operation(&path, &mut asked);
            }
            Event::Empty(start) => {
                path.push(local(start.local_name().as_ref()));
                note_operation(&path, &mut asked);
                path.pop();
            }
            Event::End(_) => {
                path.pop()?;
            }
            Event::Text(text) => {
                let text = text.xml10_content();
                let text = text.trim();
                if !text.is_empty() {
                    let last = path.last()?.clone();
                    match path.get(1).map(String::as_str) {
                        Some("Header") => header.entry(last).or_insert_with(|| text.to_owned()),
                        Some("Body") => asked.parameters.entry(last).or_insert_with(|| text.to_owned()),
                        _ => return None,
                    };
                }
            }
            Event::DocType(_) => return None,
            Event::Eof => break,
            _ => {}
        }
    }
    asked.subscription = header.remove("SubscriptionId");
    if let Some(username) = header.remove("Username") {
        let mut take = |name: &str| header.remove(name).unwrap_or_default();
        asked.token = Some(Token {
            username,
            digest: take("Password"),
            nonce: take("Nonce"),
            created: take("Created"),
        });
    }
    (path.is_empty() && !asked.operation.is_empty()).then_some(asked)
}

fn note_operation(path: &[String], asked: &mut Asked) {
    if let [envelope, body, operation] = path
        && envelope == "Envelope"
        && body == "Body"
        && asked.operation.is_empty()
    {
        asked.operation.clone_from(operation);
    }
}

fn local(name: impl AsRef<[u8]>) -> String {
    String::from_utf8_lossy(name.as_ref()).into_owned()
}

/// base64(SHA-1(nonce + created + password)), the nonce given in base64 (WS-Security UsernameToken Profile 1.0).
#[must_use]
pub fn password_digest(nonce: &str, created: &str, password: &str) -> Option<String> {
    let mut hash = Sha1::new();
    hash.update(STANDARD.decode(nonce.trim()).ok()?);
    hash.update(created.as_bytes());
    hash.update(password.as_bytes());
    Some(STANDARD.encode(hash.finalize()))
}

/// An `xs:duration` of days, hours, minutes and seconds, as `PT5S` or `P1DT2H`; whole seconds.
pub(super) fn duration_secs(text: &str) -> Option<u64> {
    let mut rest = text.trim().strip_prefix('P')?;
    let mut seconds = 0u64;
    let mut in_time = false;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            in_time = true;
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = rest.split_at(end);
        let number = number.split('.').next()?.parse::<u64>().ok()?;
        let each = match (in_time, unit.chars().next()?) {
            (false, 'D') => 86_400,
            (true, 'H') => 3_600,
            (true, 'M') => 60,
            (true, 'S') => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(each)?)?;
        rest = &unit[1..];
    }
    Some(seconds)
}
