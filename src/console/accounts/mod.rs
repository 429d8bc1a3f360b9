//! Who may come in, as it runs: the registry in its file, passwords hashed one at a time, and a limit to guessing.
//!
//! A session opens whatever the disk does; an account or a token changes only if that is on the disk.

mod changes;
mod file;
mod hashing;
mod signing;
mod trail;

pub use file::LOCAL as LOCAL_TOKEN;
pub(super) use signing::SignIn;
pub use trail::Notes;

use super::{Problem, Via, Who};
use crate::access::{Approvals, Digest, Lockout, Opening, Registry, Role, claim_code, csrf};
use crate::model::{Actor, Now};
use crate::runtime::{Clock, Tally};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use hashing::Hashing;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;
use trail::Trail;

/// The cookie of a session; the prefix makes browsers keep it to this host, over TLS.
const COOKIE: &str = "__Host-sg";
/// In whose name the command line on this machine comes.
const LOCAL: &str = "local";

/// Why it is not known who may come in.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// A file cannot be used.
    #[error("{path}: {doing} failed")]
    File {
        /// Which.
        path: PathBuf,
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random(#[source] getrandom::Error),
}

/// A session that was just opened.
#[derive(Debug)]
pub struct Opened {
    /// `Set-Cookie`.
    pub cookie: HeaderValue,
    /// What the page sends as `X-CSRF`.
    pub csrf: String,
    /// Who is signed in.
    pub who: Who,
}

/// How somebody is known, for what lasts longer than a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// By the file on this machine.
    Local,
    /// By a token of this text's digest.
    Token(Digest),
    /// By a session.
    Session(Digest),
}

/// Who asks, and by which proof.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) who: Who,
    pub(super) proof: Proof,
    /// What a page has to send with a change; none is needed where no browser adds the proof by itself.
    pub(super) csrf: Option<String>,
}

impl Known {
    /// The session, where it is by one.
    pub(super) fn session(&self) -> Option<&Digest> {
        match &self.proof {
            Proof::Session(digest) => Some(digest),
            Proof::Local | Proof::Token(_) => None,
        }
    }
}

struct State {
    registry: Registry,
    lockout: Lockout,
    approvals: Approvals,
}

/// Everybody who may come in.
pub struct Accounts {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    tally: Arc<Tally>,
    local: Digest,
    state: Mutex<State>,
    /// One change of the file at a time.
    writing: Arc<Semaphore>,
    hashing: Hashing,
    trail: Trail,
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").finish_non_exhaustive()
    }
}

impl Accounts {
    /// Reads who may come in, and makes the token of this machine's command line anew. A file that cannot be understood is
    /// set aside: then nobody may come in until the gateway is claimed again.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub fn open(
        dir: &Path,
        clock: Arc<dyn Clock>,
        tally: Arc<Tally>,
    ) -> Result<(Arc<Self>, Notes), AccessError> {
        let now = clock.now();
        let mut registry = file::read(dir, now)?;
        if !registry.claimed() {
            if registry.has_claim() {
                tracing::warn!(
                    "nobody has claimed this gateway; `schoolgate account claim-code` shows a new code"
                );
            } else {
                let code = claim_code(&random()?);
                if registry.set_claim(&code).is_ok() {
                    file::write(dir, &registry.text())?;
                    tracing::warn!(
                        code,
                        "claim this gateway with this code at its page; it is shown only once"
                    );
                }
            }
        }
        let token = crate::access::text_of(&random()?);
        file::write_local(dir, &token)?;
        let state = State { registry, lockout: Lockout::default(), approvals: Approvals::default() };
        let (trail, rows) = Trail::new(Arc::clone(&tally));
        let accounts = Arc::new(Self {
            dir: dir.to_owned(),
            clock,
            hashing: Hashing::new(Arc::clone(&tally)),
            tally,
            local: Digest::of(&token),
            state: Mutex::new(state),
            writing: Arc::new(Semaphore::new(1)),
            trail,
        });
        let notes = Notes::new(rows, &accounts);
        Ok((accounts, notes))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    /// Whether the gateway has an account.
    #[must_use]
    pub fn claimed(&self) -> bool {
        self.state().registry.claimed()
    }

    /// Whether whoever is known by this proof is still to be let in; asking keeps no session alive.
    #[must_use]
    pub fn holds(&self, proof: &Proof) -> bool {
        let now = self.now();
        match proof {
            Proof::Local => true,
            Proof::Token(digest) => self.state().registry.token_of(digest, now).is_some(),
            Proof::Session(digest) => self.state().registry.goes_on(digest, now),
        }
    }

    /// Who asks, by a request's headers. A bearer token counts alone; it is no way to make a browser act. What a page asks
    /// by itself keeps no session alive.
    ///
    /// # Errors
    /// When there is a bearer token that is not, or no longer, one.
    pub(super) fn identify(&self, headers: &HeaderMap, by_itself: bool) -> Result<Option<Known>, Problem> {
        let now = self.now();
        if let Some(given) = headers.get(header::AUTHORIZATION) {
            let text = given.to_str().ok().and_then(|text| text.strip_prefix("Bearer ")).map(str::trim);
            return self.by_token(text.unwrap_or_default(), now).map(Some).ok_or_else(|| {
                Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "令牌无效或已过期：请用 Authorization: Bearer 令牌",
                    "the token is not known or has expired: send 'Authorization: Bearer TOKEN'",
                )
            });
        }
        let Some(id) = cookie(headers) else { return Ok(None) };
        let mut state = self.state();
        let registry = &mut state.registry;
        let entered = if by_itself { registry.look_in(id, now) } else { registry.enter(id, now) };
        Ok(entered.map(|(digest, session)| Known {
            who: Who { name: session.name, role: session.role, via: Via::Session },
            proof: Proof::Session(digest),
            csrf: Some(csrf(id)),
        }))
    }

    fn by_token(&self, text: &str, now: Now) -> Option<Known> {
        let digest = Digest::of(text);
        let (who, proof) = if digest == self.local {
            (Who { name: Actor::named(LOCAL)?, role: Role::Admin, via: Via::Local }, Proof::Local)
        } else {
            let state = self.state();
            let token = state.registry.token_of(&digest, now)?;
            (Who { name: token.name.clone(), role: token.role, via: Via::Token }, Proof::Token(digest))
        };
        Some(Known { who, proof, csrf: None })
    }

    /// Opens a session of somebody whom another has vouched for (OpenID Connect). It ends like any other.
    ///
    /// # Errors
    /// When there is an account of that name here: nobody comes in by it on another's word.
    pub fn open_session(&self, name: &Actor, role: Role, kiosk: bool) -> Result<Opened, Problem> {
        if self.state().registry.account(name.as_str()).is_some() {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "本机有同名账号，不能用统一认证以此名登录：请管理员改名或删除该账号",
                "this gateway has an account of that name, so nobody signs in by it elsewhere: have the account removed",
            ));
        }
        let opening = Opening { name: name.clone(), role, kiosk, foreign: true };
        let opened = self.open_one(opening, None)?;
        self.tally.sign_ins.of(&"ok").one();
        drop(self.trail.put(trail::row(
            self.now().wall,
            name.as_str(),
            "sign_in",
            "access",
            "by OpenID Connect".into(),
        )));
        Ok(opened)
    }

    fn open_one(&self, mut opening: Opening, before: Option<&Digest>) -> Result<Opened, Problem> {
        opening.kiosk |= opening.role == Role::Kiosk;
        if opening.kiosk {
            opening.role = Role::Kiosk;
        }
        let random = random().map_err(|error| internal(&error))?;
        let who = Who { name: opening.name.clone(), role: opening.role, via: Via::Session };
        let kiosk = opening.kiosk;
        let id = {
            let mut state = self.state();
            if let Some(before) = before {
                state.registry.close(before);
            }
            state.registry.open(opening, &random, self.now())
        };
        self.trail.unsaved();
        let cookie = set_cookie(&id, kiosk).ok_or_else(|| internal(&"a cookie that cannot be"))?;
        Ok(Opened { cookie, csrf: csrf(&id), who })
    }
}

fn random() -> Result<[u8; 32], AccessError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(AccessError::Random)?;
    Ok(bytes)
}

fn internal(error: &dyn fmt::Display) -> Problem {
    tracing::error!(error = %error, "somebody could not be let in");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "登录失败，请查看日志",
        "signing in failed; the log says why",
    )
}

/// The id of the session, of whatever cookies there are.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    cookies
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// What takes the cookie away.
pub(super) fn no_cookie() -> HeaderValue {
    HeaderValue::from_static("__Host-sg=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0")
}

fn set_cookie(id: &str, kiosk: bool) -> Option<HeaderValue> {
    let age =
        if kiosk { format!("; Max-Age={}", crate::access::KIOSK_LIMIT.as_secs()) } else { String::new() };
    HeaderValue::from_str(&format!("{COOKIE}={id}; Path=/; Secure; HttpOnly; SameSite=Strict{age}")).ok()
}

#[cfg(test)]
mod tests;
