//! Which certificate the console shows: its own or somebody else's, always the newest.

use super::DoorError;
use super::authority::Authority;
use crate::config::{self, Attached, Certificate, CertificateFiles};
use crate::model::Wall;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// Most addresses of this machine that a certificate is for.
const MAX_ADDRESSES: usize = 32;

/// What is shown, and where the next one comes from.
#[derive(Debug)]
pub(super) struct Shown {
    source: Source,
    current: RwLock<Arc<CertifiedKey>>,
    ca_pem: RwLock<Option<String>>,
}

#[derive(Debug)]
enum Source {
    Own { dir: PathBuf, named: BTreeSet<String>, addresses: Mutex<BTreeSet<IpAddr>> },
    Files { files: CertificateFiles, seen: Mutex<(String, String)> },
}

impl Shown {
    /// The first certificate.
    pub(super) fn new(
        (certificate, names): (&Certificate, &[String]),
        listen: SocketAddr,
        data_dir: &Path,
        now: Wall,
    ) -> Result<Self, DoorError> {
        match certificate {
            Certificate::Own => {
                let named = names.iter().cloned().collect();
                let addresses = Mutex::new(addresses(listen));
                let source = Source::Own { dir: data_dir.join("tls"), named, addresses };
                let (key, ca_pem) = source.own(now)?;
                Ok(Self { source, current: RwLock::new(Arc::new(key)), ca_pem: RwLock::new(ca_pem) })
            }
            Certificate::Files(files) => {
                let pair = read(files)?;
                let key = certified(&pair.0, &pair.1)?;
                let source = Source::Files { files: files.clone(), seen: Mutex::new(pair) };
                Ok(Self { source, current: RwLock::new(Arc::new(key)), ca_pem: RwLock::new(None) })
            }
        }
    }

    /// The certificate of the gateway's own authority, PEM, if it has one.
    pub(super) fn ca_pem(&self) -> Option<String> {
        self.ca_pem.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    #[cfg(test)]
    pub(super) fn current(&self) -> Vec<CertificateDer<'static>> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).cert.clone()
    }

    /// Whether the certificate is somebody else's, which browsers trust by themselves.
    pub(super) fn is_from_elsewhere(&self) -> bool {
        matches!(self.source, Source::Files { .. })
    }

    /// Whether the certificate is not for this address of the machine yet; then [`Shown::look`] makes one that is.
    pub(super) fn is_new(&self, address: IpAddr) -> bool {
        let Source::Own { addresses, .. } = &self.source else { return false };
        let mut addresses = addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.len() < MAX_ADDRESSES && addresses.insert(address.to_canonical())
    }

    /// Renews what ends soon or is for other names, and reads files that have changed. Waits for the disk.
    pub(super) fn look(&self, now: Wall) -> Result<(), DoorError> {
        let (key, ca_pem) = match &self.source {
            Source::Own { .. } => self.source.own(now)?,
            Source::Files { files, seen } => {
                let pair = read(files)?;
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if pair == *seen {
                    return Ok(());
                }
                let key = certified(&pair.0, &pair.1)?;
                *seen = pair;
                tracing::info!("the console shows the certificate that was put in place of the old one");
                (key, None)
            }
        };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(key);
        *self.ca_pem.write().unwrap_or_else(PoisonError::into_inner) = ca_pem;
        Ok(())
    }
}

impl Source {
    fn own(&self, now: Wall) -> Result<(CertifiedKey, Option<String>), DoorError> {
        let Self::Own { dir, named, addresses } = self else { return Err(DoorError::NoCertificate) };
        // Held while it is made, so that two do not make one each.
        let addresses = addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let names: BTreeSet<String> =
            named.iter().cloned().chain(addresses.iter().map(ToString::to_string)).collect();
        let authority = Authority::open(dir, now)?;
        let kept = authority.server(&Vec::from_iter(names), now)?;
        Ok((certified(&kept.cert_pem, &kept.key_pem)?, Some(authority.cert_pem().to_owned())))
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn read(files: &CertificateFiles) -> Result<(String, String), DoorError> {
    let read = |path: &Path, what| {
        config::read_again(&files.base, &files.data_dir, path, what).map_err(DoorError::Unreadable)
    };
    Ok((read(&files.cert, Attached::Public)?, read(&files.key, Attached::Secret)?))
}

fn certified(cert_pem: &str, key_pem: &str) -> Result<CertifiedKey, DoorError> {
    let chain: Vec<CertificateDer<'static>> =
        CertificateDer::pem_slice_iter(cert_pem.as_bytes()).filter_map(Result::ok).collect();
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| DoorError::NoCertificate)?;
    let provider = rustls::crypto::ring::default_provider();
    CertifiedKey::from_der(chain, key, &provider).map_err(DoorError::Tls)
}

/// What this machine is called.
pub(super) fn host_names() -> Vec<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let mut names = vec!["localhost".to_owned()];
    if !name.is_empty() && name.len() < 200 && name.chars().all(plain) && name != "localhost" {
        // How it is found without a name server.
        names.extend((!name.contains('.')).then(|| format!("{name}.local")));
        names.push(name);
    }
    names
}

/// Addresses by which this machine is reached: loopback, the one listened on, and those by which it would reach
/// others. Where somebody arrives at another one, that is added.
fn addresses(listen: SocketAddr) -> BTreeSet<IpAddr> {
    let mut addresses = BTreeSet::from([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    if !listen.ip().is_unspecified() {
        addresses.insert(listen.ip().to_canonical());
        return addresses;
    }
    // Nothing is sent: to connect a UDP socket only chooses a route. The addresses are those of documentation.
    for (from, to) in [("0.0.0.0:0", "192.0.2.1:9"), ("[::]:0", "[2001:db8::1]:9")] {
        let socket = UdpSocket::bind(from).and_then(|socket| socket.connect(to).map(|()| socket));
        if let Ok(local) = socket.and_then(|socket| socket.local_addr()) {
            addresses.insert(local.ip().to_canonical());
        }
    }
    addresses
}
