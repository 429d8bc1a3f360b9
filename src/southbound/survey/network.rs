//! Which hosts of one network take a TCP connection: within that network only, few at a time, at a polite pace.

use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

/// The largest network: 1024 addresses.
pub const SHORTEST_PREFIX: u8 = 22;
/// Connections being opened at the same time.
const AT_ONCE: usize = 32;
/// Pause between two of them.
const PAUSE: Duration = Duration::from_millis(10);
/// Longest wait for one. A second SYN goes out after 1 s.
const WITHIN: Duration = Duration::from_millis(1200);

/// An IPv4 network, such as `192.168.1.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: u32,
    prefix: u8,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || format!("'{text}' is no network: write one such as 192.168.1.0/24");
        let (address, prefix) = text.split_once('/').ok_or_else(form)?;
        let address: Ipv4Addr = address.parse().map_err(|_| form())?;
        let prefix: u8 = prefix.parse().ok().filter(|prefix| *prefix <= 32).ok_or_else(form)?;
        if prefix < SHORTEST_PREFIX {
            return Err(format!(
                "/{prefix} is too large to scan: at most /{SHORTEST_PREFIX} (1024 addresses) at a time"
            ));
        }
        if address.is_multicast() || address.is_broadcast() || address.is_unspecified() {
            return Err(format!("'{text}' is no network of hosts"));
        }
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        Ok(Self { first: u32::from(address) & mask, prefix })
    }
}

impl Network {
    /// Its hosts: without the network's own address and the broadcast address, where it has such.
    pub fn hosts(self) -> impl ExactSizeIterator<Item = Ipv4Addr> {
        let size = 1_u32 << (32 - u32::from(self.prefix)).min(10);
        let ends = if size > 2 { 1 } else { 0 };
        let count = usize::try_from(size - 2 * ends).unwrap_or(0);
        (0..count).map(move |i| {
            Ipv4Addr::from(self.first.wrapping_add(ends).wrapping_add(u32::try_from(i).unwrap_or(0)))
        })
    }

    /// How long the scan takes at most.
    #[must_use]
    pub fn estimate(self) -> Duration {
        let hosts = u32::try_from(self.hosts().len()).unwrap_or(u32::MAX);
        let rounds = hosts.div_ceil(u32::try_from(AT_ONCE).unwrap_or(1));
        (PAUSE * hosts).max(WITHIN * rounds) + WITHIN
    }
}

/// Tries every host; `open` holds those that took the connection, also when this is cut off. `told` hears how many hosts
/// were tried.
pub async fn scan(
    network: Network,
    port: u16,
    open: &mut Vec<SocketAddr>,
    told: &mut (dyn FnMut(usize, usize) + Send),
) {
    let hosts = network.hosts();
    let of = hosts.len();
    let mut tries: JoinSet<Option<SocketAddr>> = JoinSet::new();
    let (mut tried, mut next) = (0, Instant::now());
    for host in hosts {
        if tries.len() >= AT_ONCE {
            tried += 1;
            open.extend(tries.join_next().await.and_then(Result::ok).flatten());
        }
        sleep_until(next).await;
        next = Instant::now() + PAUSE;
        let address = SocketAddr::from((host, port));
        tries.spawn(async move {
            let taken = timeout(WITHIN, TcpStream::connect(address)).await;
            matches!(taken, Ok(Ok(_))).then_some(address)
        });
        told(tried, of);
    }
    while let Some(ended) = tries.join_next().await {
        tried += 1;
        open.extend(ended.ok().flatten());
        told(tried, of);
    }
    open.sort_unstable();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Network {
        text.parse().unwrap()
    }

    #[test]
    fn hosts_of_a_network_and_no_others() {
        let hosts: Vec<String> = network("192.168.1.77/29").hosts().map(|h| h.to_string()).collect();
        let expected = [73, 74, 75, 76, 77, 78].map(|n| format!("192.168.1.{n}"));
        assert_eq!(hosts, expected);
        assert_eq!(network("10.0.0.0/22").hosts().len(), 1022);
        assert_eq!(network("10.0.0.5/32").hosts().collect::<Vec<_>>(), [Ipv4Addr::new(10, 0, 0, 5)]);
        assert_eq!(network("10.0.0.4/31").hosts().len(), 2);
    }

    #[test]
    fn refuses_what_is_too_large_or_no_network() {
        for (text, why) in [
            ("192.168.1.0", "write one such as"),
            ("192.168.1.0/33", "write one such as"),
            ("school/24", "write one such as"),
            ("10.0.0.0/21", "at most /22"),
            ("0.0.0.0/24", "no network of hosts"),
            ("224.0.0.0/24", "no network of hosts"),
        ] {
            let error = text.parse::<Network>().unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
