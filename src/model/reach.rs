//! Which addresses are asked when somebody other than the configuration names them: a camera, a provider, a page.
//!
//! Whoever makes the gateway ask an address of their choosing may reach through it what they cannot reach themselves:
//! services of this machine, a cloud's metadata at 169.254.169.254.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::Url;

/// Why an address is not asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forbidden {
    /// It is this machine's own.
    OwnMachine,
    /// Only neighbours on one cable have it, and metadata services of clouds.
    LinkLocal,
    /// It stands for no machine, or for many.
    NoMachine,
    /// Its address does not say so in itself: another way of writing it may hide any of the others.
    Disguised,
    /// A URL of another kind, with a login in it, or without a host.
    BadUrl,
    /// The name has no address.
    NoAddress,
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnMachine => "it leads to the gateway itself",
            Self::LinkLocal => "it is a link-local address",
            Self::NoMachine => "it is the address of no single machine",
            Self::Disguised => "it is an IPv4 address written as an IPv6 address",
            Self::BadUrl => "it is no URL that may be asked",
            Self::NoAddress => "its name has no address",
        })
    }
}

/// Judges an address by what is known of it everywhere; the gateway's own addresses are for the edge to know.
///
/// # Errors
/// Why it is not asked.
pub fn allowed(ip: IpAddr) -> Result<(), Forbidden> {
    match ip.to_canonical() {
        IpAddr::V4(ip) => allowed_v4(ip),
        IpAddr::V6(ip) => allowed_v6(ip),
    }
}

fn allowed_v4(ip: Ipv4Addr) -> Result<(), Forbidden> {
    match ip.octets() {
        [127, ..] => Err(Forbidden::OwnMachine),
        [169, 254, ..] => Err(Forbidden::LinkLocal),
        // Alibaba Cloud's metadata, in the range of carriers' address translation (RFC 6598).
        [100, 100, 100, 200] => Err(Forbidden::LinkLocal),
        // "This network", IETF's own, and from multicast upwards (IANA's registry of special addresses, RFC 6890).
        [0 | 224..=255, ..] | [192, 0, 0, _] => Err(Forbidden::NoMachine),
        _ => Ok(()),
    }
}

fn allowed_v6(ip: Ipv6Addr) -> Result<(), Forbidden> {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Err(Forbidden::NoMachine),
        [0, 0, 0, 0, 0, 0, 0, 1] => Err(Forbidden::OwnMachine),
        // IPv4-compatible, translated (RFC 6052, RFC 8215), 6to4 and Teredo: each carries an IPv4 address in it.
        [0, 0, 0, 0, 0 | 0xffff, ..] | [0x64, 0xff9b, ..] | [0x2002, ..] | [0x2001, 0, ..] => {
            Err(Forbidden::Disguised)
        }
        [0xfe80..=0xfeff, ..] => Err(Forbidden::LinkLocal),
        [0xff00..=0xffff, ..] => Err(Forbidden::NoMachine),
        _ => Ok(()),
    }
}

/// Judges what a URL says of itself, before its host is looked up: its kind, and that no login hides the host.
///
/// # Errors
/// [`Forbidden::BadUrl`].
pub fn well_formed(url: &Url, schemes: &[&str]) -> Result<(), Forbidden> {
    let plain = url.username().is_empty() && url.password().is_none();
    let host = url.host_str().is_some_and(|host| !host.is_empty());
    if plain && host && schemes.contains(&url.scheme()) { Ok(()) } else { Err(Forbidden::BadUrl) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged_however_they_are_written() {
        use Forbidden::{Disguised, LinkLocal, NoMachine, OwnMachine};
        for (text, expected) in [
            ("192.168.1.64", Ok(())),
            ("10.0.0.1", Ok(())),
            ("172.16.0.9", Ok(())),
            ("8.8.8.8", Ok(())),
            ("fd00::5", Ok(())),
            ("2001:db8::1", Ok(())),
            ("::ffff:192.168.1.64", Ok(())),
            ("127.0.0.1", Err(OwnMachine)),
            ("127.9.9.9", Err(OwnMachine)),
            ("::1", Err(OwnMachine)),
            ("::ffff:127.0.0.1", Err(OwnMachine)),
            ("::ffff:7f00:1", Err(OwnMachine)),
            ("169.254.169.254", Err(LinkLocal)),
            ("::ffff:169.254.169.254", Err(LinkLocal)),
            ("100.100.100.200", Err(LinkLocal)),
            ("fe80::1", Err(LinkLocal)),
            ("febf::1", Err(LinkLocal)),
            ("0.0.0.0", Err(NoMachine)),
            ("0.1.2.3", Err(NoMachine)),
            ("::", Err(NoMachine)),
            ("224.0.0.1", Err(NoMachine)),
            ("239.255.255.250", Err(NoMachine)),
            ("255.255.255.255", Err(NoMachine)),
            ("240.0.0.1", Err(NoMachine)),
            ("192.0.0.192", Err(NoMachine)),
            ("ff02::1", Err(NoMachine)),
            ("::127.0.0.1", Err(Disguised)),
            ("64:ff9b::7f00:1", Err(Disguised)),
            ("64:ff9b:1::7f00:1", Err(Disguised)),
            ("2002:7f00:1::", Err(Disguised)),
            ("2001:0:7f00:1::", Err(Disguised)),
            ("::ffff:0:127.0.0.1", Err(Disguised)),
        ] {
            assert_eq!(allowed(text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn a_url_may_not_hide_its_host() {
        let judge = |text: &str| well_formed(&Url::parse(text).unwrap(), &["http", "https"]);
        for good in ["http://10.0.0.1/", "https://camera.school:8443/x?y=1"] {
            assert_eq!(judge(good), Ok(()), "{good}");
        }
        for bad in [
            "http://10.0.0.1@127.0.0.1/",
            "http://camera:80@127.0.0.1/",
            "http://:x@10.0.0.1/",
            "file:///etc/passwd",
            "gopher://10.0.0.1/",
            "ftp://10.0.0.1/",
            "unix:/run/x",
        ] {
            assert_eq!(judge(bad), Err(Forbidden::BadUrl), "{bad}");
        }
    }
}
