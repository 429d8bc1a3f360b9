//! Frames of serial lines: whatever comes, a decoder goes on, and answers only with what a whole and right frame says.

use super::engine::{Did, Target, size};
use schoolgate::southbound::serial::codec::{Codec, Look};
use schoolgate::southbound::serial::{cjt188, dlt645, rtu};

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
                    assert!(matches!(early, Look::Wait), "a good frame is given up after {cut} of {bytes} bytes");
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
                    answers.push(said.map_or_else(|refusal| refusal.to_string(), |answer| format!("{answer:?}")));
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

// ---- Modbus RTU: unit, function, registers asked for, then the stream

fn rtu_head(input: &[u8]) -> Option<(u8, u8, u8, &[u8])> {
    let [unit, function, quantity, stream @ ..] = input else { return None };
    let function = if *function == 4 { 4 } else { 3 };
    Some((*unit, function, (*quantity).clamp(1, 125), stream))
}

pub fn rtu() -> Target {
    let seeds = [
        // MODBUS over Serial Line V1.02's own reading of three registers, an exception, an echo before the answer.
        "11 03 03 11 03 06 AE 41 56 52 43 40 49 AD",
        "11 03 03 11 83 02 C1 34",
        "01 04 02 01 04 00 00 00 02 71 CB 01 04 04 43 5C 19 9A 00 00",
        "01 03 01 00 FF 01 03 02 12 34 00 00 01 03 02 12 34 B5 33",
    ];
    Target {
        name: "modbus_rtu",
        inputs: 40_000,
        longest: 300,
        seeds: seeds.map(bytes).into(),
        words: ["11 03", "11 83", "01 04", "01 84", "11 03 06"].map(bytes).into(),
        repair: |input| {
            let Some((unit, function, quantity, stream)) = rtu_head(input) else { return };
            let begins = |pair: &[u8]| pair[0] == unit && pair[1] & 0x7F == function;
            let Some(from) = stream.windows(2).position(begins).map(|at| at + 3) else { return };
            let refused = input[from + 1] & 0x80 != 0;
            let body = if refused { 3 } else { 3 + 2 * usize::from(quantity) };
            if !refused && input.len() > from + 2 && !input[from + 2].is_multiple_of(5) {
                input[from + 2] = 2 * quantity;
            }
            input.resize(input.len().max(from + body + 2), 0x5A);
            let check = crc(&input[from..from + body]);
            input[from + body..from + body + 2].copy_from_slice(&check);
        },
        run: Box::new(|input| {
            let Some((unit, function, quantity, held)) = rtu_head(input) else { return 0 };
            let answer_len = 1 + 2 * usize::from(quantity);
            let request = rtu::Request::new(unit, &[function, 0x00, 0x6B, 0x00, quantity], answer_len);
            stream(&request, held, |frame, said| {
                let (body, check) = frame.split_at(frame.len() - 2);
                assert_eq!(check, crc(body), "a wrong check sum");
                assert_eq!((body[0], body[1] & 0x7F), (unit, function), "another's frame");
                match said {
                    Some(pdu) => {
                        assert_eq!(pdu.as_slice(), &body[1..], "not what the frame says");
                        assert_eq!(pdu.len(), 1 + answer_len, "not as long as asked");
                    }
                    None => assert_eq!((body[1] & 0x80, body.len()), (0x80, 3), "no refusal"),
                }
            })
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
    assert_eq!((body[0], body.len()), (0x68, header + usize::from(body[header - 1])), "a wrong beginning or length");
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
        words: ["68", "68 01 00 00 00 00 00 68", "91", "D1", "B1 ", "92", "33 33 34 33", "16 68", "FE FE FE FE"]
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
                let plain: Vec<u8> = frame[10..frame.len() - 2].iter().map(|byte| byte.wrapping_sub(0x33)).collect();
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
        words: ["68", "68 10", "12 00 00 00 00 00 00", "81 16 90 1F", "C1 03", "83 03 81 0A", "16 68", "FE FE"]
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
