//! The ID token: signed by the provider, for this gateway, for this sign-in, now (OpenID Connect Core 1.0, 3.1.3.7).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Clocks may differ by this.
const SKEW_SECS: i64 = 60;
/// Longest subject (OpenID Connect Core 1.0, section 2).
const MAX_SUBJECT_CHARS: usize = 255;

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadToken {
    #[error("the ID token is not a signed token")]
    Form,
    #[error("the ID token is signed in a way that is not taken: RS256, PS256 and ES256 are")]
    Algorithm,
    #[error("the ID token is signed with a key that the provider does not publish")]
    UnknownKey,
    #[error("the signature of the ID token is wrong")]
    Signature,
    #[error("the ID token is another provider's")]
    Issuer,
    #[error("the ID token is for another than this gateway")]
    Audience,
    #[error("the ID token is over, or not good yet: are both clocks right?")]
    Time,
    #[error("the ID token is of another sign-in")]
    Nonce,
    #[error("the ID token does not say whom it is about")]
    Subject,
}

/// What is expected of a token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    pub(super) now_secs: i64,
}

/// One public key of the provider (RFC 7517).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Key {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    crit: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Ps256,
    Es256,
}

/// The claims of a token in which nothing is wrong.
pub(super) fn verify(
    token: &str,
    keys: &[Key],
    expected: Expected<'_>,
) -> Result<Map<String, Value>, BadToken> {
    let (signed, signature) = token.rsplit_once('.').ok_or(BadToken::Form)?;
    let (head, claims) = signed.split_once('.').ok_or(BadToken::Form)?;
    let head: Head = serde_json::from_slice(&decode(head)?).map_err(|_| BadToken::Form)?;
    // What must be understood is not.
    if head.crit.is_some() {
        return Err(BadToken::Form);
    }
    let algorithm = match head.alg.as_str() {
        "RS256" => Algorithm::Rs256,
        "PS256" => Algorithm::Ps256,
        "ES256" => Algorithm::Es256,
        _ => return Err(BadToken::Algorithm),
    };
    let signature = decode(signature)?;
    let mut fitting = keys.iter().filter(|key| key.fits(algorithm, head.kid.as_deref())).peekable();
    fitting.peek().ok_or(BadToken::UnknownKey)?;
    if !fitting.any(|key| key.verifies(algorithm, signed.as_bytes(), &signature)) {
        return Err(BadToken::Signature);
    }
    let claims: Map<String, Value> = serde_json::from_slice(&decode(claims)?).map_err(|_| BadToken::Form)?;
    judge(&claims, expected).map(|()| claims)
}

fn decode(part: &str) -> Result<Vec<u8>, BadToken> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| BadToken::Form)
}

fn judge(claims: &Map<String, Value>, expected: Expected<'_>) -> Result<(), BadToken> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let Expected { issuer, client_id, nonce, now_secs } = expected;
    if text("iss") != Some(issuer) {
        return Err(BadToken::Issuer);
    }
    let audience: Vec<&Value> = match claims.get("aud") {
        Some(Value::Array(several)) => several.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let ours = audience.iter().any(|one| one.as_str() == Some(client_id));
    // Whom it was given to, if that is said; where it is for several, it must be.
    let party = claims.get("azp").map(|party| party.as_str() == Some(client_id));
    if !ours || !party.unwrap_or(audience.len() == 1) {
        return Err(BadToken::Audience);
    }
    // Some providers write fractions of seconds.
    let secs =
        |name: &str| claims.get(name).and_then(|value| value.as_i64().or_else(|| whole(value.as_f64()?)));
    let good = secs("exp").is_some_and(|end| now_secs < end.saturating_add(SKEW_SECS))
        && secs("iat").is_some_and(|made| made <= now_secs.saturating_add(SKEW_SECS))
        && (!claims.contains_key("nbf")
            || secs("nbf").is_some_and(|from| from <= now_secs.saturating_add(SKEW_SECS)));
    if !good {
        return Err(BadToken::Time);
    }
    if text("nonce") != Some(nonce) {
        return Err(BadToken::Nonce);
    }
    let subject = text("sub").filter(|sub| !sub.is_empty() && sub.chars().count() <= MAX_SUBJECT_CHARS);
    subject.map(drop).ok_or(BadToken::Subject)
}

fn whole(secs: f64) -> Option<i64> {
    jiff::SignedDuration::try_from_secs_f64(secs).ok().map(|duration| duration.as_secs())
}

impl Key {
    fn fits(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        let (kty, name) = match algorithm {
            Algorithm::Rs256 => ("RSA", "RS256"),
            Algorithm::Ps256 => ("RSA", "PS256"),
            Algorithm::Es256 => ("EC", "ES256"),
        };
        self.kty == kty
            && (kid.is_none() || self.kid.as_deref() == kid)
            && self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && self.alg.as_deref().is_none_or(|alg| alg == name)
            && (kty != "EC" || self.crv.as_deref() == Some("P-256"))
    }

    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let part = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_deref()?).ok();
        let rsa = |parameters| {
            let (Some(n), Some(e)) = (part(&self.n), part(&self.e)) else { return false };
            RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
        };
        match algorithm {
            Algorithm::Rs256 => rsa(&RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Ps256 => rsa(&RSA_PSS_2048_8192_SHA256),
            Algorithm::Es256 => {
                let (Some(x), Some(y)) = (part(&self.x), part(&self.y)) else { return false };
                let point = [&[4][..], &x, &y].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::json;

    const NOW: i64 = 1_790_000_000;

    struct Signer(EcdsaKeyPair, SystemRandom);

    impl Signer {
        fn new() -> Self {
            let random = SystemRandom::new();
            let kind = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(kind, &random).unwrap();
            Self(EcdsaKeyPair::from_pkcs8(kind, pkcs8.as_ref(), &random).unwrap(), random)
        }

        fn key(&self, kid: &str) -> Key {
            let point = self.0.public_key().as_ref();
            let text = |bytes| URL_SAFE_NO_PAD.encode(bytes);
            let key = json!({"kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "x": text(&point[1..33]), "y": text(&point[33..])});
            serde_json::from_value(key).unwrap()
        }

        fn sign(&self, head: &Value, claims: &Value) -> String {
            let text = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", text(head), text(claims));
            let signature = self.0.sign(&self.1, signed.as_bytes()).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
        }
    }

    fn expected() -> Expected<'static> {
        Expected { issuer: "https://sso", client_id: "gate", nonce: "n-1", now_secs: NOW }
    }

    fn claims() -> Value {
        json!({"iss": "https://sso", "aud": "gate", "sub": "u1", "nonce": "n-1", "exp": NOW + 300, "iat": NOW})
    }

    #[test]
    fn each_claim_is_looked_at() {
        let signer = Signer::new();
        let keys = [signer.key("a")];
        let with = |changes: Value| {
            let mut claims = claims();
            for (name, value) in changes.as_object().unwrap() {
                match value {
                    Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
                    value => claims[name] = value.clone(),
                }
            }
            let token = signer.sign(&json!({"alg": "ES256", "kid": "a"}), &claims);
            verify(&token, &keys, expected()).map(drop)
        };
        for good in [
            json!({}),
            json!({"aud": ["gate"]}),
            json!({"aud": ["gate", "other"], "azp": "gate"}),
            json!({"azp": "gate"}),
            json!({"exp": NOW - 59}),
            json!({"iat": NOW + 60, "nbf": NOW + 60}),
            json!({"exp": 1_790_000_010.5}),
        ] {
            assert_eq!(with(good.clone()), Ok(()), "{good}");
        }
        for (changes, wrong) in [
            (json!({"iss": "https://evil"}), BadToken::Issuer),
            (json!({"iss": "https://sso/"}), BadToken::Issuer),
            (json!({"iss": null}), BadToken::Issuer),
            (json!({"aud": "other"}), BadToken::Audience),
            (json!({"aud": []}), BadToken::Audience),
            (json!({"aud": null}), BadToken::Audience),
            (json!({"aud": ["gate", "other"]}), BadToken::Audience),
            (json!({"aud": ["gate", "other"], "azp": "other"}), BadToken::Audience),
            (json!({"azp": "other"}), BadToken::Audience),
            (json!({"azp": 7}), BadToken::Audience),
            (json!({"exp": NOW - 60}), BadToken::Time),
            (json!({"exp": null}), BadToken::Time),
            (json!({"exp": "soon"}), BadToken::Time),
            (json!({"exp": 1e300}), BadToken::Time),
            (json!({"iat": NOW + 61}), BadToken::Time),
            (json!({"iat": null}), BadToken::Time),
            (json!({"nbf": NOW + 61}), BadToken::Time),
            (json!({"nbf": "x"}), BadToken::Time),
            (json!({"nonce": "n-2"}), BadToken::Nonce),
            (json!({"nonce": null}), BadToken::Nonce),
            (json!({"sub": ""}), BadToken::Subject),
            (json!({"sub": null}), BadToken::Subject),
        ] {
            assert_eq!(with(changes.clone()), Err(wrong), "{changes}");
        }
    }

    #[test]
    fn nothing_but_a_signature_of_a_published_key_counts() {
        let (signer, other) = (Signer::new(), Signer::new());
        let keys = [signer.key("a")];
        let judge = |token: &str| verify(token, &keys, expected()).map(drop);
        let good = signer.sign(&json!({"alg": "ES256", "kid": "a"}), &claims());
        assert_eq!(judge(&good), Ok(()));
        assert_eq!(judge(&signer.sign(&json!({"alg": "ES256"}), &claims())), Ok(()), "one key needs no name");
        for (token, wrong) in [
            (other.sign(&json!({"alg": "ES256", "kid": "a"}), &claims()), BadToken::Signature),
            (other.sign(&json!({"alg": "ES256", "kid": "b"}), &claims()), BadToken::UnknownKey),
            (signer.sign(&json!({"alg": "none"}), &claims()), BadToken::Algorithm),
            (signer.sign(&json!({"alg": "None"}), &claims()), BadToken::Algorithm),
            (signer.sign(&json!({"alg": "HS256", "kid": "a"}), &claims()), BadToken::Algorithm),
            (signer.sign(&json!({"alg": "RS256", "kid": "a"}), &claims()), BadToken::UnknownKey),
            (signer.sign(&json!({"alg": "ES256", "kid": "a", "crit": ["b64"]}), &claims()), BadToken::Form),
            (good.rsplit_once('.').unwrap().0.to_owned() + ".", BadToken::Signature),
            (good.rsplit_once('.').unwrap().0.to_owned(), BadToken::Form),
            (String::new(), BadToken::Form),
            ("a.b".into(), BadToken::Form),
            ("...".into(), BadToken::Form),
        ] {
            assert_eq!(judge(&token), Err(wrong), "{token}");
        }
        let (head, rest) = good.split_once('.').unwrap();
        let changed = format!("{head}.{}{rest}", "A");
        assert!(judge(&changed).is_err());
    }
}
