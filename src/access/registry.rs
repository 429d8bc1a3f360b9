//! Everybody who may come in: accounts, sessions, tokens of programs, and the code by which the first one begins.
//!
//! What is kept can be lost without giving anybody a way in: hashes of passwords, digests of everything else.

use super::secret_text::{Digest, text_of, typed_code};
use super::{Right, Role};
use crate::model::{Actor, Mono, Now, Text, Wall};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// A session in which nothing was asked for is over after this time.
pub const IDLE_LIMIT: Duration = Duration::from_secs(30 * 60);
/// A session is over after this time, whatever was asked.
pub const SESSION_LIMIT: Duration = Duration::from_secs(12 * 3600);
/// That of a guard room's screen, which must not go blank at night.
pub const KIOSK_LIMIT: Duration = Duration::from_secs(400 * 24 * 3600);
/// Most accounts.
pub const MAX_ACCOUNTS: usize = 200;
/// Most tokens.
pub const MAX_TOKENS: usize = 100;
/// Most sessions of one name; the one that asked for nothing the longest gives way.
const MAX_SESSIONS_EACH: usize = 20;
/// Most sessions.
const MAX_SESSIONS: usize = 1_000;
/// Names that stand in the records for what is no account.
const TAKEN: [&str; 4] = ["gateway", "local", "system", "api"];
/// The form of the text that is stored.
const VERSION: u32 = 1;

/// A person's account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// As it was written when it was made; small and large letters make no other account.
    pub name: Actor,
    /// What they are there for.
    pub role: Role,
    /// Nobody signs in with it.
    #[serde(default)]
    pub disabled: bool,
    /// The hash of the password (Argon2id, as a PHC string).
    pub password: String,
    /// When it was made.
    pub made_at: Wall,
}

/// What a program may come in with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// The program's name.
    pub name: Actor,
    /// What it is there for.
    pub role: Role,
    /// Its text's digest.
    digest: Digest,
    /// When it was made.
    pub made_at: Wall,
    /// From when on it is of no use.
    pub expires_at: Wall,
}

/// Somebody is signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Who.
    pub name: Actor,
    /// With what role.
    pub role: Role,
    /// At a guard room's screen.
    pub kiosk: bool,
    /// Known by another's word (OpenID Connect), without an account here.
    pub foreign: bool,
    /// Since when.
    pub opened_at: Wall,
    /// Since when by the clock that never jumps; the start of the process, if it is from before.
    #[serde(skip, default = "origin")]
    from: Mono,
    /// When something was last asked for.
    #[serde(skip, default = "origin")]
    seen: Mono,
}

fn origin() -> Mono {
    Mono(0)
}

impl Session {
    /// Whether it is over. The clock on the wall may have been set back; the other one goes on.
    fn over(&self, now: Now) -> bool {
        let by_wall = Duration::from_millis(u64::try_from(now.wall.since(self.opened_at)).unwrap_or(0));
        let age = by_wall.max(now.mono.since(self.from));
        if self.kiosk {
            return age >= KIOSK_LIMIT;
        }
        age >= SESSION_LIMIT || now.mono.since(self.seen) >= IDLE_LIMIT
    }

    /// How long ago something was asked for.
    #[must_use]
    pub fn idle(&self, now: Now) -> Duration {
        now.mono.since(self.seen)
    }
}

/// Why something is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// No name, or one that stands for something else.
    BadName,
    /// There is one of that name.
    NameTaken,
    /// There is none of that name.
    Unknown,
    /// There are as many as there may be.
    TooMany,
    /// Somebody must be left who gives the others their accounts.
    LastAdmin,
    /// A program's token lets it in as a person's screen.
    KioskToken,
    /// A token ends before now, or never.
    Expiry,
    /// The claim code is another.
    WrongCode,
    /// The gateway has its first account.
    Claimed,
}

impl Denied {
    /// The same in words.
    #[must_use]
    pub fn says(self) -> Text {
        match self {
            Self::BadName => Text::new(
                "名称无效：1 到 64 个字符，不能含 @，也不能是 gateway、local、system、api",
                "the name cannot be taken: 1 to 64 characters without '@', and not gateway, local, system or api",
            ),
            Self::NameTaken => Text::new("已有同名的账号或令牌", "there is one of that name already"),
            Self::Unknown => {
                Text::new("没有这个账号、令牌或会话", "there is no such account, token or session")
            }
            Self::TooMany => Text::new(
                format!("数量已达上限：账号 {MAX_ACCOUNTS} 个，令牌 {MAX_TOKENS} 个"),
                format!("there are as many as there may be: {MAX_ACCOUNTS} accounts, {MAX_TOKENS} tokens"),
            ),
            Self::LastAdmin => Text::new(
                "至少要有一个可用的管理员账号",
                "at least one account that is not disabled must be an administrator's",
            ),
            Self::KioskToken => Text::new(
                "令牌不能用值班室屏幕（kiosk）角色",
                "a token cannot have the role of a guard-room screen (kiosk)",
            ),
            Self::Expiry => Text::new(
                "expires_at 须晚于现在，最长两年",
                "'expires_at' must come after now, at most two years later",
            ),
            Self::WrongCode => Text::new(
                "认领码不对：用 schoolgate account claim-code 可以换一个新的",
                "the claim code is another: `schoolgate account claim-code` makes a new one",
            ),
            Self::Claimed => Text::new("网关已被认领", "the gateway is claimed already"),
        }
    }
}

/// The longest that a token is of use.
const TOKEN_LIMIT_MS: i64 = 2 * 366 * 24 * 3600 * 1000;

/// Everybody who may come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    version: u32,
    claim: Option<Digest>,
    accounts: BTreeMap<String, Account>,
    tokens: BTreeMap<String, Token>,
    sessions: BTreeMap<Digest, Session>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            version: VERSION,
            claim: None,
            accounts: BTreeMap::new(),
            tokens: BTreeMap::new(),
            sessions: BTreeMap::new(),
        }
    }
}

/// By which an account is found, whatever the size of its letters.
fn key(name: &str) -> String {
    name.trim().to_lowercase()
}

fn named(name: &str) -> Result<Actor, Denied> {
    let bad = name.contains('@') || TAKEN.contains(&key(name).as_str());
    Actor::named(name).filter(|_| !bad).ok_or(Denied::BadName)
}

impl Registry {
    /// As it was stored. Sessions that are there have been quiet since this moment.
    ///
    /// # Errors
    /// What is wrong with the text; it is not repeated in it.
    pub fn from_text(text: &str, now: Now) -> Result<Self, String> {
        let place = |error: serde_json::Error| format!("line {} column {}", error.line(), error.column());
        let mut registry: Self = serde_json::from_str(text).map_err(place)?;
        if registry.version != VERSION {
            return Err(format!("version {}, expected {VERSION}", registry.version));
        }
        let keys = registry.accounts.iter().all(|(name, account)| *name == key(account.name.as_str()))
            && registry.tokens.iter().all(|(name, token)| *name == key(token.name.as_str()));
        if !keys || (!registry.accounts.is_empty() && registry.admins() == 0) {
            return Err("accounts that cannot be".into());
        }
        for session in registry.sessions.values_mut() {
            (session.from, session.seen) = (now.mono, now.mono);
        }
        registry.sweep(now);
        Ok(registry)
    }

    /// As it is stored.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    /// Whether there is an account.
    #[must_use]
    pub fn claimed(&self) -> bool {
        !self.accounts.is_empty()
    }

    /// Whether there is a code by which the first account begins.
    #[must_use]
    pub fn has_claim(&self) -> bool {
        self.claim.is_some()
    }

    /// From now on this code makes the first account, and no other.
    ///
    /// # Errors
    /// When there is an account.
    pub fn set_claim(&mut self, code: &str) -> Result<(), Denied> {
        if self.claimed() {
            return Err(Denied::Claimed);
        }
        self.claim = Some(Digest::of(code));
        Ok(())
    }

    /// Whether the code is the one.
    ///
    /// # Errors
    /// When it is not, or there is an account.
    pub fn check_claim(&self, typed: &str) -> Result<(), Denied> {
        if self.claimed() {
            return Err(Denied::Claimed);
        }
        let is = self.claim.is_some_and(|code| code == Digest::of(&typed_code(typed)));
        if is { Ok(()) } else { Err(Denied::WrongCode) }
    }

    /// The first account: an administrator's. The code is of no use from then on.
    ///
    /// # Errors
    /// When the code or the name is wrong, or there is an account.
    pub fn claim(&mut self, typed: &str, name: &str, password: String, now: Now) -> Result<(), Denied> {
        self.check_claim(typed)?;
        self.add(name, Role::Admin, password, now)
    }

    /// An account, by its name.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.get(&key(name))
    }

    /// Every account, by name.
    pub fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    /// A new account.
    ///
    /// # Errors
    /// When the name cannot be, there are too many, or it is the first and not an administrator's.
    pub fn add(&mut self, name: &str, role: Role, password: String, now: Now) -> Result<(), Denied> {
        let name = named(name)?;
        if self.accounts.contains_key(&key(name.as_str())) {
            return Err(Denied::NameTaken);
        }
        if self.accounts.len() >= MAX_ACCOUNTS {
            return Err(Denied::TooMany);
        }
        if !self.claimed() && role != Role::Admin {
            return Err(Denied::LastAdmin);
        }
        let account = Account { role, disabled: false, password, made_at: now.wall, name: name.clone() };
        self.accounts.insert(key(name.as_str()), account);
        self.claim = None;
        // Who was known by another's word under this name is not who has the account.
        self.end_sessions(name.as_str());
        Ok(())
    }

    /// Changes an account: what is `None` stays. Its sessions end.
    ///
    /// # Errors
    /// When there is none, or no administrator would be left.
    pub fn change(&mut self, name: &str, change: Change) -> Result<(), Denied> {
        let mut account = self.account(name).cloned().ok_or(Denied::Unknown)?;
        account.role = change.role.unwrap_or(account.role);
        account.disabled = change.disabled.unwrap_or(account.disabled);
        account.password = change.password.unwrap_or(account.password);
        let before = self.accounts.insert(key(name), account);
        if self.admins() == 0
            && let Some(before) = before
        {
            self.accounts.insert(key(name), before);
            return Err(Denied::LastAdmin);
        }
        self.end_sessions(name);
        Ok(())
    }

    /// Takes an account away, with its sessions.
    ///
    /// # Errors
    /// When there is none, or it is the last administrator's.
    pub fn remove(&mut self, name: &str) -> Result<(), Denied> {
        let account = self.accounts.remove(&key(name)).ok_or(Denied::Unknown)?;
        if self.admins() == 0 {
            self.accounts.insert(key(name), account);
            return Err(Denied::LastAdmin);
        }
        self.end_sessions(name);
        Ok(())
    }

    fn admins(&self) -> usize {
        self.accounts
            .values()
            .filter(|account| !account.disabled && account.role.may(Right::Accounts))
            .count()
    }

    /// Opens a session of whoever proved who they are; its id, which is nowhere else.
    pub fn open(&mut self, opening: Opening, random: &[u8; 32], now: Now) -> String {
        self.sweep(now);
        let Opening { name, role, kiosk, foreign } = opening;
        let mine = |session: &Session| key(session.name.as_str()) == key(name.as_str());
        while self.sessions.values().filter(|session| mine(session)).count() >= MAX_SESSIONS_EACH {
            self.drop_quietest(mine);
        }
        while self.sessions.len() >= MAX_SESSIONS {
            self.drop_quietest(|_| true);
        }
        let id = text_of(random);
        let session =
            Session { name, role, kiosk, foreign, opened_at: now.wall, from: now.mono, seen: now.mono };
        self.sessions.insert(Digest::of(&id), session);
        id
    }

    /// Screens of guard rooms ask for something all day; they go last.
    fn drop_quietest(&mut self, which: impl Fn(&Session) -> bool) {
        let some = self.sessions.iter().filter(|(_, session)| which(session));
        let quietest = some.min_by_key(|(_, session)| (session.kiosk, session.seen, session.opened_at));
        if let Some(digest) = quietest.map(|(digest, _)| *digest) {
            self.sessions.remove(&digest);
        }
    }

    /// The session of an id, which is at work again.
    pub fn enter(&mut self, id: &str, now: Now) -> Option<(Digest, Session)> {
        let digest = Digest::of(id);
        let session = self.sessions.get_mut(&digest)?;
        if session.over(now) {
            self.sessions.remove(&digest);
            return None;
        }
        session.seen = now.mono;
        Some((digest, session.clone()))
    }

    /// As [`Registry::enter`], for what a page asks by itself: that nobody is there stays so.
    #[must_use]
    pub fn look_in(&self, id: &str, now: Now) -> Option<(Digest, Session)> {
        let digest = Digest::of(id);
        let session = self.sessions.get(&digest)?;
        (!session.over(now)).then(|| (digest, session.clone()))
    }

    /// Whether a session goes on; asking does not keep it.
    #[must_use]
    pub fn goes_on(&self, digest: &Digest, now: Now) -> bool {
        self.sessions.get(digest).is_some_and(|session| !session.over(now))
    }

    /// Whether a session is that of an account here.
    #[must_use]
    pub fn is_own(&self, digest: &Digest) -> bool {
        self.sessions.get(digest).is_some_and(|session| !session.foreign)
    }

    /// Ends a session.
    pub fn close(&mut self, digest: &Digest) {
        self.sessions.remove(digest);
    }

    /// Ends a session, by the beginning of its digest as in a list; whose it was.
    ///
    /// # Errors
    /// When there is none.
    pub fn close_listed(&mut self, short: &str) -> Result<Session, Denied> {
        let digest = self.sessions.keys().find(|digest| digest.short() == short).copied();
        digest.and_then(|digest| self.sessions.remove(&digest)).ok_or(Denied::Unknown)
    }

    /// Every session that goes on.
    pub fn sessions(&self, now: Now) -> impl Iterator<Item = (&Digest, &Session)> {
        self.sessions.iter().filter(move |(_, session)| !session.over(now))
    }

    fn end_sessions(&mut self, name: &str) {
        self.sessions.retain(|_, session| key(session.name.as_str()) != key(name));
    }

    fn sweep(&mut self, now: Now) {
        self.sessions.retain(|_, session| !session.over(now));
    }

    /// A new token for a program; its text, which is nowhere else.
    ///
    /// # Errors
    /// When the name, the role or the end cannot be, or there are too many.
    pub fn add_token(
        &mut self,
        name: &str,
        role: Role,
        expires_at: Wall,
        random: &[u8; 32],
        now: Now,
    ) -> Result<String, Denied> {
        let name = named(name)?;
        if role == Role::Kiosk {
            return Err(Denied::KioskToken);
        }
        if !(1..=TOKEN_LIMIT_MS).contains(&expires_at.since(now.wall)) {
            return Err(Denied::Expiry);
        }
        if self.tokens.contains_key(&key(name.as_str())) {
            return Err(Denied::NameTaken);
        }
        if self.tokens.len() >= MAX_TOKENS {
            return Err(Denied::TooMany);
        }
        let text = format!("sg_{}", text_of(random));
        let token =
            Token { role, digest: Digest::of(&text), made_at: now.wall, expires_at, name: name.clone() };
        self.tokens.insert(key(name.as_str()), token);
        Ok(text)
    }

    /// Every token, by name.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values()
    }

    /// Takes a token away.
    ///
    /// # Errors
    /// When there is none.
    pub fn revoke(&mut self, name: &str) -> Result<(), Denied> {
        self.tokens.remove(&key(name)).map(drop).ok_or(Denied::Unknown)
    }

    /// The token whose text has this digest, unless its time is over.
    #[must_use]
    pub fn token_of(&self, digest: &Digest, now: Now) -> Option<&Token> {
        self.tokens.values().find(|token| token.digest == *digest && now.wall < token.expires_at)
    }
}

/// Who opens a session.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Their name.
    pub name: Actor,
    /// What they are there for.
    pub role: Role,
    /// At a guard room's screen.
    pub kiosk: bool,
    /// Known by another's word, without an account here.
    pub foreign: bool,
}

/// What changes of an account.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// Another role.
    pub role: Option<Role>,
    /// Disabled, or no longer.
    pub disabled: Option<bool>,
    /// The hash of another password.
    pub password: Option<String>,
}

#[cfg(test)]
mod tests;
