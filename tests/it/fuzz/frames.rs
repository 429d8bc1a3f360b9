//! Frames: whatever comes, a decoder goes on, and answers only with what a whole and right frame says.

use super::engine::{Did, Target, plain, size};
use schoolgate::profile::{RegisterTable, Write};
use schoolgate::southbound::modbus::frame;
use schoolgate::southbound::modbus::pdu::{self, Answer, Verdict};
use schoolgate::southbound::serial::codec::{Codec, Look};
use schoolgate::southbound::serial::{cjt188, dlt645, rtu};
use std::cell::RefCell;

/// Streams up to this long are also given byte by byte; of longer ones, one in [`PIECES_ONE_IN`].
const PIECES_BELOW: usize = 48;
const PIECES_ONE_IN: usize = 8;

fn bytes(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).expect("two digits")).collect()
}

/// CRC-16/MODBUS in another way than the program's: from the polynomial 8005h, most significant bit first.
fn crc(bytes: &[u8]) -> [u8; 2] {
    let mut register: u16 = 0xFFFF;
    for byte in bytes {
        register ^= u16::from(byte.reverse_bits()) << 8;
        for _ in 0..8 {
            let carry = register & 0x8000 != 0;
            register <<= 1;
            if carry {
                register ^= 0x8005;
            }
        }
    }
    register.reverse_bits().to_le_bytes()
}

fn sum(bytes: &[u8]) -> u8 {
    (bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>() % 256) as u8
}

/// What a stream held, one after another: how many bytes, and the answer if it was one.
type Found = Vec<(usize, Option<String>)>;

/// Takes a stream apart as the line does. `whole` looks at each frame that was answered with, by itself.
fn take_apart<C: Codec>(
    codec: &C,
    stream: &[u8],
    whole: &impl Fn(&[u8], Option<&C::Answer>),
    did: &mut Did,
) -> Found
where
    C::Answer: std::fmt::Debug,
{
    let (mut held, mut found) = (stream, Found::new());
    loop {
        match codec.look(held) {
            Look::Wait => {
                did.step(("waits", size(held.len())));
                return found;
            }
            Look::Skip { bytes, what } => {
                assert!((1..=held.len()).contains(&bytes), "{what:?}: skips {bytes} of {}", held.len());
                did.step((what, size(bytes)));
                found.push((bytes, None));
                held = &held[bytes..];
            }
            Look::Answer { said, bytes } => {
                assert!((1..=held.len()).contains(&bytes), "answers with {bytes} of {}", held.len());
                let frame = &held[..bytes];
                whole(frame, said.as_ref().ok());
                for cut in 0..bytes {
                    let early = codec.look(&frame[..cut]);
                    assert!(
                        matches!(early, Look::Wait),
                        "a good frame is given up after {cut} of {bytes} bytes"
                    );
                }
                let words = said.as_ref().map_or_else(ToString::to_string, |answer| format!("{answer:?}"));
                did.step((said.is_ok(), size(bytes), said.err().map(|refusal| refusal.to_string())));
                found.push((bytes, Some(words)));
                held = &held[bytes..];
            }
        }
    }
}

/// The answers in a stream that comes byte by byte.
fn in_pieces<C: Codec>(codec: &C, stream: &[u8]) -> Vec<String>
where
    C::Answer: std::fmt::Debug,
{
    let (mut held, mut answers) = (Vec::new(), Vec::new());
    for byte in stream {
        held.push(*byte);
        loop {
            match codec.look(&held) {
                Look::Wait => break,
                Look::Skip { bytes, .. } => drop(held.drain(..bytes)),
                Look::Answer { said, bytes } => {
                    answers.push(
                        said.map_or_else(|refusal| refusal.to_string(), |answer| format!("{answer:?}")),
                    );
                    held.drain(..bytes);
                }
            }
        }
    }
    answers
}

fn stream<C: Codec>(codec: &C, stream: &[u8], whole: impl Fn(&[u8], Option<&C::Answer>)) -> u64
where
    C::Answer: std::fmt::Debug,
{
    let mut did = Did::default();
    let found = take_apart(codec, stream, &whole, &mut did);
    if stream.len() <= PIECES_BELOW || stream.len().is_multiple_of(PIECES_ONE_IN) {
        let at_once: Vec<String> = found.into_iter().filter_map(|(_, answer)| answer).collect();
        assert_eq!(in_pieces(codec, stream), at_once, "what comes in pieces is answered otherwise");
    }
    did.all()
}

// ---- Modbus: what is asked and how much of it, then a protocol data unit or the stream that may hold one

/// One of everything that is asked of a Modbus unit.
struct Asked {
    request: pdu::Request,
    /// As written in the specification: function code, and how many registers or bits.
    function: u8,
    quantity: usize,
}

fn asked(kind: u8, quantity: u8) -> Asked {
    let read = |table, function, quantity: u16| {
        let request = pdu::Request::read(table, 0x006B, quantity).expect("a good read");
        Asked { request, function, quantity: usize::from(quantity) }
    };
    let write = |table, function, words: Vec<u16>| {
        let (quantity, multiple) = (words.len(), function > 6);
        let write = Write { table, address: 0x00AC, words, multiple };
        Asked { request: pdu::Request::write(&write).expect("a good write"), function, quantity }
    };
    let registers = u16::from(quantity).clamp(1, 125);
    let bits = (u16::from(quantity) * 8).clamp(1, 2000);
    match kind % 8 {
        0 => read(RegisterTable::Holding, 3, registers),
        1 => read(RegisterTable::Input, 4, registers),
        2 => read(RegisterTable::Coil, 1, bits),
        3 => read(RegisterTable::Discrete, 2, bits - 1 + u16::from(bits == 1)),
        4 => write(RegisterTable::Coil, 5, vec![1]),
        5 => write(RegisterTable::Holding, 6, vec![u16::from(quantity)]),
        6 => write(RegisterTable::Holding, 16, vec![0xA55A; usize::from(registers.min(123))]),
        _ => Asked { request: pdu::Request::identify(0), function: 0x2B, quantity: 0 },
    }
}

impl Asked {
    /// What a data unit is made of that answers this with `data`.
    fn repaired(&self, pdu: &mut Vec<u8>) {
        let Some(function) = pdu.first_mut() else { return };
        let refused = *function & 0x80 != 0;
        *function = self.function | if refused { 0x80 } else { 0 };
        let data = match self.function {
            1 | 2 => self.quantity.div_ceil(8),
            3 | 4 => 2 * self.quantity,
            _ if refused => 0,
            0x2B => return,
            _ => {
                pdu.splice(.., self.request.bytes().iter().copied().take(5));
                return;
            }
        };
        if refused {
            return pdu.resize(2, 2);
        }
        pdu.resize(2 + data, 0x5A);
        pdu[1] = data as u8;
    }

    /// Judges a data unit; whatever is made of it is what it says, by the letter of the specification.
    fn judged(&self, pdu: &[u8], did: &mut Did) {
        match self.request.judge(pdu) {
            Ok(Answer::Words(words)) => {
                let data = &pdu[2..];
                assert_eq!((pdu[0], usize::from(pdu[1])), (self.function, data.len()), "another answer");
                assert_eq!(words.len(), self.quantity, "not as many as asked for");
                let said: Vec<u16> = if self.function < 3 {
                    (0..self.quantity).map(|n| u16::from(data[n / 8] & (1 << (n % 8)) != 0)).collect()
                } else {
                    data.chunks_exact(2).map(|pair| u16::from(pair[0]) * 256 + u16::from(pair[1])).collect()
                };
                assert_eq!(words, said, "not what the frame says");
                let bytes = if self.function < 3 { self.quantity.div_ceil(8) } else { 2 * self.quantity };
                assert_eq!(data.len(), bytes, "not as long as asked");
                did.step(("words", size(words.len())));
            }
            Ok(Answer::Written) => {
                assert_eq!(pdu, &self.request.bytes()[..5], "another write");
                did.step("written");
            }
            Ok(Answer::Objects(objects, next)) => {
                assert_eq!(pdu[..3], [0x2B, 0x0E, 1], "another answer");
                assert_eq!(objects.len(), usize::from(pdu[6]), "not as many as said");
                did.step((objects.len(), next.is_some()));
            }
            Err(Verdict::Exception(exception)) => {
                assert_eq!(pdu, [self.function | 0x80, exception.code()], "no refusal");
                did.step(exception.code());
            }
            Err(Verdict::Echo) => {
                assert_eq!(pdu, self.request.bytes(), "no echo");
                did.step("echo");
            }
            Err(Verdict::Malformed(what)) => {
                assert!(!what.is_empty());
                did.step(plain(&what));
            }
        }
    }
}

const EXAMPLES: [&str; 9] = [
    // Kind, quantity, unit, then what comes: readings, an exception, an echo before the answer.
    "00 03 11 11 03 06 AE 41 56 52 43 40 49 AD",
    "00 03 11 11 83 02 C1 34",
    "01 02 01 01 04 00 00 00 02 71 CB 01 04 04 43 5C 19 9A 00 00",
    "00 01 01 00 FF 01 03 02 12 34 00 00 01 03 02 12 34 B5 33",
    "02 02 01 01 01 02 CD 6B 00 00",
    "04 00 01 01 05 00 AC FF 00 00 00",
    "05 07 01 01 06 00 AC 00 07 00 00",
    "06 02 01 01 10 00 AC 00 02 00 00",
    "07 00 01 01 2B 0E 01 01 00 00 02 00 05 41 63 72 65 6C 01 03 41 44 4C 00 00",
];

pub fn rtu() -> Target {
    Target {
        name: "modbus_rtu",
        inputs: 40_000,
        longest: 300,
        seeds: EXAMPLES.map(bytes).into(),
        words: ["11 03", "11 83", "01 04", "01 84", "11 03 06", "01 2B 0E 01"].map(bytes).into(),
        repair: |input| {
            let [kind, quantity, unit, stream @ ..] = input.as_slice() else { return };
            let asked = asked(*kind, *quantity);
            let begins = |pair: &[u8]| pair[0] == *unit && pair[1] & 0x7F == asked.function;
            let from = 3 + stream.windows(2).position(begins).unwrap_or(0);
            let mut pdu = input.get(from + 1..).unwrap_or_default().to_vec();
            asked.repaired(&mut pdu);
            let mut frame = vec![*unit];
            frame.extend(&pdu);
            frame.extend(crc(&frame));
            let to = (from + frame.len()).min(input.len());
            input.splice(from.min(to)..to, frame);
        },
        run: Box::new(|input| {
            let [kind, quantity, unit, held @ ..] = input else { return 0 };
            let asked = asked(*kind, *quantity);
            let request = rtu::Request::new(*unit, asked.request.clone());
            let did = RefCell::new(Did::default());
            let stream = stream(&request, held, |frame, said| {
                let (body, check) = frame.split_at(frame.len() - 2);
                assert_eq!(check, crc(body), "a wrong check sum");
                assert_eq!((body[0], body[1] & 0x7F), (*unit, asked.function), "another's frame");
                match said {
                    Some(pdu) => {
                        assert_eq!(pdu.as_slice(), &body[1..], "not what the frame says");
                        asked.judged(pdu, &mut did.borrow_mut());
                    }
                    None => assert_eq!((body[1] & 0x80, body.len()), (0x80, 3), "no refusal"),
                }
            });
            let mut did = did.into_inner();
            did.step((kind % 8, stream));
            did.all()
        }),
    }
}

pub fn mbap() -> Target {
    // The header in place of the unit, and nothing in place of the check sum.
    let seed = |text: &str| {
        let example = bytes(text);
        let pdu = &example[4..example.len() - 2];
        [&example[..2], &[0, 1, 0, 0, 0, pdu.len() as u8 + 1, 7], pdu].concat()
    };
    Target {
        name: "mbap",
        inputs: 60_000,
        longest: 300,
        seeds: EXAMPLES.iter().map(|text| seed(text)).collect(),
        words: ["00 00", "00 01 00 00 00 03 07 83 02", "00 FE", "00 FF", "07 03", "2B 0E 01"]
            .map(bytes)
            .into(),
        repair: |input| {
            let [kind, quantity, ..] = input.as_slice() else { return };
            let asked = asked(*kind, *quantity);
            if let Some(header) = input.get(2..9).map(<[u8]>::to_vec) {
                let mut pdu = input.split_off(9);
                asked.repaired(&mut pdu);
                input.truncate(2);
                input.extend([header[0], header[1], 0, 0, 0, pdu.len().min(253) as u8 + 1, header[6]]);
                input.extend(pdu);
            }
        },
        run: Box::new(|input| {
            let [kind, quantity, held @ ..] = input else { return 0 };
            let (asked, mut did, mut held) = (asked(*kind, *quantity), Did::default(), held);
            did.step(kind % 8);
            loop {
                match frame::first_frame(held) {
                    Ok(Some(frame)) => {
                        let frame::Frame { id, unit, pdu, len } = frame;
                        assert!((8..=260).contains(&len), "a frame of {len} bytes");
                        assert_eq!(held[..4], [(id >> 8) as u8, id as u8, 0, 0], "another header");
                        assert_eq!(
                            usize::from(held[4]) * 256 + usize::from(held[5]),
                            len - 6,
                            "another length"
                        );
                        assert_eq!((unit, pdu), (held[6], &held[7..len]), "not what the frame says");
                        for cut in 0..len {
                            assert_eq!(
                                frame::first_frame(&held[..cut]),
                                Ok(None),
                                "given up after {cut} of {len}"
                            );
                        }
                        asked.judged(pdu, &mut did);
                        held = &held[len..];
                    }
                    Ok(None) => {
                        did.step(("waits", size(held.len())));
                        return did.all();
                    }
                    Err(why) => {
                        did.step(plain(&why));
                        return did.all();
                    }
                }
            }
        }),
    }
}

// ---- DL/T 645: what is asked, then the stream

/// Makes the first frame that has a beginning a right one.
fn repair_summed(input: &mut Vec<u8>, header: usize, second: Option<usize>) {
    let Some(from) = input.iter().skip(1).position(|byte| *byte == 0x68).map(|at| at + 1) else { return };
    let room = input.len().saturating_sub(from + header + 2).min(200);
    if input.len() < from + header {
        return;
    }
    if let Some(second) = second {
        input[from + second] = 0x68;
    }
    input[from + header - 1] = room as u8;
    let end = from + header + room;
    input.resize(input.len().max(end + 2), 0);
    input[end] = sum(&input[from..end]);
    input[end + 1] = 0x16;
}

fn check_summed(frame: &[u8], header: usize) {
    let (body, tail) = frame.split_at(frame.len() - 2);
    assert_eq!(tail, [sum(body), 0x16], "a wrong check sum or end");
    assert_eq!(
        (body[0], body.len()),
        (0x68, header + usize::from(body[header - 1])),
        "a wrong beginning or length"
    );
}

pub fn dlt645() -> Target {
    let seeds = [
        // DL/T 645-2007: an energy after wake bytes, a refusal, a frame that another follows, the address asked for.
        "00 FE FE 68 01 00 00 00 00 00 68 91 08 33 33 34 33 AB 89 67 45 17 16",
        "00 68 01 00 00 00 00 00 68 D1 01 35 D8 16",
        "00 68 01 00 00 00 00 00 68 B1 06 33 33 34 33 55 66 00 16",
        "01 68 01 00 00 00 00 00 68 92 07 33 33 34 33 55 66 34 00 16",
        "02 68 01 00 00 00 00 00 68 93 06 34 33 33 33 33 33 00 16",
        // Its own request read back, then the answer.
        "00 68 01 00 00 00 00 00 68 11 04 33 33 34 33 B3 16 68 01 00 00 00 00 00 68 91 08 33 33 34 33 AB 89 67 45 17 16",
    ];
    Target {
        name: "dlt645",
        inputs: 40_000,
        longest: 300,
        seeds: seeds.map(bytes).into(),
        words: [
            "68",
            "68 01 00 00 00 00 00 68",
            "91",
            "D1",
            "B1 ",
            "92",
            "33 33 34 33",
            "16 68",
            "FE FE FE FE",
        ]
        .map(bytes)
        .into(),
        repair: |input| repair_summed(input, 10, Some(7)),
        run: Box::new(|input| {
            let Some((kind, held)) = input.split_first() else { return 0 };
            let di = dlt645::Di(0x0001_0000);
            let mine: dlt645::Address = "1".parse().expect("an address");
            let (address, ask) = match kind % 3 {
                0 => (mine, dlt645::Ask::Read(di)),
                1 => (mine, dlt645::Ask::ReadOn(di, 1)),
                _ => (dlt645::Address::ANY, dlt645::Ask::ReadAddress),
            };
            stream(&dlt645::Request { address, ask }, held, |frame, said| {
                check_summed(frame, 10);
                assert!(kind % 3 == 2 || frame[1..7] == [1, 0, 0, 0, 0, 0], "another's frame");
                let Some(answer) = said else { return };
                let plain: Vec<u8> =
                    frame[10..frame.len() - 2].iter().map(|byte| byte.wrapping_sub(0x33)).collect();
                let expected = match kind % 3 {
                    0 => &plain[4..],
                    1 => &plain[4..plain.len() - 1],
                    _ => &plain[..],
                };
                assert_eq!(answer.data, expected, "not what the frame says");
            })
        }),
    }
}

// ---- CJ/T 188: what is asked and the frame's number, then the stream

pub fn cjt188() -> Target {
    const WATER: &str = "68 10 12 00 00 00 00 00 00 81 16 90 1F 00 10 00 10 00 2C 10 00 10 00 2C 00 00 00 00 00 00 00 \
                         00 FF 67 16";
    let seeds = [
        format!("00 00 {WATER}"),
        format!("00 00 FE FE FE FE {WATER}"),
        format!("00 00 68 10 12 00 00 00 00 00 00 01 03 90 1F 00 3D 16 {WATER}"),
        "00 07 68 10 12 00 00 00 00 00 00 C1 03 07 02 00 00 16".into(),
        "01 07 68 10 12 00 00 00 00 00 00 83 03 81 0A 07 00 16".into(),
        "02 07 68 30 12 00 00 00 00 00 00 81 04 90 1F 07 55 00 16".into(),
    ];
    Target {
        name: "cjt188",
        inputs: 40_000,
        longest: 300,
        seeds: seeds.map(|text| bytes(&text)).into(),
        words: [
            "68",
            "68 10",
            "12 00 00 00 00 00 00",
            "81 16 90 1F",
            "C1 03",
            "83 03 81 0A",
            "16 68",
            "FE FE",
        ]
        .map(bytes)
        .into(),
        repair: |input| repair_summed(input, 11, None),
        run: Box::new(|input| {
            let [kind, serial, held @ ..] = input else { return 0 };
            let mine: cjt188::Address = "12".parse().expect("an address");
            let (kind_of_meter, address, ask) = match kind % 3 {
                0 => (0x10, mine, cjt188::Ask::Read([0x90, 0x1F])),
                1 => (0xAA, cjt188::Address::ANY, cjt188::Ask::ReadAddress),
                _ => (0xAA, mine, cjt188::Ask::Read([0x90, 0x1F])),
            };
            let request = cjt188::Request { kind: kind_of_meter, address, ask, serial: *serial };
            stream(&request, held, |frame, said| {
                check_summed(frame, 11);
                assert!(kind % 3 == 1 || frame[2..9] == [0x12, 0, 0, 0, 0, 0, 0], "another's frame");
                assert!(kind % 3 != 0 || frame[1] == 0x10, "another kind of meter");
                let Some(answer) = said else { return };
                assert_eq!(frame[13], *serial, "another number");
                assert_eq!(answer.data, frame[14..frame.len() - 2], "not what the frame says");
            })
        }),
    }
}
