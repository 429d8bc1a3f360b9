//! How many connections there may be, in all and of one address, and which goes when there is no room.

use super::line::Line;
use super::rate::network;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// Most connections of one address: many pages behind one router, and still no more than a quarter of all.
const PER_ADDRESS: usize = 128;

/// The connections that are there.
#[derive(Debug)]
pub(super) struct Seats {
    most: usize,
    taken: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    seats: BTreeMap<u64, Seat>,
}

#[derive(Debug)]
struct Seat {
    address: IpAddr,
    line: Arc<Line>,
    /// Gone when the connection has to close.
    _open: oneshot::Sender<()>,
}

/// A seat; given back when dropped. It is over when the receiver says so.
#[derive(Debug)]
pub(super) struct Taken {
    number: u64,
    seats: Arc<Seats>,
    pub(super) over: oneshot::Receiver<()>,
}

impl Seats {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::new(Table::default()) })
    }

    /// A seat for a connection. Where there is none, the connection that has waited longest makes room; `None` when all
    /// are being answered.
    pub(super) fn take(self: &Arc<Self>, address: IpAddr, line: &Arc<Line>) -> Option<Taken> {
        let address = network(address);
        let mut table = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let own = table.seats.values().filter(|seat| seat.address == address).count();
        if own >= PER_ADDRESS.min(self.most) {
            let going = table.longest(|seat| seat.address == address)?;
            table.seats.remove(&going);
        } else if table.seats.len() >= self.most {
            let going = table.longest(|_| true)?;
            table.seats.remove(&going);
        }
        let (open, over) = oneshot::channel();
        let number = table.next;
        table.next += 1;
        table.seats.insert(number, Seat { address, line: Arc::clone(line), _open: open });
        Some(Taken { number, seats: Arc::clone(self), over })
    }
}

impl Table {
    fn longest(&self, which: impl Fn(&Seat) -> bool) -> Option<u64> {
        let waiting = self.seats.iter().filter(|(_, seat)| which(seat));
        waiting
            .filter_map(|(number, seat)| Some((seat.line.waiting_since()?, *number)))
            .min()
            .map(|(_, number)| number)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner).seats.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, n])
    }

    #[tokio::test(start_paused = true)]
    async fn the_one_that_waited_longest_goes_and_none_that_is_answered() {
        let seats = Seats::new(3);
        let lines: Vec<_> = (0..5).map(|_| Line::new()).collect();
        let step = || tokio::time::advance(std::time::Duration::from_millis(1));
        let mut first = seats.take(ip(1), &lines[0]).unwrap();
        step().await;
        let mut second = seats.take(ip(2), &lines[1]).unwrap();
        let third = seats.take(ip(3), &lines[2]).unwrap();
        // The first is asked something: now the second waits longest.
        let answer = lines[0].answered(Body::empty());
        let fourth = seats.take(ip(4), &lines[3]).unwrap();
        assert!(second.over.try_recv().is_err_and(|e| e == oneshot::error::TryRecvError::Closed));
        assert_eq!(first.over.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        let busy = [lines[2].answered(Body::empty()), lines[3].answered(Body::empty())];
        assert!(seats.take(ip(5), &lines[4]).is_none(), "all are being answered");
        drop(busy);
        drop(answer);
        assert!(seats.take(ip(5), &lines[4]).is_some());
        drop((third, fourth));
    }

    #[tokio::test]
    async fn one_address_has_a_quarter_and_its_own_go() {
        let seats = Seats::new(512);
        let mut other = seats.take(ip(1), &Line::new()).unwrap();
        let lines: Vec<_> = (0..600).map(|_| Line::new()).collect();
        let taken: Vec<_> = lines.iter().map(|line| seats.take(ip(2), line).unwrap()).collect();
        assert_eq!(seats.taken.lock().unwrap().seats.len(), 1 + PER_ADDRESS);
        assert_eq!(other.over.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        drop(taken);
        assert_eq!(seats.taken.lock().unwrap().seats.len(), 1);
    }
}
