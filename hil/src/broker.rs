//! The school's MQTT broker: the mqtt5 crate's, with its sessions kept in files.

use crate::tasks::Tasks;
use mqtt5::broker::config::{StorageBackend, StorageConfig};
use mqtt5::broker::{BrokerConfig, MqttBroker, PasswordAuthProvider};
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// A running broker.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    _tasks: Tasks,
}

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
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let storage =
            StorageConfig::new().with_backend(StorageBackend::File).with_base_dir(dir.to_path_buf());
        let config = BrokerConfig::new()
            .with_bind_addresses(vec![SocketAddr::from((Ipv4Addr::LOCALHOST, port))])
            .with_max_packet_size(1024 * 1024)
            .with_storage(storage);
        let mut broker = MqttBroker::with_config(config).await?;
        if !users.is_empty() {
            let doors = PasswordAuthProvider::new();
            for user in users {
                doors.add_user(user.name.to_owned(), user.password)?;
            }
            broker = broker.with_auth_provider(Arc::new(doors));
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
