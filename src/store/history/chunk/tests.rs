//! Readings come back from chunks bit for bit, damage does no harm, and a reading takes few bytes.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "numbers of tests are small or meant to be odd"
)]

use super::super::columns;
use super::super::testing::{Dice, damage, name, odd_value};
use super::*;

const AT: i64 = 1_790_000_000_000;
const MINUTE: i64 = 60_000;

fn odd_chunk(dice: &mut Dice) -> Chunk {
    let names: Vec<SeriesName> = (0..=dice.below(12)).map(|i| name(&format!("p{i}"))).collect();
    let doubts: Vec<String> = ["sentinel", "device_says"].map(str::to_owned).to_vec();
    let (plain, calm) = (dice.one_in(2), dice.one_in(2));
    let (mut seq, mut arrived) = (dice.roll() as i64 >> 20, dice.roll() as i64 >> 22);
    let mut rows = Vec::new();
    for _ in 0..dice.below(400) {
        let device_at = dice.one_in(3).then(|| if calm { arrived - 250 } else { dice.roll() as i64 });
        let clock = dice.below(4) as u8;
        for series in 0..names.len() {
            if calm || !dice.one_in(3) {
                let value = (calm || !dice.one_in(5))
                    .then(|| if plain { dice.below(90) as f64 / 10.0 } else { odd_value(dice) });
                let row = Row {
                    seq,
                    arrived,
                    device_at,
                    value: value.filter(|v| !v.is_nan()),
                    series: series as u32,
                    clock,
                    quality: dice.below(3) as u8,
                    doubt: dice.below(3) as u8,
                };
                rows.push(row);
                seq += 1;
            }
        }
        seq += dice.below(50) as i64;
        arrived += if dice.one_in(30) { dice.roll() as i64 >> 24 } else { 60_000 };
    }
    // What has no reading has no place in a chunk.
    let used: Vec<u32> = (0..names.len() as u32).filter(|n| rows.iter().any(|r| r.series == *n)).collect();
    rows.iter_mut().for_each(|r| r.series = used.iter().position(|u| *u == r.series).unwrap() as u32);
    Chunk { names: used.iter().map(|u| names[*u as usize].clone()).collect(), doubts, rows }
}

fn row_bits(chunk: &Chunk) -> Vec<(Row, Option<u64>)> {
    chunk.rows.iter().map(|row| (Row { value: None, ..*row }, row.value.map(f64::to_bits))).collect()
}

#[test]
fn any_readings_come_back_bit_for_bit_from_a_chunk() {
    let mut dice = Dice(1);
    for _ in 0..300 {
        let chunk = odd_chunk(&mut dice);
        let back = Chunk::decode(&chunk.encode().unwrap(), |_| true).unwrap();
        assert_eq!((&back.names, &back.doubts), (&chunk.names, &chunk.doubts));
        assert_eq!(row_bits(&back), row_bits(&chunk));
        let Some(one) = chunk.names.first() else { continue };
        let alone = Chunk::decode(&chunk.encode().unwrap(), |name| name == one).unwrap();
        let expected = chunk.rows.iter().filter(|row| row.series == 0).count();
        assert_eq!((alone.names.len(), alone.rows.len()), (1, expected));
    }
}

#[test]
fn each_kind_of_value_is_packed_in_its_way_and_comes_back() {
    let singles = |tens: f64| move |i: i64| f64::from((i as f64 / tens) as f32);
    type Source = Box<dyn Fn(i64) -> f64>;
    let kinds: [(&str, u8, Source); 7] = [
        ("whole", 0x10, Box::new(|i| (i * 7) as f64)),
        ("decimal", 0x11, Box::new(|i| (2_300 + i % 9) as f64 / 10.0)),
        ("scaled", 0x22, Box::new(|i| (i * 3 + 1) as f64 * 0.01)),
        ("single decimal", 0x31, Box::new(singles(10.0))),
        ("single", 1, Box::new(|i| f64::from((i as f64 * 0.731).sin() as f32))),
        ("double", 0, Box::new(|i| (i as f64 * 0.731).sin())),
        ("odd", 0, Box::new(|i| [-0.0, f64::MAX, f64::NEG_INFINITY, 5e-324][i as usize % 4])),
    ];
    for (what, form, of) in kinds {
        for count in [1, 2, 15, 16, 17, 500] {
            let values: Vec<f64> = (1..=count).map(&of).collect();
            let mut out = Vec::new();
            columns::put_floats(&mut out, &values).unwrap();
            if count == 500 {
                assert_eq!(out[0], form, "{what}");
            }
            let mut bytes = columns::Bytes(&out);
            let back = columns::floats(&mut bytes, values.len()).unwrap();
            assert!(bytes.0.is_empty(), "{what}: all is read");
            let bits = |v: &[f64]| v.iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
            assert_eq!(bits(&back), bits(&values), "{what}");
        }
    }
}

#[test]
fn damaged_bytes_are_an_error_or_other_readings_and_never_a_panic() {
    // Without the digest that stands before it in a file, the decoder itself must stand anything.
    let mut dice = Dice(2);
    let chunks: Vec<Vec<u8>> = (0..20).map(|_| odd_chunk(&mut dice).encode().unwrap()).collect();
    let mut refused = 0;
    for turn in 0..10_000 {
        let mut bytes = chunks[turn % chunks.len()].clone();
        damage(&mut dice, &mut bytes);
        match Chunk::decode(&bytes, |_| true) {
            Ok(chunk) => assert!(chunk.rows.len() <= SEAL_MOST),
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 1_000, "{refused} of 10,000 were refused");
}

/// Two hours of a meter polled once a minute, its ten points as a three-phase meter gives them: energy in steps of
/// 0.01 kWh, power noisy and voltage in steps of 0.1 as single floats, current and factor in steps of 0.001.
fn meter(dice: &mut Dice, minutes: i64) -> Chunk {
    const POINTS: [&str; 10] = [
        "energy_import",
        "power",
        "power_l1",
        "power_l2",
        "voltage_l1",
        "voltage_l2",
        "voltage_l3",
        "current_l1",
        "power_factor",
        "frequency",
    ];
    let single = |v: f64| f64::from(v as f32);
    let round = |v: f64, tens: f64| single((v * tens).round() / tens);
    let (mut energy, mut load) = (1_234_567.0 + dice.below(99_999) as f64, 12_000.0);
    let (mut seq, mut rows) = (1_000_000, Vec::new());
    for minute in 0..minutes {
        load = (load + 300.0 * dice.noise()).clamp(500.0, 40_000.0);
        energy += (load / 60.0 / 10.0).round();
        let values = [
            energy / 100.0,
            single(load),
            single(load * 0.34 + 20.0 * dice.noise()),
            single(load * 0.31 + 20.0 * dice.noise()),
            round(230.0 + 2.0 * dice.noise(), 10.0),
            round(231.0 + 2.0 * dice.noise(), 10.0),
            round(229.0 + 2.0 * dice.noise(), 10.0),
            round(load / 690.0 + 0.1 * dice.noise(), 1_000.0),
            round(0.93 + 0.01 * dice.noise(), 1_000.0),
            round(50.0 + 0.03 * dice.noise(), 100.0),
        ];
        // Polling takes its time, and others are read in between.
        let arrived = AT + minute * MINUTE + dice.below(40) as i64;
        seq += 2_000 + dice.below(30) as i64;
        for (series, value) in (0..).zip(values) {
            let row = Row {
                seq,
                arrived,
                device_at: None,
                value: Some(value),
                series,
                clock: 1,
                quality: 0,
                doubt: 0,
            };
            rows.push(row);
            seq += 1;
        }
    }
    Chunk { names: POINTS.map(name).to_vec(), doubts: Vec::new(), rows }
}

/// A sensor that tells temperature and humidity every half minute or so, and its own time.
fn sensor(dice: &mut Dice, minutes: i64) -> Chunk {
    let (mut rows, mut seq, mut temperature, mut arrived) = (Vec::new(), 1, 21.0, AT);
    while arrived < AT + minutes * MINUTE {
        arrived += 28_000 + dice.below(4_000) as i64;
        seq += 900 + dice.below(200) as i64;
        temperature += 0.05 * dice.noise();
        let device_at = Some(arrived / 1_000 * 1_000 - dice.below(2) as i64 * 1_000);
        for (series, value) in [(0, temperature), (1, 55.0 + dice.noise())] {
            let value = Some((value * 100.0).round() / 100.0);
            rows.push(Row { seq, arrived, device_at, value, series, clock: 0, quality: 0, doubt: 0 });
            seq += 1;
        }
    }
    Chunk { names: ["temperature", "humidity"].map(name).to_vec(), doubts: Vec::new(), rows }
}

/// Bits that the other well-known codec for such series would need, per series with its own times: the difference of
/// differences of times, and values XORed with the one before (Pelkonen et al., "Gorilla", VLDB 2015, section 4.1).
/// It keeps no order of arrival and no quality.
fn gorilla_bits(rows: &[&Row]) -> u64 {
    let (mut bits, mut leading, mut trailing) = (128_u64, 65, 65);
    let mut step = 0;
    for pair in rows.windows(2) {
        let now = pair[1].arrived - pair[0].arrived;
        bits += match (now - step).abs() {
            0 => 1,
            1..64 => 9,
            64..256 => 12,
            256..2_048 => 16,
            _ => 36,
        };
        step = now;
        let xor = pair[0].value.unwrap().to_bits() ^ pair[1].value.unwrap().to_bits();
        let (l, t) = (xor.leading_zeros().min(31), xor.trailing_zeros());
        bits += match xor {
            0 => 1,
            _ if l >= leading && t >= trailing => 2 + u64::from(64 - leading - trailing),
            _ => {
                (leading, trailing) = (l, t);
                13 + u64::from(64 - l - t)
            }
        };
    }
    bits
}

#[test]
fn a_reading_takes_at_most_three_bytes_and_half_of_what_another_codec_needs() {
    for (what, of) in [("meter", meter as fn(&mut Dice, i64) -> Chunk), ("sensor", sensor)] {
        for minutes in [60, 120, 240, 1_440] {
            let (mut ours, mut theirs, mut rows) = (0, 0, 0);
            for device in 0..if minutes > 240 { 2 } else { 8 } {
                let chunk = of(&mut Dice(device), minutes);
                ours += chunk.encode().unwrap().len() + 60;
                rows += chunk.rows.len();
                for series in 0..chunk.names.len() as u32 {
                    let own: Vec<&Row> = chunk.rows.iter().filter(|row| row.series == series).collect();
                    theirs += gorilla_bits(&own).div_ceil(8) as usize;
                }
            }
            let each = |bytes: usize| bytes as f64 / rows as f64;
            let (ours, theirs) = (each(ours), each(theirs));
            println!("{what}, {minutes} min: {ours:.2} bytes a reading, Gorilla {theirs:.2}");
            // Four hours are what a file holds in a large school.
            if minutes >= 240 {
                assert!(ours <= 3.0 && ours < theirs / 2.0, "{what}, {minutes} min: {ours:.2}, {theirs:.2}");
            }
        }
    }
}
