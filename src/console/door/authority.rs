//! The gateway's own certificate authority, and the certificates that it gives the console.

use crate::model::Wall;
use crate::model::time::EARLIEST_TRUE_WALL;
use crate::runtime::whole::{private_dir, write_private};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

const DAY_MS: i64 = 24 * 3600 * 1000;
/// How long the authority is good: people take its certificate over by hand.
const AUTHORITY_DAYS: i64 = 3653;
/// How long a certificate of the console is good: browsers take none that is good for longer than 398 days.
const SERVER_DAYS: i64 = 397;
/// So many days before its end a certificate is made anew.
const RENEW_DAYS: i64 = 30;
/// Clocks of other machines may be behind by this.
const BEHIND_MS: i64 = DAY_MS;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// A file cannot be read or written.
    #[error("{doing} {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// What was done.
        doing: &'static str,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// A certificate cannot be made.
    #[error("a certificate cannot be made")]
    Make(#[from] rcgen::Error),
}

/// A certificate with its key, as kept on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) cert_pem: String,
    pub(super) key_pem: String,
    names: Vec<String>,
    /// The authority that signed it, by its key.
    by: String,
    from_ms: i64,
    until_ms: i64,
}

/// The authority.
#[derive(Debug)]
pub(super) struct Authority {
    dir: PathBuf,
    own: Kept,
}

impl Authority {
    /// Takes up the authority of this directory; makes one where there is none, or where it ends before a certificate
    /// that it would sign.
    pub(super) fn open(dir: &Path, now: Wall) -> Result<Self, AuthorityError> {
        let failed = |doing| move |cause| AuthorityError::File { path: dir.to_owned(), doing, cause };
        private_dir(dir).map_err(failed("making the directory"))?;
        let path = dir.join("ca.json");
        let lasting = |kept: &Kept| now.0 < kept.until_ms - (SERVER_DAYS + RENEW_DAYS) * DAY_MS;
        if let Some(own) = read(&path)?.filter(lasting) {
            return Ok(Self { dir: dir.to_owned(), own });
        }
        let own = make_authority(now)?;
        write(&path, &own)?;
        tracing::warn!(
            "the gateway made a certificate authority of its own: let browsers trust it once (GET /ca.crt)"
        );
        Ok(Self { dir: dir.to_owned(), own })
    }

    /// Its certificate, for those who are to trust it; PEM.
    pub(super) fn cert_pem(&self) -> &str {
        &self.own.cert_pem
    }

    /// The console's certificate for these names and addresses: the one that is there, or a new one when that ends soon
    /// or is for others.
    pub(super) fn server(&self, names: &[String], now: Wall) -> Result<Kept, AuthorityError> {
        let path = self.dir.join("server.json");
        let fits = |kept: &Kept| {
            kept.by == self.own.by
                && kept.names == names
                // A clock that is not set yet says nothing about how long it is good.
                && (!now.plausible() || (kept.from_ms..kept.until_ms - RENEW_DAYS * DAY_MS).contains(&now.0))
        };
        if let Some(kept) = read(&path)?.filter(fits) {
            return Ok(kept);
        }
        let kept = self.sign(names, now)?;
        write(&path, &kept)?;
        tracing::info!(names = names.len(), days = SERVER_DAYS, "the console has a new certificate");
        Ok(kept)
    }

    fn sign(&self, names: &[String], now: Wall) -> Result<Kept, AuthorityError> {
        let issuer = Issuer::new(authority_params(&self.own.by), KeyPair::from_pem(&self.own.key_pem)?);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let now = now.max(EARLIEST_TRUE_WALL);
        let (from_ms, until_ms) = (now.0 - BEHIND_MS, now.0 + SERVER_DAYS * DAY_MS - BEHIND_MS);
        let mut params = CertificateParams::new(names)?;
        set_span(&mut params, from_ms, until_ms);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Schoolgate");
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let cert_pem = params.signed_by(&key, &issuer)?.pem() + &self.own.cert_pem;
        let by = self.own.by.clone();
        Ok(Kept { cert_pem, key_pem: key.serialize_pem(), names: names.to_vec(), by, from_ms, until_ms })
    }
}

fn make_authority(now: Wall) -> Result<Kept, AuthorityError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let by: String =
        Sha256::digest(key.public_key_raw()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    // People trust it by hand, once: it is good too where the clock was ahead when it was made.
    let from_ms = EARLIEST_TRUE_WALL.0;
    let until_ms = now.max(EARLIEST_TRUE_WALL).0 + AUTHORITY_DAYS * DAY_MS;
    let mut params = authority_params(&by);
    set_span(&mut params, from_ms, until_ms);
    let cert_pem = params.self_signed(&key)?.pem();
    Ok(Kept { cert_pem, key_pem: key.serialize_pem(), names: Vec::new(), by, from_ms, until_ms })
}

/// What an authority says of itself; the name follows from its key, so that two gateways are told apart.
fn authority_params(by: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("Schoolgate CA {by}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Sets how long a certificate is good: whole seconds.
fn set_span(params: &mut CertificateParams, from_ms: i64, until_ms: i64) {
    let since = |ms: i64| Duration::from_secs(u64::try_from(ms / 1000).unwrap_or(0));
    params.not_before = date_time_ymd(1970, 1, 1) + since(from_ms);
    params.not_after = date_time_ymd(1970, 1, 1) + since(until_ms);
}

fn read(path: &Path) -> Result<Option<Kept>, AuthorityError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(cause) => return Err(AuthorityError::File { path: path.to_owned(), doing: "reading", cause }),
    };
    let kept: Option<Kept> = serde_json::from_str(&text).ok();
    if kept.is_none() {
        tracing::warn!(file = %path.display(), "this certificate cannot be understood; another is made in its place");
    }
    Ok(kept)
}

fn write(path: &Path, kept: &Kept) -> Result<(), AuthorityError> {
    let failed = |cause| AuthorityError::File { path: path.to_owned(), doing: "writing", cause };
    let text = serde_json::to_vec_pretty(kept).map_err(|error| failed(error.into()))?;
    write_private(path, &text).map_err(failed)
}
