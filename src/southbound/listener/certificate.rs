//! The names in a client's certificate: the common name of its subject, and its alternative DNS names.
//!
//! It is read only after rustls has verified it. What cannot be read gives no name, and so no login.

/// Most bytes that one length in DER may announce here.
const MAX_LENGTH_DIGITS: usize = 3;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const OCTETS: u8 = 0x04;
/// `version [0]` and `extensions [3]` of TBSCertificate (RFC 5280, section 4.1), `dNSName [2]` (section 4.2.1.6).
const VERSION: u8 = 0xA0;
const EXTENSIONS: u8 = 0xA3;
const DNS_NAME: u8 = 0x82;
/// 2.5.4.3 and 2.5.29.17.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ALTERNATIVE_NAMES: &[u8] = &[0x55, 0x1D, 0x11];

/// One value of DER: its tag, its content, and what follows it.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if first & 0x80 == 0 {
        (usize::from(*first), rest)
    } else {
        let digits = usize::from(first & 0x7f);
        if digits == 0 || digits > MAX_LENGTH_DIGITS {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(digits)?;
        (digits.iter().fold(0, |length, digit| (length << 8) | usize::from(*digit)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// The values one after the other.
fn values(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (tag, content, behind) = value(rest)?;
        rest = behind;
        Some((tag, content))
    })
}

fn inside(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    value(bytes).filter(|found| found.0 == tag).map(|found| found.1)
}

/// The names, the common name first.
pub(super) fn names(certificate: &[u8]) -> Vec<String> {
    let parts = inside(certificate, SEQUENCE).and_then(|certificate| inside(certificate, SEQUENCE));
    let parts: Vec<(u8, &[u8])> = parts.map(|parts| values(parts).collect()).unwrap_or_default();
    // version, serialNumber, signature, issuer, validity, subject, subjectPublicKeyInfo, …; the version may be missing.
    let versioned = usize::from(parts.first().is_some_and(|part| part.0 == VERSION));
    let subject = parts.get(versioned + 4).filter(|part| part.0 == SEQUENCE).map_or(&[][..], |part| part.1);
    let extensions = parts.iter().find(|part| part.0 == EXTENSIONS).and_then(|part| inside(part.1, SEQUENCE));
    let mut names: Vec<String> = values(subject)
        .filter(|(tag, _)| *tag == SET)
        .flat_map(|(_, set)| values(set))
        .filter_map(|(_, pair)| {
            let (_, name, rest) = value(pair).filter(|found| found.0 == OID)?;
            (name == COMMON_NAME).then(|| value(rest).map(|found| found.1)).flatten()
        })
        .filter_map(text)
        .collect();
    for (_, extension) in values(extensions.unwrap_or_default()) {
        let parts: Vec<(u8, &[u8])> = values(extension).collect();
        let is_names = parts.first().is_some_and(|part| *part == (OID, ALTERNATIVE_NAMES));
        let octets = parts.last().filter(|part| is_names && part.0 == OCTETS);
        let alternatives = octets.and_then(|part| inside(part.1, SEQUENCE)).unwrap_or_default();
        names.extend(
            values(alternatives).filter(|(tag, _)| *tag == DNS_NAME).filter_map(|(_, name)| text(name)),
        );
    }
    names
}

fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn der(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        match content.len() {
            n @ 0..0x80 => bytes.push(u8::try_from(n).unwrap()),
            n => bytes.extend([0x82, u8::try_from(n >> 8).unwrap(), u8::try_from(n & 0xff).unwrap()]),
        }
        bytes.extend_from_slice(content);
        bytes
    }

    fn certificate(version: bool) -> Vec<u8> {
        let country = der(SET, &der(SEQUENCE, &[der(OID, &[0x55, 4, 6]), der(0x13, b"CN")].concat()));
        let common = der(SET, &der(SEQUENCE, &[der(OID, COMMON_NAME), der(0x0C, b"gate-1")].concat()));
        let subject = der(SEQUENCE, &[country, common].concat());
        let names = der(SEQUENCE, &[der(DNS_NAME, b"gate-1.school"), der(0x87, &[127, 0, 0, 1])].concat());
        let usage = der(SEQUENCE, &[der(OID, &[0x55, 0x1D, 0x0F]), der(OCTETS, &[3, 2, 5, 0xA0])].concat());
        let names =
            der(SEQUENCE, &[der(OID, ALTERNATIVE_NAMES), der(1, &[0xff]), der(OCTETS, &names)].concat());
        let padding = der(OCTETS, &[0; 300]);
        let mut parts = if version { der(VERSION, &der(2, &[2])) } else { Vec::new() };
        for part in
            [der(2, &[1]), der(SEQUENCE, &[]), der(SEQUENCE, &[]), der(SEQUENCE, &[]), subject, padding]
        {
            parts.extend(part);
        }
        parts.extend(der(EXTENSIONS, &der(SEQUENCE, &[usage, names].concat())));
        der(SEQUENCE, &[der(SEQUENCE, &parts), der(SEQUENCE, &[]), der(3, &[0])].concat())
    }

    #[test]
    fn the_common_name_and_the_dns_names_are_found() {
        for version in [true, false] {
            assert_eq!(names(&certificate(version)), ["gate-1", "gate-1.school"]);
        }
    }

    #[test]
    fn what_is_cut_or_changed_gives_no_panic_and_no_foreign_name() {
        let whole = certificate(true);
        for n in 0..whole.len() {
            assert!(names(&whole[..n]).len() <= 2);
            let mut changed = whole.clone();
            changed[n] ^= 0xff;
            assert!(names(&changed).len() <= 3);
        }
    }
}
