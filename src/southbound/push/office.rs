//! Decides what becomes of each request: whose it is, what goes into the pipe, what the terminal is told.

use super::trail::Trail;
use super::{Answer, Ask, Missing, What};
use crate::model::{Input, Wall};
use crate::notice::{At, Notice, Unreadable, isapi, zkteco};
use crate::runtime::lanes::Stopping;
use crate::southbound::Field;
use crate::southbound::noticed::Desk;
use crate::southbound::noticed::desk::is_cry;
use crate::southbound::noticed::standing::Standing;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::mpsc;

/// A record of a ZKTeco terminal older than this was kept by it and is sent late, milliseconds.
const LATE_MS: i64 = 5 * 60 * 1000;
/// Addresses of the network that are remembered.
const PEERS: usize = 1024;

/// What goes into the pipe, and the status and text of the answer.
type Reply = (Vec<Input>, u16, String);

/// A terminal that sends too much keeps it and sends it again: nothing of it is lost.
fn busy() -> Reply {
    (Vec::new(), 503, "too many requests; send it again later\n".into())
}

/// One receiver's decisions.
pub(super) struct Office<'a> {
    desk: Desk<'a>,
    field: &'a Field,
    standing: Standing,
    trails: BTreeMap<String, Trail>,
    /// Who was last heard from where: a body that cannot be read does not say whose it is.
    peers: BTreeMap<IpAddr, String>,
    /// The last marks of a ZKTeco terminal's uploads, by serial number and table.
    stamps: BTreeMap<(String, String), String>,
    /// Those that can be asked for what is missing.
    askable: BTreeSet<String>,
    missing: mpsc::Sender<Missing>,
}

impl<'a> Office<'a> {
    pub(super) fn new(
        desk: Desk<'a>,
        field: &'a Field,
        end_after: Duration,
        askable: BTreeSet<String>,
        missing: mpsc::Sender<Missing>,
    ) -> Self {
        Self {
            desk,
            field,
            standing: Standing::new(Some(end_after)),
            trails: BTreeMap::new(),
            peers: BTreeMap::new(),
            stamps: BTreeMap::new(),
            askable,
            missing,
        }
    }

    /// Takes a request: what it holds goes into the pipe, and whoever asked gets the receipt and the answer.
    pub(super) async fn take(&mut self, ask: Ask) -> Result<(), Stopping> {
        let Ask { peer, origin, len, what, answer } = ask;
        let (inputs, status, text) = match what {
            What::Isapi(Ok(message)) => self.isapi(peer, message),
            What::Isapi(Err(wrong)) => self.unusable(peer, &origin, wrong, len, 200),
            What::Unusable(wrong, status) => self.unusable(peer, &origin, wrong, len, status),
            What::Zkteco { request, notices, unreadable } => {
                self.zkteco(peer, request, notices, unreadable, len)
            }
            What::Page { address, notices } => (self.desk.take(&address, notices, None), 200, String::new()),
        };
        let receipt = self.desk.deliver(inputs).await?;
        // A terminal that hung up gets its answer next time, when it sends again.
        answer.send(Answer { receipt, status, text }).ok();
        Ok(())
    }

    /// Looks who is silent and which states are over.
    pub(super) async fn look(&mut self) -> Result<(), Stopping> {
        let mut inputs = self.desk.silent();
        inputs.extend(self.desk.ended(&mut self.standing));
        self.desk.deliver(inputs).await.map(drop)
    }

    fn known_as(&mut self, address: &str, peer: IpAddr) {
        if self.peers.len() >= PEERS {
            self.peers.clear();
        }
        self.peers.insert(peer, address.to_owned());
    }

    fn isapi(&mut self, peer: IpAddr, message: isapi::Message) -> Reply {
        let isapi::Source { mac, address, serial } = message.from;
        let names = [mac.and_then(|mac| crate::config::mac(&mac)), serial, address, Some(peer.to_string())];
        let mut names = names.into_iter().flatten().collect::<Vec<String>>().into_iter();
        let first = names.clone().next().unwrap_or_default();
        let address = names.find(|name| self.desk.roll().knows(name));
        let admitted = self.desk.admits(address.as_deref());
        let Some(address) = address else {
            return if admitted { self.stranger(&first) } else { busy() };
        };
        if !admitted {
            return self.only_cries(&address, message.notices);
        }
        self.known_as(&address, peer);
        let mut inputs = self.desk.hears(&address);
        if let Some(number) = message.serial_no {
            let at = message.notices.first().and_then(|notice| self.wall(notice));
            self.step(&address, number, message.previous_serial, at);
        }
        inputs.extend(self.desk.take(&address, message.notices, Some(&mut self.standing)));
        (inputs, 200, String::new())
    }

    /// Of a flood: calls for help are taken at once, and everything once more when it is sent again.
    fn only_cries(&mut self, address: &str, notices: Vec<Notice>) -> Reply {
        let (mut inputs, status, text) = busy();
        inputs.extend(self.desk.take(address, notices, None).into_iter().filter(is_cry));
        (inputs, status, text)
    }

    fn stranger(&mut self, origin: &str) -> Reply {
        let inputs = self.desk.stranger(origin).into_iter().collect();
        (inputs, 403, "this device is not configured\n".into())
    }

    fn wall(&self, notice: &Notice) -> Option<Wall> {
        match notice.at? {
            At::Wall(at) => Some(at),
            At::Local(at) => self.field.site.zone.to_timestamp(at).ok().map(|at| Wall(at.as_millisecond())),
        }
    }

    fn step(&mut self, address: &str, number: u64, previous: Option<u64>, at: Option<Wall>) {
        let trail = self.trails.entry(address.to_owned()).or_default();
        let Some(gap) = trail.step(number, previous, at) else { return };
        let bus = &self.desk.roll().bus;
        self.field.tally.gaps.of(bus).one();
        let (before, behind) = gap.between;
        tracing::warn!(bus = %bus, address, before, behind, "events of a terminal are missing between two numbers");
        let noticed = self.field.clock.now().wall;
        let asked = self.askable.contains(address)
            && self.missing.try_send(Missing { address: address.to_owned(), gap, noticed }).is_ok();
        if !asked {
            self.field.tally.gaps_left.of(bus).one();
        }
    }

    /// A body that is no use. It is told as taken where a terminal would otherwise send it again for ever.
    fn unusable(&mut self, peer: IpAddr, origin: &str, wrong: Unreadable, len: usize, status: u16) -> Reply {
        let own = peer.to_string();
        let address = self.peers.get(&peer).cloned().or_else(|| self.desk.roll().knows(&own).then_some(own));
        if !self.desk.admits(address.as_deref()) {
            return busy();
        }
        let Some(address) = address else { return self.stranger(&peer.to_string()) };
        let text = format!("{}\n", wrong.reason);
        let mut inputs = self.desk.hears(&address);
        inputs.push(self.desk.unreadable(Some(&address), origin, wrong, len));
        (inputs, status, if status == 200 { String::new() } else { text })
    }

    /// A terminal that is not configured is not told `OK`: it would forget the records it sent, and nobody has them.
    fn zkteco(
        &mut self,
        peer: IpAddr,
        request: zkteco::Request,
        notices: Vec<Notice>,
        unreadable: Vec<Unreadable>,
        len: usize,
    ) -> Reply {
        use zkteco::Request::{Handshake, Poll, Records, Result};
        let (Handshake { sn } | Records { sn, .. } | Poll { sn } | Result { sn }) = &request;
        let known = self.desk.roll().knows(sn);
        match (self.desk.admits(known.then_some(sn)), known) {
            (true, true) => {}
            (true, false) => return self.stranger(sn),
            (false, true) => return self.only_cries(sn, notices),
            (false, false) => return busy(),
        }
        self.known_as(sn, peer);
        let mut inputs = self.desk.hears(sn);
        let text = match &request {
            Handshake { sn } => {
                let stamp = |table: &str| self.stamps.get(&(sn.clone(), table.into())).map(String::as_str);
                zkteco::reply_handshake(sn, stamp("ATTLOG"), stamp("OPERLOG"), self.zone_hours())
            }
            Poll { .. } | Result { .. } => "OK".to_owned(),
            Records { sn, table, stamp } => {
                let count = notices.len() + unreadable.len();
                let notices = notices.into_iter().map(|notice| self.aged(notice)).collect();
                inputs.extend(self.desk.take(sn, notices, None));
                let origin = format!("/iclock/cdata table={table}");
                inputs.extend(self.summed(sn, &origin, unreadable, len));
                let table = table.to_ascii_uppercase();
                if let Some(stamp) = stamp.clone().filter(|_| matches!(table.as_str(), "ATTLOG" | "OPERLOG"))
                {
                    self.stamps.insert((sn.clone(), table), stamp);
                }
                zkteco::reply_ok(count)
            }
        };
        (inputs, 200, text)
    }

    /// What could not be read of one upload, one entry for each kind of trouble.
    fn summed(&self, sn: &str, origin: &str, unreadable: Vec<Unreadable>, len: usize) -> Vec<Input> {
        let mut kinds: BTreeMap<&'static str, (Unreadable, usize)> = BTreeMap::new();
        for wrong in unreadable {
            kinds.entry(wrong.kind).or_insert((wrong, 0)).1 += 1;
        }
        let told = kinds.into_values().map(|(mut wrong, count)| {
            if count > 1 {
                wrong.reason = format!("{} (and {} more such lines)", wrong.reason, count - 1);
            }
            self.desk.unreadable(Some(sn), origin, wrong, len)
        });
        told.collect()
    }

    /// After a restart these terminals send everything again: what is old was kept by them.
    fn aged(&self, mut notice: Notice) -> Notice {
        let now = self.field.clock.now().wall;
        notice.late |= self.wall(&notice).is_some_and(|at| now.since(at) > LATE_MS);
        notice
    }

    fn zone_hours(&self) -> i8 {
        let now = jiff::Timestamp::from_millisecond(self.field.clock.now().wall.0).unwrap_or_default();
        i8::try_from(self.field.site.zone.to_offset(now).seconds() / 3600).unwrap_or(0)
    }
}
