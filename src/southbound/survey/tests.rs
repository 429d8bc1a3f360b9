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
use hil::chance::Chance;
use hil::line::{Device, Line};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::task::JoinSet;
use tokio::time::Instant;

const MS: Duration = Duration::from_millis(1);
/// Lines of each kind.
const SEEDS: u64 = 40;

fn sealed(body: &[u8]) -> Vec<u8> {
    [body, &crc(body).to_le_bytes()].concat()
}

fn unit(id: u8, after: Duration) -> (u8, Device) {
    (id, Device { thinks: after, wavers: Duration::ZERO, answer: sealed(&[id, 3, 4, 0, id, 0, 1]) })
}

struct Scan {
    sweep: Sweep,
    quick: Duration,
    patient: Duration,
}

async fn scan(units: &[(u8, Device)]) -> Scan {
    scan_of(Line::new(9600, units.iter().cloned().collect(), 1)).await
}

async fn scan_of(line: Line) -> Scan {
    let (mut near, far) = duplex(4096);
    let mut tasks = JoinSet::new();
    tasks.spawn(line.serve(far));
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

/// Lines of 32 meters.
#[derive(Debug, Clone, Copy)]
struct Meters {
    name: &'static str,
    /// How long they think at least, and at most, in milliseconds.
    think_ms: (f64, f64),
    /// And three of them.
    three_ms: Option<(f64, f64)>,
    /// How much longer at most an answer takes than the one before.
    wavers: Duration,
    /// The adapter hands bytes over only so often.
    every: Option<Duration>,
    /// A scan takes no longer, in seconds: with any ids, and with ids 1 to 32.
    most_s: (f64, f64),
}

impl Meters {
    fn line(self, is_contiguous: bool, seed: u64) -> (Line, Vec<u8>) {
        let mut chance = Chance::seeded(seed);
        let mut ids: Vec<u8> = (1..=if is_contiguous { 32 } else { 247 }).collect();
        while ids.len() > 32 {
            ids.remove(usize::try_from(chance.below(ids.len() as u64)).unwrap());
        }
        let thinking = |chance: &mut Chance, (least, most): (f64, f64)| {
            Duration::from_secs_f64(chance.between(least, most) / 1000.0)
        };
        let mut devices: BTreeMap<u8, Device> = BTreeMap::new();
        for id in &ids {
            let (_, device) = unit(*id, thinking(&mut chance, self.think_ms));
            devices.insert(*id, Device { wavers: self.wavers, ..device });
        }
        for range in self.three_ms.iter().cycle().take(3) {
            let id = ids[usize::try_from(chance.below(32)).unwrap()];
            devices.get_mut(&id).unwrap().thinks = thinking(&mut chance, *range);
        }
        let line = Line::new(9600, devices, seed);
        (if let Some(every) = self.every { line.handed_over_every(every) } else { line }, ids)
    }
}

#[tokio::test(start_paused = true)]
async fn every_meter_of_full_lines_of_all_kinds_is_found_in_little_time() {
    let quick = Meters {
        name: "quick",
        think_ms: (2.0, 10.0),
        three_ms: None,
        wavers: Duration::ZERO,
        every: None,
        most_s: (7.0, 7.0),
    };
    let ftdi = Some(16 * MS);
    for meters in [
        quick,
        Meters { name: "slow", think_ms: (5.0, 50.0), most_s: (20.0, 13.0), ..quick },
        Meters { name: "of one slow model", think_ms: (19.0, 21.0), most_s: (20.0, 17.0), ..quick },
        Meters { name: "wavering", think_ms: (5.0, 40.0), wavers: 10 * MS, most_s: (20.0, 13.0), ..quick },
        Meters { name: "three very slow", three_ms: Some((50.0, 290.0)), most_s: (10.0, 10.0), ..quick },
        Meters { name: "all very slow", think_ms: (5.0, 290.0), most_s: (30.0, 20.0), ..quick },
        Meters { name: "quick, handed over late", every: ftdi, most_s: (18.0, 15.0), ..quick },
        Meters {
            name: "slow, handed over late",
            think_ms: (5.0, 50.0),
            every: ftdi,
            most_s: (24.0, 18.0),
            ..quick
        },
    ] {
        for (is_contiguous, most_s) in [(false, meters.most_s.0), (true, meters.most_s.1)] {
            for seed in 1..=SEEDS {
                let (line, ids) = meters.line(is_contiguous, seed);
                let scan = scan_of(line).await;
                let what = format!("{}, contiguous: {is_contiguous}, seed {seed}", meters.name);
                assert_eq!(scan.sweep.answers.keys().copied().collect::<Vec<_>>(), ids, "{what}");
                assert_eq!(scan.sweep.garbled, [].into(), "{what}");
                let took = (scan.quick + scan.patient).as_secs_f64();
                assert!(took < most_s, "{what}: {took:.1} s");
            }
        }
    }
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
async fn a_line_of_noise_alone_is_told_and_not_looked_at_for_minutes() {
    let (mut near, mut far) = duplex(4096);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut asked = [0; 8];
        while far.read_exact(&mut asked).await.is_ok() {
            tokio::time::sleep(20 * MS).await;
            far.write_all(&[0xFF, asked[6], 0]).await.unwrap();
        }
    });
    let ids: Vec<u8> = (1..=247).collect();
    let mut sweep = Sweep::new(9600, false);
    let began = Instant::now();
    sweep.quick(&mut near, &ids, &mut |_| ()).await.unwrap();
    assert!(sweep.is_only_noise() && sweep.noise > 3 * 247, "{} bytes", sweep.noise);
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_answer_and_what_cannot_be_read_is_told() {
    let device = |answer| Device { thinks: 10 * MS, wavers: Duration::ZERO, answer };
    let refusing = (9, device(sealed(&[9, 0x83, 2])));
    // Two devices with one id garble one another every time.
    let two = (20, device(vec![20, 3, 4, 0x55, 0xAA, 0, 0, 0, 0]));
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
