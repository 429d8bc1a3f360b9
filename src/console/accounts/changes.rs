//! Accounts, tokens and sessions given and taken: on the disk before anybody is told that it is so.

use super::trail::row;
use super::{Accounts, file, random};
use crate::access::{Account, Approvals, Change, Denied, Registry, Role, Session, Token, claim_code};
use crate::console::Problem;
use crate::model::{Actor, Audit, Now, Secret, Wall};
use crate::runtime::Chain;
use axum::http::StatusCode;
use std::sync::Arc;

/// What the API says to it.
pub(super) fn denied(why: Denied) -> Problem {
    let status = match why {
        Denied::Unknown => StatusCode::NOT_FOUND,
        Denied::BadName | Denied::Expiry | Denied::KioskToken => StatusCode::BAD_REQUEST,
        Denied::WrongCode => StatusCode::FORBIDDEN,
        Denied::NameTaken | Denied::TooMany | Denied::LastAdmin | Denied::Claimed => StatusCode::CONFLICT,
    };
    let said = why.says();
    Problem::new(status, said.zh, said.en)
}

fn not_written(error: &super::AccessError) -> Problem {
    tracing::error!(error = %Chain(error), "a change of accounts was not made: it could not be written down");
    Problem::new(
        StatusCode::INSUFFICIENT_STORAGE,
        "磁盘写不进去，没有作任何更改；请查看日志",
        "the disk does not take it, and nothing was changed; the log says why",
    )
}

impl Accounts {
    /// Makes a change that is true once it is on the disk, with its row of the audit trail. It goes on to its end when
    /// whoever asked has gone away.
    pub(super) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        entry: Audit,
        act: impl Fn(&mut Registry, Now) -> Result<T, Denied> + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = Arc::clone(&self.writing).acquire_owned().await;
        let accounts = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let now = accounts.now();
            let mut next = accounts.state().registry.clone();
            act(&mut next, now).map_err(denied)?;
            file::write(&accounts.dir, &next.text()).map_err(|error| not_written(&error))?;
            // Not `next`: sessions may have opened meanwhile.
            let made = act(&mut accounts.state().registry, now).map_err(denied)?;
            accounts.trail.unsaved();
            Ok((made, accounts.trail.put(entry)))
        });
        let (made, written) = done.await.map_err(|error| super::internal(&error))??;
        written.soon().await;
        Ok(made)
    }

    /// Writes sessions down; `false` when the disk does not take them.
    pub(super) async fn save(self: Arc<Self>) -> bool {
        let permit = Arc::clone(&self.writing).acquire_owned().await;
        let saved = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let text = self.state().registry.text();
            file::write(&self.dir, &text)
        });
        match saved.await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(error = %Chain(&error), "sessions could not be written down; a restart ends them");
                false
            }
            Err(error) => {
                tracing::error!(error = %error, "sessions could not be written down");
                false
            }
        }
    }

    fn entry(&self, by: &Actor, action: &'static str, subject: &str, detail: String) -> Audit {
        row(self.now().wall, by.as_str(), action, subject, detail)
    }

    /// Every account, with how many sessions it has.
    pub(in crate::console) fn accounts(&self) -> Vec<(Account, usize)> {
        let (state, now) = (self.state(), self.now());
        let sessions =
            |name: &Actor| state.registry.sessions(now).filter(|(_, session)| session.name == *name).count();
        state.registry.accounts().map(|account| (account.clone(), sessions(&account.name))).collect()
    }

    /// A new account.
    pub(in crate::console) async fn add(
        self: &Arc<Self>,
        by: &Actor,
        (name, role, password): (String, Role, Secret),
    ) -> Result<(), Problem> {
        super::signing::weak(&name, &password)?;
        // Told before the work of a hash.
        let tried = { self.state().registry.clone() }.add(&name, role, String::new(), self.now());
        tried.map_err(denied)?;
        let hash = self.hashing.hash(password).await?;
        let entry = self.entry(by, "account_added", name.trim(), role.to_string());
        self.change(entry, move |registry, now| registry.add(&name, role, hash.clone(), now)).await
    }

    /// Changes an account; its sessions are over.
    pub(in crate::console) async fn alter(
        self: &Arc<Self>,
        by: &Actor,
        name: String,
        (role, disabled, password): (Option<Role>, Option<bool>, Option<Secret>),
    ) -> Result<(), Problem> {
        let known = self.state().registry.account(&name).map(|account| account.name.clone());
        let known = known.ok_or_else(|| denied(Denied::Unknown))?;
        let mut told = Vec::new();
        told.extend(role.map(|role| format!("role {role}")));
        told.extend(disabled.map(|disabled| if disabled { "disabled" } else { "enabled" }.to_owned()));
        told.extend(password.as_ref().map(|_| "password set".to_owned()));
        let password = match password {
            Some(password) => {
                super::signing::weak(known.as_str(), &password)?;
                Some(self.hashing.hash(password).await?)
            }
            None => None,
        };
        let entry = self.entry(by, "account_changed", known.as_str(), told.join(", "));
        let change = Change { role, disabled, password };
        self.change(entry, move |registry, _| registry.change(&name, change.clone())).await
    }

    /// Takes an account away.
    pub(in crate::console) async fn remove(
        self: &Arc<Self>,
        by: &Actor,
        name: String,
    ) -> Result<(), Problem> {
        let entry = self.entry(by, "account_removed", name.trim(), String::new());
        self.change(entry, move |registry, _| registry.remove(&name)).await
    }

    /// Another code for the first account; the one before is of no use.
    pub(in crate::console) async fn new_claim(self: &Arc<Self>, by: &Actor) -> Result<String, Problem> {
        let code = claim_code(&random().map_err(|error| super::internal(&error))?);
        let entry = self.entry(by, "claim_code_made", "access", String::new());
        self.change(entry, move |registry, _| registry.set_claim(&code).map(|()| code.clone())).await
    }

    /// Every token.
    pub(in crate::console) fn tokens(&self) -> Vec<Token> {
        self.state().registry.tokens().cloned().collect()
    }

    /// A new token; its text, which is nowhere else.
    pub(in crate::console) async fn add_token(
        self: &Arc<Self>,
        by: &Actor,
        (name, role, expires_at): (String, Role, Wall),
    ) -> Result<String, Problem> {
        let random = random().map_err(|error| super::internal(&error))?;
        let entry = self.entry(by, "token_added", name.trim(), format!("{role} until {expires_at}"));
        self.change(entry, move |registry, now| registry.add_token(&name, role, expires_at, &random, now))
            .await
    }

    /// Takes a token away.
    pub(in crate::console) async fn revoke(
        self: &Arc<Self>,
        by: &Actor,
        name: String,
    ) -> Result<(), Problem> {
        let entry = self.entry(by, "token_revoked", name.trim(), String::new());
        self.change(entry, move |registry, _| registry.revoke(&name)).await
    }

    /// Every session, with what tells it from others.
    pub(in crate::console) fn sessions(&self) -> Vec<(String, Session, u64)> {
        let (state, now) = (self.state(), self.now());
        let one = |session: &Session| (session.clone(), session.idle(now).as_secs());
        let rows = state.registry.sessions(now).map(|(digest, session)| {
            let (session, idle) = one(session);
            (digest.short(), session, idle)
        });
        rows.collect()
    }

    /// Ends somebody's session, at once.
    pub(in crate::console) async fn end_session(
        self: &Arc<Self>,
        by: &Actor,
        id: String,
    ) -> Result<(), Problem> {
        let whose =
            self.sessions().into_iter().find(|(short, ..)| *short == id).map(|(_, session, _)| session.name);
        let whose = whose.ok_or_else(|| denied(Denied::Unknown))?;
        let entry = self.entry(by, "session_ended", whose.as_str(), String::new());
        self.change(entry, move |registry, _| registry.close_listed(&id).map(drop)).await
    }

    /// What was asked of exports of persons.
    pub(in crate::console) fn approvals<T>(&self, look: impl FnOnce(&mut Approvals, Now) -> T) -> T {
        let now = self.now();
        look(&mut self.state().approvals, now)
    }
}
