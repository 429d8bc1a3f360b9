//! Values that several tables share: hosts, URLs, spans of time, and secrets that must not be written here.

use crate::document::{Problem, Reader, SECRET_KEYS};
use crate::model::Text;
use std::net::IpAddr;
use std::time::Duration;
use url::{Host, Url};

/// Notes a problem at `key` without showing its value.
pub(super) fn quiet(reader: &Reader<'_>, key: &str, message: impl Into<Text>, advice: impl Into<Text>) {
    let mut spot = reader.spot(key);
    spot.text = format!("{key} = …");
    reader.problems().add(Problem { spot, message: message.into(), advice: advice.into() });
}

/// Refuses secrets written in the table, then every other unknown key.
pub(super) fn finish(reader: Reader<'_>, secret_file_key: Option<&str>) {
    for key in SECRET_KEYS.iter().filter(|key| reader.keys().any(|k| k == **key) && reader.has(key)) {
        let advice = match secret_file_key {
            Some(file_key) => Text::new(
                format!("放进只有所有者能读的文件，这里写 `{file_key} = \"secrets/…\"`"),
                format!(
                    "put it in a file that only its owner can read and write `{file_key} = \"secrets/…\"`"
                ),
            ),
            None => Text::new("删去：这个表不需要密码或密钥", "remove it: this table needs no secret"),
        };
        let message = (
            format!("'{key}' 是保密内容，不能写在这个文件里"),
            format!("'{key}' is a secret and must not stand in this file"),
        );
        quiet(&reader, key, message, advice);
    }
    reader.finish();
}

/// The advice to write the id of one of `[[what]]`.
pub(super) fn id_of(what: &str) -> (String, String) {
    (format!("写一个 [[{what}]] 的编号"), format!("write the id of a [[{what}]]"))
}

/// A name for people: not empty, at most 100 characters on one line.
pub(super) fn name_opt(reader: &Reader<'_>, key: &str) -> Option<String> {
    let advice = ("写 1 到 100 个字的名称，只写一行", "write a name of 1 to 100 characters on one line");
    reader.parsed_opt(key, advice, |text| name(text, 100))
}

/// A name for people: not empty, on one line, at most so many characters.
pub(super) fn name(text: &str, most: usize) -> Result<String, (&'static str, &'static str)> {
    let text = text.trim();
    if text.is_empty() {
        Err(("名称是空的", "the name is empty"))
    } else if text.chars().count() > most {
        Err(("名称太长", "the name is too long"))
    } else if text.chars().any(char::is_control) {
        Err(("名称里有控制字符", "the name has control characters"))
    } else {
        Ok(text.to_owned())
    }
}

/// A host name or address, that must be there.
pub(super) fn host(reader: &Reader<'_>) -> Option<String> {
    let advice = (
        "写主机名或地址，如 \"192.168.1.20\"；端口另写一个键",
        "write a host name or an address such as \"192.168.1.20\"; the port has a key of its own",
    );
    reader.parsed("host", advice, |text| {
        if text.parse::<IpAddr>().is_ok() {
            return Ok(text.to_owned());
        }
        match Host::parse(text) {
            Ok(_) if !text.is_empty() => Ok(text.to_owned()),
            Ok(_) => Err(Text::new("主机名是空的", "the host is empty")),
            Err(error) => Err(Text::new(format!("这不是主机名：{error}"), error.to_string())),
        }
    })
}

/// A span written in milliseconds.
pub(super) fn millis(reader: &Reader<'_>, key: &str, range: (u32, u32), default: u32) -> Duration {
    Duration::from_millis(number(reader, key, range, default).into())
}

/// A span written in seconds.
pub(super) fn secs(reader: &Reader<'_>, key: &str, range: (u32, u32), default: u32) -> Duration {
    Duration::from_secs(number(reader, key, range, default).into())
}

/// A whole number within a range; the default when missing or wrong (which is then noted).
pub(super) fn number(reader: &Reader<'_>, key: &str, (min, max): (u32, u32), default: u32) -> u32 {
    let written = reader.integer_opt(key, i64::from(min)..=i64::from(max));
    written.and_then(|n| u32::try_from(n).ok()).unwrap_or(default)
}

/// A TCP port; the default when missing.
pub(super) fn port(reader: &Reader<'_>, default: u16) -> Option<u16> {
    if !reader.has("port") {
        return Some(default);
    }
    reader.integer_opt("port", 1..=65535).and_then(|n| u16::try_from(n).ok())
}

/// An `http` or `https` URL without user name, password, query or fragment; `example` is shown in the advice.
pub(super) fn url(reader: &Reader<'_>, key: &str, example: &str) -> Option<Url> {
    let text = reader.text(key)?;
    let wrong = match Url::parse(&text) {
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Text::new("里有用户名或密码", "has a user name or password in it")
        }
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            let scheme = url.scheme();
            Text::new(format!("以 {scheme}: 开头"), format!("begins with {scheme}:"))
        }
        Ok(url) if url.host_str().is_none_or(str::is_empty) => Text::new("没有主机", "has no host"),
        Ok(url) if url.query().is_some() => {
            Text::new("带了 '?' 和它后面的内容", "has a query: a '?' and something behind it")
        }
        Ok(url) if url.fragment().is_some() => {
            Text::new("带了 '#' 和它后面的内容", "has a fragment: a '#' and something behind it")
        }
        Ok(url) => return Some(url),
        Err(error) => Text::new(format!("不是 URL：{error}"), format!("is not a URL: {error}")),
    };
    let message = (format!("'{key}' {}", wrong.zh), format!("'{key}' {}", wrong.en));
    let (zh, en) = (format!("写 URL，如 \"{example}\""), format!("write a URL such as \"{example}\""));
    if text.contains('@') {
        quiet(reader, key, message, (format!("{zh}；密码放进文件"), format!("{en}; secrets go in files")));
    } else {
        reader.problem(key, message, (zh, en));
    }
    None
}

/// Whether the URL leads to this machine only.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
