//! The shipped device profiles: each is readable, stands in the right directory, and decodes its golden vectors.

use crate::rig::root;
use jiff::tz::TimeZone;
use schoolgate::aggregate::Aggregates;
use schoolgate::document::Problems;
use schoolgate::model::{Body, DeviceId, Quality, Reading, SiteKey, Stamp, Wall};
use schoolgate::profile::{
    self, Context, Nature, Profile, Protocol, RegisterSpan, RegisterTable, likeness, vectors,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn directories(of: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(of).unwrap_or_else(|error| panic!("{}: {error}", of.display()));
    let mut found: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect();
    found.sort();
    found
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|n| n.to_str()).unwrap()
}

/// Fails with every problem, one after the other.
fn no_problems(what: &str, problems: Problems) {
    let all: Vec<String> = problems.into_sorted().iter().map(ToString::to_string).collect();
    assert!(all.is_empty(), "{what}:\n{}", all.join("\n"));
}

#[test]
fn every_shipped_profile_decodes_its_vectors() {
    let mut ids = Vec::new();
    for class in directories(&root().join("device-profiles")) {
        for directory in directories(&class) {
            let what = format!("{}/{}", name(&class), name(&directory));
            let read = |file: &str| {
                std::fs::read_to_string(directory.join(file)).unwrap_or_else(|e| panic!("{what}/{file}: {e}"))
            };
            let problems = Problems::new();
            let parsed = profile::parse(&format!("{what}/profile.toml"), &read("profile.toml"), &problems);
            let Some(parsed) = parsed else {
                no_problems(&what, problems);
                panic!("{what}: refused without a problem");
            };
            assert_eq!(parsed.id.as_str(), name(&directory), "the directory is named after the id");
            assert_eq!(parsed.class, name(&class), "the directory above is named after the class");
            let checked =
                vectors::check(&parsed, &format!("{what}/vectors.toml"), &read("vectors.toml"), &problems);
            no_problems(&what, problems);
            assert!(checked > 0, "{what} has no vectors");
            assert!(parsed.personal() || name(&class) != "card-reader", "{what}: keeps raw bytes of people");
            ids.push(parsed.id.to_string());
        }
    }
    assert!(ids.len() >= 90, "{} profiles are shipped", ids.len());
    for expected in [
        "acrel-adl400",
        "acrel-adw300",
        "acrel-ddsy1352",
        "ademco-contact-id",
        "apc-smt1500",
        "aqara-mccgq11lm",
        "aqara-wsdcgq11lm",
        "chint-dtsu666",
        "cj-t-188-2004-cold-water",
        "cj-t-188-2004-gas",
        "cj-t-188-2004-heat",
        "dl-t-645-2007-single-phase",
        "dl-t-645-2007-three-phase",
        "dahua-cgi",
        "eastron-sdm120",
        "eastron-sdm630",
        "eastron-sdm72d-m",
        "face-rec-mqtt",
        "gb-t-26875-3-transmitter",
        "hikvision-ds-k1t",
        "huawei-sun2000",
        "jxct-rs485-tvoc",
        "lg-pdrycb500",
        "moxa-eds-p506e",
        "onvif-generic",
        "schneider-electric-iem3155",
        "siemens-pac2200",
        "tuya-ts0215a",
        "waveshare-modbus-rtu-relay-d",
        "vzenith-plate-reader",
        "wiren-board-wb-mwac",
        "zkteco-attendance-push",
    ] {
        assert!(ids.iter().any(|id| id == expected), "{expected} is shipped");
    }
}

#[test]
fn the_examples_of_the_reference_page_are_profiles() {
    let page = std::fs::read_to_string(root().join("docs/profiles.md")).unwrap();
    let examples: Vec<&str> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let (profiles, golden): (Vec<&str>, Vec<&str>) = examples.iter().partition(|e| e.contains("protocol = "));
    assert_eq!(
        (profiles.len(), golden.len()),
        (6, 6),
        "a profile and its vectors for each kind of protocol, and one more for bits"
    );
    for (profile, golden) in profiles.into_iter().zip(golden) {
        let problems = Problems::new();
        let parsed = profile::parse("docs/profiles.md", profile, &problems);
        let checked = parsed.map(|p| vectors::check(&p, "docs/profiles.md", golden, &problems));
        no_problems("docs/profiles.md", problems);
        assert!(checked.is_some_and(|n| n > 0), "{golden}");
    }
}

/// The reference page and the program name the same units and types.
#[test]
fn the_reference_page_lists_every_unit() {
    let page = std::fs::read_to_string(root().join("docs/profiles.md")).unwrap();
    let list =
        page.split("Units: `").nth(1).and_then(|rest| rest.split('`').next()).expect("the list of units");
    let written: Vec<&str> = list.split_whitespace().collect();
    let known: Vec<&str> = schoolgate::model::Unit::ALL.iter().map(|unit| unit.symbol()).collect();
    assert_eq!(written, known);
}

/// Every shipped Modbus profile: what it is, its text, and its vectors.
fn modbus_profiles() -> Vec<(String, String, String)> {
    let classes = directories(&root().join("device-profiles"));
    let all = classes.iter().flat_map(|class| directories(class));
    let texts = all.map(|directory| {
        let read = |file: &str| std::fs::read_to_string(directory.join(file)).unwrap();
        (name(&directory).to_owned(), read("profile.toml"), read("vectors.toml"))
    });
    texts.filter(|(_, profile, _)| profile.contains("protocol = \"modbus\"")).collect()
}

/// A profile with the word order the wrong way round cannot pass its own vectors.
#[test]
fn m13_a_wrong_word_order_fails_the_golden_vectors() {
    let mut tried = 0;
    for (what, profile, golden) in modbus_profiles() {
        let right = profile.lines().find(|line| line.starts_with("order = ")).unwrap_or("").to_owned();
        for wrong in ["ABCD", "CDAB", "BADC", "DCBA"].map(|order| format!("order = \"{order}\"")) {
            let problems = Problems::new();
            let swapped = profile.replacen(&right, &wrong, 1);
            if right.is_empty() || wrong == right {
                continue;
            }
            let parsed = profile::parse("profile.toml", &swapped, &problems).expect("only the order changed");
            let words = parsed.registers().iter().map(|span| span.words).max().unwrap_or(0);
            let bits = parsed.registers().iter().all(|span| span.table.is_bits());
            if bits || words < 2 && wrong.contains("CDAB") || words < 2 && right.contains("CDAB") {
                continue;
            }
            let _checked = vectors::check(&parsed, "vectors.toml", &golden, &problems);
            assert!(!problems.is_empty(), "{what} passes its vectors with {wrong}");
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}

/// What a device holds, by its golden vectors; the first one that has a register counts.
type Image = BTreeMap<(RegisterTable, u16), u16>;

fn image(golden: &str) -> Image {
    let golden: toml::Table = golden.parse().unwrap();
    let mut image = Image::new();
    for vector in golden["registers"].as_array().unwrap() {
        let table = match vector["table"].as_str().unwrap() {
            "holding" => RegisterTable::Holding,
            "input" => RegisterTable::Input,
            "coil" => RegisterTable::Coil,
            _ => RegisterTable::Discrete,
        };
        let first = u16::try_from(vector["address"].as_integer().unwrap()).unwrap();
        for (address, word) in (first..).zip(vector["words"].as_str().unwrap().split_whitespace()) {
            image.entry((table, address)).or_insert(u16::from_str_radix(word, 16).unwrap());
        }
    }
    image
}

/// What a device that holds this answers to somebody who thinks it is one of the profile.
fn answers(profile: &Profile, image: &Image) -> Vec<(RegisterSpan, Result<Vec<u16>, ()>)> {
    let spans = profile.registers().into_iter().chain(profile.identity());
    let answer = |span: RegisterSpan| {
        let words = (span.address..).take(usize::from(span.words));
        let words = words.map(|address| image.get(&(span.table, address)).copied().ok_or(()));
        (span, words.collect::<Result<Vec<u16>, ()>>())
    };
    spans.map(answer).collect()
}

/// Whatever its kind, a device looks as much like its own profile as like any other.
#[test]
fn every_device_looks_most_like_its_own_profile() {
    let shipped: Vec<(String, Profile, Image)> = modbus_profiles()
        .into_iter()
        .map(|(what, text, golden)| {
            let parsed = profile::parse("profile.toml", &text, &Problems::new());
            (what, parsed.expect("a shipped profile"), image(&golden))
        })
        .collect();
    let mut wrong = Vec::new();
    for (what, own, image) in &shipped {
        let judged = |profile: &Profile| {
            let found = likeness(profile, &answers(profile, image));
            (found.percent, found.speaking)
        };
        let mine = judged(own);
        // Not all that vectors hold is possible at once, and a part may fit a little better than the whole.
        let better = shipped.iter().map(|(other, profile, _)| (judged(profile), other));
        let better: Vec<_> = better.filter(|(theirs, _)| theirs.0 > mine.0 + 5).collect();
        // Of a device with one or two values little can be said.
        if !better.is_empty() || mine.0 < if mine.1 < 8 { 20 } else { 55 } {
            wrong.push(format!("{what}: {mine:?}, but {better:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn decoded(profile: &Profile, table: RegisterTable, address: u16, words: &[u16]) -> Vec<Reading> {
    let (device, site_key) = (DeviceId::new("meter").unwrap(), SiteKey::new([7; 32]));
    let zone = TimeZone::fixed(jiff::tz::offset(8));
    let cx = Context {
        device: &device,
        now: Wall(0),
        site_key: &site_key,
        zone: &zone,
        allow_health: false,
        withheld: None,
    };
    let bodies = profile.decode_registers(&cx, table, address, words).into_iter().map(|d| d.body);
    bodies.filter_map(|body| if let Body::Reading(reading) = body { Some(reading) } else { None }).collect()
}

const STRANGE: &str = r#"
id = "test-strange"
class = "energy-meter"
vendor = "Test"
model = "strange"
name_zh = "试"
name_en = "test"
source = "this test"
confirmed = false
protocol = "modbus"
"#;

/// A type, further keys, the words of a value, and words that are none.
type Case = (&'static str, &'static str, &'static [u16], &'static [&'static [u16]]);

/// What stands for "no value" in any type gives none, and no sum, minimum or consumption changes by it.
#[test]
fn m14_what_stands_for_no_value_never_enters_an_aggregate() {
    let cases: &[Case] = &[
        ("f32", "", &[0x4366, 0], &[&[0x7FC0, 0], &[0xFFC0, 1], &[0x7F80, 0], &[0xFF80, 0], &[0x7FA0, 0]]),
        ("f64", "", &[0x405E, 0, 0, 0], &[&[0x7FF8, 0, 0, 0], &[0x7FF0, 0, 0, 0], &[0xFFF0, 0, 0, 0]]),
        ("u16", "invalid = [\"FFFF\", \"7FFF\"]", &[230], &[&[0xFFFF], &[0x7FFF]]),
        ("i16", "invalid = [\"8000\", \"7FFF\"]", &[0xFFFE], &[&[0x8000], &[0x7FFF]]),
        ("u32", "invalid = [\"FFFFFFFF\"]", &[0, 230], &[&[0xFFFF, 0xFFFF]]),
        ("i32", "invalid = [\"80000000\"]", &[0xFFFF, 0xFFFE], &[&[0x8000, 0]]),
        ("u64", "invalid = [\"FFFFFFFFFFFFFFFF\"]", &[0, 0, 0, 230], &[&[0xFFFF; 4]]),
        ("i64", "invalid = [\"8000000000000000\"]", &[0, 0, 0, 230], &[&[0x8000, 0, 0, 0]]),
        ("bcd16", "", &[0x0230], &[&[0xFFFF], &[0x12A4], &[0xAAAA]]),
        ("bcd64", "", &[0, 0, 0, 0x0230], &[&[0xFFFF; 4], &[0, 0, 0, 0xF230]]),
        ("i32+f32", "", &[0, 230, 0, 0], &[&[0, 230, 0x7FC0, 0], &[0, 230, 0x4000, 0]]),
        ("u16", "range = [0, 500]", &[230], &[&[501], &[0xFFFF]]),
        ("i16", "scale_at = 1", &[230, 0], &[&[230, 0x8000], &[230, 0x7FFF]]),
        ("u16", "scale = 1e12\noffset = 1", &[230], &[]),
    ];
    let device = DeviceId::new("meter").unwrap();
    let now = Wall(1_790_000_000_000);
    for (kind, extra, good, strange) in cases {
        for counts in ["gauge", "counter"] {
            let text = format!(
                "{STRANGE}[[point]]\nid = \"x\"\nname_zh = \"值\"\nname_en = \"value\"\nunit = \"1\"\n\
                 kind = \"{counts}\"\ntable = \"holding\"\naddress = 0\ntype = \"{kind}\"\n{extra}\n"
            );
            let problems = Problems::new();
            let profile = profile::parse("profile.toml", &text, &problems);
            no_problems(&text, problems);
            let profile = profile.unwrap();
            assert_eq!(profile.protocol, Protocol::Modbus);
            let read = |words: &[u16]| decoded(&profile, RegisterTable::Holding, 0, words).remove(0);
            let (mut clean, mut mixed) = (Aggregates::new(900), Aggregates::new(900));
            let add = |aggregates: &mut Aggregates, second: i64, reading: &Reading| {
                let stamp = Stamp::new(None, now.plus_ms(second * 1000));
                aggregates.add(&device, &stamp, reading, Nature::default());
            };
            for round in 0..3 {
                let reading = read(good);
                assert_eq!(reading.quality, Quality::Good, "{kind} {extra}");
                add(&mut clean, 10 * round, &reading);
                add(&mut mixed, 10 * round, &reading);
                for (i, words) in (1..).zip(strange.iter()) {
                    let reading = read(words);
                    assert_ne!(reading.quality, Quality::Good, "{kind} {extra} {words:04X?}: {reading:?}");
                    assert!(reading.value.is_none_or(f64::is_finite));
                    add(&mut mixed, 10 * round + i, &reading);
                }
            }
            let later = now.plus_ms(3_600_000);
            assert_eq!(mixed.close(later), clean.close(later), "{kind} {extra}");
        }
    }
}

/// Real-shaped things that name a person.
const CANARIES: [&str; 7] =
    ["测试甲", "341226201109130018", "13855512345", "0012345678", "S2024001", "皖A88888", "55qWQTg4ODg4"];

fn clean(what: &str, said: &impl std::fmt::Debug) {
    let said = format!("{said:?}");
    for canary in CANARIES {
        assert!(!said.contains(canary), "{what} tells {canary}: {said}");
    }
}

/// Whole, cut off and damaged: what a shipped profile makes of a message, also its answer and why it was refused, has
/// nothing in it that names a person.
#[test]
fn nothing_that_names_a_person_leaves_a_shipped_profile() {
    let person = "\"customId\":\"S2024001\",\"personName\":\"测试甲\",\"persionName\":\"测试甲\",\
                  \"idCard\":\"341226201109130018\",\"telnum\":\"13855512345\",\"RFIDCard\":\"0012345678\",\
                  \"pic\":\"data:image/jpeg;base64,55qWQTg4ODg4\"";
    let pass = format!(
        "{{\"operator\":\"RecPush\",\"info\":{{\"RecordID\":\"3071\",\"VerifyStatus\":\"1\",{person}}}}}"
    );
    let stranger = format!("{{\"operator\":\"StrSnapPush\",\"info\":{{\"SnapID\":\"946\",{person}}}}}");
    let capture = "{\"sequence_no\":41,\"cap_time\":\"2017/12/18 16:45:30.003\",\"closeup_pic\":{\"data\":\"55qWQTg4ODg4\"},\
                   \"match\":{\"person_id\":\"S2024001\",\"person_name\":\"测试甲\",\"image\":\"55qWQTg4ODg4\"}}";
    let plate = "{\"id\":\"a\",\"name\":\"ivs_result\",\"payload\":{\"AlarmInfoPlate\":{\"user_data\":\"13855512345\",\
                 \"result\":{\"PlateResult\":{\"license\":\"55qWQTg4ODg4\",\"plates\":[{\"license\":\"皖A88888\"}]}}}}}";
    let band =
        "{\"band\":\"S2024001\",\"name\":\"测试甲\",\"phone\":\"13855512345\",\"sos\":true,\"heard\":\"in\"}";
    let (device, site_key) = (DeviceId::new("reader").unwrap(), SiteKey::new([7; 32]));
    let zone = TimeZone::fixed(jiff::tz::offset(8));
    let cx = Context {
        device: &device,
        now: Wall(0),
        site_key: &site_key,
        zone: &zone,
        allow_health: false,
        withheld: None,
    };
    for (at, topic, payload) in [
        ("card-reader/face-rec-mqtt", "mqtt/face/r1/Rec", pass.as_str()),
        ("card-reader/face-rec-mqtt", "mqtt/face/r1/Snap", &stranger),
        ("card-reader/face-rec-mqtt-device", "mqtt/device/r1/Rec", &pass),
        ("card-reader/huaan-face-capture-mqtt", "topic/face/capture/request/r1", capture),
        ("barrier/vzenith-plate-reader", "device/r1/message/up/ivs_result", plate),
        ("wristband/generic-ble-wristband", "wristband/r1/up", band),
    ] {
        let file = root().join("device-profiles").join(at).join("profile.toml");
        let profile = profile::parse(at, &std::fs::read_to_string(file).unwrap(), &Problems::new()).unwrap();
        assert!(profile.personal(), "{at}: its bytes may be kept");
        let whole = profile.decode_message(&cx, "r1", topic, payload.as_bytes()).unwrap();
        assert!(!whole.is_empty(), "{at}");
        let answered = profile.reply("r1", topic, payload.as_bytes());
        assert_eq!(answered.is_some(), at.contains("face"), "{at}");
        let mut tried = vec![payload.as_bytes().to_vec()];
        for cut in 0..payload.len() {
            tried.push(payload.as_bytes()[..cut].to_vec());
            let mut damaged = payload.as_bytes().to_vec();
            damaged[cut] = b'"';
            tried.push(damaged);
        }
        for bytes in tried {
            clean(at, &profile.decode_message(&cx, "r1", topic, &bytes));
            let reply = profile.reply("r1", topic, &bytes);
            clean(at, &reply.map(|reply| (reply.topic, String::from_utf8(reply.payload))));
        }
    }
}
