//! Looks an address up that somebody other than the configuration named, and refuses those that nobody is let reach.

use crate::model::reach::{Forbidden, allowed, well_formed};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;
use tokio::net::lookup_host;
use tokio::time::timeout;
use url::{Host, Url};

/// Longest wait for a name.
const LOOKUP_WAIT: Duration = Duration::from_secs(5);

/// The addresses behind a URL that somebody else named. Where one of them is forbidden none is given. What the
/// configuration itself names may be reached, whatever it is: `configured` is its URL. Connect to these addresses and do
/// not look the name up again: it may have another address by then.
///
/// # Errors
/// Why nothing is asked there.
pub async fn reach(
    url: &Url,
    configured: Option<&Url>,
    schemes: &[&str],
    usual_port: u16,
) -> Result<Vec<SocketAddr>, Forbidden> {
    well_formed(url, schemes)?;
    let port = url.port_or_known_default().unwrap_or(usual_port);
    let addresses = match url.host().ok_or(Forbidden::BadUrl)? {
        Host::Ipv4(ip) => vec![SocketAddr::from((ip, port))],
        Host::Ipv6(ip) => vec![SocketAddr::from((ip, port))],
        // Whatever the system's lookup makes of it, it is meant for this machine (RFC 6761, 6.3).
        Host::Domain(name)
            if is_localhost(name) && !configured.is_some_and(|url_of| same_host(url_of, url)) =>
        {
            return Err(Forbidden::OwnMachine);
        }
        Host::Domain(name) => match timeout(LOOKUP_WAIT, lookup_host((name, port))).await {
            Ok(Ok(found)) => found.collect(),
            Ok(Err(_)) | Err(_) => Vec::new(),
        },
    };
    if addresses.is_empty() {
        return Err(Forbidden::NoAddress);
    }
    if configured.is_some_and(|configured| same_host(configured, url)) {
        return Ok(addresses);
    }
    addresses.iter().try_for_each(|address| not_own(address.ip()))?;
    Ok(addresses)
}

/// Judges an address with what this machine knows: whether it is one of its own.
///
/// # Errors
/// Why it is not asked.
pub fn not_own(ip: IpAddr) -> Result<(), Forbidden> {
    allowed(ip)?;
    if is_own(ip.to_canonical()) { Err(Forbidden::OwnMachine) } else { Ok(()) }
}

/// Whether an address is this machine's: whoever would send there sends from there. Nothing is sent.
fn is_own(ip: IpAddr) -> bool {
    let from = || -> io::Result<IpAddr> {
        let any = if ip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any)?;
        socket.connect((ip, 9))?;
        Ok(socket.local_addr()?.ip())
    };
    from().is_ok_and(|from| from == ip)
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

fn same_host(a: &Url, b: &Url) -> bool {
    a.host_str().is_some_and(|host| b.host_str().is_some_and(|other| other.eq_ignore_ascii_case(host)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn judge(text: &str, configured: Option<&str>) -> Result<(), Forbidden> {
        let configured = configured.map(|text| Url::parse(text).unwrap());
        let url = Url::parse(text).map_err(|_| Forbidden::BadUrl)?;
        reach(&url, configured.as_ref(), &["http", "https", "rtsp"], 554).await.map(drop)
    }

    #[tokio::test]
    async fn whatever_leads_to_this_machine_or_to_metadata_is_refused() {
        use Forbidden::{BadUrl, Disguised, LinkLocal, NoMachine, OwnMachine};
        for (text, expected) in [
            ("http://192.0.2.7/", Ok(())),
            ("rtsp://192.0.2.7/live", Ok(())),
            ("http://127.0.0.1:8088/api/v1/devices", Err(OwnMachine)),
            ("http://localhost/", Err(OwnMachine)),
            // 127.0.0.1 as one number, in octal, in hexadecimal, and shortened.
            ("http://2130706433/", Err(OwnMachine)),
            ("http://0177.0.0.1/", Err(OwnMachine)),
            ("http://0x7f.1/", Err(OwnMachine)),
            ("http://127.1/", Err(OwnMachine)),
            // Kinds of URL that have no rules for hosts: the system's lookup reads the number.
            ("rtsp://2130706433/live", Err(OwnMachine)),
            ("rtsp://0x7f000001/live", Err(OwnMachine)),
            ("rtsp://127.1/live", Err(OwnMachine)),
            ("http://①②⑦.0.0.1/", Err(OwnMachine)),
            ("http://127。0。0。1/", Err(OwnMachine)),
            ("http://[::1]/", Err(OwnMachine)),
            ("http://[::ffff:127.0.0.1]/", Err(OwnMachine)),
            ("http://[64:ff9b::127.0.0.1]/", Err(Disguised)),
            ("http://169.254.169.254/latest/meta-data/", Err(LinkLocal)),
            ("http://2852039166/", Err(LinkLocal)),
            ("http://0/", Err(NoMachine)),
            ("rtsp://0/live", Err(NoMachine)),
            ("rtsp://239.1.2.3/live", Err(NoMachine)),
            ("http://192.0.2.7@127.0.0.1/", Err(BadUrl)),
            ("http://192.0.2.7#@127.0.0.1/", Ok(())),
            ("http://192.0.2.7\\@127.0.0.1/", Ok(())),
            ("file:///etc/passwd", Err(BadUrl)),
        ] {
            assert_eq!(judge(text, None).await, expected, "{text}");
        }
    }

    #[tokio::test]
    async fn what_the_configuration_names_is_reached() {
        assert_eq!(judge("http://127.0.0.1:80/x", Some("http://127.0.0.1:8080/")).await, Ok(()));
        assert_eq!(judge("http://localhost/x", Some("http://LocalHost:8080/")).await, Ok(()));
        let other = judge("http://127.0.0.1/x", Some("http://localhost:8080/")).await;
        assert_eq!(other, Err(Forbidden::OwnMachine), "another host");
        assert_eq!(judge("http://a@127.0.0.1/x", Some("http://127.0.0.1/")).await, Err(Forbidden::BadUrl));
    }

    #[test]
    fn addresses_of_this_machine_are_its_own() {
        // The route to documentation's addresses need not be there; then there is nothing to see.
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        if socket.connect("192.0.2.1:9").is_ok() {
            let own = socket.local_addr().unwrap().ip();
            assert_eq!(not_own(own), Err(Forbidden::OwnMachine), "{own}");
        }
        assert_eq!(not_own("192.0.2.1".parse().unwrap()), Ok(()));
    }
}
