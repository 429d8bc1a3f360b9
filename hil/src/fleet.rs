//! Many Modbus TCP devices, each at an endpoint of its own: most answer, some are dead in the ways in which devices are.

use crate::tasks::{Tasks, accept, listen};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// Holding registers and coils of a device: 0 up to here.
const WRITABLE: usize = 64;
/// Length of the header before the unit id (MODBUS Messaging on TCP/IP V1.0b, 3.1.3).
const PREFIX: usize = 6;
/// Longest frame.
const MAX_ADU: usize = 260;
/// Bit of a function code in an exception.
const REFUSED: u8 = 0x80;

/// How a device behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It answers at once.
    Answers,
    /// Switched off behind a switch that knows: a connection is refused.
    Refuses,
    /// Its cable is cut: what is sent to it is lost, and nothing says so.
    Drops,
    /// Its program hangs: it takes connections and requests, and never answers.
    Hangs,
}

/// So many devices of each manner, mixed evenly; as words `700 answers, 100 refuses, 100 drops, 100 hangs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// Of [`Manner::Answers`], [`Manner::Refuses`], [`Manner::Drops`] and [`Manner::Hangs`], in this order.
    counts: [usize; 4],
}

impl Mix {
    const MANNERS: [(&'static str, Manner); 4] = [
        ("answers", Manner::Answers),
        ("refuses", Manner::Refuses),
        ("drops", Manner::Drops),
        ("hangs", Manner::Hangs),
    ];

    /// Devices that answer, and of each kind of dead ones so many.
    #[must_use]
    pub fn new(answer: usize, dead_of_each: usize) -> Self {
        Self { counts: [answer, dead_of_each, dead_of_each, dead_of_each] }
    }

    /// One manner for each device: the dead ones stand among the others, not at the end.
    #[must_use]
    pub fn manners(&self) -> Vec<Manner> {
        let all: usize = self.counts.iter().sum();
        let mut given = [0; 4];
        (1..=all)
            .map(|device| {
                // Whoever is furthest behind its share is next.
                let behind = |kind: usize| (self.counts[kind] * device) as i64 - (given[kind] * all) as i64;
                let next = (0..4).filter(|kind| given[*kind] < self.counts[*kind]).max_by_key(|k| behind(*k));
                let next = next.unwrap_or(0);
                given[next] += 1;
                Self::MANNERS[next].1
            })
            .collect()
    }
}

impl std::fmt::Display for Mix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [answer, refuse, drop, hang] = self.counts;
        write!(f, "{answer} answers, {refuse} refuses, {drop} drops, {hang} hangs")
    }
}

impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut counts = [0; 4];
        for part in text.split(',') {
            let wrong = || format!("'{part}' is not a number and one of answers, refuses, drops, hangs");
            let (count, word) = part.trim().split_once(' ').ok_or_else(wrong)?;
            let kind = Self::MANNERS.iter().position(|(name, _)| *name == word).ok_or_else(wrong)?;
            counts[kind] = count.parse().map_err(|_| wrong())?;
        }
        Ok(Self { counts })
    }
}

/// What a device holds.
#[derive(Debug)]
struct Device {
    number: u64,
    /// Reads answered with values.
    reads: AtomicU64,
    /// Its input registers move with each read of them.
    turn: AtomicU32,
    coils: Mutex<[bool; WRITABLE]>,
    holding: Mutex<[u16; WRITABLE]>,
}

impl Device {
    fn new(number: usize) -> Self {
        Self {
            number: number as u64,
            reads: AtomicU64::new(0),
            turn: AtomicU32::new(0),
            coils: Mutex::new([false; WRITABLE]),
            holding: Mutex::new([0; WRITABLE]),
        }
    }

    /// The answer to a protocol data unit.
    fn answer(&self, pdu: &[u8], out: &mut Vec<u8>) {
        let Some(function) = pdu.first().copied() else { return };
        let begun = out.len();
        out.push(function);
        let (Some(address), Some(count)) = (word(pdu, 1), word(pdu, 3)) else {
            return refuse(out, begun, 3);
        };
        let (from, to) = (usize::from(address), usize::from(address) + usize::from(count));
        match function {
            4 if (1..=125).contains(&count) => self.input(address, count, out),
            3 if (1..=125).contains(&count) => {
                let holding = self.holding.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(words) = holding.get(from..to) else { return refuse(out, begun, 2) };
                out.push((count * 2) as u8);
                words.iter().for_each(|word| out.extend(word.to_be_bytes()));
            }
            1 | 2 if (1..=2000).contains(&count) => {
                let coils = self.coils.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(bits) = coils.get(from..to) else { return refuse(out, begun, 2) };
                out.push(bits.len().div_ceil(8) as u8);
                let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte << 1 | u8::from(*bit));
                out.extend(bits.chunks(8).map(byte));
            }
            5 => {
                let mut coils = self.coils.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(coil) = coils.get_mut(from) else { return refuse(out, begun, 2) };
                *coil = count == 0xFF00;
                return out.extend(&pdu[1..5]);
            }
            6 => {
                let mut holding = self.holding.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(register) = holding.get_mut(from) else { return refuse(out, begun, 2) };
                *register = count;
                return out.extend(&pdu[1..5]);
            }
            15 => {
                let mut coils = self.coils.lock().unwrap_or_else(PoisonError::into_inner);
                let (Some(coils), Some(bytes)) = (coils.get_mut(from..to), pdu.get(6..)) else {
                    return refuse(out, begun, 2);
                };
                for (i, coil) in coils.iter_mut().enumerate() {
                    *coil = bytes.get(i / 8).is_some_and(|byte| byte >> (i % 8) & 1 == 1);
                }
                return out.extend(&pdu[1..5]);
            }
            16 => {
                let mut holding = self.holding.lock().unwrap_or_else(PoisonError::into_inner);
                let (Some(registers), Some(bytes)) = (holding.get_mut(from..to), pdu.get(6..)) else {
                    return refuse(out, begun, 2);
                };
                for (register, bytes) in registers.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *register = u16::from_be_bytes(*bytes);
                }
                return out.extend(&pdu[1..5]);
            }
            _ => return refuse(out, begun, 1),
        }
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Floats, high word first, that move a little from read to read as measured values do.
    fn input(&self, address: u16, count: u16, out: &mut Vec<u8>) {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        out.push((count * 2) as u8);
        for register in address..address.saturating_add(count) {
            let pair = f32::from(register / 2);
            let moved = (turn.wrapping_mul(u32::from(register / 2) + 7) % 64) as f32 / 8.0;
            let bits = (200.0 + pair + moved + (self.number % 16) as f32).to_bits();
            let word = if register.is_multiple_of(2) { bits >> 16 } else { bits };
            out.extend((word as u16).to_be_bytes());
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).and_then(|two| two.try_into().ok()).map(u16::from_be_bytes)
}

fn refuse(out: &mut Vec<u8>, begun: usize, code: u8) {
    let function = out[begun];
    out.truncate(begun);
    out.extend([function | REFUSED, code]);
}

/// What holds a device's port and is never used.
#[derive(Debug)]
enum Held {
    /// Bound and not listening: the system refuses connections.
    Bound { _socket: TcpSocket },
    /// Listening, with no room for another connection: the system drops what asks for one.
    Full { _listener: TcpListener, _taken: TcpStream },
}

/// Running devices.
#[derive(Debug)]
pub struct Fleet {
    devices: Vec<Arc<Device>>,
    addresses: Vec<SocketAddr>,
    _held: Vec<Held>,
    _tasks: Tasks,
}

impl Fleet {
    /// Starts one device for each manner, on 127.0.0.1 and ports the system chooses.
    ///
    /// # Errors
    /// When the system has no ports or descriptors left: an answering device takes two.
    pub async fn start(manners: &[Manner]) -> io::Result<Self> {
        let (mut devices, mut addresses) = (Vec::new(), Vec::new());
        let (mut held, mut tasks) = (Vec::new(), Tasks::new());
        for (number, manner) in manners.iter().enumerate() {
            let device = Arc::new(Device::new(number));
            devices.push(Arc::clone(&device));
            addresses.push(match manner {
                Manner::Answers | Manner::Hangs => {
                    let (listener, address) = listen(0).await?;
                    tasks.spawn(serve(listener, (*manner == Manner::Answers).then_some(device)));
                    address
                }
                Manner::Refuses => {
                    let socket = bound()?;
                    let address = socket.local_addr()?;
                    held.push(Held::Bound { _socket: socket });
                    address
                }
                Manner::Drops => {
                    // Room for one connection, which is taken and never accepted.
                    let listener = bound()?.listen(0)?;
                    let address = listener.local_addr()?;
                    let taken = TcpStream::connect(address).await?;
                    held.push(Held::Full { _listener: listener, _taken: taken });
                    address
                }
            });
        }
        Ok(Self { devices, addresses, _held: held, _tasks: tasks })
    }

    /// Where each device is.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How many reads each device has answered.
    pub fn reads(&self) -> impl Iterator<Item = u64> {
        self.devices.iter().map(|device| device.reads.load(Ordering::Relaxed))
    }

    /// Serves as a process of its own: writes the devices' ports on one line, then the reads of each on a line for
    /// every line it is sent, and ends when its input does.
    ///
    /// # Errors
    /// When the devices cannot be started or nobody listens.
    pub async fn be_asked(mix: Mix) -> io::Result<()> {
        let fleet = Self::start(&mix.manners()).await?;
        let mut out = tokio::io::stdout();
        let ports = fleet.addresses.iter().map(|address| u64::from(address.port()));
        out.write_all(line(ports).as_bytes()).await?;
        out.flush().await?;
        let mut asked = BufReader::new(tokio::io::stdin()).lines();
        while asked.next_line().await?.is_some() {
            out.write_all(line(fleet.reads()).as_bytes()).await?;
            out.flush().await?;
        }
        Ok(())
    }
}

fn line(numbers: impl Iterator<Item = u64>) -> String {
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(" ") + "\n"
}

fn bound() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
    Ok(socket)
}

/// Takes connections for ever; without a device behind it, reads and says nothing.
async fn serve(listener: TcpListener, device: Option<Arc<Device>>) {
    let mut clients = JoinSet::new();
    loop {
        let stream = accept(&listener).await;
        while clients.try_join_next().is_some() {}
        clients.spawn(talk(stream, device.clone()));
    }
}

async fn talk(mut stream: TcpStream, device: Option<Arc<Device>>) {
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let (mut bytes, mut filled, mut out) = ([0; MAX_ADU], 0, Vec::with_capacity(MAX_ADU));
    loop {
        match stream.read(&mut bytes[filled..]).await {
            Ok(0) | Err(_) => return,
            Ok(count) => filled += count,
        }
        let Some(device) = &device else {
            filled = 0;
            continue;
        };
        while let Some(length) = word(&bytes[..filled], 4).map(usize::from) {
            if !(2..=MAX_ADU - PREFIX).contains(&length) {
                return;
            }
            let whole = PREFIX + length;
            if filled < whole {
                break;
            }
            out.clear();
            out.extend(&bytes[..PREFIX + 1]);
            device.answer(&bytes[PREFIX + 1..whole], &mut out);
            let length = (out.len() - PREFIX) as u16;
            out[4..6].copy_from_slice(&length.to_be_bytes());
            if stream.write_all(&out).await.is_err() {
                return;
            }
            bytes.copy_within(whole..filled, 0);
            filled -= whole;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio_modbus::client::{Reader, Writer, tcp};
    use tokio_modbus::prelude::{ExceptionCode, Slave};

    #[tokio::test]
    async fn an_independent_client_reads_and_writes_and_its_reads_are_counted() {
        let fleet = Fleet::start(&[Manner::Answers, Manner::Answers]).await.unwrap();
        let mut client = tcp::connect_slave(fleet.addresses()[1], Slave(1)).await.unwrap();
        let words = client.read_input_registers(0, 60).await.unwrap().unwrap();
        let volts = f32::from_bits(u32::from(words[0]) << 16 | u32::from(words[1]));
        assert_eq!((words.len(), (200.0..230.0).contains(&volts)), (60, true), "{volts} V");
        client.write_single_coil(3, true).await.unwrap().unwrap();
        client.write_multiple_coils(8, &[true, false, true]).await.unwrap().unwrap();
        let coils = client.read_coils(0, 12).await.unwrap().unwrap();
        let on: Vec<usize> = (0..12).filter(|i| coils[*i]).collect();
        assert_eq!(on, [3, 8, 10]);
        client.write_single_register(1, 7).await.unwrap().unwrap();
        client.write_multiple_registers(2, &[8, 9]).await.unwrap().unwrap();
        assert_eq!(client.read_holding_registers(0, 4).await.unwrap(), Ok(vec![0, 7, 8, 9]));
        let beyond = client.read_holding_registers(60, 8).await.unwrap();
        assert_eq!(beyond, Err(ExceptionCode::IllegalDataAddress));
        assert_eq!(fleet.reads().collect::<Vec<_>>(), [0, 3]);
    }

    #[tokio::test]
    async fn dead_devices_are_dead_each_in_its_own_way() {
        let fleet = Fleet::start(&[Manner::Refuses, Manner::Drops, Manner::Hangs]).await.unwrap();
        let soon = Duration::from_millis(300);
        let [refuses, drops, hangs] = fleet.addresses() else { panic!("three devices") };
        let refused = TcpStream::connect(refuses).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        let dropped = tokio::time::timeout(soon, TcpStream::connect(drops)).await;
        assert!(dropped.is_err(), "{dropped:?}");
        let mut client = tcp::connect_slave(*hangs, Slave(1)).await.unwrap();
        assert!(tokio::time::timeout(soon, client.read_input_registers(0, 2)).await.is_err());
    }

    #[test]
    fn the_dead_stand_among_the_living() {
        let mix: Mix = "700 answers, 100 refuses, 100 drops, 100 hangs".parse().unwrap();
        assert_eq!(mix, Mix::new(700, 100));
        assert_eq!(mix.to_string().parse(), Ok(mix));
        let manners = mix.manners();
        assert_eq!(manners.len(), 1000);
        for ten in manners.chunks(10) {
            assert_eq!(ten.iter().filter(|m| **m == Manner::Answers).count(), 7, "{ten:?}");
        }
        assert!("7 sleeps".parse::<Mix>().unwrap_err().contains("'7 sleeps'"));
    }
}
