//! `kind = "smtp"`: mail.

use super::super::attached::certificates_opt;
use super::super::bus::login;
use super::super::fields::{host, port};
use super::{Around, MailTls, Smtp, Tls, listed_persons};
use crate::document::Reader;
use lettre::Address;
use lettre::message::Mailbox;
use std::net::IpAddr;

/// What `tls` may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    StartTls,
    Implicit,
    None,
}

pub(super) fn smtp(reader: &Reader<'_>, around: &Around<'_>) -> Option<Smtp> {
    let host = host(reader);
    let words = [("starttls", Word::StartTls), ("implicit", Word::Implicit), ("none", Word::None)];
    let word = if reader.has("tls") { reader.word("tls", &words) } else { Some(Word::StartTls) };
    let usual = match word {
        Some(Word::Implicit) => 465,
        Some(Word::None) => 25,
        _ => 587,
    };
    let port = port(reader, usual);
    let ca_pem = certificates_opt(reader, "ca_file", around.sources);
    let login = login(reader, around.sources);
    let plain_allowed = reader.flag_opt("allow_plain_smtp").unwrap_or(false);
    let here = host.as_deref().is_some_and(|host| {
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    });
    if word == Some(Word::None) {
        if !here && !plain_allowed {
            reader.problem(
                "tls",
                (
                    "邮件会不加密发出：途中的人能看到邮件和密码",
                    "mail would go unencrypted: whoever is on the way can read it, and the password",
                ),
                (
                    "写 \"starttls\" 或 \"implicit\"；服务器确实没有 TLS 时，加上 `allow_plain_smtp = true`",
                    "write \"starttls\" or \"implicit\"; where the server really has no TLS, add `allow_plain_smtp = true`",
                ),
            );
        }
        if reader.has("ca_file") {
            let message = ("没有 TLS 时 'ca_file' 没有用处", "'ca_file' has no meaning without TLS");
            reader.problem("ca_file", message, ("删去这一行", "remove the line"));
        }
    }
    let advice = (
        "写邮件地址，如 \"schoolgate@school.example.cn\" 或 \"校门网关 <schoolgate@school.example.cn>\"",
        "write an address such as \"schoolgate@school.example.cn\" or \"校门网关 <schoolgate@school.example.cn>\"",
    );
    let from = reader.parsed("from", advice, |text| match text.parse::<Mailbox>() {
        Ok(mailbox) if mailbox.email.to_string().is_ascii() => Ok(text.to_owned()),
        _ => Err(("这不是邮件地址", "this is no mail address")),
    });
    let good = |text: &str| text.parse::<Address>().is_ok() && text.is_ascii();
    let advice = (
        "写邮件地址，如 \"office@school.example.cn\"",
        "write mail addresses such as \"office@school.example.cn\"",
    );
    let to = listed_persons(reader, "to", advice, good);
    if to.is_empty() && reader.texts("to").is_empty() {
        reader.problem(
            "to",
            ("没有收件人", "nobody is to get the mail"),
            ("加上 `to = [\"office@school.example.cn\"]`", "add `to = [\"office@school.example.cn\"]`"),
        );
    }
    let tls = Tls { ca_pem };
    let tls = match word? {
        Word::StartTls => MailTls::StartTls(tls),
        Word::Implicit => MailTls::Implicit(tls),
        Word::None => MailTls::None,
    };
    let smtp = Smtp { host: host?, port: port?, tls, login, from: from?, to };
    (!smtp.to.is_empty()).then_some(smtp)
}
