//! What came back over HTTP, and what of it may be said: bounded, on one line, without secrets.

use super::Verdict;
use super::wording::{cut, one_line};
use crate::config::Success;
use crate::model::Secret;
use crate::museum;
use serde_json::Value;
use std::borrow::Cow;
use std::time::Duration;

/// Longest answer that is read, bytes.
pub(super) const MAX_REPLY: usize = 64 * 1024;
/// Longest part of an answer that is said, bytes.
const MAX_SAID: usize = 200;
/// Longest pause that is believed.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Status.
    pub status: u16,
    /// `Retry-After`, where it is a number of seconds (RFC 9110 10.2.3).
    pub retry_after: Option<Duration>,
    /// The body.
    pub body: Vec<u8>,
}

/// `Retry-After` in seconds, at most an hour.
pub(super) fn retry_after(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().map_or(MAX_PAUSE, Duration::from_secs).min(MAX_PAUSE))
}

/// What must never be said: it is taken out of everything that comes back.
#[derive(Clone, Default)]
pub struct Scrub(Vec<String>);

impl std::fmt::Debug for Scrub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scrub({})", self.0.len())
    }
}

impl Scrub {
    /// Of these secrets, in every form in which they are sent.
    #[must_use]
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut forms = Vec::new();
        for secret in secrets {
            let secret = secret.expose();
            forms.push(secret.to_owned());
            forms.push(super::escape::percent(secret.as_bytes()));
            forms.push(super::escape::json(secret));
            // Of an address also what makes it one: its path and the last step of that, and what is asked for.
            if let Ok(url) = url::Url::parse(secret) {
                forms.extend(url.query_pairs().map(|(_, value)| value.into_owned()));
                forms.extend(url.query().map(ToOwned::to_owned));
                let last = url.path_segments().and_then(|mut steps| steps.next_back().map(ToOwned::to_owned));
                let path = Some(url.path().to_owned());
                forms.extend(last.into_iter().chain(path).filter(|part| part.len() >= 8));
            }
        }
        forms.retain(|form| !form.trim().is_empty());
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self(forms)
    }

    /// The first 200 bytes of what came back, on one line, without secrets.
    #[must_use]
    pub fn said(&self, bytes: &[u8]) -> String {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => encoding_rs::GB18030.decode_without_bom_handling(bytes).0,
        };
        self.line(&text)
    }

    /// A line without secrets.
    pub(super) fn line(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "[secret]");
            }
        }
        cut(&one_line(&text), MAX_SAID)
    }
}

/// What the status alone says; `None` for 200 to 299.
fn by_status(reply: &Reply, said: &str) -> Option<Verdict> {
    let why = || format!("HTTP {}: {said}", reply.status);
    match reply.status {
        200..=299 => None,
        429 => Some(Verdict::Busy { retry_after: reply.retry_after }),
        503 if reply.retry_after.is_some() => Some(Verdict::Busy { retry_after: reply.retry_after }),
        300..=399 => Some(Verdict::Failed {
            why: format!(
                "HTTP {}: it leads elsewhere, which is not followed: check the address",
                reply.status
            ),
        }),
        // A captive portal or a proxy of the moment, and servers that say that it is not for ever.
        407 | 408 | 425 => Some(Verdict::Failed { why: why() }),
        400..=499 => Some(Verdict::Refused { why: why() }),
        _ => Some(Verdict::Failed { why: why() }),
    }
}

/// The words of a robot's answers.
#[derive(Debug, Clone, Copy)]
pub struct Codes {
    /// Where the code stands.
    pub code: &'static str,
    /// Too many messages, and the pause that is usual then.
    pub busy: &'static [i64],
    /// That pause.
    pub pause: Duration,
    /// It will never work so, and what to do about it.
    pub refused: &'static [(i64, &'static str)],
}

/// Judges the answer of a robot: its code, where there is one, before its status.
#[must_use]
pub fn judge_robot(reply: &Reply, scrub: &Scrub, codes: &Codes) -> Verdict {
    let said = scrub.said(&reply.body);
    let answer: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let code = answer.as_ref().and_then(|answer| answer.get(codes.code)).and_then(Value::as_i64);
    if code.is_some_and(|code| codes.busy.contains(&code)) {
        return Verdict::Busy { retry_after: reply.retry_after.or(Some(codes.pause)) };
    }
    if let Some((_, advice)) = codes.refused.iter().find(|(known, _)| code == Some(*known)) {
        return Verdict::Refused { why: format!("{said}: {advice}") };
    }
    if let Some(verdict) = by_status(reply, &said) {
        return verdict;
    }
    match code {
        Some(0) => Verdict::Accepted,
        _ if museum::on("status_alone_is_believed") => Verdict::Accepted,
        Some(_) => Verdict::Failed { why: said },
        None => Verdict::Failed { why: format!("the answer cannot be understood: {said}") },
    }
}

/// Judges an answer by what was written in the configuration.
#[must_use]
pub fn judge_written(reply: &Reply, scrub: &Scrub, success: &Success) -> Verdict {
    let said = scrub.said(&reply.body);
    if let Some(verdict) = by_status(reply, &said) {
        return verdict;
    }
    if says_success(&reply.body, success) || museum::on("status_alone_is_believed") {
        return Verdict::Accepted;
    }
    let why = match success {
        Success::Pointer { pointer, .. } if pointed(&reply.body, pointer).is_none() => {
            format!("the answer has nothing at {pointer}: {said}")
        }
        _ => format!("the answer does not say success: {said}"),
    };
    Verdict::Failed { why }
}

/// Whether a body says what means success.
pub(super) fn says_success(body: &[u8], success: &Success) -> bool {
    match success {
        Success::Status => true,
        Success::Contains(text) => body.windows(text.len()).any(|part| part == text.as_bytes()),
        Success::Pointer { pointer, values } => {
            pointed(body, pointer).is_some_and(|found| values.contains(&found))
        }
    }
}

/// The text, number or word at a pointer, as it is written.
fn pointed(body: &[u8], pointer: &str) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    match answer.pointer(pointer)? {
        Value::String(text) => Some(text.clone()),
        value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        Reply { status, retry_after: None, body: body.into() }
    }

    #[test]
    fn secrets_are_taken_out_in_every_form_before_the_cut() {
        let secrets = ["https://x.example/send?key=canary-1&a=b", "pass word/canary", "can\"ary"];
        let secrets: Vec<Secret> = secrets.map(Secret::from_file_text).into();
        let scrub = Scrub::of(&secrets);
        let long = "x".repeat(195) + "pass word/canary";
        for text in [
            "at https://x.example/send?key=canary-1&a=b!",
            "key canary-1 is unknown",
            "pass%20word%2Fcanary",
            "can\\\"ary",
            &long,
        ] {
            let said = scrub.said(text.as_bytes());
            assert!(!said.contains("canary") && !said.contains("ary"), "{said}");
            assert!(said.len() <= MAX_SAID);
        }
        assert!(!format!("{scrub:?}").contains("canary"));
    }

    #[test]
    fn bytes_that_are_no_text_are_said_all_the_same() {
        assert_eq!(Scrub::default().said(b"\xd3\xe0\xb6\xee\xb2\xbb\xd7\xe3"), "余额不足", "GB 18030");
        assert!(Scrub::default().said(&[0xff; 1000]).len() <= MAX_SAID);
        assert_eq!(Scrub::default().said(b""), "");
    }

    #[test]
    fn what_is_written_judges() {
        let pointer = |values: &[&str]| Success::Pointer {
            pointer: "/result/code".into(),
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        };
        for (success, body, good) in [
            (pointer(&["0", "OK"]), r#"{"result":{"code":0}}"#, true),
            (pointer(&["0", "OK"]), r#"{"result":{"code":"OK"}}"#, true),
            (pointer(&["0"]), r#"{"result":{"code":1}}"#, false),
            (pointer(&["0"]), r#"{"result":{"code":null}}"#, false),
            (pointer(&["0"]), r#"{"code":0}"#, false),
            (pointer(&["0"]), "余额不足", false),
            (pointer(&["true"]), r#"{"result":{"code":true}}"#, true),
            (Success::Contains("<status>0</status>".into()), "<r><status>0</status></r>", true),
            (Success::Contains("success".into()), "failure", false),
            (Success::Status, "", true),
        ] {
            let verdict = judge_written(&reply(200, body), &Scrub::default(), &success);
            assert_eq!(verdict == Verdict::Accepted, good, "{body}: {verdict:?}");
            assert!(good || matches!(verdict, Verdict::Failed { .. }), "{verdict:?}");
        }
    }

    #[test]
    fn the_status_is_judged_before_the_body() {
        let judge = |status, pause| {
            let reply = Reply { status, retry_after: pause, body: b"success".to_vec() };
            judge_written(&reply, &Scrub::default(), &Success::Contains("success".into())).word()
        };
        for (status, word) in [
            (200, "accepted"),
            (204, "accepted"),
            (302, "failed"),
            (400, "refused"),
            (401, "refused"),
            (404, "refused"),
            (408, "failed"),
            (429, "busy"),
            (500, "failed"),
            (503, "failed"),
            (599, "failed"),
            (100, "failed"),
        ] {
            assert_eq!(judge(status, None), word, "{status}");
        }
        assert_eq!(judge(503, Some(Duration::from_secs(3))), "busy");
    }

    #[test]
    fn a_pause_is_seconds_and_at_most_an_hour() {
        let secs = |text| retry_after(text).map(|pause| pause.as_secs());
        assert_eq!(secs("30"), Some(30));
        assert_eq!(secs("99999999999999999999999"), Some(3600));
        assert_eq!((secs(""), secs("-1"), secs("Thu, 31 Dec 2020 16:00:30 GMT")), (None, None, None));
    }
}
