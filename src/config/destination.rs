//! `[[destination]]`: platforms that are owed records.

use super::attached::{certificates_opt, secret};
use super::fields::{finish, is_loopback, number, secs, url};
use super::names::{Names, at};
use super::resolve::Sources;
use super::{Agreed, Destination, DestinationKind};
use crate::document::Reader;
use crate::model::{DestinationId, Text};
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
    let advice = ("写平台分配的应用编号", "write the application id given by the platform");
    let app_id = reader.parsed("app_id", advice, |text| {
        let good = is_plain(text, 200);
        if good {
            Ok(text.to_owned())
        } else {
            Err(("这不能作应用编号", "this cannot be an application id"))
        }
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
            (
                "'base_url' 没有加密：发出的内容途中可能被看到或改动",
                "'base_url' is not encrypted: what is sent there can be read and changed on the way",
            ),
            (
                "写 https://；平台确实没有 TLS 时，加上 `allow_plain_http = true`",
                "write https://; where the platform really has no TLS, add `allow_plain_http = true`",
            ),
        );
        return None;
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

/// What was agreed with the operator. Each family has its own keys; the others' are told as such.
fn agreed(reader: &Reader<'_>, kind: Option<DestinationKind>) -> Agreed {
    let unused: &[(&str, (&str, &str))] = match kind {
        Some(DestinationKind::Shield) => &[
            ("token_path", ("shield 没有令牌", "shield has no tokens")),
            (
                "token_expired_codes",
                (
                    "shield 没有令牌；身份被拒绝的应答码写在 'auth_refused_codes' 里",
                    "shield has no tokens; a refusal of who we are goes in 'auth_refused_codes'",
                ),
            ),
        ],
        Some(DestinationKind::Eduyun) => &[
            ("group_id", ("eduyun 没有接口分组", "eduyun has no interface groups")),
            ("stage", ("eduyun 没有环境之分", "eduyun has no stages")),
        ],
        None => &[],
    };
    for (key, (zh, en)) in unused.iter().filter(|(key, _)| reader.has(key)) {
        let message = (format!("'{key}' 在这里没有用处：{zh}"), format!("'{key}' has no meaning here: {en}"));
        reader.problem(key, message, ("删去", "remove it"));
    }
    let advice = (
        format!("写平台分配的分组编号，最多 {MAX_CODE_CHARS} 个字符"),
        format!("write the group id given by the platform, at most {MAX_CODE_CHARS} characters"),
    );
    let group_id = reader.parsed_opt("group_id", advice, |text| {
        let good = is_plain(text, MAX_CODE_CHARS);
        if good {
            Ok(text.to_owned())
        } else {
            Err(("这不能作分组编号", "this cannot be a group id"))
        }
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
    let advice = (
        format!("写 base_url 之下的路径，如 \"{example}\"；其他字符写成 %XX"),
        format!("write a path below base_url, such as \"{example}\"; other characters as %XX"),
    );
    reader.parsed_opt(key, advice, |text| {
        if !text.starts_with('/') {
            return Err(("路径以 '/' 开头", "a path begins with '/'"));
        }
        if text.contains(['?', '#']) {
            return Err(("路径里没有 '?' 和 '#'", "a path has no '?' and no '#'"));
        }
        match Url::parse(&format!("http://localhost{text}")) {
            Ok(url) if url.path() == text => Ok(text.to_owned()),
            _ => Err((
                "这个路径发出去的样子会与写的不同",
                "this path would be sent in other letters than it is written",
            )),
        }
    })
}

/// The lists of codes of one destination: a code has one meaning.
struct Codes<'r, 'd> {
    reader: &'r Reader<'d>,
    /// Where each code stands already.
    known: BTreeMap<String, Text>,
}

impl<'r, 'd> Codes<'r, 'd> {
    fn new(reader: &'r Reader<'d>, kind: Option<DestinationKind>) -> Self {
        let mut known = BTreeMap::new();
        if let (Some(kind), false) = (kind, reader.has("ok_codes")) {
            let usual = Text::new(
                "表示成功（没有写 'ok_codes' 时）",
                "means success as long as 'ok_codes' is not written",
            );
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
                    (
                        format!("'{key}' 里有一项不能作应答码"),
                        format!("an entry of '{key}' cannot be an answer code"),
                    ),
                    (
                        format!("写 1 到 {MAX_CODE_CHARS} 个字符的应答码，两头没有空格"),
                        format!("write a code of 1 to {MAX_CODE_CHARS} characters without spaces around it"),
                    ),
                );
            } else if let Some(other) = self.known.get(&code) {
                let message = (
                    format!("'{key}' 里的应答码 '{code}' 已经{}", other.zh),
                    format!("the code '{code}' in '{key}' already {}", other.en),
                );
                let advice = ("只在一个列表里写一次", "keep it in one list, once");
                self.reader.problems().at(&spot, message, advice);
            } else {
                let told = Text::new(
                    format!("写在 '{key}' 里，见 {}", at(&spot)),
                    format!("stands in '{key}' at {}", at(&spot)),
                );
                self.known.insert(code.clone(), told);
                codes.push(code);
            }
        }
        if key == "ok_codes" && codes.is_empty() && self.reader.problems().len() == before {
            let message =
                ("'ok_codes' 是空的：没有应答会算成功", "'ok_codes' is empty: no answer would mean success");
            let advice = (
                "写表示成功的应答码；用默认的就删去这一行",
                "write the codes that mean success, or remove the line for those that are usual",
            );
            self.reader.problem(key, message, advice);
        }
        Some(codes)
    }
}
