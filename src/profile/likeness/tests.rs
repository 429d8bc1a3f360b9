//! A meter looks like its own profile, and like no other.

use super::*;
use crate::profile::tests::{modbus, parsed};

/// A three-phase meter in 32-bit floats, as (id, unit) from address 0 on.
fn meter(order: &str, points: &[(&str, &str)], rest: &str) -> Profile {
    let mut text = format!("[modbus]\norder = \"{order}\"\n");
    for (i, (id, unit)) in points.iter().enumerate() {
        let kind = if *unit == "kWh" { "kind = \"counter\"\n" } else { "" };
        let address = 2 * i;
        text.push_str(&format!(
            "[[point]]\nid = \"{id}\"\nname_zh = \"{id}\"\nname_en = \"{id}\"\nunit = \"{unit}\"\n{kind}\
             table = \"input\"\naddress = {address}\ntype = \"f32\"\n"
        ));
    }
    parsed(&modbus(&format!("{text}{rest}")))
}

const POINTS: [(&str, &str); 9] = [
    ("voltage_l1", "V"),
    ("voltage_l2", "V"),
    ("voltage_l3", "V"),
    ("current_l1", "A"),
    ("power_l1", "W"),
    ("power_factor_l1", "1"),
    ("frequency", "Hz"),
    ("energy_import", "kWh"),
    ("energy_export", "kWh"),
];
const SAID: [f32; 9] = [229.8, 231.2, 230.4, 4.2, 870.0, 0.9, 49.98, 12_345.6, 0.0];

fn words(values: &[f32]) -> Vec<u16> {
    values.iter().flat_map(|v| [(v.to_bits() >> 16) as u16, (v.to_bits() & 0xFFFF) as u16]).collect()
}

fn answer(words: Vec<u16>) -> Vec<(RegisterSpan, Result<Vec<u16>, ()>)> {
    let span = RegisterSpan {
        table: crate::profile::RegisterTable::Input,
        address: 0,
        words: u16::try_from(words.len()).unwrap(),
        every: 1,
    };
    vec![(span, Ok(words))]
}

fn percent(profile: &Profile, words: Vec<u16>) -> u8 {
    likeness(profile, &answer(words)).percent
}

#[test]
fn a_meter_is_like_its_own_profile_only() {
    let own = meter("ABCD", &POINTS, "");
    let found = likeness(&own, &answer(words(&SAID)));
    assert!(found.percent >= 90, "{found:?}");
    assert!(found.reasons.iter().any(|r| r.en.contains("229.8 V, 231.2 V, 230.4 V")), "{found:?}");
    let swapped = meter("CDAB", &POINTS, "");
    assert!(percent(&swapped, words(&SAID)) <= 20, "the other word order");
    let mut mixed = POINTS;
    mixed.reverse();
    assert!(percent(&meter("ABCD", &mixed, ""), words(&SAID)) <= 50, "other quantities at these places");
    assert_eq!(percent(&own, Vec::new()), 0, "nothing was seen");
    assert!(percent(&own, vec![0; 18]) <= 40, "zeros say little");
    assert!(percent(&own, vec![0xFFFF; 18]) <= 40);
}

#[test]
fn what_physics_forbids_speaks_against_it() {
    let own = meter("ABCD", &POINTS, "");
    let good = percent(&own, words(&SAID));
    let cases: [(&str, usize, f32); 6] = [
        ("a phase of another voltage", 1, 110.0),
        ("more power than voltage times current", 4, 87_000.0),
        ("a frequency of no grid", 6, 16.7),
        ("an energy below zero", 7, -5.0),
        ("a voltage of no grid", 0, 12.0),
        ("a number of other bits", 3, 1e-30),
    ];
    for (what, at, value) in cases {
        let mut said = SAID;
        said[at] = value;
        let found = likeness(&own, &answer(words(&said)));
        assert!(found.percent < good && found.percent <= 92, "{what}: {} of {good}", found.percent);
    }
}

#[test]
fn registers_that_are_refused_speak_against_it() {
    let own = meter("ABCD", &POINTS, "");
    let mut answers = answer(words(&SAID[..6]));
    let gone = RegisterSpan { address: 12, words: 6, ..answers[0].0 };
    answers.push((gone, Err(())));
    let found = likeness(&own, &answers);
    assert!((40..=85).contains(&found.percent), "{found:?}");
    assert!(found.reasons.iter().any(|r| r.en.contains("no such registers: frequency")), "{found:?}");
}

#[test]
fn a_model_that_the_device_names_decides() {
    let names = |expected: &str| {
        format!(
            "[[identity]]\ntable = \"input\"\naddress = 18\ntype = \"ascii\"\nwords = 3\nexpect = [\"{expected}\"]\n"
        )
    };
    let mut said = words(&SAID[..8]);
    said.extend([0, 0, 0x454D, 0x3130, 0x3000]);
    let same = likeness(&meter("ABCD", &POINTS, &names("EM10")), &answer(said.clone()));
    let other = likeness(&meter("ABCD", &POINTS, &names("SDM")), &answer(said));
    assert!(same.percent >= 97, "{same:?}");
    assert!(other.percent <= 10, "{other:?}");
    assert!(same.reasons[0].en.contains("EM100"), "{same:?}");
}

/// The bits of a shipped meter's neighbours must not panic it, whatever they are.
#[test]
fn any_words_are_borne() {
    let own = meter("ABCD", &POINTS, "");
    let mut seed = 7_u64;
    for _ in 0..5000 {
        let words: Vec<u16> = (0..18)
            .map(|_| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (seed >> 48) as u16
            })
            .collect();
        assert!(percent(&own, words) <= 70);
    }
}
