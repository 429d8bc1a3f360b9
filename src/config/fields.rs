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
            Some(file_key) => {
                format!(
                    "put it in a file that only its owner can read and write `{file_key} = \"secrets/…\"`"
                )
            }
            None => "remove it: this table needs no secret".into(),
        };
        quiet(&reader, key, format!("'{key}' is a secret and must not stand in this file"), advice);
    }
    reader.finish();
}

/// A name for people: not empty, at most 100 characters on one line.
pub(super) fn name_opt(reader: &Reader<'_>, key: &str) -> Option<String> {
    reader.parsed_opt(key, "write a name of 1 to 100 characters on one line", |text| {
        let text = text.trim();
        if text.is_empty() {
            Err("the name is empty")
        } else if text.chars().count() > 100 {
            Err("the name is too long")
        } else if text.chars().any(char::is_control) {
            Err("the name has control characters")
        } else {
            Ok(text.to_owned())
        }
    })
}

/// A host name or address, that must be there.
pub(super) fn host(reader: &Reader<'_>) -> Option<String> {
    let advice = "write a host name or an address such as \"192.168.1.20\"; the port has a key of its own";
    reader.parsed("host", advice, |text| {
        if text.parse::<IpAddr>().is_ok() {
            return Ok(text.to_owned());
        }
        match Host::parse(text) {
            Ok(_) if !text.is_empty() => Ok(text.to_owned()),
            Ok(_) => Err("the host is empty".to_owned()),
            Err(error) => Err(error.to_string()),
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
            Some("has a user name or password in it".to_owned())
        }
        Ok(url) if !matches!(url.scheme(), "http" | "https") => {
            Some(format!("begins with {}:", url.scheme()))
        }
        Ok(url) if url.host_str().is_none_or(str::is_empty) => Some("has no host".to_owned()),
        Ok(url) if url.query().is_some() => Some("has a query: a '?' and something behind it".to_owned()),
        Ok(url) if url.fragment().is_some() => {
            Some("has a fragment: a '#' and something behind it".to_owned())
        }
        Ok(url) => return Some(url),
        Err(error) => Some(format!("is not a URL: {error}")),
    };
    let message = format!("'{key}' {}", wrong.unwrap_or_default());
    let advice = format!("write a URL such as \"{example}\"");
    if text.contains('@') {
        quiet(reader, key, message, format!("{advice}; secrets go in files"));
    } else {
        reader.problem(key, message, advice);
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
