//! The one TLS implementation of every connection.

/// Makes ring the TLS implementation of this process; HTTP clients want one even where they speak plain HTTP. Whoever
/// comes second finds it there already, which is as good.
pub fn install_provider() {
    rustls::crypto::ring::default_provider().install_default().ok();
}
