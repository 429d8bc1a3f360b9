//! One connection: TLS, the first packet, then packets in and out until either side ends it.

use super::super::mqtt::Bucket;
use super::super::mqtt::skim::{MAX_VARIABLE_HEADER, Mark, Skim, find_cut};
use super::super::mqtt::{BURST, MESSAGES_PER_SEC};
use super::certificate;
use super::codec::{self, Aliases, Hello, Message, Publish, Said, Tell, Version, Wrong};
use super::hub::{Over, RECEIVE_MAX};
use super::session::ConnId;
use crate::model::BusId;
use crate::runtime::Clock;
use mqtt_protocol_core::mqtt::common::Cursor;
use mqtt_protocol_core::mqtt::connection::{PacketBuildResult, PacketBuilder, RawPacket};
use mqtt_protocol_core::mqtt::packet::Qos;
use rumqttc::tokio_rustls::TlsAcceptor;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// Longest wait for the TLS handshake, and for CONNECT after it.
const GREETING_WAIT: Duration = Duration::from_secs(10);
/// Longest wait for a client to take bytes.
const WRITE_WAIT: Duration = Duration::from_secs(30);
/// Longest silence of a client of 3.1.1 that wants no keep-alive.
const SILENCE: Duration = Duration::from_secs(86_400);
/// Longest CONNECT: three texts of 64 KiB would be a strange client.
const MAX_CONNECT_BYTES: u32 = 72 * 1024;
const READ_CHUNK: usize = 4096;
/// Packets written at once.
const WRITE_BATCH: usize = 64;
/// How many packets may wait for a client to take them. Above it a QoS 0 message is thrown away, and a client that
/// leaves even its acknowledgements is cut off.
pub(super) const OUT: usize = 4096;
/// Room for messages on their way to their commit, in KiB; each takes one besides its bytes.
pub(super) const ROOM_KIB: usize = 8192;

/// What a message occupies until it is stored.
#[derive(Debug, Default)]
pub(super) struct Hold {
    #[expect(dead_code, reason = "held, not looked at")]
    place: Option<OwnedSemaphorePermit>,
    #[expect(dead_code, reason = "held, not looked at")]
    room: Option<OwnedSemaphorePermit>,
}

/// What a connection tells the hub.
pub(super) enum FromConn {
    /// Who it says it is. `entry` is told for how many devices it speaks, once it is in.
    Hello {
        conn: ConnId,
        hello: Box<Hello>,
        certified: Vec<String>,
        peer: SocketAddr,
        out: mpsc::Sender<Out>,
        entry: oneshot::Sender<usize>,
    },
    Said {
        conn: ConnId,
        said: Said,
        hold: Hold,
    },
    Over {
        conn: ConnId,
        over: Over,
    },
    /// Something went wrong before anybody was logged in.
    Trouble {
        peer: SocketAddr,
        why: String,
    },
}

/// What the hub has a connection do.
#[derive(Debug)]
pub(super) enum Out {
    Tell(Tell),
    Wait(Duration),
    Close,
}

/// What all connections of a listener share.
#[derive(Clone)]
pub(super) struct Hall {
    pub(super) bus: BusId,
    pub(super) to_hub: mpsc::Sender<FromConn>,
    /// Room for messages on their way.
    pub(super) room: Arc<Semaphore>,
    /// Greetings at the same time; the others wait.
    pub(super) greetings: Arc<Semaphore>,
    pub(super) max_payload: usize,
    pub(super) clock: Arc<dyn Clock>,
}

impl Hall {
    /// The largest packet that is read, told to clients of MQTT 5.
    pub(super) fn max_packet(&self) -> u32 {
        let bytes = self.max_payload.saturating_add(MAX_VARIABLE_HEADER);
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }

    async fn trouble(&self, peer: SocketAddr, why: String) {
        // The hub is gone only when the listener ends.
        self.to_hub.send(FromConn::Trouble { peer, why }).await.ok();
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Serves one connection to its end. The permits are of the places it takes: one among all, one among those from its
/// address that are not logged in yet.
pub(super) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    hall: Hall,
    conn: ConnId,
    stranger: OwnedSemaphorePermit,
) {
    let greeting = Arc::clone(&hall.greetings).acquire_owned().await.ok();
    stream.set_nodelay(true).ok();
    let (stream, certified): (Box<dyn Stream>, Vec<String>) = match acceptor {
        None => (Box::new(stream), Vec::new()),
        Some(acceptor) => match timeout(GREETING_WAIT, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                let names = shown.map(|certificate| certificate::names(certificate)).unwrap_or_default();
                (Box::new(stream), names)
            }
            Ok(Err(error)) => return hall.trouble(peer, format!("TLS: {}", tls_trouble(&error))).await,
            Err(_) => return hall.trouble(peer, "TLS: no handshake; does it speak TLS?".into()).await,
        },
    };
    let (reader, writer) = tokio::io::split(stream);
    let mut incoming = Incoming::new(reader);
    let raw = match timeout(GREETING_WAIT, incoming.next()).await {
        Ok(Ok(raw)) => raw,
        // A port scan, or a load balancer that looks whether somebody listens.
        Ok(Err(Ended::Closed(_))) => return,
        Ok(Err(Ended::Wrong(wrong))) => return hall.trouble(peer, format!("no MQTT: {wrong}")).await,
        Err(_) => return hall.trouble(peer, "no CONNECT: does it speak MQTT?".into()).await,
    };
    let hello = match codec::hello(&raw) {
        Ok(hello) => hello,
        Err(wrong) => return hall.trouble(peer, format!("its CONNECT: {wrong}")).await,
    };
    drop((raw, greeting));
    let conversation = Conversation { conn, version: hello.version, hall: &hall };
    let keep_alive = match (hello.keep_alive_secs, hello.version) {
        (0, Version::Three) => SILENCE,
        (0, Version::Five) => Duration::from_secs(450),
        (secs, _) => Duration::from_millis(u64::from(secs) * 1500),
    };
    let (out, outs) = mpsc::channel(OUT);
    let (entry, admitted) = oneshot::channel();
    let back = out.downgrade();
    let hello = FromConn::Hello { conn, hello: Box::new(hello), certified, peer, out, entry };
    if hall.to_hub.send(hello).await.is_err() {
        return;
    }
    let listening = async {
        let Ok(devices) = admitted.await else { return std::future::pending().await };
        drop(stranger);
        let over = conversation.listen(incoming, keep_alive, devices).await;
        let Err(wrong) = over else { return Over::Lost };
        tracing::debug!(bus = %hall.bus, %peer, "an MQTT client is cut off: it sent {wrong}");
        if let Some(out) = back.upgrade() {
            out.try_send(Out::Tell(Tell::Bye(wrong.reason()))).ok();
            out.try_send(Out::Close).ok();
            drop(out);
            // It is told first; writing ends by itself then.
            sleep(WRITE_WAIT).await;
        }
        if wrong == Wrong::TooLarge { Over::TooLarge } else { Over::Lost }
    };
    let over = tokio::select! {
        over = listening => over,
        too_large = conversation.speak(writer, outs) => if too_large { Over::TooLarge } else { Over::Lost },
    };
    hall.to_hub.send(FromConn::Over { conn, over }).await.ok();
}

/// What a technician needs to know of a failed handshake.
fn tls_trouble(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!(
                "its certificate is not taken ({why}); who signed it must stand in client_ca_file, and its dates must be right"
            )
        }
        Some(rustls::Error::AlertReceived(alert)) => {
            format!(
                "it does not take this listener's certificate ({alert:?}); give it the file of who signed that"
            )
        }
        Some(other) => format!("{other}; does it speak TLS?"),
        None => format!("the connection was closed during the handshake ({error})"),
    }
}

/// Why nothing comes any more.
#[derive(Debug)]
enum Ended {
    Closed(#[expect(dead_code, reason = "for the debugger")] Option<io::Error>),
    Wrong(Wrong),
}

/// Packets as they come.
struct Incoming<R> {
    reader: R,
    builder: PacketBuilder,
    chunk: Box<[u8]>,
    ready: Vec<u8>,
    taken: usize,
    skim: Option<Skim>,
}

impl<R: AsyncRead + Unpin> Incoming<R> {
    fn new(reader: R) -> Self {
        Self {
            reader,
            builder: PacketBuilder::with_maximum_packet_size(MAX_CONNECT_BYTES),
            chunk: vec![0; READ_CHUNK].into_boxed_slice(),
            ready: Vec::new(),
            taken: 0,
            skim: None,
        }
    }

    /// From now on packets of this size are read; with a `skim`, over-long messages are cut before.
    fn set_limit(&mut self, max_packet: u32, skim: Option<Skim>) {
        self.builder.set_maximum_packet_size(max_packet);
        let rest = self.ready.split_off(self.taken.min(self.ready.len()));
        self.taken = 0;
        self.ready.clear();
        self.skim = skim;
        self.keep(&rest);
    }

    fn keep(&mut self, bytes: &[u8]) {
        match &mut self.skim {
            Some(skim) => skim.push(bytes, &mut self.ready),
            None => self.ready.extend_from_slice(bytes),
        }
    }

    async fn next(&mut self) -> Result<RawPacket, Ended> {
        loop {
            while let Some(rest) = self.ready.get(self.taken..).filter(|rest| !rest.is_empty()) {
                let mut cursor = Cursor::new(rest);
                let built = self.builder.feed(&mut cursor);
                self.taken =
                    self.taken.saturating_add(usize::try_from(cursor.position()).unwrap_or(usize::MAX));
                match built {
                    PacketBuildResult::Complete(raw) => return Ok(raw),
                    PacketBuildResult::Incomplete => {}
                    PacketBuildResult::Error(error) => return Err(Ended::Wrong(error.into())),
                }
            }
            self.ready.clear();
            self.taken = 0;
            let mut chunk = std::mem::take(&mut self.chunk);
            let read = self.reader.read(&mut chunk).await;
            if let Ok(n) = read {
                self.keep(chunk.get(..n).unwrap_or_default());
            }
            self.chunk = chunk;
            match read {
                Ok(0) => return Err(Ended::Closed(None)),
                Ok(_) => {}
                Err(error) => return Err(Ended::Closed(Some(error))),
            }
        }
    }
}

struct Conversation<'a> {
    conn: ConnId,
    version: Version,
    hall: &'a Hall,
}

impl Conversation<'_> {
    /// Reads until the client is gone, silent for too long, or breaks the protocol, which is the error.
    async fn listen<R: AsyncRead + Unpin>(
        &self,
        mut incoming: Incoming<R>,
        keep_alive: Duration,
        devices: usize,
    ) -> Result<(), Wrong> {
        let mark = self.limit(&mut incoming);
        let mut aliases = Aliases::default();
        let unanswered = Arc::new(Semaphore::new(usize::from(RECEIVE_MAX)));
        let share = u32::try_from(devices.clamp(1, 1000)).unwrap_or(1);
        let now = self.hall.clock.now().mono;
        let mut bucket =
            Bucket::new(MESSAGES_PER_SEC.saturating_mul(share), BURST.saturating_mul(share), now);
        let mut held_back = false;
        loop {
            let raw = match timeout(keep_alive, incoming.next()).await {
                Ok(Ok(raw)) => raw,
                Ok(Err(Ended::Wrong(wrong))) => return Err(wrong),
                Ok(Err(Ended::Closed(_))) | Err(_) => return Ok(()),
            };
            let mut said = codec::said(&raw, self.version, &mut aliases)?;
            drop(raw);
            let mut hold = Hold::default();
            if let Said::Publish(publish) = &mut said {
                uncut(publish, mark.as_ref());
                if publish.message.qos != Qos::AtMostOnce {
                    self.pace(&mut bucket, &mut held_back).await;
                }
                hold = self.hold(publish, &unanswered).await;
            }
            let said = FromConn::Said { conn: self.conn, said, hold };
            if self.hall.to_hub.send(said).await.is_err() {
                return Ok(());
            }
        }
    }

    /// In MQTT 5 the client knows how much it may send; in 3.1.1 what is too long is cut as it comes.
    fn limit<R: AsyncRead + Unpin>(&self, incoming: &mut Incoming<R>) -> Option<Mark> {
        let max_packet = self.hall.max_packet();
        let mut mark: Mark = [0; 16];
        let random = getrandom::fill(&mut mark).is_ok();
        if self.version == Version::Five || !random {
            incoming.set_limit(max_packet, None);
            return None;
        }
        let limit = self.hall.max_payload.saturating_add(MAX_VARIABLE_HEADER);
        incoming.set_limit(max_packet.saturating_mul(2), Some(Skim::new(limit, mark)));
        Some(mark)
    }

    /// Acknowledged messages are never thrown away: whoever sends too many is read more slowly.
    async fn pace(&self, bucket: &mut Bucket, held_back: &mut bool) {
        loop {
            let wait_ms = bucket.wait_ms(self.hall.clock.now().mono);
            if wait_ms == 0 {
                return;
            }
            if !*held_back {
                *held_back = true;
                tracing::info!(bus = %self.hall.bus, conn = self.conn.0, "a client sends more than {MESSAGES_PER_SEC} messages a second and is read more slowly");
            }
            sleep(Duration::from_millis(wait_ms)).await;
        }
    }

    /// Waits until there is room for a message: while the disk stalls, nothing more is read.
    async fn hold(&self, publish: &Publish, unanswered: &Arc<Semaphore>) -> Hold {
        let kib = 1 + publish.message.bytes() / 1024;
        let kib = u32::try_from(kib.min(ROOM_KIB)).unwrap_or(1);
        // What wants no acknowledgement comes one by one; too much of it is shed.
        let place = match publish.message.qos {
            Qos::AtMostOnce => None,
            _ => Arc::clone(unanswered).acquire_owned().await.ok(),
        };
        // They are never closed.
        let room = Arc::clone(&self.hall.room).acquire_many_owned(kib).await.ok();
        Hold { place, room }
    }

    /// Writes what the hub says, until it says to close or the client takes nothing; whether it was cut off for a packet
    /// over the maximum.
    async fn speak<W: AsyncWrite + Unpin>(&self, mut writer: W, mut outs: mpsc::Receiver<Out>) -> bool {
        let (mut batch, mut bytes) = (Vec::with_capacity(WRITE_BATCH), Vec::new());
        let (mut open, mut too_large) = (true, false);
        while open && outs.recv_many(&mut batch, WRITE_BATCH).await > 0 {
            for out in batch.drain(..) {
                match out {
                    Out::Tell(tell) => {
                        too_large |= matches!(tell, Tell::Bye(0x95));
                        bytes.extend(codec::bytes(&tell, self.version));
                    }
                    Out::Wait(span) => sleep(span).await,
                    Out::Close => {
                        open = false;
                        break;
                    }
                }
            }
            let written = async {
                writer.write_all(&bytes).await?;
                writer.flush().await
            };
            if !matches!(timeout(WRITE_WAIT, written).await, Ok(Ok(()))) {
                return too_large;
            }
            bytes.clear();
        }
        timeout(Duration::from_secs(1), writer.shutdown()).await.ok();
        too_large
    }
}

/// Takes the trailer off a message that was cut.
fn uncut(publish: &mut Publish, mark: Option<&Mark>) {
    let message = &publish.message;
    let Some(cut) = mark.and_then(|mark| find_cut(message.payload.as_slice(), mark)) else { return };
    let whole_len = cut.whole_len;
    let head = Message::plain(&message.topic, cut.head, message.qos, message.retain);
    (publish.message, publish.whole_len) = (head, whole_len);
}
