//! Signing in and out, the first account, and one's own password.

use super::trail::{Written, row};
use super::{Accounts, Known, Opened, Proof};
use crate::access::{Change, Denied, Digest, Opening, Role, check_password};
use crate::console::{Problem, Via, Who};
use crate::model::alarm::MAX_ACTOR_CHARS;
use crate::model::{Actor, Mono, Secret};
use axum::http::StatusCode;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Under which guesses of the claim code are counted; no account can have the name.
const CLAIM: &str = "@claim";

/// What somebody signs in with.
pub(in crate::console) struct SignIn {
    pub(in crate::console) name: String,
    pub(in crate::console) password: Secret,
    /// At a guard room's screen.
    pub(in crate::console) kiosk: bool,
}

/// One text for every failure: nobody learns which names have accounts.
fn wrong() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "账号或密码不对，或账号已停用",
        "the name or the password is wrong, or the account is disabled",
    )
}

fn locked(wait: Duration) -> Problem {
    let secs = wait.as_millis().div_ceil(1000);
    let secs = u64::try_from(secs).unwrap_or(u64::MAX);
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        format!("失败次数过多：请等 {secs} 秒再试"),
        format!("too many failures: wait {secs} s"),
    )
    .retry_after(secs)
}

pub(super) fn weak(name: &str, password: &Secret) -> Result<(), Problem> {
    check_password(password.expose(), name)
        .map_err(|why| Problem::new(StatusCode::BAD_REQUEST, why.zh, why.en))
}

/// By what failures of a name are counted, whether it has an account or not.
fn counted(name: &str) -> String {
    name.trim().to_lowercase().chars().take(MAX_ACTOR_CHARS).collect()
}

impl Accounts {
    fn mono(&self) -> Mono {
        self.now().mono
    }

    /// Whether somebody may try; a try that is too early is told of, and nothing is looked at.
    fn may_try(&self, name: &str, from: IpAddr) -> Result<(), Problem> {
        let mut state = self.state();
        let known = state.registry.account(name).map(|account| account.name.clone());
        state.lockout.tries(&counted(name), from, self.mono()).map_err(|wait| {
            self.trail.failed(known.as_ref(), true, from);
            self.tally.sign_ins.of(&"locked").one();
            locked(wait)
        })
    }

    fn failed(&self, account: Option<&Actor>, from: IpAddr) {
        self.trail.failed(account, false, from);
        self.tally.sign_ins.of(&"wrong").one();
    }

    /// Opens a session for a name and a password. The one from before, if this browser had one, is over.
    ///
    /// # Errors
    /// When they are wrong, or it is too early for another try.
    pub(in crate::console) async fn sign_in(
        &self,
        given: SignIn,
        from: IpAddr,
        before: Option<&Digest>,
    ) -> Result<Opened, Problem> {
        let name = given.name.trim();
        self.may_try(name, from)?;
        let account = self.state().registry.account(name).cloned();
        let hash =
            account.as_ref().filter(|account| !account.disabled).map(|account| account.password.clone());
        let good = self.hashing.is(given.password, hash).await?;
        // It may be another account by now.
        let account = account.filter(|then| good && self.state().registry.account(name) == Some(then));
        let Some(account) = account else {
            let known = self.state().registry.account(name).map(|account| account.name.clone());
            self.failed(known.as_ref(), from);
            return Err(wrong());
        };
        self.state().lockout.succeeded(&counted(name), from);
        if given.kiosk && !account.role.covers(Role::Kiosk) {
            return Err(Problem::new(
                StatusCode::FORBIDDEN,
                "此角色不能用作值班室屏幕：请用值班或值班室屏幕账号",
                "an account of this role cannot be a guard-room screen: use a guard's or a screen's",
            ));
        }
        let opening = Opening { name: account.name, role: account.role, kiosk: given.kiosk, foreign: false };
        let opened = self.open_one(opening, before)?;
        self.tally.sign_ins.of(&"ok").one();
        let as_what = if opened.who.role == Role::Kiosk { "guard-room screen; " } else { "" };
        self.tell(&opened.who, "sign_in", format!("{as_what}from {from}")).soon().await;
        Ok(opened)
    }

    fn tell(&self, who: &Who, action: &'static str, detail: String) -> Written {
        self.trail.put(row(self.now().wall, who.name.as_str(), action, "access", detail))
    }

    /// Ends the session of whoever asks.
    pub(in crate::console) async fn sign_out(&self, known: &Known) {
        if let Proof::Session(digest) = &known.proof {
            self.state().registry.close(digest);
            self.trail.unsaved();
            self.tell(&known.who, "sign_out", String::new()).soon().await;
        }
    }

    /// Makes the first account, for whoever has the code, and signs it in.
    ///
    /// # Errors
    /// When the code, the name or the password will not do, or there is an account.
    pub(in crate::console) async fn claim(
        self: &Arc<Self>,
        code: String,
        (name, password): (String, Secret),
        from: IpAddr,
    ) -> Result<Opened, Problem> {
        if self.claimed() {
            return Err(super::changes::denied(Denied::Claimed));
        }
        self.may_try(CLAIM, from)?;
        let checked = self.state().registry.check_claim(&code);
        checked.map_err(|why| {
            self.failed(None, from);
            super::changes::denied(why)
        })?;
        self.state().lockout.succeeded(CLAIM, from);
        weak(&name, &password)?;
        let hash = self.hashing.hash(password).await?;
        let entry = row(self.now().wall, name.trim(), "claimed", "access", format!("from {from}"));
        let given = name.clone();
        self.change(entry, move |registry, now| registry.claim(&code, &given, hash.clone(), now)).await?;
        let made = self.state().registry.account(&name).map(|account| account.name.clone());
        let name = made.ok_or_else(|| super::changes::denied(Denied::Unknown))?;
        self.open_one(Opening { name, role: Role::Admin, kiosk: false, foreign: false }, None)
    }

    /// Gives whoever asks another password: all their sessions are over, and this one goes on under a new id.
    ///
    /// # Errors
    /// When the old one is wrong, the new one will not do, or they have no account here.
    pub(in crate::console) async fn change_password(
        self: &Arc<Self>,
        known: &Known,
        (old, new): (Secret, Secret),
        from: IpAddr,
    ) -> Result<Opened, Problem> {
        let Who { name, role, via } = known.who.clone();
        let own = |digest: &Digest| self.state().registry.is_own(digest);
        let here = via == Via::Session && matches!(&known.proof, Proof::Session(digest) if own(digest));
        let account = self.state().registry.account(name.as_str()).filter(|_| here).cloned();
        let account = account.ok_or_else(|| {
            Problem::new(
                StatusCode::CONFLICT,
                "您没有本机账号的密码",
                "you have no account with a password at this gateway",
            )
        })?;
        self.may_try(name.as_str(), from)?;
        if !self.hashing.is(old, Some(account.password)).await? {
            self.failed(Some(&name), from);
            return Err(Problem::new(StatusCode::FORBIDDEN, "原密码不对", "the old password is wrong"));
        }
        self.state().lockout.succeeded(&counted(name.as_str()), from);
        weak(name.as_str(), &new)?;
        let hash = self.hashing.hash(new).await?;
        let entry = row(self.now().wall, name.as_str(), "password_changed", name.as_str(), String::new());
        let whose = name.clone();
        self.change(entry, move |registry, _| {
            registry.change(whose.as_str(), Change { password: Some(hash.clone()), ..Change::default() })
        })
        .await?;
        self.open_one(Opening { name, role, kiosk: role == Role::Kiosk, foreign: false }, None)
    }
}
