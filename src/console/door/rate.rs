//! How often an address may ask: a bucket of tokens each, and a table of buckets that cannot grow.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// Tokens that come back in a second.
const PER_SEC: u64 = 50;
/// Tokens that a bucket holds.
const BURST: u64 = 200;
/// Most addresses that are remembered.
const MAX_BUCKETS: usize = 4096;
/// What a token is made of, so that whole numbers are enough: one comes back with each millisecond's [`PER_SEC`].
const PARTS: u64 = 1000;

/// Who asked how often lately.
#[derive(Debug, Default)]
pub(super) struct Rates {
    buckets: BTreeMap<IpAddr, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    parts: u64,
    at_ms: u64,
}

impl Bucket {
    fn filled(self, now_ms: u64) -> Self {
        let back = now_ms.saturating_sub(self.at_ms).saturating_mul(PER_SEC);
        Self { parts: self.parts.saturating_add(back).min(BURST * PARTS), at_ms: now_ms }
    }
}

impl Rates {
    /// Takes a token of this address.
    ///
    /// # Errors
    /// After how many seconds there is one again.
    pub(super) fn take(&mut self, address: IpAddr, now_ms: u64) -> Result<(), u64> {
        let whose = network(address);
        if !self.buckets.contains_key(&whose) && self.buckets.len() >= MAX_BUCKETS {
            self.make_room(now_ms);
        }
        let full = Bucket { parts: BURST * PARTS, at_ms: now_ms };
        let bucket = self.buckets.entry(whose).or_insert(full);
        *bucket = bucket.filled(now_ms);
        match bucket.parts.checked_sub(PARTS) {
            Some(left) => {
                bucket.parts = left;
                Ok(())
            }
            None => Err((PARTS - bucket.parts).div_ceil(PER_SEC * PARTS).max(1)),
        }
    }

    /// A full bucket says no more than none; where all are in use the one that was quiet longest goes.
    fn make_room(&mut self, now_ms: u64) {
        self.buckets.retain(|_, bucket| bucket.filled(now_ms).parts < BURST * PARTS);
        if self.buckets.len() >= MAX_BUCKETS
            && let Some(quiet) = self.buckets.iter().min_by_key(|(_, bucket)| bucket.at_ms).map(|(ip, _)| *ip)
        {
            self.buckets.remove(&quiet);
        }
    }
}

/// Whom an address belongs to: a machine has a whole /64 of IPv6.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_hundred_at_once_and_fifty_a_second_after_that() {
        let mut rates = Rates::default();
        let who: IpAddr = "192.168.1.9".parse().unwrap();
        let asked = |rates: &mut Rates, at| (0..1000).filter(|_| rates.take(who, at).is_ok()).count();
        assert_eq!(asked(&mut rates, 5_000), 200);
        assert_eq!(rates.take(who, 5_000), Err(1));
        assert_eq!(asked(&mut rates, 6_000), 50);
        assert_eq!(asked(&mut rates, 3_600_000), 200);
        assert_eq!(rates.take("192.168.1.10".parse().unwrap(), 3_600_000), Ok(()), "others are not held up");
    }

    #[test]
    fn one_machine_of_ipv6_is_one_asker() {
        let mut rates = Rates::default();
        let one = |n: u32| -> IpAddr { format!("2001:db8::{n:x}").parse().unwrap() };
        assert_eq!((0..1000).filter(|n| rates.take(one(*n), 0).is_ok()).count(), 200);
        assert_eq!(rates.buckets.len(), 1);
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), "10.0.0.1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn the_table_does_not_grow() {
        let mut rates = Rates::default();
        for n in 0..100_000_u32 {
            rates.take(std::net::Ipv4Addr::from_bits(n).into(), u64::from(n) / 100).unwrap();
            assert!(rates.buckets.len() <= MAX_BUCKETS);
        }
    }
}
