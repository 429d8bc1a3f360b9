//! How often somebody may guess: per account, and per address.
//!
//! An account waits a minute at most, so that nobody is kept out of it for long by a stranger who guesses; an address
//! waits up to a quarter of an hour. Whether an account exists makes no difference.

use crate::model::Mono;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Tries without any wait: of one account, and of one address, behind which there may be several people.
const FREE: (u32, u32) = (5, 8);
/// The first wait; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(10);
/// The longest wait of an account, and of an address.
const LONGEST_WAIT: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(900));
/// Failures are forgotten after so long without a further one.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(1800);
/// Most accounts, and most addresses, whose failures are remembered; who failed longest ago gives way.
const MOST: usize = 4096;

#[derive(Debug, Clone, Copy)]
struct Failures {
    many: u32,
    last: Mono,
}

impl Failures {
    fn wait(self, free: u32, longest: Duration, now: Mono) -> Option<Duration> {
        let doubled = self.many.checked_sub(free)?;
        let wait = FIRST_WAIT.saturating_mul(1_u32.checked_shl(doubled).unwrap_or(u32::MAX)).min(longest);
        wait.checked_sub(now.since(self.last)).filter(|left| !left.is_zero())
    }
}

/// Who failed how often.
#[derive(Debug, Default)]
pub struct Lockout {
    accounts: BTreeMap<String, Failures>,
    addresses: BTreeMap<IpAddr, Failures>,
}

/// A host may have every address of its network of 64 bits.
fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

fn one_more<K: Ord + Clone>(all: &mut BTreeMap<K, Failures>, key: K, now: Mono) {
    if !all.contains_key(&key) && all.len() >= MOST {
        let oldest = all.iter().min_by_key(|(_, failures)| failures.last).map(|(key, _)| key.clone());
        if let Some(oldest) = oldest {
            all.remove(&oldest);
        }
    }
    let failures = all.entry(key).or_insert(Failures { many: 0, last: now });
    if now.since(failures.last) >= FORGOTTEN_AFTER {
        failures.many = 0;
    }
    *failures = Failures { many: failures.many.saturating_add(1), last: now };
}

impl Lockout {
    /// Somebody wants to try. Counted as a failure at once, so that a thousand tries at the same moment are no way
    /// around it; [`Lockout::succeeded`] takes it back.
    ///
    /// # Errors
    /// How long to wait; such a try counts for nothing.
    pub fn tries(&mut self, account: &str, address: IpAddr, now: Mono) -> Result<(), Duration> {
        let address = counted(address);
        let by_account = self.accounts.get(account).and_then(|f| f.wait(FREE.0, LONGEST_WAIT.0, now));
        let by_address = self.addresses.get(&address).and_then(|f| f.wait(FREE.1, LONGEST_WAIT.1, now));
        if let Some(wait) = by_account.max(by_address) {
            return Err(wait);
        }
        one_more(&mut self.accounts, account.to_owned(), now);
        one_more(&mut self.addresses, address, now);
        Ok(())
    }

    /// The try was a good one. The address keeps its earlier failures: who has an account must not guess at another's
    /// by signing in to their own in between.
    pub fn succeeded(&mut self, account: &str, address: IpAddr) {
        self.accounts.remove(account);
        if let Some(failures) = self.addresses.get_mut(&counted(address)) {
            failures.many = failures.many.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guesses every 100 ms, each by an account and an address; how many of them count in the fullest minute.
    fn effective(guess: impl Fn(u32) -> (String, IpAddr)) -> usize {
        let mut lockout = Lockout::default();
        let mut taken: Vec<u64> = Vec::new();
        for n in 0..1_000 {
            let (account, address) = guess(n);
            let now = Mono(u64::from(n) * 100);
            if lockout.tries(&account, address, now).is_ok() {
                taken.push(now.0);
            }
        }
        taken
            .iter()
            .map(|from| taken.iter().filter(|at| (*from..from + 60_000).contains(at)).count())
            .max()
            .unwrap()
    }

    fn v4(n: u32) -> IpAddr {
        IpAddr::from(std::net::Ipv4Addr::from_bits(0x0A00_0000 | n))
    }

    #[test]
    fn of_a_thousand_guesses_ten_a_minute_count_at_most() {
        let v6 = |n: u32| IpAddr::from(Ipv6Addr::from_bits(0xFD00_u128 << 112 | u128::from(n)));
        for (what, many) in [
            ("one account, one address", effective(|_| ("zhang".into(), v4(1)))),
            ("one account, a thousand addresses", effective(|n| ("zhang".into(), v4(n)))),
            ("a thousand accounts, one address", effective(|n| (format!("user-{n}"), v4(1)))),
            ("a thousand accounts, one network of IPv6", effective(|n| (format!("user-{n}"), v6(n)))),
        ] {
            assert!((5..=10).contains(&many), "{what}: {many}");
        }
    }

    #[test]
    fn over_a_day_few_guesses_count_and_nobody_is_kept_out_for_more_than_a_minute() {
        let mut lockout = Lockout::default();
        let day = 24 * 3600_u64;
        let mut taken = 0;
        for secs in 0..day {
            taken += u32::from(lockout.tries("zhang", v4(1), Mono(secs * 1000)).is_ok());
        }
        assert!(taken < 200, "{taken}");
        let wait = lockout.tries("zhang", v4(2), Mono(day * 1000)).err().unwrap_or_default();
        assert!(wait <= Duration::from_secs(60), "{wait:?}");
        assert_eq!(lockout.tries("li", v4(2), Mono(day * 1000)), Ok(()));
    }

    #[test]
    fn a_success_frees_the_account_and_not_the_address() {
        let mut lockout = Lockout::default();
        for n in 0..40 {
            // Their own account again and again, and one guess at another's in between.
            if lockout.tries("own", v4(1), Mono(n)).is_ok() {
                lockout.succeeded("own", v4(1));
            }
            lockout.tries(&format!("other-{n}"), v4(1), Mono(n)).ok();
        }
        assert!(lockout.tries("own", v4(1), Mono(41)).is_err());
        assert!(lockout.tries("own", v4(2), Mono(41)).is_ok());
    }

    #[test]
    fn what_is_remembered_is_bounded_and_fades() {
        let mut lockout = Lockout::default();
        for n in 0..20_000_u32 {
            lockout.tries(&format!("user-{n}"), v4(n), Mono(u64::from(n))).ok();
        }
        assert_eq!((lockout.accounts.len(), lockout.addresses.len()), (MOST, MOST));
        let mut lockout = Lockout::default();
        for n in 0..5 {
            assert!(lockout.tries("zhang", v4(1), Mono(n)).is_ok(), "{n}");
        }
        assert!(lockout.tries("zhang", v4(1), Mono(6)).is_err());
        let later = Mono(6).plus(FORGOTTEN_AFTER);
        for n in 0..5 {
            assert!(lockout.tries("zhang", v4(1), later.plus(Duration::from_millis(n))).is_ok(), "{n}");
        }
    }
}
