//! The school's MQTT broker: the mqtt5 crate's, with its sessions kept in files.

use crate::tasks::Tasks;
use mqtt5::broker::config::{StorageBackend, StorageConfig};
use mqtt5::broker::{AuthProvider, AuthResult, BrokerConfig, MqttBroker};
use mqtt5::error::Result;
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;
use std::collections::BTreeMap;
use std::error::Error;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    _tasks: Tasks,
}

/// Lets users in by name and password. The broker's own door hashes passwords slowly, which protects a file of
/// passwords and holds everything else up; here there is no file.
struct Door(BTreeMap<String, Vec<u8>>);

impl AuthProvider for Door {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        _from: SocketAddr,
    ) -> Soon<'a, Result<AuthResult>> {
        let known = match (&connect.username, &connect.password) {
            (Some(name), Some(password)) => {
                self.0.get(name).filter(|right| **right == password[..]).map(|_| name)
            }
            _ => None,
        };
        let result = match known {
            Some(name) => AuthResult::success_with_user(name.clone()),
            None => AuthResult::fail(ReasonCode::BadUsernameOrPassword),
        };
        Box::pin(async move { Ok(result) })
    }

    fn authorize_publish<'a>(
        &'a self,
        _client: &str,
        _user: Option<&'a str>,
        _topic: &'a str,
    ) -> Soon<'a, bool> {
        Box::pin(async { true })
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _client: &str,
        _user: Option<&'a str>,
        _filter: &'a str,
    ) -> Soon<'a, bool> {
        Box::pin(async { true })
    }
}

type Soon<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A user the broker lets in.
#[derive(Debug, Clone)]
pub struct User<'a> {
    /// Name.
    pub name: &'a str,
    /// Password.
    pub password: &'a str,
}

impl Broker {
    /// Starts it on 127.0.0.1:`port` (0: the system chooses) with its files in `dir`. With no users, everyone may
    /// connect; otherwise nobody else may.
    ///
    /// # Errors
    /// When the port is taken or the directory cannot be used.
    pub async fn start(
        port: u16,
        dir: &Path,
        users: &[User<'_>],
    ) -> std::result::Result<Self, Box<dyn Error + Send + Sync>> {
        let storage =
            StorageConfig::new().with_backend(StorageBackend::File).with_base_dir(dir.to_path_buf());
        let config = BrokerConfig::new()
            .with_bind_addresses(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))])
            .with_max_packet_size(1024 * 1024)
            .with_storage(storage);
        let mut broker = MqttBroker::with_config(config).await?;
        if !users.is_empty() {
            let users = users.iter().map(|user| (user.name.to_owned(), user.password.as_bytes().to_vec()));
            broker = broker.with_auth_provider(Arc::new(Door(users.collect())));
        }
        let address = broker.local_addr().ok_or("the broker has no address")?;
        let mut ready = broker.ready_receiver();
        let mut tasks = Tasks::new();
        tasks.spawn(async move {
            if let Err(error) = broker.run().await {
                eprintln!("simulated broker: {error}");
            }
        });
        ready.wait_for(|ready| *ready).await?;
        Ok(Self { address, _tasks: tasks })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}
