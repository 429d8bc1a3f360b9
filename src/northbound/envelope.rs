//! What an answer means: first by HTTP status, then by the code in its body, because many platforms say
//! "HTTP 200" and mean "no".

use super::{Batch, Reply, Verdict, Why};
use serde_json::Value;

/// How a family words its answers. Codes are compared as text: `"1"`, `1` and `true` are `1`, `1` and `true`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// Where the code is, as a JSON pointer (RFC 6901).
    pub code: String,
    /// Where the message is.
    pub message: String,
    /// Codes that mean success.
    pub ok: Vec<String>,
    /// Codes that mean that the token is no longer valid.
    pub token_expired: Vec<String>,
    /// Codes that mean that we are not known, not allowed, or come from the wrong address.
    pub auth_refused: Vec<String>,
    /// Codes that mean that something in the batch is wrong.
    pub rejected: Vec<String>,
    /// Codes that mean "not now".
    pub busy: Vec<String>,
    /// How single records are refused in an answer that is otherwise a success.
    pub partial: PartialFailure,
}

/// Where an answer lists records that it did not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartialFailure {
    /// Where the list is, as a JSON pointer into the body.
    pub list: String,
    /// Where the record's uid is, as a JSON pointer into an entry; empty when the entry is the uid.
    pub uid: String,
    /// Where the entry's code is; a code in `busy` means that this record may be sent again.
    pub code: String,
    /// Where the entry's message is.
    pub message: String,
}

/// Longest text of a platform that is kept, in characters.
const MAX_SAID_CHARS: usize = 200;

fn word_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// One short line of what a platform said, without control characters.
pub(super) fn line(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.trim().chars().take(MAX_SAID_CHARS).collect()
}

/// What the code of an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    Ok,
    TokenExpired,
    AuthRefused,
    Rejected,
    Busy,
    Unknown,
}

impl Envelope {
    /// The body's code, its meaning and what the platform said; `None` when the body is not this envelope.
    pub(super) fn read(&self, body: &Value) -> Option<(Meaning, String)> {
        let code = body.pointer(&self.code).and_then(word_of)?;
        let listed = |codes: &[String]| codes.contains(&code);
        let meaning = [
            (&self.ok, Meaning::Ok),
            (&self.token_expired, Meaning::TokenExpired),
            (&self.auth_refused, Meaning::AuthRefused),
            (&self.rejected, Meaning::Rejected),
            (&self.busy, Meaning::Busy),
        ]
        .into_iter()
        .find_map(|(codes, meaning)| listed(codes).then_some(meaning))
        .unwrap_or(Meaning::Unknown);
        let message = body.pointer(&self.message).and_then(word_of).unwrap_or_default();
        Some((meaning, line(&format!("code {code} {message}"))))
    }

    /// Says what the answer to a batch means.
    #[must_use]
    pub fn judge(&self, reply: &Reply, batch: &Batch) -> Verdict {
        let body: Option<Value> = serde_json::from_slice(&reply.body).ok();
        let read = body.as_ref().and_then(|b| self.read(b));
        if !(200..300).contains(&reply.status) {
            return judge_status(reply.status, read);
        }
        let Some((meaning, said)) = read else {
            let said = "success without the agreed envelope: is there a portal or proxy in between?".into();
            return Verdict::Retry(Why { word: "envelope", said });
        };
        let why = |word| Why { word, said };
        match meaning {
            Meaning::Ok => self.judge_list(body.as_ref(), batch),
            Meaning::TokenExpired => Verdict::TokenExpired(why("token_expired")),
            Meaning::AuthRefused => Verdict::AuthRefused(why("auth_refused")),
            Meaning::Rejected => Verdict::Rejected(why("rejected")),
            Meaning::Busy => Verdict::Retry(why("busy")),
            Meaning::Unknown => Verdict::Unknown(why("unknown_code")),
        }
    }

    fn judge_list(&self, body: Option<&Value>, batch: &Batch) -> Verdict {
        let list = match body.and_then(|b| b.pointer(&self.partial.list)) {
            None | Some(Value::Null) => return Verdict::Accepted,
            Some(Value::Array(list)) if list.is_empty() => return Verdict::Accepted,
            Some(Value::Array(list)) => list,
            Some(_) => return unreadable_list(),
        };
        let (mut rejected, mut again) = (Vec::new(), Vec::new());
        for entry in list {
            let uid = entry.pointer(&self.partial.uid).and_then(word_of);
            let at = uid.and_then(|uid| batch.items.iter().position(|i| i.uid == uid));
            // A failure that names none of our records could be any of them.
            let Some(at) = at else { return unreadable_list() };
            let code = entry.pointer(&self.partial.code).and_then(word_of).unwrap_or_default();
            if self.busy.contains(&code) {
                again.push(at);
            } else {
                let message = entry.pointer(&self.partial.message).and_then(word_of).unwrap_or_default();
                rejected.push((at, line(&format!("code {code} {message}"))));
            }
        }
        rejected.sort_unstable();
        rejected.dedup_by_key(|(at, _)| *at);
        again.sort_unstable();
        again.dedup();
        again.retain(|at| !rejected.iter().any(|(r, _)| r == at));
        Verdict::Partial { rejected, again }
    }
}

fn unreadable_list() -> Verdict {
    let said = "the list of refused records names none of those sent".into();
    Verdict::Unknown(Why { word: "envelope", said })
}

fn judge_status(status: u16, read: Option<(Meaning, String)>) -> Verdict {
    let (meaning, said) = match read {
        Some((meaning, said)) => (Some(meaning), format!("HTTP {status}, {said}")),
        None => (None, format!("HTTP {status}")),
    };
    let why = |word| Why { word, said };
    match (status, meaning) {
        (400 | 401 | 403, Some(Meaning::TokenExpired)) => Verdict::TokenExpired(why("token_expired")),
        (400 | 401 | 403, Some(Meaning::Busy)) => Verdict::Retry(why("busy")),
        (400, Some(Meaning::AuthRefused)) => Verdict::AuthRefused(why("auth_refused")),
        (400 | 409 | 422, _) => Verdict::Rejected(why("rejected")),
        (413, _) => Verdict::Rejected(why("too_large")),
        (401, _) => Verdict::TokenExpired(why("unauthorized")),
        (403, _) => Verdict::AuthRefused(why("auth_refused")),
        (408 | 425, _) => Verdict::Retry(why("timeout")),
        (429, _) => Verdict::Retry(why("rate_limited")),
        (500..=599, _) => Verdict::Retry(why("server_error")),
        (300..=399, _) => Verdict::Retry(why("redirect")),
        // 404, 405 and the like: a wrong path on our side or a half-installed platform. The records are innocent.
        _ => Verdict::Retry(why("unexpected_status")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::batch::tests::{aggregate, sender};
    use super::super::{ADAPTER_KINDS, Eduyun};
    use super::*;

    fn check(status: u16, body: &str) -> String {
        let mut envelope = (Eduyun::KIND.interface)().envelope;
        envelope.token_expired = vec!["100002".into()];
        envelope.auth_refused = vec!["-9996".into()];
        envelope.rejected = vec!["400001".into()];
        envelope.busy = vec!["503".into()];
        let batch = Batch::new(&sender(), (1..=3).map(|n| aggregate(n, "m")).collect()).expect("a batch");
        match envelope.judge(&Reply::new(status, body), &batch) {
            Verdict::Accepted => "accepted".into(),
            Verdict::Partial { rejected, again } => {
                format!("partial {:?} again {again:?}", rejected.iter().map(|r| r.0).collect::<Vec<_>>())
            }
            Verdict::Rejected(why) => format!("rejected {}", why.word),
            Verdict::TokenExpired(why) => format!("token {}", why.word),
            Verdict::AuthRefused(why) => format!("refused {}", why.word),
            Verdict::Retry(why) => format!("retry {}", why.word),
            Verdict::Unknown(why) => format!("unknown {}", why.word),
        }
    }

    #[test]
    fn an_answer_is_judged_by_status_and_then_by_its_envelope() {
        for (status, body, expected) in [
            (200, r#"{"retCode":"000000"}"#, "accepted"),
            (201, r#"{"retCode":"000000","failed":[]}"#, "accepted"),
            (200, r#"{"retCode":"000000","failed":null}"#, "accepted"),
            (200, r#"{"retCode":0}"#, "unknown unknown_code"),
            (200, r#"{"retCode":"100002","retDesc":"token"}"#, "token token_expired"),
            (200, r#"{"retCode":100002}"#, "token token_expired"),
            (200, r#"{"retCode":-9996}"#, "refused auth_refused"),
            (200, r#"{"retCode":"400001"}"#, "rejected rejected"),
            (200, r#"{"retCode":503}"#, "retry busy"),
            (200, r#"{"retCode":"999999"}"#, "unknown unknown_code"),
            (200, r#"{"retCode":{}}"#, "retry envelope"),
            (200, "<html>please log in</html>", "retry envelope"),
            (200, "", "retry envelope"),
            (204, "", "retry envelope"),
            (200, "\u{0}\u{1}", "retry envelope"),
            (302, "", "retry redirect"),
            (400, "", "rejected rejected"),
            (400, r#"{"retCode":"100002"}"#, "token token_expired"),
            (400, r#"{"retCode":"503"}"#, "retry busy"),
            (401, "", "token unauthorized"),
            (403, "", "refused auth_refused"),
            (403, r#"{"retCode":"100002"}"#, "token token_expired"),
            (404, "", "retry unexpected_status"),
            (408, "", "retry timeout"),
            (409, "", "rejected rejected"),
            (413, "", "rejected too_large"),
            (422, "", "rejected rejected"),
            (425, "", "retry timeout"),
            (429, r#"{"retCode":"000000"}"#, "retry rate_limited"),
            (500, r#"{"retCode":"000000"}"#, "retry server_error"),
            (503, "", "retry server_error"),
        ] {
            assert_eq!(check(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn records_refused_one_by_one_are_told_apart() {
        for (failed, expected) in [
            (r#"[{"uid":"gw-1:2","code":"9","message":"bad"}]"#, "partial [1] again []"),
            (r#"[{"uid":"gw-1:3","code":503},{"uid":"gw-1:1"}]"#, "partial [0] again [2]"),
            (r#"[{"uid":"gw-1:1","code":503},{"uid":"gw-1:1","code":9}]"#, "partial [0] again []"),
            (r#"[{"uid":"gw-1:77","code":"9"}]"#, "unknown envelope"),
            (r#"[5]"#, "unknown envelope"),
            (r#""gw-1:2""#, "unknown envelope"),
        ] {
            let body = format!(r#"{{"retCode":"000000","failed":{failed}}}"#);
            assert_eq!(check(200, &body), expected, "{failed}");
        }
    }

    #[test]
    fn codes_are_strings_or_numbers_or_truths() {
        let mut envelope = (ADAPTER_KINDS[0].interface)().envelope;
        envelope.ok = vec!["1".into(), "true".into()];
        for (body, ok) in [
            (r#"{"code":"1"}"#, true),
            (r#"{"code":1}"#, true),
            (r#"{"code":true}"#, true),
            (r#"{"code":"-1"}"#, false),
        ] {
            let body: Value = serde_json::from_str(body).expect("JSON");
            assert_eq!(envelope.read(&body).map(|r| r.0 == Meaning::Ok), Some(ok), "{body}");
        }
    }

    #[test]
    fn what_a_platform_says_is_kept_to_one_short_line() {
        assert_eq!(line(" a\r\nb\u{7} "), "a  b");
        assert_eq!(line(&"长".repeat(5000)).chars().count(), MAX_SAID_CHARS);
    }
}
