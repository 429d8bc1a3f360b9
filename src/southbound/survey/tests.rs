//! Scans over a wire whose other end is in the test, and sketches of profiles; time is tokio's, paused.

use super::capture::{self, Capture, Kind};
use super::heard::question;
use super::plates::{self, Called, Plate};
use super::sketch::{Naming, NoSketch, sketch};
use super::{Reply, Sweep};
use crate::document::Problems;
use crate::model::ProfileId;
use crate::profile;
use crate::southbound::polled::{Exception, Frame};
use crate::southbound::serial::rtu::crc;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

const MS: Duration = Duration::from_millis(1);
/// One character at 9600 baud, 11 bits.
const CHAR: Duration = Duration::from_micros(1146);

fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &crc(body).to_le_bytes()].concat()
}

/// What a unit does when asked.
#[derive(Clone)]
struct Unit {
    after: Duration,
    answer: Vec<u8>,
}

fn unit(id: u8, after: Duration) -> (u8, Unit) {
    (id, Unit { after, answer: sealed(&[id, 3, 4, 0, id, 0, 1]) })
}

/// A half-duplex line: bytes of an answer that fall on a question are lost, but for the rest of the last of them, which
/// is read as another byte; and a question that an answer falls on is not understood.
async fn line(mut wire: DuplexStream, units: BTreeMap<u8, Unit>) {
    // Bytes of answers, each with the moment its last bit is over the wire.
    let mut speaking: BTreeMap<Instant, u8> = BTreeMap::new();
    let mut held = Vec::new();
    let mut bytes = [0; 64];
    loop {
        let next = speaking.keys().next().copied();
        tokio::select! {
            biased;
            () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                let later = speaking.split_off(&(Instant::now() + Duration::from_nanos(1)));
                let said: Vec<u8> = std::mem::replace(&mut speaking, later).into_values().collect();
                if wire.write_all(&said).await.is_err() {
                    return;
                }
            }
            read = wire.read(&mut bytes) => {
                let Ok(n @ 1..) = read else { return };
                held.extend_from_slice(&bytes[..n]);
                if held.len() < 8 {
                    continue;
                }
                let asked: Vec<u8> = held.drain(..8).collect();
                let (from, to) = (Instant::now(), Instant::now() + CHAR * 8);
                let falls = |end: &Instant| *end > from && *end - CHAR < to;
                let disturbed = speaking.keys().any(falls);
                speaking.retain(|end, _| !falls(end) || *end > to);
                speaking.iter_mut().filter(|(end, _)| falls(end)).for_each(|(_, byte)| *byte = 0xFF);
                if let Some(unit) = units.get(&asked[0]).filter(|_| !disturbed) {
                    let mut end = to + unit.after;
                    for byte in &unit.answer {
                        end += CHAR;
                        speaking.insert(end, *byte);
                    }
                }
            }
        }
    }
}

struct Scan {
    sweep: Sweep,
    quick: Duration,
    patient: Duration,
}

async fn scan(units: &[(u8, Unit)]) -> Scan {
    let (mut near, far) = duplex(4096);
    let mut tasks = JoinSet::new();
    tasks.spawn(line(far, units.iter().cloned().collect()));
    let ids: Vec<u8> = (1..=247).collect();
    let mut sweep = Sweep::new(9600, false);
    let (began, mut steps) = (Instant::now(), 0);
    sweep.quick(&mut near, &ids, &mut |_| steps += 1).await.unwrap();
    assert_eq!(steps, 247);
    let quick = began.elapsed();
    let began = Instant::now();
    sweep.patient(&mut near, None, &mut |_| ()).await.unwrap();
    Scan { sweep, quick, patient: began.elapsed() }
}

#[tokio::test(start_paused = true)]
async fn an_empty_line_is_swept_in_under_seven_seconds_and_has_no_doubts() {
    let scan = scan(&[]).await;
    assert!(scan.sweep.answers.is_empty() && scan.sweep.garbled.is_empty() && !scan.sweep.others);
    assert!(scan.quick < Duration::from_secs(7), "{:?}", scan.quick);
    assert!(scan.quick > Duration::from_secs(6), "each id has its time: {:?}", scan.quick);
    assert_eq!(scan.patient, Duration::ZERO);
    let estimate = scan.sweep.estimate(247);
    assert!(estimate.abs_diff(scan.quick) < scan.quick / 10, "{estimate:?} for {:?}", scan.quick);
}

#[tokio::test(start_paused = true)]
async fn units_of_every_slowness_are_found_each_by_its_own_name() {
    // From at once to slower than many questions take; each alone on the line.
    for after in (4..250).step_by(3) {
        let units = [unit(50, after * MS)];
        let scan = scan(&units).await;
        let found: Vec<_> = scan.sweep.answers.iter().map(|(id, reply)| (*id, *reply)).collect();
        assert_eq!(found, [(50, Reply::Words([50, 1]))], "answers after {after} ms");
        assert!(scan.sweep.garbled.is_empty(), "answers after {after} ms: {:?}", scan.sweep.garbled);
    }
}

#[tokio::test(start_paused = true)]
async fn thirty_units_side_by_side_are_all_found() {
    let units: Vec<_> = (1..=30).map(|id| unit(id, u32::from(5 + id * 7 % 60) * MS)).collect();
    let scan = scan(&units).await;
    assert_eq!(scan.sweep.answers.keys().copied().collect::<Vec<_>>(), (1..=30).collect::<Vec<u8>>());
    assert!(scan.quick + scan.patient < Duration::from_secs(30), "{:?} + {:?}", scan.quick, scan.patient);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_answer_and_what_cannot_be_read_is_told() {
    let refusing = (9, Unit { after: 10 * MS, answer: sealed(&[9, 0x83, 2]) });
    // Two devices with one id garble one another every time.
    let two = (20, Unit { after: 10 * MS, answer: vec![20, 3, 4, 0x55, 0xAA, 0, 0, 0, 0] });
    let scan = scan(&[refusing, two]).await;
    let found: Vec<_> = scan.sweep.answers.iter().map(|(id, reply)| (*id, *reply)).collect();
    assert_eq!(found, [(9, Reply::Refused(Exception::IllegalAddress))]);
    assert_eq!(scan.sweep.garbled.iter().copied().collect::<Vec<_>>(), [20]);
}

#[tokio::test(start_paused = true)]
async fn another_master_and_an_echo_are_noticed_and_a_cut_wire_ends_the_scan() {
    let (mut near, mut far) = duplex(4096);
    let mut sweep = Sweep::new(9600, false);
    far.write_all(&[1, 2, 3]).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut asked = [0; 8];
        while far.read_exact(&mut asked).await.is_ok() && asked[0] < 5 {
            far.write_all(&asked).await.unwrap();
        }
    });
    let error = sweep.quick(&mut near, &[3, 4, 5, 6, 7], &mut |_| ()).await.unwrap_err();
    assert!(
        matches!(error.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::BrokenPipe),
        "{error}"
    );
    assert!(sweep.others && sweep.echo);
    assert!(sweep.answers.is_empty(), "an echo is no answer: {:?}", sweep.answers);
}

#[tokio::test(start_paused = true)]
async fn plate_numbers_are_read_and_several_at_once_are_told() {
    let hex = |text: &str| -> Vec<u8> {
        text.split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect()
    };
    // The address as DL/T 645-2007 has a meter tell it, and garbled by a second one.
    let answer = hex("FE FE 68 45 23 01 00 00 00 68 93 06 78 56 34 33 33 33 68 16");
    let sum = answer[2..18].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let answer: Vec<u8> = [&answer[..18], &[sum, 0x16]].concat();
    let mut garbled = answer.clone();
    garbled[8] ^= 0x11;
    for (said, expected) in [
        (Vec::new(), Called::Nobody),
        (answer, Called::One(Plate::Electricity("000000012345".parse().unwrap()))),
        (garbled, Called::Garbled),
    ] {
        let (mut near, mut far) = duplex(4096);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut asked = [0; 16];
            far.read_exact(&mut asked).await.unwrap();
            assert_eq!(asked[4..], [0x68, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0xAA, 0x68, 0x13, 0, 0xDF, 0x16]);
            tokio::time::sleep(400 * MS).await;
            far.write_all(&said).await.unwrap();
            std::future::pending::<()>().await;
        });
        assert_eq!(plates::electricity(&mut near, 2400).await.unwrap(), expected);
    }
}

fn captured(unit: u8, address: u16, words: &[u16]) -> [Frame; 2] {
    let count = u8::try_from(words.len()).unwrap();
    let [high, low] = address.to_be_bytes();
    let asked = sealed(&[unit, 4, high, low, 0, count]);
    let mut said = vec![unit, 4, count * 2];
    said.extend(words.iter().flat_map(|word| word.to_be_bytes()));
    [Frame { at_ms: 0, sent: true, bytes: asked }, Frame { at_ms: 30, sent: false, bytes: sealed(&said) }]
}

#[test]
fn a_sketch_is_a_profile_whose_vectors_pass() {
    // 220.1 V, nothing, 50.02 Hz as floats, low word first; then whole numbers.
    let floats = [0x199A, 0x435C, 0, 0, 0x147B, 0x4248];
    let whole = [2201, 7, 0, 5000, 0xFFFF];
    let frames = [captured(5, 0, &floats), captured(5, 100, &whole)].concat();
    let capture = Capture { kind: Kind::Serial(9600), frames };
    let mut naming =
        Naming { id: ProfileId::new("chint-dtsu777").unwrap(), class: "energy-meter".into(), unit: None };
    let made = sketch(&capture, &naming).unwrap();
    assert_eq!(made.points, 3 + 5);
    let problems = Problems::new();
    let profile = profile::parse("profile.toml", &made.profile, &problems).expect("a profile");
    assert_eq!(profile::vectors::check(&profile, "vectors.toml", &made.vectors, &problems), 2);
    assert_eq!(problems.into_sorted(), []);
    assert!(made.profile.contains("type = \"f32\"\norder = \"CDAB\"\nunit = \"V\""), "{}", made.profile);
    assert!(made.profile.contains("a voltage, if scale = 0.1"), "{}", made.profile);
    assert!(!profile.confirmed);

    let other =
        Capture { frames: [capture.frames.clone(), captured(6, 0, &[1]).to_vec()].concat(), ..capture };
    assert_eq!(sketch(&other, &naming), Err(NoSketch::SeveralUnits(vec![5, 6])));
    naming.unit = Some(6);
    assert_eq!(sketch(&other, &naming).unwrap().points, 1);
    naming.unit = Some(7);
    assert_eq!(sketch(&other, &naming), Err(NoSketch::NoReads));
    naming.id = ProfileId::new("meter").unwrap();
    assert!(matches!(sketch(&other, &naming), Err(NoSketch::NoVendor(_))));
}

#[test]
fn a_question_of_the_scan_is_a_read_like_any_other() {
    let request = question(7);
    assert_eq!(capture::asked(&request[1..6]), Some((crate::profile::RegisterTable::Holding, 0, 2)));
}
