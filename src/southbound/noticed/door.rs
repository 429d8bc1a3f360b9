//! The door of a listener: who may come in, how many at once, and from one address.

use crate::config::Network;
use crate::model::{BusId, Fault};
use crate::southbound::Failure;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections from one address: a device has one or two, and devices behind one converter share its address.
pub(crate) const FROM_ONE: usize = 32;
/// Addresses whose seats are remembered.
const ADDRESSES: usize = 1024;
/// Pause after the system refused to accept, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A place for one connection; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    _all: OwnedSemaphorePermit,
    _own: OwnedSemaphorePermit,
}

/// A listener that lets in whom it should.
#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    bus: BusId,
    from: Vec<Network>,
    all: Arc<Semaphore>,
    own: BTreeMap<IpAddr, Arc<Semaphore>>,
    /// Whether it was told that somebody was turned away; told once for each time the door opens.
    told: BTreeMap<&'static str, ()>,
}

impl Door {
    /// Opens it for at most `seats` connections at once.
    pub(crate) async fn open(
        bus: &BusId,
        listen: SocketAddr,
        from: &[Network],
        seats: usize,
    ) -> Result<Self, Failure> {
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            let doing =
                format!("listening on {listen}: is it an address of this machine, and is its port free?");
            Failure::new(Fault::Misconfigured, doing).because(error)
        })?;
        Ok(Self {
            listener,
            bus: bus.clone(),
            from: from.to_vec(),
            all: Arc::new(Semaphore::new(seats)),
            own: BTreeMap::new(),
            told: BTreeMap::new(),
        })
    }

    /// The next connection that may come in. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> (TcpStream, IpAddr, Seat) {
        loop {
            match self.listener.accept().await {
                Ok((stream, peer)) => {
                    let peer = peer.ip().to_canonical();
                    match self.seat(peer) {
                        Ok(seat) => {
                            // Without it an answer may wait for an acknowledgement; failing only costs time.
                            stream.set_nodelay(true).ok();
                            return (stream, peer, seat);
                        }
                        Err(why) => self.turned_away(peer, why),
                    }
                }
                Err(error) => {
                    tracing::debug!(bus = %self.bus, error = %error, "a connection is not accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn seat(&mut self, peer: IpAddr) -> Result<Seat, &'static str> {
        if !self.from.iter().any(|network| network.holds(peer)) {
            return Err("its address is in no network of `from`");
        }
        if self.own.len() >= ADDRESSES {
            self.own.retain(|_, seats| seats.available_permits() < FROM_ONE);
        }
        let own = self.own.entry(peer).or_insert_with(|| Arc::new(Semaphore::new(FROM_ONE)));
        let own = Arc::clone(own).try_acquire_owned().map_err(|_| "it has too many connections")?;
        let all = Arc::clone(&self.all).try_acquire_owned().map_err(|_| "there are too many connections")?;
        Ok(Seat { _all: all, _own: own })
    }

    fn turned_away(&mut self, peer: IpAddr, why: &'static str) {
        if self.told.insert(why, ()).is_none() {
            tracing::warn!(bus = %self.bus, %peer, why, "a connection is turned away; others like it are not told");
        } else {
            tracing::debug!(bus = %self.bus, %peer, why, "a connection is turned away");
        }
    }

    /// Where it listens.
    #[cfg(test)]
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_address_cannot_take_every_seat_and_strangers_stay_outside() {
        let bus = BusId::new("push").unwrap();
        let from = [Network { address: "127.0.0.0".parse().unwrap(), bits: 8 }];
        let mut door = Door::open(&bus, "127.0.0.1:0".parse().unwrap(), &from, FROM_ONE + 1).await.unwrap();
        assert_ne!(door.address().port(), 0);
        let (one, two, three) =
            ("127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap());
        let mut seats: Vec<Seat> = (0..FROM_ONE).map(|_| door.seat(one).unwrap()).collect();
        assert_eq!(door.seat(one).err(), Some("it has too many connections"));
        seats.push(door.seat(two).unwrap());
        assert_eq!(door.seat(three).err(), Some("there are too many connections"));
        seats.pop();
        assert!(door.seat(three).is_ok(), "a seat that was left is free");
        assert!(door.seat("10.0.0.1".parse().unwrap()).is_err());
    }
}
