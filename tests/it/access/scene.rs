//! People who sign in at a gateway.

use crate::daemon::{School, until};
use reqwest::header::{COOKIE, SET_COOKIE};
use reqwest::{RequestBuilder, Response};
use schoolgate::access::Role;
use schoolgate::runtime::{Clock, SystemClock};
use serde_json::{Value, json};
use std::path::Path;

/// Everybody's password.
pub(super) const PASSWORD: &str = "correct horse battery 4711";

/// A school whose gateway runs.
pub(super) struct Scene<'a>(pub(super) &'a School);

/// Somebody who signed in.
pub(super) struct Signed {
    /// As a browser sends it.
    pub(super) cookie: String,
    pub(super) csrf: String,
}

impl Signed {
    async fn of(answer: Response) -> Self {
        assert!(answer.status().is_success(), "{}: {}", answer.status(), answer.text().await.unwrap());
        let set = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
        for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Strict"] {
            assert!(set.split("; ").any(|one| one == attribute), "{attribute}: {set}");
        }
        let cookie = set.split(';').next().unwrap().to_owned();
        assert!(cookie.starts_with("__Host-sg="), "{cookie}");
        let told: Value = answer.json().await.unwrap();
        Self { cookie, csrf: told["csrf"].as_str().unwrap().to_owned() }
    }

    /// The request as our own page sends it.
    pub(super) fn by(&self, request: RequestBuilder) -> RequestBuilder {
        request.header(COOKIE, &self.cookie).header("x-csrf", &self.csrf)
    }

    /// What the page is told of the session.
    pub(super) async fn session(&self, school: &School) -> Value {
        let request = self.by(school.stranger().get(school.url("/api/v1/session")));
        request.send().await.unwrap().json().await.unwrap()
    }

    pub(super) async fn lets_in(&self, school: &School, path: &str) -> bool {
        self.by(school.stranger().get(school.url(path))).send().await.unwrap().status().is_success()
    }
}

impl Scene<'_> {
    /// Makes the first account, `admin`, with a new code; that code.
    pub(super) async fn claim(&self) -> String {
        let code = self.0.cli_ok("account", &["claim-code", "--as", "root"]).await.trim().to_owned();
        let body = json!({"code": code, "name": "admin", "password": PASSWORD});
        let request = self.0.stranger().post(self.0.url("/api/v1/claim")).json(&body);
        let first = Signed::of(request.send().await.unwrap()).await;
        assert!(first.lets_in(self.0, "/api/v1/accounts").await, "who claimed it is signed in");
        code
    }

    pub(super) async fn add(&self, name: &str, role: Role) {
        let body = json!({"name": name, "role": role, "password": PASSWORD, "actor": "root"});
        let request = self.0.client().post(self.0.url("/api/v1/accounts")).json(&body);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 201, "{name}: {}", answer.text().await.unwrap());
    }

    async fn sign(&self, name: &str, kiosk: bool) -> Signed {
        let body = json!({"name": name, "password": PASSWORD, "kiosk": kiosk});
        let request = self.0.stranger().post(self.0.url("/api/v1/session")).json(&body);
        Signed::of(request.send().await.unwrap()).await
    }

    pub(super) async fn sign_in(&self, name: &str) -> Signed {
        self.sign(name, false).await
    }

    /// Signs in at a guard room's screen.
    pub(super) async fn screen(&self, name: &str) -> Signed {
        self.sign(name, true).await
    }

    /// A token whose time is over.
    pub(super) async fn expired_token(&self) -> String {
        let end = SystemClock::new().now().wall.plus_ms(300);
        let body = json!({"name": "brief", "role": "admin", "expires_at": end, "actor": "root"});
        let request = self.0.client().post(self.0.url("/api/v1/tokens")).json(&body);
        let made: Value = request.send().await.unwrap().json().await.unwrap();
        let token = made["token"].as_str().unwrap().to_owned();
        until("the token's time is over", async || {
            let request = self.0.stranger().get(self.0.url("/api/v1/devices")).bearer_auth(&token);
            (request.send().await.unwrap().status() == 401).then_some(())
        })
        .await;
        token
    }
}

/// The bytes of every file below a directory, by name.
pub(super) fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name().is_none_or(|name| name != "ballast") {
            found.push((path.display().to_string(), std::fs::read(&path).expect("a file")));
        }
    }
    found
}
