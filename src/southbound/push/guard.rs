//! Whether a terminal knows the login: Digest (RFC 7616, MD5, as terminals speak it), over TLS also Basic.

use crate::config::Login;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use sha2::Sha256;

const REALM: &str = "schoolgate";
/// How long a nonce is good, milliseconds: a terminal asks for a new one then, which costs it one request.
const NONCE_LIFE_MS: u64 = 5 * 60 * 1000;

/// Checks logins; its nonces are its own and carry their time, so it keeps none.
pub(super) struct Guard {
    login: Login,
    tls: bool,
    key: [u8; 32],
}

/// What a request is to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Welcome,
    /// Ask again with this challenge; `stale` says that the login was right and only the nonce too old.
    Challenged {
        stale: bool,
    },
}

impl Guard {
    pub(super) fn new(login: Login, tls: bool) -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self { login, tls, key })
    }

    /// The values of `WWW-Authenticate`.
    pub(super) fn challenges(&self, stale: bool, now_ms: u64) -> Vec<String> {
        let stale = if stale { ", stale=true" } else { "" };
        let nonce = self.nonce(now_ms);
        let digest =
            format!("Digest realm=\"{REALM}\", qop=\"auth\", algorithm=MD5, nonce=\"{nonce}\"{stale}");
        let basic = self.tls.then(|| format!("Basic realm=\"{REALM}\""));
        [digest].into_iter().chain(basic).collect()
    }

    fn nonce(&self, at_ms: u64) -> String {
        #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any key length");
        mac.update(&at_ms.to_be_bytes());
        let sum: String = mac.finalize().into_bytes().iter().take(16).map(|b| format!("{b:02x}")).collect();
        format!("{at_ms:x}-{sum}")
    }

    /// Judges `Authorization`; `uri` is the request's target as it was sent.
    pub(super) fn judge(&self, authorization: Option<&str>, method: &str, uri: &str, now_ms: u64) -> Verdict {
        let no = Verdict::Challenged { stale: false };
        let Some((scheme, rest)) = authorization.and_then(|text| text.trim().split_once(' ')) else {
            return no;
        };
        if scheme.eq_ignore_ascii_case("basic") {
            return if self.tls && self.basic(rest) { Verdict::Welcome } else { no };
        }
        if !scheme.eq_ignore_ascii_case("digest") {
            return no;
        }
        self.digest(authorization.unwrap_or_default().trim(), method, uri, now_ms).unwrap_or(no)
    }

    fn basic(&self, encoded: &str) -> bool {
        let Ok(said) = STANDARD.decode(encoded.trim()) else { return false };
        let right = format!("{}:{}", self.login.username, self.login.password.expose());
        same(&said, right.as_bytes())
    }

    fn digest(&self, said: &str, method: &str, uri: &str, now_ms: u64) -> Option<Verdict> {
        // Credentials have the form of a challenge: a scheme and parameters (RFC 9110, section 11.4).
        let parsed = http_auth::parse_challenges(said).ok()?;
        let parameters = &parsed.first()?.params;
        let get = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.to_unescaped())
        };
        let nonce = get("nonce")?;
        let at_ms = nonce.split_once('-').and_then(|(at, _)| u64::from_str_radix(at, 16).ok())?;
        let ours = same(nonce.as_bytes(), self.nonce(at_ms).as_bytes());
        let said_uri = get("uri")?;
        if !ours || get("username")? != self.login.username || path_of(&said_uri) != path_of(uri) {
            return None;
        }
        let a1 = hex(&format!("{}:{REALM}:{}", self.login.username, self.login.password.expose()));
        let a2 = hex(&format!("{method}:{said_uri}"));
        let wanted = match get("qop") {
            Some(qop) => hex(&format!("{a1}:{nonce}:{}:{}:{qop}:{a2}", get("nc")?, get("cnonce")?)),
            // Terminals of before 2015 (RFC 2069).
            None => hex(&format!("{a1}:{nonce}:{a2}")),
        };
        if !same(get("response")?.to_ascii_lowercase().as_bytes(), wanted.as_bytes()) {
            return None;
        }
        let stale = now_ms.saturating_sub(at_ms) > NONCE_LIFE_MS;
        Some(if stale { Verdict::Challenged { stale: true } } else { Verdict::Welcome })
    }
}

/// Path and query of a target that may be a whole URL.
fn path_of(uri: &str) -> &str {
    match uri.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => uri,
    }
}

fn hex(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Compares in a time that depends on the length alone.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Secret;
    use http_auth::{PasswordClient, PasswordParams};

    fn guard(tls: bool) -> Guard {
        let login = Login { username: "terminal".into(), password: Secret::from_file_text("p:w\"1\n") };
        Guard::new(login, tls).unwrap()
    }

    fn answer(guard: &Guard, password: &str, uri: &str) -> String {
        let mut client = PasswordClient::try_from(guard.challenges(false, 1000)[0].as_str()).unwrap();
        let params = PasswordParams { username: "terminal", password, uri, method: "POST", body: Some(b"") };
        client.respond(&params).unwrap()
    }

    #[test]
    fn digest_answers_are_judged() {
        let guard = guard(false);
        let no = Verdict::Challenged { stale: false };
        let right = answer(&guard, "p:w\"1", "/isapi?a=1");
        let judge = |said: &str, uri: &str, at| guard.judge(Some(said), "POST", uri, at);
        assert_eq!(judge(&right, "/isapi?a=1", 2000), Verdict::Welcome);
        assert_eq!(judge(&right, "/isapi", 2000), no, "another target");
        assert_eq!(guard.judge(Some(&right), "PUT", "/isapi?a=1", 2000), no, "another method");
        assert_eq!(judge(&right, "/isapi?a=1", 2000 + NONCE_LIFE_MS), Verdict::Challenged { stale: true });
        assert_eq!(judge(&answer(&guard, "wrong", "/isapi"), "/isapi", 2000), no);
        let other = Guard { key: [1; 32], ..guard };
        assert_eq!(other.judge(Some(&right), "POST", "/isapi?a=1", 2000), no, "a nonce of somebody else");
        for garbage in
            ["", "Digest", "Digest x", "Digest nonce=\"1-2\"", "Bearer x", "Digest nonce=\"\u{fffd}\""]
        {
            assert_eq!(other.judge(Some(garbage), "POST", "/", 2000), no, "{garbage}");
        }
        assert_eq!(other.judge(None, "POST", "/", 2000), no);
    }

    #[test]
    fn basic_is_for_tls_alone() {
        let said = format!("Basic {}", STANDARD.encode("terminal:p:w\"1"));
        assert_eq!(guard(true).judge(Some(&said), "POST", "/", 0), Verdict::Welcome);
        assert_eq!(guard(false).judge(Some(&said), "POST", "/", 0), Verdict::Challenged { stale: false });
        assert_eq!(guard(true).challenges(false, 0).len(), 2);
        assert_eq!(guard(false).challenges(true, 0).len(), 1);
    }
}
