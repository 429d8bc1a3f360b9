//! From registers, digits, messages and notifications to values, by all profiles that are shipped; and profile files.

use super::engine::{Did, Target, plain, size};
use crate::rig;
use schoolgate::document::Problems;
use schoolgate::model::{Body, DeviceId, Link, Quality, SiteKey, Wall};
use schoolgate::profile::{self, Context, Decoded, Notification, Profile, Protocol};
use schoolgate::southbound::polled::plan;
use schoolgate::southbound::survey::capture;
use schoolgate::southbound::survey::replay::Replay;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// The files of this name under `device-profiles`, in order.
fn shipped(name: &str) -> Vec<PathBuf> {
    let list = |dir: PathBuf| {
        let entries = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        paths
    };
    let classes = list(rig::root().join("device-profiles")).into_iter().filter(|path| path.is_dir());
    let files = classes.flat_map(list).map(|dir| dir.join(name)).filter(|file| file.exists());
    files.collect()
}

fn text(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The shipped profiles of these protocols.
pub(super) fn of(protocols: &[Protocol]) -> Vec<Profile> {
    let parsed = shipped("profile.toml").into_iter().map(|path| {
        let problems = Problems::new();
        let file = path.display().to_string();
        profile::parse(&file, &text(path), &problems)
            .unwrap_or_else(|| panic!("{:?}", problems.into_sorted()))
    });
    let profiles: Vec<Profile> = parsed.filter(|profile| protocols.contains(&profile.protocol)).collect();
    assert!(!profiles.is_empty(), "there are profiles of {protocols:?}");
    profiles
}

pub(super) fn chosen<T>(list: &[T], bytes: [u8; 2]) -> Option<&T> {
    list.get(usize::from(u16::from_be_bytes(bytes)) % list.len().max(1))
}

/// Decodes with whatever else is needed to know.
pub(super) fn with_context<T>(decode: impl FnOnce(&Context<'_>) -> T) -> T {
    let (device, site_key) = (DeviceId::new("fuzz").expect("an id"), SiteKey::new([7; 32]));
    let zone = jiff::tz::TimeZone::fixed(jiff::tz::offset(8));
    decode(&Context {
        device: &device,
        now: Wall(1_790_000_000_000),
        site_key: &site_key,
        zone: &zone,
        allow_health: false,
        withheld: None,
    })
}

/// What every decoded thing promises.
pub(super) fn promises(profile: &Profile, decoded: &[Decoded], did: &mut Did) {
    for Decoded { body, .. } in decoded {
        let reading = match body {
            Body::Reading(reading) => reading,
            Body::Event(event) => {
                assert!(profile.events.contains(&event.kind), "{}: no event {:?}", profile.id, event.kind);
                did.step((event.kind, event.phase));
                continue;
            }
            Body::Link(link) => {
                did.step(matches!(link, Link::Up));
                continue;
            }
        };
        let id = reading.point.as_str();
        let point = profile.point(id).unwrap_or_else(|| panic!("{}: no point {id}", profile.id));
        assert_eq!((reading.unit, reading.kind), (point.unit, point.kind), "{} {id}", profile.id);
        assert_eq!(
            reading.value.is_none(),
            matches!(reading.quality, Quality::Bad(_)),
            "{} {id}",
            profile.id
        );
        let value = reading.value.unwrap_or_default();
        assert!(value.is_finite(), "{} {id}: {value}", profile.id);
        let inside = point.range.is_none_or(|(low, high)| (low..=high).contains(&value));
        assert!(inside || reading.good().is_none(), "{} {id}: {value} is good", profile.id);
        did.step(reading.quality);
    }
}

/// No point is told twice by one answer.
fn each_once(profile: &Profile, decoded: &[Decoded]) {
    let mut told = BTreeSet::new();
    for Decoded { body, .. } in decoded {
        if let Body::Reading(reading) = body {
            assert!(told.insert(&reading.point), "{} {} twice", profile.id, reading.point);
        }
    }
}

// ---- Modbus: which profile, which of its blocks, how many words fewer, then the words

pub fn registers() -> Target {
    let profiles = of(&[Protocol::Modbus]);
    let seeds = (0..profiles.len() as u16).flat_map(|n| {
        let words = |fill: &[u8]| [&n.to_be_bytes()[..], &[0, 0, 0], &fill.repeat(125)].concat();
        [words(&[0x00, 0x01]), words(&[0xFF, 0xFF]), words(&[0x43, 0x5C, 0x19, 0x9A])]
    });
    let words: [&[u8]; 9] = [
        &[0x7F, 0xC0, 0, 0],
        &[0x7F, 0x80, 0, 0],
        &[0xFF, 0x80, 0, 0],
        &[0xFF; 8],
        &[0x80, 0],
        &[0x7F, 0xFF],
        &[0x99, 0x99],
        &[0; 8],
        &[0xFF, 0xFA],
    ];
    Target {
        name: "registers",
        inputs: 20_000,
        longest: 255,
        seeds: seeds.collect(),
        words: words.map(<[u8]>::to_vec).into(),
        repair: |_| {},
        run: Box::new(move |input| {
            let [a, b, c, d, fewer, bytes @ ..] = input else { return 0 };
            let Some(profile) = chosen(&profiles, [*a, *b]) else { return 0 };
            let blocks = plan(&profile.registers(), &profile.modbus_limits());
            let Some(block) = chosen(&blocks, [*c, *d]) else { return 0 };
            let words = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair));
            let all: Vec<u16> = words.take(usize::from(block.words)).collect();
            let words = all[..all.len().saturating_sub(usize::from(fewer % 8))].to_vec();
            let decode = |words: &[u16]| {
                with_context(|cx| profile.decode_registers(cx, block.table, block.address, words))
            };
            let (decoded, of_all) = (decode(&words), decode(&all));
            let mut did = Did::default();
            did.step((profile.id.as_str(), block.address, size(words.len())));
            promises(profile, &decoded, &mut did);
            each_once(profile, &decoded);
            let likeness = profile::likeness(profile, &[(block.points[0], Ok(words.clone()))]);
            assert!(likeness.percent <= 100, "{}: {likeness:?}", profile.id);
            let few = &words[..words.len().min(usize::from(fewer % 5))];
            did.step(profile::orders(few).iter().filter(|guess| guess.plausible).count());
            for one in &decoded {
                assert!(
                    of_all.contains(one),
                    "{}: {one:?} is something else with more registers",
                    profile.id
                );
            }
            did.all()
        }),
    }
}

// ---- DL/T 645 and CJ/T 188: which profile, which of its identifiers, then the bytes

pub fn digits() -> Target {
    let profiles = of(&[Protocol::Dlt645, Protocol::Cjt188]);
    let seeds = (0..profiles.len() as u16).flat_map(|n| {
        let count = profiles[usize::from(n)].identifiers().len() as u16;
        (0..count).map(move |which| [&n.to_be_bytes()[..], &which.to_be_bytes(), &[0x12; 60]].concat())
    });
    let seeds = seeds.collect();
    Target {
        name: "digits",
        inputs: 30_000,
        longest: 260,
        seeds,
        words: [&[0xFF; 8][..], &[0xEE; 4], &[0x99; 4], &[0x80], &[0x2C], &[0; 7]].map(<[u8]>::to_vec).into(),
        repair: |_| {},
        run: Box::new(move |input| {
            let [a, b, c, d, bytes @ ..] = input else { return 0 };
            let Some(profile) = chosen(&profiles, [*a, *b]) else { return 0 };
            let identifiers = profile.identifiers();
            let Some(identifier) = chosen(&identifiers, [*c, *d]) else { return 0 };
            let decoded = profile.decode_digits(*identifier, bytes);
            let mut did = Did::default();
            did.step((profile.id.as_str(), identifier, size(bytes.len())));
            promises(profile, &decoded, &mut did);
            each_once(profile, &decoded);
            did.all()
        }),
    }
}

// ---- MQTT: which profile, which of its topics, then the payload

/// What stands behind `key = ` in the golden vectors, without its quotes.
fn quoted(key: &str) -> Vec<String> {
    let lines: Vec<String> = shipped("vectors.toml").into_iter().map(text).collect();
    let values = lines.iter().flat_map(|text| text.lines()).filter_map(|line| line.strip_prefix(key));
    values.map(|value| value.trim_matches([' ', '=', '\'', '"']).replace("\\\"", "\"")).collect()
}

pub fn messages() -> Target {
    let profiles = of(&[Protocol::Mqtt]);
    let payloads = quoted("payload ");
    assert!(payloads.len() >= 20, "{} payloads in the golden vectors", payloads.len());
    let seeds = (0..profiles.len() as u8)
        .flat_map(|n| payloads.iter().map(move |payload| [&[0, n, 0, 0], payload.as_bytes()].concat()));
    let seeds = seeds.collect();
    let words = [
        "null",
        "true",
        "-",
        "1e400",
        "-0.0",
        "1e-400",
        "18446744073709551616",
        "\"\"",
        "{}",
        "[]",
        "{\"",
        "\\u0000",
        "\\ud800",
        "\u{feff}",
        "\u{0}",
        "\"a\":",
        ",",
        "[[[[[[[[[[[[[[[[",
        "2026-02-30 25:61:61",
        "1970-01-01 00:00:00",
    ];
    let gbk: &[u8] = &[0xC4, 0xE3, 0xBA, 0xC3];
    Target {
        name: "messages",
        inputs: 20_000,
        longest: 4_000,
        seeds,
        words: words.iter().map(|word| word.as_bytes().to_vec()).chain([gbk.to_vec()]).collect(),
        repair: |_| {},
        run: Box::new(move |input| {
            let [a, b, c, d, payload @ ..] = input else { return 0 };
            let Some(profile) = chosen(&profiles, [*a, *b]) else { return 0 };
            let topics = profile.topics("1001");
            let Some(topic) = chosen(&topics, [*c, *d]) else { return 0 };
            let topic = topic.replace(['+', '#'], "x");
            let mut did = Did::default();
            did.step(profile.id.as_str());
            match with_context(|cx| profile.hear(cx, "1001", &topic, payload).decoded) {
                Ok(decoded) => promises(profile, &decoded, &mut did),
                Err(refusal) => did.step((refusal.kind, plain(&refusal.reason))),
            }
            did.all()
        }),
    }
}

// ---- ONVIF: which profile, whether a state, then the topic and a line for each item

pub fn notifications() -> Target {
    let profiles = of(&[Protocol::Onvif]);
    let topics = quoted("topic ");
    let items =
        "\nVideoSourceConfigurationToken=1\nRule=MyRule\n\nIsMotion=true\nState=false\nLogicalState=1";
    let seeds = topics.iter().filter(|topic| topic.contains('/'));
    let seeds = seeds.map(|topic| [&[0, 0, 0], topic.as_bytes(), items.as_bytes()].concat()).collect();
    Target {
        name: "notifications",
        inputs: 20_000,
        longest: 600,
        seeds,
        words: ["=true", "=false", "=1", "=0", "\n", "\n\n", "IsMotion", "State", "/"]
            .map(|w| w.as_bytes().to_vec())
            .into(),
        repair: |_| {},
        run: Box::new(move |input| {
            let [a, b, initialized, text @ ..] = input else { return 0 };
            let Some(profile) = chosen(&profiles, [*a, *b]) else { return 0 };
            let text = String::from_utf8_lossy(text);
            let (topic, rest) = text.split_once('\n').unwrap_or((&text, ""));
            let (source, data) = rest.split_once("\n\n").unwrap_or((rest, ""));
            let items = |text: &str| -> Vec<(String, String)> {
                text.lines().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect()
            };
            let note = Notification {
                topic: topic.into(),
                utc_time: None,
                initialized: initialized % 2 == 1,
                source: items(source),
                data: items(data),
            };
            let mut did = Did::default();
            match with_context(|cx| profile.decode_notification(cx, &note)) {
                Ok(decoded) => promises(profile, &decoded, &mut did),
                Err(refusal) => did.step((refusal.kind, plain(&refusal.reason))),
            }
            did.all()
        }),
    }
}

// ---- captures

pub fn captures() -> Target {
    let serial = "# schoolgate capture 1\n# a meter\nwire serial 9600\n0.000 > 01 03 00 00 00 02 C4 0B\n\
                  0.031 < 01 03 04 43 5C 19 9A 8D 14\n0.500 > 01 03 00 10 00 01 85 CF\n0.540 < 01 83 02 C0 F1\n\
                  1.000 > FE FE FE FE 68 01 00 00 00 00 00 68 11 04 33 33 34 33 B3 16\n\
                  1.090 < 68 01 00 00 00 00 00 68 91 08 33 33 34 33 AB 89 67 45 17 16\n";
    let tcp = "# schoolgate capture 1\nwire modbus-tcp\n0.000 > 00 01 00 00 00 06 01 04 00 00 00 02\n\
               0.004 < 00 01 00 00 00 07 01 04 04 43 5C 19 9A\n0.010 > 00 02 00 00 00 05 01 2B 0E 01 00\n";
    let words = [
        "\n",
        "\n0.000 > ",
        "\n0.000 < ",
        "wire serial 300\n",
        "wire serial 0\n",
        "# ",
        "FF ",
        "18446744073709551615.999",
    ];
    Target {
        name: "captures",
        inputs: 20_000,
        longest: 2_000,
        seeds: [serial, tcp].map(|text| text.as_bytes().to_vec()).into(),
        words: words.map(|word| word.as_bytes().to_vec()).into(),
        repair: |_| {},
        run: Box::new(|input| {
            let problems = Problems::new();
            let parsed = capture::parse("a.capture", &String::from_utf8_lossy(input), &problems);
            let problems = problems.into_sorted();
            let mut did = Did::default();
            for problem in &problems {
                did.step(plain(&problem.message.en));
            }
            assert_eq!(parsed.is_some(), problems.is_empty(), "{problems:?}");
            let Some(parsed) = parsed else { return did.all() };
            let exchanges = parsed.exchanges();
            assert!(exchanges.len() <= parsed.frames.len(), "more exchanges than frames");
            for exchange in &exchanges {
                let modbus = parsed.modbus(exchange);
                did.step((size(exchange.sent.len()), size(exchange.came.len()), modbus.is_some()));
            }
            for read in parsed.reads() {
                let from = usize::from(read.address);
                assert!(
                    (1..=2000).contains(&read.words.len()) && from + read.words.len() <= 0x1_0000,
                    "{read:?}"
                );
                did.step(read.table);
            }
            did.step(Replay::new(&parsed).map(|replay| replay.units().count()));
            did.all()
        }),
    }
}

// ---- profile files

pub fn files() -> Target {
    let texts: Vec<String> = shipped("profile.toml").into_iter().map(text).collect();
    let seeds: Vec<Vec<u8>> =
        texts.iter().map(|text| text.as_bytes().to_vec()).filter(|t| t.len() < 8_000).collect();
    let words = [
        "[[point]]\n",
        "[modbus]\n",
        "address = ",
        "0xFFFF\n",
        "-1\n",
        "type = \"f64\"\n",
        "nan",
        "inf",
        "1e999",
        "= [[[[[[",
        "\"\"\"",
        "'''",
        "\u{0}",
        "scale = 0\n",
        "range = [1, 0]\n",
        "invalid = [\"FFFF\"]\n",
        "[point]\n",
        "9223372036854775808",
        "order = \"BADC\"\n",
        "protocol = \"dlt645\"\n",
        "\u{feff}",
        "\r\n",
    ];
    Target {
        name: "profile_files",
        inputs: 3_000,
        longest: 10_000,
        seeds,
        words: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
        repair: |_| {},
        run: Box::new(|input| {
            let problems = Problems::new();
            let parsed = profile::parse("profile.toml", &String::from_utf8_lossy(input), &problems);
            let problems = problems.into_sorted();
            let mut did = Did::default();
            for problem in &problems {
                assert!(
                    ![&problem.message, &problem.advice]
                        .iter()
                        .any(|said| said.zh.is_empty() || said.en.is_empty()),
                    "{problem:?}"
                );
                did.step(plain(&problem.message.en));
            }
            match parsed {
                Some(profile) => {
                    assert!(problems.is_empty(), "a profile with problems is used: {problems:?}");
                    let blocks = plan(&profile.registers(), &profile.modbus_limits());
                    let words = blocks.iter().map(|block| usize::from(block.words));
                    assert!(words.sum::<usize>() >= profile.registers().len());
                    did.step(profile.points.len());
                }
                None => assert!(!problems.is_empty(), "a file is refused without a reason"),
            }
            did.all()
        }),
    }
}
