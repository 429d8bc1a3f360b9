//! Serves a capture, so that what a technician recorded can be looked at elsewhere as if the device were there.
//!
//! A capture of Modbus TCP is served as Modbus TCP, one of a serial line as bytes over TCP, as a converter has them.
//! Whatever was asked in the capture is answered as it was there, to each client in turn when it was asked several times. Registers
//! that were read in another grouping are answered from what is known of them; others are refused with exception 02, and
//! units, meters and quantities that are not in the capture stay silent.

use super::capture::{Capture, Kind, asked};
use crate::profile::RegisterTable;
use crate::southbound::modbus::frame::{encode, first_frame};
use crate::southbound::serial::rtu::crc;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Most clients at the same time.
const MAX_CLIENTS: usize = 16;
/// Bytes that make no request are dropped after so long a silence.
const SILENCE: Duration = Duration::from_millis(200);
/// Most bytes kept while no request is found in them.
const MAX_HELD: usize = 1024;
/// Most answers kept for one request.
const MAX_ANSWERS: usize = 1000;
/// Wakes a line of DL/T 645 or CJ/T 188 meters.
const WAKE: u8 = 0xFE;
/// Begins their frames.
const START: u8 = 0x68;
/// Ends them.
const END: u8 = 0x16;

/// What a capture answers.
#[derive(Debug)]
pub struct Replay {
    kind: Kind,
    /// By unit and protocol data unit.
    modbus: BTreeMap<(u8, Vec<u8>), Answers>,
    units: BTreeSet<u8>,
    registers: BTreeMap<(u8, RegisterTable, u16), u16>,
    /// By request without what differs each time.
    meters: BTreeMap<Vec<u8>, Answers>,
}

/// Answers to one request, in the order they came; an empty one is silence.
#[derive(Debug, Default)]
struct Answers(Vec<Vec<u8>>);

/// How often a client has asked what, by the bytes of its requests; the turn of the next answer.
type Turns = BTreeMap<Vec<u8>, usize>;

impl Answers {
    fn add(&mut self, answer: Vec<u8>) {
        if self.0.len() < MAX_ANSWERS {
            self.0.push(answer);
        }
    }

    /// The answer whose turn it is.
    fn take(&self, key: Vec<u8>, turns: &mut Turns) -> Vec<u8> {
        let turn = turns.entry(key).or_default();
        let answer = self.0.get(*turn).cloned().unwrap_or_default();
        *turn = (*turn + 1) % self.0.len().max(1);
        answer
    }
}

impl Replay {
    /// What a capture answers; `None` when it answers nothing.
    #[must_use]
    pub fn new(capture: &Capture) -> Option<Self> {
        let (modbus, meters) = (BTreeMap::new(), BTreeMap::new());
        let mut replay =
            Self { kind: capture.kind, modbus, units: BTreeSet::new(), registers: BTreeMap::new(), meters };
        for exchange in capture.exchanges() {
            let request = strip_wakes(&exchange.sent);
            if request.first() == Some(&START) && capture.kind != Kind::ModbusTcp {
                replay.meters.entry(meter_key(request)).or_default().add(exchange.came);
            } else if let Some(found) = capture.modbus(&exchange) {
                if let Some(read) = found.read() {
                    for (address, word) in (read.address..=u16::MAX).zip(&read.words) {
                        replay.registers.insert((read.unit, read.table, address), *word);
                    }
                }
                if found.answer.is_some() {
                    replay.units.insert(found.unit);
                }
                let key = (found.unit, found.request);
                replay.modbus.entry(key).or_default().add(found.answer.unwrap_or_default());
            }
        }
        let answers = replay.modbus.values().chain(replay.meters.values());
        let says_something = answers.flat_map(|answers| &answers.0).any(|answer| !answer.is_empty());
        says_something.then_some(replay)
    }

    /// What kind of wire is served.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The Modbus units that answer.
    pub fn units(&self) -> impl Iterator<Item = u8> {
        self.units.iter().copied()
    }

    /// The answer of a unit; empty for silence.
    fn modbus_answer(&self, unit: u8, request: &[u8], turns: &mut Turns) -> Vec<u8> {
        if let Some(answers) = self.modbus.get(&(unit, request.to_vec())) {
            return answers.take([&[unit][..], request].concat(), turns);
        }
        let (true, Some(function)) = (self.units.contains(&unit), request.first()) else { return Vec::new() };
        let Some((table, address, quantity)) = asked(request) else { return vec![function | 0x80, 1] };
        let addresses = (address..=u16::MAX).take(usize::from(quantity));
        let words: Option<Vec<u16>> =
            addresses.map(|address| self.registers.get(&(unit, table, address)).copied()).collect();
        let Some(words) = words.filter(|words| (1..=125).contains(&words.len())) else {
            return vec![function | 0x80, 2];
        };
        let count = u8::try_from(words.len() * 2).unwrap_or(u8::MAX);
        let mut answer = vec![*function, count];
        answer.extend(words.iter().flat_map(|word| word.to_be_bytes()));
        answer
    }

    fn meter_answer(&self, request: &[u8], turns: &mut Turns) -> Vec<u8> {
        let key = meter_key(request);
        let answer = self.meters.get(&key).map(|answers| answers.take(key, turns)).unwrap_or_default();
        renumbered(answer, request)
    }
}

fn strip_wakes(bytes: &[u8]) -> &[u8] {
    let wakes = bytes.iter().take_while(|byte| **byte == WAKE).count();
    bytes.get(wakes..).unwrap_or_default()
}

/// Where the frame number of a CJ/T 188 frame stands: behind the data identifier.
const NUMBER_AT: usize = 13;

/// Whether these are the bytes of a CJ/T 188 frame: there the length stands at 10, in DL/T 645 at 9.
fn is_cjt188(frame: &[u8]) -> bool {
    frame.get(7) != Some(&START)
        && frame.get(10).is_some_and(|len| frame.len() == usize::from(*len) + 13)
        && frame.len() > NUMBER_AT + 2
}

/// A request without what differs each time: the number and sum of a CJ/T 188 frame.
fn meter_key(request: &[u8]) -> Vec<u8> {
    let mut key = request.to_vec();
    if is_cjt188(request) {
        key.truncate(NUMBER_AT);
    }
    key
}

/// The answer with the number of the request, where it has one.
fn renumbered(mut answer: Vec<u8>, request: &[u8]) -> Vec<u8> {
    let wakes = answer.len() - strip_wakes(&answer).len();
    let (true, Some(number)) = (is_cjt188(request), request.get(NUMBER_AT)) else { return answer };
    let Some(frame) = answer.get_mut(wakes..).filter(|frame| is_cjt188(frame)) else { return answer };
    if let Some(at) = frame.get_mut(NUMBER_AT) {
        *at = *number;
    }
    let sum = frame.iter().take(frame.len() - 2).fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let at = frame.len() - 2;
    if let Some(check) = frame.get_mut(at) {
        *check = sum;
    }
    answer
}

/// A request found in what a client sent, and how many bytes it ends at.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Modbus(u8, Vec<u8>, usize),
    Meter(Vec<u8>, usize),
}

/// The first whole request on a serial line.
fn serial_request(held: &[u8]) -> Option<Asked> {
    (0..held.len()).find_map(|at| {
        let bytes = held.get(at..)?;
        if bytes.first() == Some(&START) {
            // 68 address 68 control length in DL/T 645; 68 kind address control length in CJ/T 188.
            let header = if bytes.get(7) == Some(&START) { 10 } else { 11 };
            let len = header + usize::from(*bytes.get(header - 1)?) + 2;
            let frame = bytes.get(..len).filter(|frame| frame.last() == Some(&END))?;
            return Some(Asked::Meter(frame.to_vec(), at + len));
        }
        let longest = bytes.len().min(256);
        (5..=longest).find_map(|len| {
            let (body, end) = bytes.get(..len)?.split_last_chunk::<2>()?;
            let (unit, request) = body.split_first()?;
            let whole = matches!(request.first(), Some(1..=6 | 15 | 16 | 43))
                && u16::from_le_bytes(*end) == crc(body);
            whole.then(|| Asked::Modbus(*unit, request.to_vec(), at + len))
        })
    })
}

/// Serves clients until it is dropped.
///
/// # Errors
/// When no more connections can be taken.
pub async fn serve(replay: Replay, listener: TcpListener) -> io::Result<()> {
    let replay = Arc::new(replay);
    let mut clients = JoinSet::new();
    loop {
        while clients.len() >= MAX_CLIENTS {
            clients.join_next().await;
        }
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        clients.spawn(client(stream, Arc::clone(&replay)));
        while clients.try_join_next().is_some() {}
    }
}

/// One client, until it leaves.
async fn client(mut stream: TcpStream, replay: Arc<Replay>) -> io::Result<()> {
    let (mut held, mut turns): (Vec<u8>, Turns) = (Vec::new(), Turns::new());
    let mut bytes = [0; 512];
    loop {
        let read = stream.read(&mut bytes);
        let n = if held.is_empty() {
            read.await?
        } else {
            match timeout(SILENCE, read).await {
                Ok(read) => read?,
                Err(_) => {
                    held.clear();
                    continue;
                }
            }
        };
        if n == 0 {
            return Ok(());
        }
        held.extend(bytes.iter().take(n));
        let surplus = held.len().saturating_sub(MAX_HELD);
        held.drain(..surplus);
        loop {
            match answer(&replay, &held, &mut turns) {
                Ok(Some((answer, used))) => {
                    held.drain(..used.min(held.len()));
                    stream.write_all(&answer).await?;
                }
                Ok(None) => break,
                Err(_) => return Ok(()),
            }
        }
    }
}

/// The answer to the first whole request in the bytes, and how many of them it takes.
fn answer(replay: &Replay, held: &[u8], turns: &mut Turns) -> Result<Option<(Vec<u8>, usize)>, String> {
    if replay.kind == Kind::ModbusTcp {
        let Some(frame) = first_frame(held)? else { return Ok(None) };
        let pdu = replay.modbus_answer(frame.unit, frame.pdu, turns);
        let answer = if pdu.is_empty() { Vec::new() } else { encode(frame.id, frame.unit, &pdu) };
        return Ok(Some((answer, frame.len)));
    }
    Ok(match serial_request(held) {
        None => None,
        Some(Asked::Meter(request, used)) => Some((replay.meter_answer(&request, turns), used)),
        Some(Asked::Modbus(unit, request, used)) => {
            let pdu = replay.modbus_answer(unit, &request, turns);
            let mut answer = Vec::new();
            if !pdu.is_empty() {
                answer.push(unit);
                answer.extend(pdu);
                answer.extend(crc(&answer).to_le_bytes());
            }
            Some((answer, used))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::southbound::polled::Frame;

    fn hex(text: &str) -> Vec<u8> {
        text.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
    }

    fn capture(kind: Kind, frames: &[(bool, &str)]) -> Capture {
        let frame = |(sent, bytes): &(bool, &str)| Frame { at_ms: 0, sent: *sent, bytes: hex(bytes) };
        Capture { kind, frames: frames.iter().map(frame).collect() }
    }

    fn sealed(text: &str) -> Vec<u8> {
        let body = hex(text);
        [&body[..], &crc(&body).to_le_bytes()].concat()
    }

    #[test]
    fn answers_as_recorded_in_turn_and_other_reads_from_what_is_known() {
        let sent = "00 01 00 00 00 06 07 03 00 0A 00 02";
        let frames = [
            (true, sent),
            (false, "00 01 00 00 00 07 07 03 04 00 01 00 02"),
            (true, sent),
            (false, "00 01 00 00 00 07 07 03 04 00 03 00 04"),
        ];
        let replay = Replay::new(&capture(Kind::ModbusTcp, &frames)).unwrap();
        let mut turns = Turns::new();
        let mut ask = |request: &str| answer(&replay, &hex(request), &mut turns).unwrap().unwrap().0;
        assert_eq!(ask("00 05 00 00 00 06 07 03 00 0A 00 02"), hex("00 05 00 00 00 07 07 03 04 00 01 00 02"));
        assert_eq!(ask("00 06 00 00 00 06 07 03 00 0A 00 02"), hex("00 06 00 00 00 07 07 03 04 00 03 00 04"));
        assert_eq!(ask("00 07 00 00 00 06 07 03 00 0A 00 02"), hex("00 07 00 00 00 07 07 03 04 00 01 00 02"));
        assert_eq!(ask("00 08 00 00 00 06 07 03 00 0B 00 01"), hex("00 08 00 00 00 05 07 03 02 00 04"));
        assert_eq!(ask("00 09 00 00 00 06 07 03 00 0B 00 02"), hex("00 09 00 00 00 03 07 83 02"));
        assert_eq!(ask("00 0A 00 00 00 06 07 04 00 0A 00 01"), hex("00 0A 00 00 00 03 07 84 02"));
        assert!(ask("00 0B 00 00 00 06 08 03 00 0A 00 02").is_empty(), "an unknown unit is silent");
        assert!(answer(&replay, b"HTTP/1.1", &mut turns).is_err());
    }

    #[test]
    fn a_serial_line_is_answered_in_all_its_protocols() {
        let (asked, said) = (sealed("07 04 00 00 00 01"), sealed("07 04 02 12 34"));
        let as_text = |bytes: &[u8]| super::super::capture::hex(bytes);
        let (asked_text, said_text) = (as_text(&asked), as_text(&said));
        let frames = [
            (true, asked_text.as_str()),
            (false, said_text.as_str()),
            (true, "FE FE FE FE 68 01 00 00 00 00 00 68 11 04 33 34 34 35 B6 16"),
            (false, "FE FE 68 01 00 00 00 00 00 68 91 06 33 34 34 35 34 55 C1 16"),
            (true, "FE FE 68 10 12 00 00 00 00 00 00 01 03 90 1F 00 3D 16"),
            (
                false,
                "68 10 12 00 00 00 00 00 00 81 16 90 1F 00 10 00 10 00 2C 10 00 10 00 2C \
                 00 00 00 00 00 00 00 00 FF 67 16",
            ),
        ];
        let replay = Replay::new(&capture(Kind::Serial(9600), &frames)).unwrap();
        let mut turns = Turns::new();
        assert_eq!(answer(&replay, &[&[0xFF][..], &asked].concat(), &mut turns), Ok(Some((said, 9))));
        let meter = hex("FE FE 68 01 00 00 00 00 00 68 11 04 33 34 34 35 B6 16");
        assert_eq!(answer(&replay, &meter, &mut turns), Ok(Some((hex(frames[3].1), meter.len()))));
        // The same question with another number, 05, has the answer with that number and its sum.
        let water = hex("68 10 12 00 00 00 00 00 00 01 03 90 1F 05 42 16");
        let (got, _) = answer(&replay, &water, &mut turns).unwrap().unwrap();
        let mut expected = hex(frames[5].1);
        expected[13] = 5;
        expected[33] = 0x6C;
        assert_eq!(got, expected);
        assert_eq!(answer(&replay, &water[..15], &mut turns), Ok(None));
    }

    #[test]
    fn a_capture_without_answers_is_none() {
        assert!(Replay::new(&capture(Kind::Serial(9600), &[(true, "01 03 00 00 00 02 C4 0B")])).is_none());
        assert!(Replay::new(&capture(Kind::Serial(9600), &[(false, "01 03")])).is_none());
    }
}
