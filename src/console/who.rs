//! Who asks: known before any route is taken, and the one source of the names in the records.

use super::Problem;
use super::people::bad;
use crate::access::{Right, Role};
use crate::model::Actor;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;

/// How somebody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// They signed in at the page.
    Session,
    /// A program with a token of its own.
    Token,
    /// The command line on this machine, by the file that only the gateway's own user and root can read.
    Local,
}

/// Whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// The name of the account or token.
    pub name: Actor,
    /// What they are there for.
    pub role: Role,
    /// How this is known.
    pub via: Via,
}

impl Who {
    /// Whether they have a right; whoever is root on this machine has every.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.via == Via::Local || self.role.may(right)
    }

    /// In whose name something is written down. A person who signed in acts in their own name and need not give it; a
    /// screen of a guard room, a program and the command line say for whom they act.
    ///
    /// # Errors
    /// When no name is given where one is needed, or another than that of the person who signed in.
    pub fn acts_as(&self, given: Option<&str>) -> Result<Actor, Problem> {
        let given = given.map(str::trim).filter(|name| !name.is_empty());
        let own = self.via == Via::Session && self.role != Role::Kiosk;
        match given {
            None if own => Ok(self.name.clone()),
            None => Err(bad("“actor”不能为空", "'actor' must not be empty: who are you?")),
            Some(name) if own && name == self.name.as_str() => Ok(self.name.clone()),
            Some(_) if own => Err(bad("不能以他人的名义操作", "nobody acts in another person's name")),
            Some(name) if self.via == Via::Local => actor(name),
            // Whom a screen or a program names is its word only; the record says whose.
            Some(name) => actor(&format!("{name} @{}", self.name.as_str())),
        }
    }

    /// In whose name a look is written down: as [`Who::acts_as`], but a screen shows an alarm also before anybody has
    /// said that they are on duty, and looks in its own name then.
    ///
    /// # Errors
    /// As [`Who::acts_as`].
    pub fn looks_as(&self, given: Option<&str>) -> Result<Actor, Problem> {
        if given.is_none() && self.via == Via::Session { Ok(self.name.clone()) } else { self.acts_as(given) }
    }
}

fn actor(name: &str) -> Result<Actor, Problem> {
    Actor::named(name).ok_or_else(|| bad("“actor”不能为空", "'actor' must not be empty: who are you?"))
}

impl<S: Sync> FromRequestParts<S> for Who {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let known = parts.extensions.get::<Self>().cloned();
        known.ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "请先登录", "sign in first"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_screen_that_nobody_has_taken_over_yet_shows_pictures_and_does_nothing() {
        let who = |role, via| Who { name: Actor::named("gate-desk").unwrap(), role, via };
        let named = |name: &str| Some(Actor::named(name).unwrap());
        let screen = who(Role::Kiosk, Via::Session);
        assert_eq!(screen.looks_as(None).ok(), named("gate-desk"));
        assert!(screen.acts_as(None).is_err());
        for does in [Who::looks_as, Who::acts_as] {
            assert_eq!(does(&screen, Some("王师傅")).ok(), named("王师傅 @gate-desk"));
            let person = who(Role::Guard, Via::Session);
            assert_eq!(does(&person, None).ok(), named("gate-desk"));
            assert!(does(&person, Some("somebody else")).is_err());
            for via in [Via::Token, Via::Local] {
                assert!(does(&who(Role::Guard, via), None).is_err(), "{via:?}");
            }
        }
    }
}
