//! Golden frames, strays of every kind, and answers that come late.

use super::codec::{Codec, Look, Refusal, Stray};
use super::line::{Line, LineError, Pace};
use super::{cjt188, dlt645, rtu};
use crate::profile::RegisterTable::{self, Coil, Holding, Input};
use crate::profile::Write;
use crate::southbound::modbus::pdu;
use crate::southbound::polled::Exception;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinSet;

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
}

fn meter(digits: &str) -> dlt645::Address {
    digits.parse().unwrap()
}

fn read(di: u32) -> dlt645::Request {
    dlt645::Request { address: meter("1"), ask: dlt645::Ask::Read(dlt645::Di(di)) }
}

#[test]
fn dlt645_requests_are_those_of_the_standard() {
    let wake = [0xFE; 4];
    let any = dlt645::Request { address: dlt645::Address::ANY, ask: dlt645::Ask::ReadAddress };
    for (request, frame) in [
        (read(0x0001_0000), "68 01 00 00 00 00 00 68 11 04 33 33 34 33 B3 16"),
        (read(0x0201_0100), "68 01 00 00 00 00 00 68 11 04 33 34 34 35 B6 16"),
        (any, "68 AA AA AA AA AA AA 68 13 00 DF 16"),
    ] {
        assert_eq!(request.request(), [&wake[..], &hex(frame)].concat());
    }
    assert_eq!(
        dlt645::broadcast_time(26, 8, 1, 12, 0, 0),
        [&wake[..], &hex("68 99 99 99 99 99 99 68 08 06 33 33 45 34 3B 59 E7 16")].concat()
    );
    assert_eq!(meter("123456789012").to_string(), "123456789012");
    for wrong in ["", "1234567890123", "12345678901A", "-1"] {
        assert!(wrong.parse::<dlt645::Address>().is_err(), "{wrong}");
    }
}

fn rtu_read(table: RegisterTable, address: u16, quantity: u16) -> rtu::Request {
    rtu::Request::new(1, pdu::Request::read(table, address, quantity).unwrap())
}

fn said<C: Codec>(codec: &C, frame: &[u8]) -> Result<C::Answer, Refusal> {
    for cut in 0..frame.len() {
        assert!(matches!(codec.look(&frame[..cut]), Look::Wait), "{cut} of {} bytes", frame.len());
    }
    match codec.look(frame) {
        Look::Answer { said, bytes } => {
            assert_eq!(bytes, frame.len());
            said
        }
        Look::Wait => panic!("waits for more than {frame:02X?}"),
        Look::Skip { what, .. } => panic!("{what:?}: {frame:02X?}"),
    }
}

#[test]
fn dlt645_answers_are_read_to_the_last_bit() {
    for (di, frame, data) in [
        (0x0001_0000, "68 01 00 00 00 00 00 68 91 08 33 33 34 33 AB 89 67 45 17 16", "78 56 34 12"),
        (0x0201_0100, "68 01 00 00 00 00 00 68 91 06 33 34 34 35 34 55 C1 16", "01 22"),
        (0x0203_0000, "68 01 00 00 00 00 00 68 91 07 33 33 36 35 78 56 34 3C 16", "45 23 01"),
        (0x0203_0000, "68 01 00 00 00 00 00 68 91 07 33 33 36 35 78 56 B4 BC 16", "45 23 81"),
    ] {
        let answer = said(&read(di), &hex(frame)).unwrap();
        assert_eq!((answer.address, answer.data, answer.more), (meter("1"), hex(data), false));
    }
    let refused = said(&read(0x0001_0000), &hex("68 01 00 00 00 00 00 68 D1 01 35 D8 16"));
    assert_eq!(refused, Err(Refusal::Dlt645(dlt645::Errors(2))));
    assert_eq!(refused.unwrap_err().to_string(), "the meter has no such data");
    let address = meter("202608010001");
    let any = dlt645::Request { address: dlt645::Address::ANY, ask: dlt645::Ask::ReadAddress };
    let own = vec![0x01, 0x00, 0x01, 0x08, 0x26, 0x20];
    let frame = dlt645::Frame { address, control: 0x93, data: own.clone() }.encode();
    let answer = said(&any, &frame).unwrap();
    assert_eq!((answer.address.to_string(), answer.data), ("202608010001".into(), own));
}

#[test]
fn dlt645_follow_on_frames_are_asked_for_by_number() {
    let di = dlt645::Di(0x0506_0101);
    let first = dlt645::Frame {
        address: meter("1"),
        control: 0xB1,
        data: [&di.0.to_le_bytes()[..], &[1, 2]].concat(),
    };
    let answer = said(&read(di.0), &first.encode()).unwrap();
    assert_eq!((answer.data, answer.more), (vec![1, 2], true));
    let next = dlt645::Request { address: meter("1"), ask: dlt645::Ask::ReadOn(di, 1) };
    let frame = |number| {
        let data = [&di.0.to_le_bytes()[..], &[3, 4, number]].concat();
        dlt645::Frame { address: meter("1"), control: 0x92, data }.encode()
    };
    let answer = said(&next, &frame(1)).unwrap();
    assert_eq!((answer.data, answer.more), (vec![3, 4], false));
    assert!(
        matches!(next.look(&frame(2)), Look::Skip { what: Stray::OtherRequest, .. }),
        "another frame's number"
    );
}

fn water(address: &str) -> cjt188::Request {
    cjt188::Request {
        kind: 0x10,
        address: address.parse().unwrap(),
        ask: cjt188::Ask::Read([0x90, 0x1F]),
        serial: 0,
    }
}

const WATER_REPLY: &str = "68 10 12 00 00 00 00 00 00 81 16 90 1F 00 10 00 10 00 2C 10 00 10 00 2C \
                           00 00 00 00 00 00 00 00 FF 67 16";

#[test]
fn cjt188_frames_are_those_that_were_captured() {
    let request = water("12");
    assert_eq!(request.request(), hex("FE FE FE FE 68 10 12 00 00 00 00 00 00 01 03 90 1F 00 3D 16"));
    let answer = said(&request, &hex(WATER_REPLY)).unwrap();
    assert_eq!((answer.kind, answer.address.to_string().as_str()), (0x10, "00000000000012"));
    assert_eq!(answer.data, hex("10 00 10 00 2C 10 00 10 00 2C 00 00 00 00 00 00 00 00 FF"));
    let other = cjt188::Request { serial: 1, ..request };
    assert!(matches!(other.look(&hex(WATER_REPLY)), Look::Skip { what: Stray::OtherRequest, .. }));
}

#[test]
fn rtu_requests_and_answers_have_their_check_sums() {
    for (request, frame) in [
        (rtu_read(Input, 0, 2), "01 04 00 00 00 02 71 CB"),
        (rtu_read(Holding, 0x101E, 2), "01 03 10 1E 00 02 A0 CD"),
        (rtu_read(Holding, 0x2006, 6), "01 03 20 06 00 06 2E 09"),
        (rtu_read(Holding, 0, 2), "01 03 00 00 00 02 C4 0B"),
    ] {
        assert_eq!(request.request(), hex(frame));
    }
    let request = rtu_read(Input, 0, 2);
    assert_eq!(said(&request, &sealed("01 04 04 43 5C 19 9A")), Ok(hex("04 04 43 5C 19 9A")));
    assert_eq!(said(&request, &sealed("01 84 02")), Err(Refusal::Modbus(Exception::IllegalAddress)));
}

#[test]
fn rtu_writes_are_answered_by_themselves_and_old_ones_are_told_apart() {
    let write = |table, address, words: &[u16]| {
        let write = Write { table, address, words: words.to_vec(), multiple: false };
        rtu::Request::new(1, pdu::Request::write(&write).unwrap())
    };
    let coil = write(Coil, 0xAC, &[1]);
    assert_eq!(said(&coil, &sealed("01 05 00 AC FF 00")), Ok(hex("05 00 AC FF 00")));
    let (seen, none) = strays(&coil, &sealed("01 05 00 AC 00 00"));
    assert_eq!((seen, none), (vec![Stray::OtherRequest], None), "the answer to an older write");
    let several = write(Holding, 1, &[0x0A, 0x102]);
    assert_eq!(said(&several, &sealed("01 10 00 01 00 02")), Ok(hex("10 00 01 00 02")));
    let (seen, answer) = strays(&several, &[several.request(), sealed("01 10 00 01 00 02")].concat());
    assert_eq!((seen, answer), (vec![Stray::Echo], Some(Ok(hex("10 00 01 00 02")))));
    let bits = rtu_read(Coil, 0x0300, 20);
    let (seen, none) = strays(&bits, &bits.request());
    assert_eq!((seen, none), (vec![Stray::Echo], None), "as long as an answer, and yet an echo");
    let identity = rtu::Request::new(1, pdu::Request::identify(0));
    let answer = sealed("01 2B 0E 01 01 00 00 02 00 01 41 01 02 42 43");
    assert_eq!(said(&identity, &answer).unwrap(), answer[1..answer.len() - 2]);
    let (seen, answered) = strays(&identity, &[identity.request(), answer].concat());
    assert!(seen == [Stray::Echo] && answered.is_some());
}

/// With the CRC.
fn sealed(body: &str) -> Vec<u8> {
    let mut bytes = hex(body);
    bytes.extend(rtu::crc(&bytes).to_le_bytes());
    bytes
}

/// What is left after everything that answers nothing was skipped, and what it was.
fn strays<C: Codec>(codec: &C, bytes: &[u8]) -> (Vec<Stray>, Option<Result<C::Answer, Refusal>>) {
    let (mut held, mut strays) = (bytes.to_vec(), Vec::new());
    loop {
        match codec.look(&held) {
            Look::Wait => return (strays, None),
            Look::Skip { bytes, what } => {
                assert!((1..=held.len()).contains(&bytes), "skips {bytes} of {}", held.len());
                held.drain(..bytes);
                strays.push(what);
            }
            Look::Answer { said, .. } => return (strays, Some(said)),
        }
    }
}

#[test]
fn m07_an_answer_is_found_behind_whatever_stands_before_it() {
    let voltage = hex("68 01 00 00 00 00 00 68 91 06 33 34 34 35 34 55 C1 16");
    let request = read(0x0201_0100);
    let mut bad_sum = voltage.clone();
    bad_sum[14] ^= 1;
    let other_meter =
        dlt645::Frame { address: meter("2"), control: 0x91, data: hex("00 01 01 02 01 22") }.encode();
    let other_di =
        dlt645::Frame { address: meter("1"), control: 0x91, data: hex("00 02 01 02 01 22") }.encode();
    for (what, before) in [
        (None, hex("FE FE FE FE")),
        (None, hex("00 FF 68 00 16")),
        (None, hex("68 68 68")),
        (Some(Stray::Echo), request.request()),
        (Some(Stray::BadSum), bad_sum),
        (Some(Stray::OtherDevice), other_meter),
        (Some(Stray::OtherRequest), other_di),
    ] {
        let (seen, said) = strays(&request, &[&before[..], &voltage].concat());
        assert!(said.is_some_and(|said| said.is_ok()), "behind {before:02X?}");
        assert!(what.is_none_or(|what| seen.contains(&what)), "{seen:?} behind {before:02X?}");
    }
    let request = rtu_read(Input, 0, 4);
    let answer = sealed("01 04 08 00 01 00 02 00 03 00 04");
    let mut bad_sum = answer.clone();
    bad_sum[5] ^= 0x40;
    for before in [hex("00"), hex("01"), hex("01 01 04 07"), vec![0xFF; 300], request.request(), bad_sum] {
        let (_, said) = strays(&request, &[&before[..], &answer, &[0; 16]].concat());
        assert_eq!(said, Some(Ok(answer[1..answer.len() - 2].to_vec())), "behind {before:02X?}");
    }
    let (seen, said) = strays(&water("12"), &[hex("FE FE 68"), hex(WATER_REPLY)].concat());
    assert!(said.is_some(), "{seen:?}");
}

#[test]
fn m07_no_bytes_whatever_panic_overrun_or_stall() {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_be_bytes()
    };
    let alphabet = [0x68, 0x16, 0xFE, 0x01, 0x03, 0x04, 0x83, 0x91, 0x00, 0x10, 0x81, 0x33];
    for _ in 0..20_000 {
        let len = usize::from(random()[1]) % 80;
        let bytes: Vec<u8> = (0..len)
            .map(|_| {
                let [a, b, ..] = random();
                if a < 200 { alphabet[usize::from(b) % alphabet.len()] } else { b }
            })
            .collect();
        strays(&read(0x0001_0000), &bytes);
        strays(&water("12"), &bytes);
        strays(&rtu_read(Holding, 0, 2), &bytes);
    }
}

/// A line of 9600 baud, and its other end.
fn line() -> (Line, DuplexStream) {
    let (near, far) = tokio::io::duplex(4096);
    (Line::new(Box::new(near), Pace::new(9600)), far)
}

const WITHIN: Duration = Duration::from_millis(100);

fn holding(address: u8) -> rtu::Request {
    rtu_read(Holding, u16::from(address), 1)
}

/// What a device with `value` in each register at `value` answers.
fn value_of(request: &[u8]) -> Vec<u8> {
    let value = request[3];
    let mut frame = vec![1, 3, 2, 0, value];
    frame.extend(rtu::crc(&frame).to_le_bytes());
    frame
}

#[tokio::test(start_paused = true)]
async fn m11_an_answer_in_pieces_is_one_and_a_dripping_one_misses_the_one_deadline() {
    let (mut line, mut far) = line();
    let mut device = JoinSet::new();
    device.spawn(async move {
        for pause in [1, 60] {
            let mut request = [0; 8];
            far.read_exact(&mut request).await.unwrap();
            for byte in value_of(&request) {
                far.write_all(&[byte]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
        far
    });
    assert_eq!(line.ask(&holding(7), WITHIN).await.unwrap(), [3, 2, 0, 7]);
    let missed = line.ask(&holding(8), WITHIN).await;
    assert!(matches!(missed, Err(LineError::Partial { .. })), "{missed:?}");
    drop(device);
}

/// What a converter still has for the connection before comes on the new one.
#[tokio::test(start_paused = true)]
async fn m02_a_line_just_opened_is_listened_to_first() {
    for late in [0, 50, 250] {
        let (mut line, mut far) = line();
        let mut device = JoinSet::new();
        device.spawn(async move {
            tokio::time::sleep(Duration::from_millis(late)).await;
            let old = value_of(&holding(3).request());
            far.write_all(&old).await.unwrap();
            let mut request = [0; 8];
            far.read_exact(&mut request).await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
            far.write_all(&value_of(&request)).await.unwrap();
            far
        });
        assert_eq!(line.ask(&holding(9), WITHIN).await.unwrap(), [3, 2, 0, 9], "late by {late} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn m01_a_dead_device_costs_its_deadline_and_a_silence() {
    let (mut line, _far) = line();
    for most in [800, 500, 500] {
        let began = tokio::time::Instant::now();
        let missed = line.ask(&holding(1), WITHIN).await;
        assert!(matches!(missed, Err(LineError::Silent { .. })), "{missed:?}");
        // The first time besides the listening of a line just opened.
        assert!(began.elapsed() < Duration::from_millis(most), "{:?}", began.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn m08_an_echo_has_a_name() {
    let (mut line, mut far) = line();
    let mut echo = JoinSet::new();
    echo.spawn(async move {
        let mut seen = [0; 8];
        far.read_exact(&mut seen).await.unwrap();
        far.write_all(&seen).await.unwrap();
        far
    });
    let echoed = line.ask(&rtu_read(Holding, 1, 2), WITHIN).await.unwrap_err();
    assert!(matches!(echoed, LineError::Strange { last: Stray::Echo, .. }), "{echoed:?}");
    assert!(echoed.to_string().contains("check the A and B wires"), "{echoed}");
    drop(echo.join_next().await.unwrap().unwrap());
    let gone = line.ask(&holding(1), WITHIN).await.unwrap_err();
    assert!(gone.is_loss(), "{gone}");
}

#[tokio::test(start_paused = true)]
async fn m07_a_line_of_pure_noise_is_given_up_in_bounded_time() {
    let (mut line, mut far) = line();
    let mut noise = JoinSet::new();
    noise.spawn(async move {
        while far.write_all(&[0x55; 64]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let began = tokio::time::Instant::now();
    let error = line.ask(&holding(1), WITHIN).await.unwrap_err();
    assert!(matches!(error, LineError::Strange { last: Stray::Noise, .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    drop(line);
    noise.join_next().await.unwrap().unwrap();
}
