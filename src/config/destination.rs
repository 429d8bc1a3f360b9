//! `[[destination]]`: platforms that are owed records.

use super::attached::{certificates_opt, secret};
use super::fields::{finish, is_loopback, number, secs, url};
use super::names::Names;
use super::resolve::Sources;
use super::{Destination, DestinationKind};
use crate::document::Reader;
use crate::model::DestinationId;

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
        let plain = !text.is_empty() && text.len() <= 200 && text.bytes().all(|b| b.is_ascii_graphic());
        if plain { Ok(text.to_owned()) } else { Err("this cannot be an application id") }
    });
    // A secret written here is told once, as such, and not also as a missing file.
    let written = reader.keys().any(|k| matches!(k, "secret" | "app_secret" | "app_key" | "token"));
    let secret =
        if written && !reader.has("secret_file") { None } else { secret(reader, "secret_file", sources) };
    let max_records = number(reader, "max_records", (1, 1000), 100);
    let max_bytes = number(reader, "max_bytes", (4096, 4_194_304), 262_144);
    let timeout = secs(reader, "timeout_secs", (1, 120), 10);
    let ca_pem = certificates_opt(reader, "ca_file", sources);
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
