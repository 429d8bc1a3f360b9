//! Registers and bits: every way of writing a value, and every slip in a profile that has one.

use crate::document::Problems;
use crate::model::{Body, Doubt, Event, EventKind, Phase, Quality, Reading};
use crate::profile::tests::{modbus, parsed, point, readings, slips, with_context};
use crate::profile::{Profile, Ratios, RegisterSpan, RegisterTable, parse, vectors};

/// A point named `x` at holding register 0.
fn at0(extra: &str) -> String {
    modbus(&point(&format!("id = \"x\"\ntable = \"holding\"\naddress = 0\n{extra}")))
}

fn bodies(profile: &Profile, table: RegisterTable, address: u16, words: &[u16]) -> Vec<Body> {
    let decoded = with_context(|cx| profile.decode_registers(cx, table, address, words));
    decoded.into_iter().map(|d| d.body).collect()
}

#[test]
fn bits_signs_and_parts() {
    let cases: &[(&str, &[u16], Option<f64>)] = &[
        ("bit = 3", &[0b1000], Some(1.0)),
        ("bit = 3", &[0xFFF7], Some(0.0)),
        ("bit = 15", &[0x8000], Some(1.0)),
        ("bit = 0\norder = \"BADC\"", &[0x0100], Some(1.0)),
        ("bits = [4, 7]", &[0x5AC3], Some(12.0)),
        ("bits = [0, 15]", &[0xFFFF], Some(65_535.0)),
        ("type = \"u32\"\nbit = 31", &[0x8000, 0], Some(1.0)),
        ("type = \"u32\"\norder = \"CDAB\"\nbits = [12, 19]", &[0xA000, 0x0005], Some(90.0)),
        ("type = \"u32\"\nbits = [0, 31]", &[0xFFFF, 0xFFFF], Some(4_294_967_295.0)),
        ("type = \"sm16\"", &[0x8005], Some(-5.0)),
        ("type = \"sm16\"", &[0x7FFF], Some(32_767.0)),
        ("type = \"sm32\"\nscale = 0.1", &[0x8000, 0x000A], Some(-1.0)),
        ("type = \"sm32\"", &[0x8000, 0], Some(0.0)),
        ("type = \"bcd48\"", &[0x1234, 0x5678, 0x9012], Some(123_456_789_012.0)),
        ("type = \"bcd48\"\norder = \"CDAB\"", &[0x9012, 0x5678, 0x1234], Some(123_456_789_012.0)),
        ("type = \"bcd64\"", &[0, 0x1234, 0x5678, 0x9012], Some(123_456_789_012.0)),
        ("type = \"bcd64\"", &[0, 0x1234, 0x567A, 0x9012], None),
        ("type = \"i32+f32\"", &[0, 1234, 0x3F40, 0], Some(1234.75)),
        ("type = \"i32+f32\"\norder = \"CDAB\"", &[1234, 0, 0, 0x3F40], Some(1234.75)),
        ("type = \"i32+f32\"", &[0, 1234, 0x3F80, 0], None),
        ("type = \"i32+f32\"", &[0, 1234, 0x7FC0, 0], None),
        ("type = \"i32+f32\"", &[0xFFFF, 0xFFFE, 0xBF00, 0], Some(-2.5)),
    ];
    for (extra, words, expected) in cases {
        let got = readings(&parsed(&at0(extra)), 0, words);
        assert_eq!(got.len(), 1, "{extra}");
        assert_eq!(got[0].value, *expected, "{extra} {words:04X?}");
        let quality = if expected.is_some() { Quality::Good } else { Quality::Bad(Doubt::NotANumber) };
        assert_eq!(got[0].quality, quality, "{extra}");
    }
}

#[test]
fn scale_registers() {
    let profile = parsed(&at0("type = \"i16\"\nscale_at = 4"));
    let [span] = profile.registers()[..] else { panic!("{:?}", profile.registers()) };
    let whole = RegisterSpan { table: RegisterTable::Holding, address: 0, words: 5, every: 1 };
    assert_eq!(span, whole, "value and scale are read in one piece");
    let cases: &[(u16, u16, Option<f64>, Quality)] = &[
        (2301, 0xFFFF, Some(230.1), Quality::Good),
        (2301, 0, Some(2301.0), Quality::Good),
        (2301, 2, Some(230_100.0), Quality::Good),
        (0xFFFE, 0xFFFE, Some(-0.02), Quality::Good),
        (2301, 0x8000, None, Quality::Bad(Doubt::Sentinel)),
        (2301, 11, None, Quality::Bad(Doubt::NotANumber)),
        (2301, 0xFFF5, None, Quality::Bad(Doubt::NotANumber)),
        (2301, 10, Some(2.301e13), Quality::Good),
    ];
    for (raw, exponent, value, quality) in cases {
        let got = readings(&profile, 0, &[*raw, 0, 0, 0, *exponent]);
        assert_eq!((got[0].value, got[0].quality), (*value, *quality), "{raw} and {exponent:04X}");
    }
    assert_eq!(readings(&profile, 0, &[1, 0, 0, 0]).len(), 0, "without its scale a value is none");
    let before = modbus(&point(
        "id = \"x\"\ntable = \"holding\"\naddress = 5\ntype = \"u32\"\nscale_at = 2\ninvalid = [\"FFFFFFFF\"]",
    ));
    let before = parsed(&before);
    assert_eq!(readings(&before, 2, &[1, 0, 0, 0, 12])[0].value, Some(120.0), "a scale before its value");
    assert_eq!(readings(&before, 2, &[1, 0, 0, 0xFFFF, 0xFFFF])[0].quality, Quality::Bad(Doubt::Sentinel));
}

#[test]
fn coils_and_discrete_inputs() {
    let text = modbus(&format!(
        "{}{}",
        point("id = \"relay\"\ntable = \"coil\"\naddress = 2\nwrite = \"single\""),
        point("id = \"leak\"\ntable = \"discrete\"\naddress = 2\ntype = \"bit\""),
    ));
    let profile = parsed(&text);
    assert_eq!(profile.points[0].kind, crate::model::PointKind::State, "a bit is a state");
    let span = |table| RegisterSpan { table, address: 2, words: 1, every: 1 };
    assert_eq!(profile.registers(), [span(RegisterTable::Coil), span(RegisterTable::Discrete)]);
    let values = |table, words: &[u16]| -> Vec<(String, Option<f64>)> {
        let value = |body: Body| match body {
            Body::Reading(Reading { point, value, .. }) => (point.to_string(), value),
            other => panic!("{other:?}"),
        };
        bodies(&profile, table, 0, words).into_iter().map(value).collect()
    };
    assert_eq!(values(RegisterTable::Coil, &[0, 0, 1]), [("relay".to_owned(), Some(1.0))]);
    assert_eq!(values(RegisterTable::Discrete, &[1, 1, 0]), [("leak".to_owned(), Some(0.0))]);
    assert_eq!(values(RegisterTable::Discrete, &[1, 1, 7]), [("leak".to_owned(), None)], "no bit is 7");
    assert_eq!(values(RegisterTable::Holding, &[1, 1, 1]), []);
}

const ALARMS: &str = r#"
[[point]]
id = "status"
name_zh = "状态"
name_en = "status"
unit = "1"
kind = "state"
table = "input"
address = 7
type = "u16"
[[event]]
kind = "water_leak"
table = "input"
address = 7
bit = 2
every = 5
[[event]]
kind = "fault"
code = "sensor"
table = "input"
address = 7
bit = 3
phases = { "0" = "start", "1" = "end" }
[[event]]
kind = "fault"
code = "mode"
table = "input"
address = 8
type = "u16"
phases = { "0" = "end", "3" = "none", "*" = "start" }
[[event]]
kind = "intrusion"
table = "discrete"
address = 0
"#;

#[test]
fn registers_tell_events_at_every_poll() {
    let profile = parsed(&modbus(ALARMS));
    let kinds = [EventKind::WaterLeak, EventKind::Fault, EventKind::Intrusion];
    assert_eq!(profile.events, kinds, "each kind once");
    let spans = profile.registers();
    assert_eq!(spans.len(), 3, "point and events of one register are read once: {spans:?}");
    assert!(spans.iter().all(|span| span.every == 1), "as often as the hastiest wants it");
    let mut told = profile.event_spans();
    told.sort_by_key(|span| (span.table, span.address));
    assert_eq!(told, spans, "each of them tells an event");
    let event = |kind, code: &str, phase| {
        let code = (!code.is_empty()).then(|| code.to_owned());
        Event { code, ..Event::bare(kind, phase) }
    };
    let (leak, fault) = (EventKind::WaterLeak, EventKind::Fault);
    let cases = [
        (
            [0b0100, 0],
            vec![(leak, "", Phase::Start), (fault, "sensor", Phase::Start), (fault, "mode", Phase::End)],
        ),
        (
            [0b1000, 9],
            vec![(leak, "", Phase::End), (fault, "sensor", Phase::End), (fault, "mode", Phase::Start)],
        ),
        ([0b1000, 3], vec![(leak, "", Phase::End), (fault, "sensor", Phase::End)]),
    ];
    for (words, expected) in cases {
        let got = bodies(&profile, RegisterTable::Input, 7, &words);
        assert!(matches!(&got[0], Body::Reading(r) if r.value == Some(f64::from(words[0]))));
        let expected: Vec<Body> =
            expected.into_iter().map(|(kind, code, phase)| Body::Event(event(kind, code, phase))).collect();
        assert_eq!(got[1..], expected, "{words:?}");
    }
    let alarm = bodies(&profile, RegisterTable::Discrete, 0, &[1]);
    assert_eq!(alarm, [Body::Event(event(EventKind::Intrusion, "", Phase::Start))]);
    let golden = "[[registers]]\nname = \"n\"\ntable = \"discrete\"\naddress = 0\nwords = \"0000\"\n\
                  [[registers.event]]\nkind = \"intrusion\"\nphase = \"end\"\n";
    let problems = Problems::new();
    assert_eq!(vectors::check(&profile, "vectors.toml", golden, &problems), 1);
    let all: Vec<String> = problems.into_sorted().iter().map(|p| p.message.en.clone()).collect();
    assert_eq!(all.len(), 3, "only coverage is missing: {all:?}");
}

#[test]
fn behind_transformers_everything_is_of_the_primary_side() {
    let text = modbus(&format!(
        "{}{}{}{}",
        point(
            "id = \"u\"\ntable = \"holding\"\naddress = 0\ntype = \"u16\"\nscale = 0.1\nrange = [0, 300]\nratio = \"pt\""
        ),
        point("id = \"i\"\ntable = \"holding\"\naddress = 1\ntype = \"u16\"\nscale = 0.01\nratio = \"ct\""),
        point(
            "id = \"e\"\ntable = \"holding\"\naddress = 2\ntype = \"u32\"\nscale = 0.01\nratio = \"ct_pt\"\n\
             kind = \"counter\"\nwrap = 1000000\njump_per_hour = 50"
        ),
        point("id = \"f\"\ntable = \"holding\"\naddress = 4\ntype = \"u16\"\nscale = 0.01"),
    ));
    let direct = parsed(&text);
    let words = [2201, 502, 0, 12_345, 5001];
    let values = |profile: &Profile| -> Vec<f64> {
        readings(profile, 0, &words).iter().map(|r| r.value.unwrap()).collect()
    };
    assert_eq!(values(&direct), [220.1, 5.02, 123.45, 50.01]);
    let primary = direct.behind(Ratios { ct: 40.0, pt: 100.0 });
    assert_eq!(values(&primary), [22_010.0, 5.02 * 40.0, 123.45 * 4000.0, 50.01]);
    let [u, _, e, f] = &primary.points[..] else { panic!("{:?}", primary.points) };
    assert_eq!((u.range, e.wrap, e.max_growth_per_hour), (Some((0.0, 30_000.0)), Some(4e9), Some(200_000.0)));
    assert_eq!((f.range, f.wrap), (None, None));
    assert_eq!(readings(&primary, 0, &[3001])[0].quality, Quality::Uncertain(Doubt::OutOfRange));
    assert_eq!(primary.ratios(), Ratios { ct: 40.0, pt: 100.0 });
}

#[test]
fn rates_and_identities() {
    let text = modbus(&format!(
        "{}{}\n[[identity]]\ntable = \"holding\"\naddress = 64514\ntype = \"u16\"\nexpect = [\"0070\", \"0071\"]\n\
         [[identity]]\ntable = \"input\"\naddress = 10\ntype = \"gbk\"\nwords = 4\nexpect = [\"电表\"]",
        point("id = \"x\"\ntable = \"input\"\naddress = 0\ntype = \"f32\"\nevery = 60"),
        point("id = \"y\"\ntable = \"input\"\naddress = 2\ntype = \"f32\""),
    ));
    let profile = parsed(&text);
    let every: Vec<u16> = profile.registers().iter().map(|span| span.every).collect();
    assert_eq!(every, [60, 1]);
    assert_eq!(profile.point("x").unwrap().every, 60);
    let spans: Vec<(u16, u16)> = profile.identity().iter().map(|span| (span.address, span.words)).collect();
    assert_eq!(spans, [(64_514, 1), (10, 4)]);
    let super::super::Wire::Modbus(registers) = &profile.wire else { panic!() };
    let read = |i: usize, table, words: &[u16]| registers.identities()[i].read(table, [64_514, 10][i], words);
    let holding = RegisterTable::Holding;
    assert_eq!(read(0, holding, &[0x70]), Some(("0070h".into(), true)));
    assert_eq!(read(0, holding, &[0x20]), Some(("0020h".into(), false)));
    assert_eq!(read(0, RegisterTable::Input, &[0x70]), None);
    let input = RegisterTable::Input;
    assert_eq!(read(1, input, &[0xB5E7, 0xB1ED, 0x3141, 0]), Some(("电表1A".into(), true)), "GBK");
    assert!(!read(1, input, &[0xFFFF, 0xFFFF, 0x0141, 0x2020]).unwrap().1, "no letters");
    assert_eq!(read(1, input, &[0xB5E7]), None);
}

#[test]
fn slips_are_named_with_advice() {
    let two = |a: &str, b: &str| {
        let at = "table = \"holding\"\naddress = 0";
        modbus(&format!(
            "{}{}",
            point(&format!("id = \"x\"\n{at}\n{a}")),
            point(&format!("id = \"y\"\n{at}\n{b}"))
        ))
    };
    let alarm = |from: &str, to: &str| {
        assert!(ALARMS.contains(from), "{from}");
        modbus(&ALARMS.replacen(from, to, 1))
    };
    let coil = |extra: &str| modbus(&point(&format!("id = \"x\"\ntable = \"coil\"\naddress = 0\n{extra}")));
    let identity = |extra: &str| {
        format!("{}[[identity]]\ntable = \"input\"\naddress = 0\n{extra}", at0("type = \"u16\""))
    };
    let cases = [
        (at0("type = \"bit\""), "a register is not a bit", "bit = …"),
        (coil("type = \"u16\""), "is one bit", "\"holding\" or \"input\""),
        (at0("bit = 32"), "out of range", "0 to 31"),
        (at0("bit = 16"), "has 16 bits", "\"u32\""),
        (at0("bit = 1\nbits = [1, 2]"), "both there", "keep the one"),
        (at0("bits = [7, 4]"), "not two rising", "[lowest, highest]"),
        (at0("bits = [0.5, 4]"), "not two rising", "[lowest, highest]"),
        (at0("type = \"f32\"\nbit = 1"), "only unsigned", "u16"),
        (at0("type = \"i16\"\nbit = 1"), "only unsigned", "u16"),
        (two("bits = [0, 3]", "bits = [3, 5]"), "same register as 'x'", "check both"),
        (two("bits = [0, 3]", "type = \"u16\""), "same register as 'x'", "check both"),
        (two("type = \"u32\"\nbit = 0", "bit = 1"), "same register as 'x'", "check both"),
        (at0("type = \"u16\"\nevery = 0"), "out of range", "1 to 1000"),
        (at0("type = \"u16\"\nevery = 1001"), "out of range", "1 to 1000"),
        (at0("type = \"u16\"\nratio = \"ctpt\""), "cannot be \"ctpt\"", "ct_pt"),
        (at0("type = \"u16\"\njump_per_hour = 5"), "does not count", "counter"),
        (at0("type = \"u16\"\nkind = \"counter\"\njump_per_hour = -5"), "out of range", "write a number"),
        (at0("type = \"f32\"\nscale_at = 5"), "only whole numbers", "drop `scale_at`"),
        (at0("type = \"u32\"\nscale_at = 1"), "one of the value's own", "power of ten"),
        (at0("type = \"u32\"\nscale_at = 125"), "126 registers apart", "max_registers"),
        (coil("scale_at = 5"), "only whole numbers", "drop `scale_at`"),
        (
            alarm("kind = \"water_leak\"", "kind = \"fault\"\ncode = \"mode\""),
            "cannot be told apart",
            "`code`",
        ),
        (alarm("\"3\" = \"none\"", "\"3\" = \"moment\""), "cannot be a moment", "start"),
        (alarm("\"3\" = \"none\"", "\"three\" = \"none\""), "is not a number", "decimal"),
        (alarm("\"3\" = \"none\"", "\"03\" = \"none\""), "is not a number", "decimal"),
        (
            alarm("phases = { \"0\" = \"end\", \"3\" = \"none\", \"*\" = \"start\" }", ""),
            "'phases' is missing",
            "\"*\"",
        ),
        (alarm("kind = \"intrusion\"", "kind = \"credential\""), "name no person", "another kind"),
        (
            alarm("address = 7\nbit = 2", "address = 6\ntype = \"u32\"\nbit = 2"),
            "part of the registers",
            "address and type",
        ),
        (alarm("code = \"mode\"", "code = \"\""), "1 to 100", "short word"),
        (alarm("bit = 2", "biit = 2"), "'biit' is not a key", "bit"),
        (identity("type = \"u16\"\nexpect = [\"70\"]"), "not the bits", "4 hexadecimal digits"),
        (identity("type = \"ascii\"\nwords = 4"), "'expect' is missing", "expect = "),
        (identity("type = \"ascii\"\nexpect = [\"A\"]"), "'identity.words' is missing", "1 to 64"),
        (identity("type = \"ascii\"\nwords = 65\nexpect = [\"A\"]"), "out of range", "1 to 64"),
    ];
    for (text, message, advice) in &cases {
        let all = slips(text);
        let found = all.iter().any(|(m, a)| m.contains(message) && a.contains(advice));
        assert!(found, "expected {message:?} with advice {advice:?}, got {all:#?}");
    }
}

/// Whatever words come, at whatever address: no panic, and every number is finite or absent.
#[test]
fn any_words_at_any_address_are_borne() {
    let profile = parsed(&modbus(&format!(
        "{ALARMS}{}{}{}{}",
        point("id = \"a\"\ntable = \"holding\"\naddress = 65534\ntype = \"f32\""),
        point("id = \"b\"\ntable = \"holding\"\naddress = 0\ntype = \"i32\"\nscale_at = 90\nrange = [0, 1]"),
        point("id = \"c\"\ntable = \"holding\"\naddress = 4\ntype = \"bcd64\"\nscale = 1e12"),
        point("id = \"d\"\ntable = \"coil\"\naddress = 65535"),
    )));
    let mut seed = 0xC0FFEE_u64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    let tables = [RegisterTable::Holding, RegisterTable::Input, RegisterTable::Coil, RegisterTable::Discrete];
    for _ in 0..20_000 {
        let table = tables[usize::try_from(next() % 4).unwrap()];
        let address = [0, 1, 5, 7, 65_530, 65_535][usize::try_from(next() % 6).unwrap()];
        let words: Vec<u16> = (0..next() % 130).map(|_| (next() & 0xFFFF) as u16).collect();
        for body in bodies(&profile, table, address, &words) {
            let Body::Reading(reading) = body else { continue };
            assert!(reading.value.is_none_or(f64::is_finite), "{reading:?} from {words:04X?}");
        }
    }
    assert!(parse("p", "", &Problems::new()).is_none());
}
