//! The one TLS implementation of every connection.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// Makes ring the TLS implementation of this process; HTTP clients want one even where they speak plain HTTP. Whoever
/// comes second finds it there already, which is as good.
pub fn install_provider() {
    rustls::crypto::ring::default_provider().install_default().ok();
}

/// Why a client of TLS cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate that was configured is not PEM.
    #[error("the configured CA file is not PEM")]
    Pem(#[source] rustls::pki_types::pem::Error),
    /// A certificate that was configured cannot be used.
    #[error("the configured CA certificate cannot be used")]
    Certificate(#[source] rustls::Error),
    /// There is none at all.
    #[error("no certificate to trust: the system has none and the configuration names no CA file")]
    NothingTrusted,
    /// The library has no version of TLS.
    #[error("no TLS version is available")]
    Version(#[source] rustls::Error),
}

/// What a client of TLS needs: it trusts the system's certificates and those that are given, PEM.
///
/// # Errors
/// When these cannot be used.
pub fn client(ca_pem: Option<&[u8]>) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for cert in CertificateDer::pem_slice_iter(ca_pem.unwrap_or_default()) {
        roots.add(cert.map_err(TlsError::Pem)?).map_err(TlsError::Certificate)?;
    }
    if roots.is_empty() {
        return Err(TlsError::NothingTrusted);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(TlsError::Version)?.with_root_certificates(roots).with_no_client_auth())
}
