//! Passwords are hashed one at a time, on a thread that may block: each hash takes 19 MiB and a core.

use super::super::Problem;
use crate::model::Secret;
use crate::runtime::Tally;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use axum::http::StatusCode;
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;

/// Argon2id as OWASP's Password Storage Cheat Sheet has it at the least: KiB of memory, passes, lanes.
const COST: (u32, u32, u32) = (19_456, 2, 1);
/// Passwords that wait to be hashed; whoever comes then is told to come again.
const WAITING: usize = 16;

/// A hash of this cost that no password has: with it, a name without an account takes as long as one with.
static NOBODY: LazyLock<String> = LazyLock::new(|| {
    let (memory, passes, lanes) = COST;
    format!("$argon2id$v=19$m={memory},t={passes},p={lanes}$c2Nob29sZ2F0ZS1ub2JvZHk${}", "A".repeat(43))
});

fn argon2() -> Argon2<'static> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).unwrap_or(Params::DEFAULT);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Where passwords are hashed.
pub(super) struct Hashing {
    one: Arc<Semaphore>,
    waiting: Semaphore,
    tally: Arc<Tally>,
}

impl Hashing {
    pub(super) fn new(tally: Arc<Tally>) -> Self {
        Self { one: Arc::new(Semaphore::new(1)), waiting: Semaphore::new(WAITING), tally }
    }

    /// The hash of a new password, as a PHC string with a salt of its own.
    pub(super) async fn hash(&self, password: Secret) -> Result<String, Problem> {
        let made = self
            .work(move || argon2().hash_password(password.expose().as_bytes()).map(|hash| hash.to_string()))
            .await?;
        made.map_err(|error| super::internal(&error))
    }

    /// Whether a password has this hash; without one, as much work for a no.
    pub(super) async fn is(&self, password: Secret, hash: Option<String>) -> Result<bool, Problem> {
        self.work(move || {
            let (there, text) = (hash.is_some(), hash.unwrap_or_else(|| NOBODY.clone()));
            let compared = PasswordHash::new(&text)
                .is_ok_and(|hash| argon2().verify_password(password.expose().as_bytes(), &hash).is_ok());
            there && compared
        })
        .await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let busy = || {
            let (zh, en) = ("登录请求过多，请稍后再试", "too many are signing in; try again shortly");
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, zh, en).retry_after(5)
        };
        let _waiting = self.waiting.try_acquire().map_err(|_| busy())?;
        let permit = Arc::clone(&self.one).acquire_owned().await.map_err(|_| busy())?;
        self.tally.password_hashes.one();
        let done = tokio::task::spawn_blocking(move || {
            // It goes along: a hash whose asker has gone still takes its memory.
            let _permit = permit;
            work()
        });
        done.await.map_err(|error| super::internal(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_without_an_account_costs_a_hash_of_the_same_cost() {
        let tally = Arc::new(Tally::default());
        let hashing = Hashing::new(Arc::clone(&tally));
        let secret = || Secret::from_file_text("门口的桂花八月开放");
        let hash = hashing.hash(secret()).await.unwrap();
        let cost = |phc: &str| phc.split('$').nth(3).map(str::to_owned);
        assert_eq!(cost(&hash), Some("m=19456,t=2,p=1".into()));
        assert_eq!(cost(&hash), cost(&NOBODY));
        assert!(PasswordHash::new(&NOBODY).is_ok(), "else nothing would be computed");
        for (given, there) in [(Some(hash.clone()), true), (None, false), (Some(NOBODY.clone()), false)] {
            let before = tally.password_hashes.get();
            assert_eq!(hashing.is(secret(), given).await, Ok(there));
            assert_eq!(tally.password_hashes.get() - before, 1);
        }
        assert_eq!(hashing.is(Secret::from_file_text("another sentence"), Some(hash)).await, Ok(false));
        assert_ne!(hashing.hash(secret()).await, hashing.hash(secret()).await, "each has its salt");
    }
}
