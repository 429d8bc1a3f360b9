//! `[[destination]]`: platforms that are owed records.

use super::attached::{certificates_opt, secret};
use super::fields::{finish, is_loopback, number, secs, url};
use super::names::{Names, at};
use super::resolve::Sources;
use super::{Agreed, Destination, DestinationKind};
use crate::document::Reader;
use crate::model::DestinationId;
use std::collections::BTreeMap;
use url::Url;

/// Longest id or code, in characters.
const MAX_CODE_CHARS: usize = 64;

/// Reads every destination.
pub(super) fn destinations(
    readers: Vec<Reader<'_>>,
    names: &mut Names,
    sources: &Sources<'_>,
) -> Vec<Destination> {
    let mut destinations = Vec::new();
    for reader in readers {
        destinations.extend(destination(&reader, names, sources));
        finish(reader, Some("secret_file"));
    }
    destinations
}

fn destination(reader: &Reader<'_>, names: &mut Names, sources: &Sources<'_>) -> Option<Destination> {
    let id = names.declare(reader, DestinationId::new);
    let kind =
        reader.word("kind", &[("shield", DestinationKind::Shield), ("eduyun", DestinationKind::Eduyun)]);
    let base_url = base_url(reader);
    let advice = "write the application id given by the platform";
    let app_id = reader.parsed("app_id", advice, |text| {
        if is_plain(text, 200) { Ok(text.to_owned()) } else { Err("this cannot be an application id") }
    });
    // A secret written here is told once, as such, and not also as a missing file.
    let written = reader.keys().any(|k| matches!(k, "secret" | "app_secret" | "app_key" | "token"));
    let secret =
        if written && !reader.has("secret_file") { None } else { secret(reader, "secret_file", sources) };
    let max_records = number(reader, "max_records", (1, 1000), 100);
    let max_bytes = number(reader, "max_bytes", (4096, 4_194_304), 262_144);
    let timeout = secs(reader, "timeout_secs", (1, 120), 10);
    let ca_pem = certificates_opt(reader, "ca_file", sources);
    let agreed = agreed(reader, kind);
    Some(Destination {
        id: id?,
        kind: kind?,
        base_url: base_url?,
        app_id: app_id?,
        secret: secret?,
        max_records: usize::try_from(max_records).unwrap_or(usize::MAX),
        max_bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
        timeout,
        ca_pem,
        agreed,
    })
}

/// `base_url`: encrypted, unless it stays on this machine or plain HTTP is allowed on purpose.
fn base_url(reader: &Reader<'_>) -> Option<String> {
    let allow_plain = reader.flag_opt("allow_plain_http").unwrap_or(false);
    let url = url(reader, "base_url", "https://openapi.example.cn/school")?;
    if url.scheme() == "http" && !allow_plain && !is_loopback(&url) {
        reader.problem(
            "base_url",
            "'base_url' is not encrypted: what is sent there can be read and changed on the way",
            "write https://; where the platform really has no TLS, add `allow_plain_http = true`",
        );
        return None;
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

/// What was agreed with the operator. Each family has its own keys; the others' are told as such.
fn agreed(reader: &Reader<'_>, kind: Option<DestinationKind>) -> Agreed {
    let unused: &[(&str, &str)] = match kind {
        Some(DestinationKind::Shield) => &[
            ("token_path", "shield has no tokens"),
            (
                "token_expired_codes",
                "shield has no tokens; a refusal of who we are goes in 'auth_refused_codes'",
            ),
        ],
        Some(DestinationKind::Eduyun) => {
            &[("group_id", "eduyun has no interface groups"), ("stage", "eduyun has no stages")]
        }
        None => &[],
    };
    for (key, why) in unused.iter().filter(|(key, _)| reader.has(key)) {
        reader.problem(key, format!("'{key}' has no meaning here: {why}"), "remove it");
    }
    let advice = format!("write the group id given by the platform, at most {MAX_CODE_CHARS} characters");
    let group_id = reader.parsed_opt("group_id", &advice, |text| {
        if is_plain(text, MAX_CODE_CHARS) { Ok(text.to_owned()) } else { Err("this cannot be a group id") }
    });
    let stages = ["RELEASE", "TEST", "PRE"].map(|stage| (stage, stage.to_owned()));
    let mut codes = Codes::new(reader, kind);
    Agreed {
        record_path: path(reader, "record_path", "/schoolgate/records"),
        token_path: path(reader, "token_path", "/apigateway/getAccessToken"),
        group_id,
        stage: reader.word_opt("stage", &stages),
        ok_codes: codes.list("ok_codes"),
        busy_codes: codes.list("busy_codes"),
        token_expired_codes: codes.list("token_expired_codes"),
        auth_refused_codes: codes.list("auth_refused_codes"),
        rejected_codes: codes.list("rejected_codes"),
    }
}

/// Whether a text may stand in a header as it is.
fn is_plain(text: &str, max_len: usize) -> bool {
    !text.is_empty() && text.len() <= max_len && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A path below the base URL, written just as it is sent: families sign it.
fn path(reader: &Reader<'_>, key: &str, example: &str) -> Option<String> {
    let advice = format!("write a path below base_url, such as \"{example}\"; other characters as %XX");
    reader.parsed_opt(key, &advice, |text| {
        if !text.starts_with('/') {
            return Err("a path begins with '/'");
        }
        if text.contains(['?', '#']) {
            return Err("a path has no '?' and no '#'");
        }
        match Url::parse(&format!("http://localhost{text}")) {
            Ok(url) if url.path() == text => Ok(text.to_owned()),
            _ => Err("this path would be sent in other letters than it is written"),
        }
    })
}

/// The lists of codes of one destination: a code has one meaning.
struct Codes<'r, 'd> {
    reader: &'r Reader<'d>,
    /// Where each code stands already.
    known: BTreeMap<String, String>,
}

impl<'r, 'd> Codes<'r, 'd> {
    fn new(reader: &'r Reader<'d>, kind: Option<DestinationKind>) -> Self {
        let mut known = BTreeMap::new();
        if let (Some(kind), false) = (kind, reader.has("ok_codes")) {
            let usual = "means success as long as 'ok_codes' is not written".to_owned();
            known.insert(kind.success_code().to_owned(), usual);
        }
        Self { reader, known }
    }

    /// One list, if it is written.
    fn list(&mut self, key: &str) -> Option<Vec<String>> {
        if !self.reader.has(key) {
            return None;
        }
        let before = self.reader.problems().len();
        let mut codes = Vec::new();
        for (code, spot) in self.reader.texts(key) {
            let length = code.chars().count();
            if !(1..=MAX_CODE_CHARS).contains(&length)
                || code.trim() != code
                || code.contains(char::is_control)
            {
                self.reader.problems().at(
                    &spot,
                    format!("an entry of '{key}' cannot be an answer code"),
                    format!("write a code of 1 to {MAX_CODE_CHARS} characters without spaces around it"),
                );
            } else if let Some(other) = self.known.get(&code) {
                let message = format!("the code '{code}' in '{key}' already {other}");
                self.reader.problems().at(&spot, message, "keep it in one list, once");
            } else {
                self.known.insert(code.clone(), format!("stands in '{key}' at {}", at(&spot)));
                codes.push(code);
            }
        }
        if key == "ok_codes" && codes.is_empty() && self.reader.problems().len() == before {
            let advice = "write the codes that mean success, or remove the line for those that are usual";
            self.reader.problem(key, "'ok_codes' is empty: no answer would mean success", advice);
        }
        Some(codes)
    }
}
