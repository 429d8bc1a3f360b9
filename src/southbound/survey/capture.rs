//! Captures: what went over a wire and when, as text, one frame per line, so that it can be mailed, read and mended.
//!
//! ```text
//! # schoolgate capture 1
//! wire serial 9600
//! 0.000 > 01 03 00 00 00 02 C4 0B
//! 0.031 < 01 03 04 43 5C 19 9A …
//! ```
//!
//! `wire` is `serial` with its baud rate, or `modbus-tcp`; then seconds since the first frame, `>` for what was sent and
//! `<` for what came, and the bytes. Neither names of the school nor network addresses are in it.

use crate::document::{Problems, Spot};
use crate::model::Text;
use crate::profile::RegisterTable;
use crate::southbound::modbus::frame::first_frame;
use crate::southbound::polled::Frame;
use crate::southbound::serial::rtu::crc;
use std::fmt::Write as _;

/// First line of every capture.
const TITLE: &str = "# schoolgate capture 1";
/// Largest capture that is read, bytes.
pub const MAX_CAPTURE_BYTES: usize = 32 * 1024 * 1024;
/// Most bytes on one line.
const MAX_FRAME: usize = 4096;

/// What a capture was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A Modbus TCP connection.
    ModbusTcp,
    /// A serial line of so many baud, or a converter that passes its bytes on.
    Serial(u32),
}

/// What went over a wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// What it was taken from.
    pub kind: Kind,
    /// What went and came, in order.
    pub frames: Vec<Frame>,
}

/// What was sent, and everything that came until something else was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What was sent.
    pub sent: Vec<u8>,
    /// What came; empty when nothing did.
    pub came: Vec<u8>,
}

/// One read of registers, and what it gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Which unit.
    pub unit: u8,
    /// Which table.
    pub table: RegisterTable,
    /// First register.
    pub address: u16,
    /// The registers.
    pub words: Vec<u16>,
}

/// The head of a capture; `about` is written as comments.
#[must_use]
pub fn head(kind: Kind, about: &[String]) -> String {
    let mut text = format!("{TITLE}\n");
    for line in about {
        writeln!(text, "# {line}").ok();
    }
    match kind {
        Kind::ModbusTcp => text.push_str("wire modbus-tcp\n"),
        Kind::Serial(baud) => writeln!(text, "wire serial {baud}").unwrap_or_default(),
    }
    text
}

/// One frame as a line, without its end.
#[must_use]
pub fn line(frame: &Frame, began_ms: u64) -> String {
    let ms = frame.at_ms.saturating_sub(began_ms);
    let mark = if frame.sent { '>' } else { '<' };
    format!("{}.{:03} {mark} {}", ms / 1000, ms % 1000, hex(&frame.bytes))
}

/// Bytes as people write them.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(" ")
}

/// Reads a capture; what is wrong is noted with its line.
#[must_use]
pub fn parse(file: &str, text: &str, problems: &Problems) -> Option<Capture> {
    let before = problems.len();
    let wrong = |number: usize, text: &str, message: Text, advice: Text| {
        let text = text.chars().take(80).collect();
        problems.at(&Spot { file: file.into(), line: number, column: 1, text }, message, advice);
    };
    let (mut kind, mut frames) = (None, Vec::new());
    if text.lines().next().map(str::trim_end) != Some(TITLE) {
        let advice = Text::new(format!("第一行应是 `{TITLE}`"), format!("its first line must be `{TITLE}`"));
        wrong(1, "", Text::new("这不是报文记录", "this is no capture"), advice);
        return None;
    }
    for (number, text) in (1..).zip(text.lines()) {
        let line = text.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(wire) = line.strip_prefix("wire ") {
            kind = wire_of(wire);
            if kind.is_none() {
                let advice = Text::new(
                    "写 `wire modbus-tcp` 或 `wire serial 9600`",
                    "write `wire modbus-tcp` or `wire serial 9600`",
                );
                wrong(number, text, Text::new("这不是线路", "this is no wire"), advice);
            }
        } else if let Some(frame) = frame_of(line) {
            frames.push(frame);
        } else {
            let advice = Text::new(
                "写秒数、> 或 <，每个字节两位：`0.031 < 01 03 04 …`",
                "write seconds, > or <, and two digits per byte: `0.031 < 01 03 04 …`",
            );
            wrong(number, text, Text::new("这不是一帧报文", "this is no frame"), advice);
        }
    }
    if kind.is_none() && problems.len() == before {
        wrong(
            2,
            "",
            Text::new("没有写报文是从哪种线路上记录的", "the capture does not say what it was taken from"),
            Text::new(
                "加上 `wire serial 9600` 或 `wire modbus-tcp`",
                "add `wire serial 9600` or `wire modbus-tcp`",
            ),
        );
    }
    (problems.len() == before).then_some(Capture { kind: kind?, frames })
}

fn wire_of(text: &str) -> Option<Kind> {
    match text.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["modbus-tcp"] => Some(Kind::ModbusTcp),
        ["serial", baud] => baud.parse().ok().filter(|baud| (300..=921_600).contains(baud)).map(Kind::Serial),
        _ => None,
    }
}

fn frame_of(line: &str) -> Option<Frame> {
    let mut words = line.split_whitespace();
    let (secs, ms) = words.next()?.split_once('.')?;
    if ms.len() != 3 {
        return None;
    }
    let at_ms = secs.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(ms.parse::<u64>().ok()?)?;
    let sent = match words.next()? {
        ">" => true,
        "<" => false,
        _ => return None,
    };
    let byte = |b: &str| if b.len() == 2 { u8::from_str_radix(b, 16).ok() } else { None };
    let bytes = words.take(MAX_FRAME + 1).map(byte).collect::<Option<Vec<u8>>>()?;
    ((1..=MAX_FRAME).contains(&bytes.len())).then_some(Frame { at_ms, sent, bytes })
}

impl Capture {
    /// What was sent, each with what came until the next.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        let mut exchanges: Vec<Exchange> = Vec::new();
        for frame in &self.frames {
            if frame.sent {
                exchanges.push(Exchange { sent: frame.bytes.clone(), came: Vec::new() });
            } else if let Some(exchange) = exchanges.last_mut() {
                exchange.came.extend_from_slice(&frame.bytes);
            }
        }
        exchanges
    }

    /// Every read of registers that gave values, in order.
    #[must_use]
    pub fn reads(&self) -> Vec<Read> {
        let exchanges = self.exchanges();
        exchanges
            .iter()
            .filter_map(|exchange| self.modbus(exchange))
            .filter_map(|found| found.read())
            .collect()
    }

    /// A Modbus request and its answer, whichever way they are framed.
    #[must_use]
    pub fn modbus(&self, exchange: &Exchange) -> Option<Modbus> {
        match self.kind {
            Kind::ModbusTcp => {
                let asked = first_frame(&exchange.sent).ok()??;
                let mut came = exchange.came.as_slice();
                while let Some(frame) = first_frame(came).ok().flatten() {
                    if frame.id == asked.id && frame.unit == asked.unit {
                        let (request, answer) = (asked.pdu.to_vec(), frame.pdu.to_vec());
                        return Some(Modbus { unit: asked.unit, request, answer: Some(answer) });
                    }
                    came = came.get(frame.len..).unwrap_or_default();
                }
                Some(Modbus { unit: asked.unit, request: asked.pdu.to_vec(), answer: None })
            }
            Kind::Serial(_) => {
                let (body, end) = exchange.sent.split_last_chunk::<2>()?;
                let (unit, request) = body.split_first()?;
                if request.is_empty() || u16::from_le_bytes(*end) != crc(body) {
                    return None;
                }
                let answer = rtu_answer(&exchange.came, *unit, request);
                Some(Modbus { unit: *unit, request: request.to_vec(), answer })
            }
        }
    }
}

/// The first whole frame of a unit that is no echo of the request; its protocol data unit.
fn rtu_answer(came: &[u8], unit: u8, request: &[u8]) -> Option<Vec<u8>> {
    let function = *request.first()?;
    for at in 0..came.len() {
        let held = came.get(at..)?;
        if held.first() != Some(&unit) || held.get(1).is_none_or(|f| f & 0x7F != function) {
            continue;
        }
        for len in 5..=held.len().min(256) {
            let Some((body, end)) = held.get(..len).and_then(|frame| frame.split_last_chunk::<2>()) else {
                continue;
            };
            let pdu = body.get(1..).unwrap_or_default();
            let is_echo = pdu == request && matches!(function, 1..=4);
            if u16::from_le_bytes(*end) == crc(body) && !is_echo {
                return Some(pdu.to_vec());
            }
        }
    }
    None
}

/// A Modbus request and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Modbus {
    /// Which unit.
    pub unit: u8,
    /// The protocol data unit asked with, function code first.
    pub request: Vec<u8>,
    /// That of the answer, if one came.
    pub answer: Option<Vec<u8>>,
}

impl Modbus {
    /// Registers that were read.
    #[must_use]
    pub fn read(&self) -> Option<Read> {
        let (table, address, quantity) = asked(&self.request)?;
        let [_, count, data @ ..] = self.answer.as_deref()? else { return None };
        let good = self.answer.as_ref()?.first() == self.request.first()
            && usize::from(*count) == data.len()
            && data.len() == usize::from(quantity) * 2;
        let words = data.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
        good.then_some(Read { unit: self.unit, table, address, words })
    }
}

/// Which registers a protocol data unit asks for: table, first, how many.
#[must_use]
pub fn asked(pdu: &[u8]) -> Option<(RegisterTable, u16, u16)> {
    let [function, a, b, c, d] = *pdu else { return None };
    let table = match function {
        3 => RegisterTable::Holding,
        4 => RegisterTable::Input,
        _ => return None,
    };
    Some((table, u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(at_ms: u64, sent: bool, bytes: &[u8]) -> Frame {
        Frame { at_ms, sent, bytes: bytes.to_vec() }
    }

    fn parsed(text: &str) -> Result<Capture, Vec<String>> {
        let problems = Problems::new();
        let capture = parse("c.txt", text, &problems);
        capture.ok_or_else(|| problems.into_sorted().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let frames = vec![
            frame(1_000_000, true, &[1, 3, 0, 0, 0, 2, 0xC4, 0x0B]),
            frame(1_061_007, false, &[1, 0x83]),
            frame(1_061_009, false, &[2, 0xC0, 0xF1]),
        ];
        for kind in [Kind::Serial(9600), Kind::ModbusTcp] {
            let mut text = head(kind, &["an unknown meter".into(), "第二行".into()]);
            for frame in &frames {
                writeln!(text, "{}", line(frame, 1_000_000)).unwrap();
            }
            let capture = parsed(&text).unwrap();
            assert_eq!(capture.kind, kind);
            let times: Vec<u64> = capture.frames.iter().map(|f| f.at_ms).collect();
            assert_eq!(times, [0, 61_007, 61_009]);
            let back: Vec<&[u8]> = capture.frames.iter().map(|f| f.bytes.as_slice()).collect();
            assert_eq!(back, frames.iter().map(|f| f.bytes.as_slice()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn tells_every_wrong_line() {
        let text = format!(
            "{TITLE}\nwire serial 9600\n0.000 > 01\n0.1 > 01\n0.002 ? 01\n0.003 < 1\n0.004 <\nwire rs232\n"
        );
        let told = parsed(&text).unwrap_err();
        assert_eq!(told.len(), 5, "{told:?}");
        assert!(told[0].starts_with("c.txt:4:1: this is no frame"), "{told:?}");
        assert!(told[4].contains("wire modbus-tcp"), "{told:?}");
        assert!(parsed("0.000 > 01").unwrap_err()[0].contains("this is no capture"));
        assert!(parsed(&format!("{TITLE}\n0.000 > 01")).unwrap_err()[0].contains("taken from"));
    }

    #[test]
    fn finds_reads_in_both_framings_past_echo_noise_and_late_answers() {
        let sealed = |body: &[u8]| [body, &crc(body).to_le_bytes()].concat();
        let request = sealed(&[7, 4, 0, 10, 0, 2]);
        let answer = sealed(&[7, 4, 4, 0x43, 0x5C, 0x19, 0x9A]);
        let came = [&request[..], &[0xFF], &answer].concat();
        let serial = Capture {
            kind: Kind::Serial(9600),
            frames: vec![
                frame(0, true, &request),
                frame(30, false, &came[..5]),
                frame(31, false, &came[5..]),
            ],
        };
        let expected =
            Read { unit: 7, table: RegisterTable::Input, address: 10, words: vec![0x435C, 0x199A] };
        assert_eq!(serial.reads(), std::slice::from_ref(&expected));
        let request = [0, 9, 0, 0, 0, 6, 7, 4, 0, 10, 0, 2];
        let late = [0, 8, 0, 0, 0, 7, 7, 4, 4, 1, 1, 1, 1];
        let answer = [0, 9, 0, 0, 0, 7, 7, 4, 4, 0x43, 0x5C, 0x19, 0x9A];
        let tcp = Capture {
            kind: Kind::ModbusTcp,
            frames: vec![frame(0, true, &request), frame(3, false, &late), frame(4, false, &answer)],
        };
        assert_eq!(tcp.reads(), [expected]);
        let refused = Capture {
            kind: Kind::Serial(9600),
            frames: vec![
                frame(0, true, &sealed(&[7, 4, 0, 10, 0, 2])),
                frame(9, false, &sealed(&[7, 0x84, 2])),
            ],
        };
        assert_eq!(refused.reads(), []);
        assert_eq!(refused.modbus(&refused.exchanges()[0]).unwrap().answer, Some(vec![0x84, 2]));
    }
}
