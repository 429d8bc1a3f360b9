//! The language's own tests: registers in every order, hostile payloads, and slips in a profile.

use super::*;
use crate::document::{Problem, Problems};
use crate::model::{Event, Link, Quality};

const HEADER: &str = r#"
class = "sensor"
vendor = "Test"
model = "One"
id = "test-one"
name_zh = "试"
name_en = "test"
source = "this test"
confirmed = false
"#;

pub(super) fn point(extra: &str) -> String {
    format!("[[point]]\nname_zh = \"值\"\nname_en = \"value\"\nunit = \"1\"\n{extra}\n")
}

pub(super) fn modbus(body: &str) -> String {
    format!("{HEADER}protocol = \"modbus\"\n{body}")
}

fn mqtt(body: &str) -> String {
    format!("{HEADER}protocol = \"mqtt\"\n{body}")
}

pub(super) fn parsed(text: &str) -> Profile {
    let problems = Problems::new();
    let profile = parse("profile.toml", text, &problems);
    let all: Vec<String> = problems.into_sorted().iter().map(ToString::to_string).collect();
    profile.unwrap_or_else(|| panic!("{}", all.join("\n")))
}

pub(super) fn with_context<T>(run: impl FnOnce(&Context<'_>) -> T) -> T {
    let (device, site_key) = (DeviceId::new("d").unwrap(), SiteKey::new([7; 32]));
    let zone = TimeZone::fixed(jiff::tz::offset(8));
    run(&Context {
        device: &device,
        now: Wall(1_790_000_000_000),
        site_key: &site_key,
        zone: &zone,
        allow_health: false,
        withheld: None,
    })
}

pub(super) fn readings(profile: &Profile, address: u16, words: &[u16]) -> Vec<Reading> {
    let decoded = with_context(|cx| profile.decode_registers(cx, RegisterTable::Holding, address, words));
    let body = |d: Decoded| match d.body {
        Body::Reading(reading) => reading,
        other => panic!("{other:?}"),
    };
    decoded.into_iter().map(body).collect()
}

fn message(profile: &Profile, payload: &[u8]) -> Result<Vec<Decoded>, Refusal> {
    with_context(|cx| profile.hear(cx, "a1", "t/a1", payload).decoded)
}

#[test]
fn registers_of_every_type_and_order() {
    let cases: &[(&str, &str, &[u16], f64)] = &[
        ("u16", "ABCD", &[0x1234], 4660.0),
        ("u16", "BADC", &[0x3412], 4660.0),
        ("i16", "ABCD", &[0xFFFE], -2.0),
        ("u32", "ABCD", &[0x0001, 0xE240], 123_456.0),
        ("u32", "CDAB", &[0xE240, 0x0001], 123_456.0),
        ("u32", "BADC", &[0x0100, 0x40E2], 123_456.0),
        ("u32", "DCBA", &[0x40E2, 0x0100], 123_456.0),
        ("i32", "CDAB", &[0xFFFE, 0xFFFF], -2.0),
        ("i64", "ABCD", &[0, 0, 0x075B, 0xCD15], 123_456_789.0),
        ("i64", "CDAB", &[0xCD15, 0x075B, 0, 0], 123_456_789.0),
        ("i64", "DCBA", &[0xFEFF, 0xFFFF, 0xFFFF, 0xFFFF], -2.0),
        ("u64", "ABCD", &[0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF], 18_446_744_073_709_551_615.0),
        ("f32", "ABCD", &[0x449A, 0x51EC], 1_234.56_f32.into()),
        ("f32", "CDAB", &[0x51EC, 0x449A], 1_234.56_f32.into()),
        ("f32", "DCBA", &[0xEC51, 0x9A44], 1_234.56_f32.into()),
        ("f64", "ABCD", &[0x405E, 0xDCCC, 0xCCCC, 0xCCCD], 123.45),
        ("f64", "CDAB", &[0xCCCD, 0xCCCC, 0xDCCC, 0x405E], 123.45),
        ("bcd16", "ABCD", &[0x9876], 9876.0),
        ("bcd32", "CDAB", &[0x5678, 0x1234], 12_345_678.0),
    ];
    for (format, order, words, expected) in cases {
        let text = modbus(&point(&format!(
            "id = \"x\"\ntable = \"holding\"\naddress = 10\ntype = \"{format}\"\norder = \"{order}\""
        )));
        let got = readings(&parsed(&text), 10, words);
        assert_eq!(got.len(), 1, "{format} {order}");
        assert_eq!(got[0].value, Some(*expected), "{format} {order}");
    }
}

#[test]
fn an_eastron_meter_in_swapped_word_order() {
    let text = modbus(&format!(
        "[modbus]\norder = \"CDAB\"\nmax_registers = 80\nmax_gap = 6\n{}{}{}",
        point("id = \"voltage_l1\"\ntable = \"holding\"\naddress = 0\ntype = \"f32\"\nrange = [0, 500]"),
        point("id = \"current_l1\"\ntable = \"holding\"\naddress = 6\ntype = \"f32\""),
        point("id = \"alarms\"\ntable = \"holding\"\naddress = 8\ntype = \"u16\"\nkind = \"state\""),
    ));
    let profile = parsed(&text);
    assert_eq!(profile.modbus_limits(), ModbusLimits { max_registers: 80, max_gap: 6 });
    assert_eq!(profile.registers().len(), 3);
    let got = readings(&profile, 0, &[0x199A, 0x435C, 0, 0, 0, 0, 0xA3D7, 0x40A0, 5]);
    let values: Vec<f64> = got.iter().filter_map(Reading::good).collect();
    assert_eq!(values, [f64::from(220.1_f32), f64::from(5.02_f32), 5.0], "one register has no word order");
    assert_eq!(readings(&profile, 1, &[0x435C, 0, 0]).len(), 0, "half a value is no value");
    let other = with_context(|cx| profile.decode_registers(cx, RegisterTable::Input, 0, &[0; 9]));
    assert_eq!(other, [], "the other table");
}

#[test]
fn scaling_sentinels_and_ranges() {
    let base = "id = \"x\"\ntable = \"holding\"\naddress = 0\ntype = \"u16\"\n";
    let cases: &[(&str, u16, Option<f64>, Quality)] = &[
        ("scale = 0.01", 12_345, Some(123.45), Quality::Good),
        ("scale = 0.1\noffset = -40", 651, Some(25.1 - 0.0), Quality::Good),
        ("scale = 10", 65_535, Some(655_350.0), Quality::Good),
        ("scale = -0.5", 3, Some(-1.5), Quality::Good),
        ("invalid = [\"FFFF\", \"8000\"]", 0x8000, None, Quality::Bad(Doubt::Sentinel)),
        ("range = [0, 100]", 101, Some(101.0), Quality::Uncertain(Doubt::OutOfRange)),
    ];
    for (extra, raw, value, quality) in cases {
        let got = readings(&parsed(&modbus(&point(&format!("{base}{extra}")))), 0, &[*raw]);
        let close = got[0].value.zip(*value).is_none_or(|(a, b)| (a - b).abs() < 1e-9);
        assert!(close && got[0].value.is_some() == value.is_some(), "{extra}: {:?}", got[0].value);
        assert_eq!(got[0].quality, *quality, "{extra}");
    }
    let bcd = parsed(&modbus(&point("id = \"x\"\ntable = \"holding\"\naddress = 0\ntype = \"bcd16\"")));
    assert_eq!(readings(&bcd, 0, &[0x12A4])[0].quality, Quality::Bad(Doubt::NotANumber));
    let float = parsed(&modbus(&point("id = \"x\"\ntable = \"holding\"\naddress = 0\ntype = \"f32\"")));
    for words in [[0x7FC0, 0], [0x7F80, 0], [0xFF80, 0]] {
        assert_eq!(readings(&float, 0, &words)[0].quality, Quality::Bad(Doubt::NotANumber));
    }
}

const HELP: &str = r#"
[[message]]
topic = "t/{address}"
[message.time]
at = "/t"
format = "epoch-s"
[[message.point]]
id = "x"
name_zh = "值"
name_en = "value"
unit = "%"
at = "/deep/0/x~1y"
[[message.event]]
kind = "help"
at = "/action"
phases = { "sos" = "moment", "" = "none" }
serial = "/n"
[[message.event]]
kind = "tamper"
at = "/tamper"
phases = { "true" = "start", "1" = "start", "*" = "none" }
"#;

#[test]
fn hostile_payloads_are_refused_with_a_word_and_a_place() {
    let profile = parsed(&mqtt(HELP));
    let nested = |n: usize| format!("{{\"a\":{}1{}}}", "[".repeat(n), "]".repeat(n));
    let (deep, deepest) = (nested(32), nested(100_000));
    let cases: &[(&[u8], &str, &str)] = &[
        (b"", "empty", "empty"),
        (b"  \n", "empty", "empty"),
        (b"\xEF\xBB\xBF", "empty", "empty"),
        (b"{\"action\":\"\xFF\"}", "not_utf8", "byte 11"),
        (b"{\"action\":", "not_json", "line 1 column 10"),
        (b"hello", "not_json", "line 1 column 1"),
        (b"{} {}", "not_json", "trailing"),
        (b"\"sos\"", "bad_type", "the payload is a text; expected an object"),
        (deep.as_bytes(), "too_deep", "32"),
        (deepest.as_bytes(), "too_deep", "32"),
        (b"{\"deep\":[{\"x/y\":1e400}]}", "bad_number", "out of range"),
        (b"{\"tamper\":1,\"tamper\":0}", "duplicate_key", "twice"),
        (b"{\"deep\":7}", "bad_type", "/deep is a number"),
        (b"{\"deep\":[{\"x/y\":\"7\"}]}", "bad_type", "/deep/0/x~1y is a text; expected a number"),
        (b"{\"action\":{}}", "bad_type", "/action is an object"),
        (b"{\"action\":\"off\"}", "unknown_value", "/action is not one of"),
        (b"{\"other\":1}", "nothing_known", "/action"),
        (b"{\"action\":null}", "nothing_known", "/action"),
        (b"[]", "nothing_known", "/action"),
    ];
    for (payload, kind, reason) in cases {
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(60)]).into_owned();
        let refusal = message(&profile, payload).expect_err(&shown);
        assert_eq!(refusal.kind, *kind, "{shown}: {refusal}");
        assert!(refusal.reason.contains(reason), "{shown}: {refusal}");
    }
    assert!(message(&profile, nested(31).as_bytes()).is_err_and(|r| r.kind == "nothing_known"));
    let quoted = format!("{{\"action\":\"\",\"a\":\"{}\\\"[\"}}", "[{".repeat(100));
    assert_eq!(message(&profile, quoted.as_bytes()), Ok(vec![]), "brackets in a text are no nesting");
}

#[test]
fn a_help_event_survives_whatever_else_is_wrong() {
    let profile = parsed(&mqtt(HELP));
    let cases: &[(&str, Option<&str>)] = &[
        (r#"{"action":"sos","n":7,"deep":[{"x/y":"full"}]}"#, Some("7")),
        (r#"{"action":"sos","n":{},"deep":7,"tamper":[]}"#, None),
        (r#"{"action":"sos","t":"yesterday","n":""}"#, None),
        (r#"{"action":"sos","t":1e300}"#, None),
    ];
    for (payload, serial) in cases {
        let mut wanted = Event::bare(EventKind::Help, crate::model::Phase::Moment);
        wanted.serial = serial.map(str::to_owned);
        let expected = Decoded { device_time: None, body: Body::Event(wanted) };
        assert_eq!(message(&profile, payload.as_bytes()), Ok(vec![expected]), "{payload}");
    }
}

#[test]
fn every_form_of_a_device_time() {
    let cases: &[(&str, &str, Option<i64>)] = &[
        ("epoch-s", "1725234065", Some(1_725_234_065_000)),
        ("epoch-s", "1725234065.25", Some(1_725_234_065_250)),
        ("epoch-s", "\"1725234065\"", Some(1_725_234_065_000)),
        ("epoch-s", "9223372036854775807", None),
        ("epoch-ms", "1725234065123", Some(1_725_234_065_123)),
        ("rfc3339", "\"2024-09-02T07:41:05+08:00\"", Some(1_725_234_065_000)),
        ("rfc3339", "\"2024-09-02 07:41\"", None),
        ("local", "\"2024-09-02 07:41:05\"", Some(1_725_234_065_000)),
        ("local", "\"2024-13-02 07:41:05\"", None),
        ("local", "true", None),
        ("local", "\"1970-01-01 08:00:00\"", Some(0)),
        ("local", "\"2099-01-01 08:00:00\"", Some(4_070_908_800_000)),
    ];
    for (format, time, expected) in cases {
        let profile = parsed(&mqtt(&HELP.replace("epoch-s", format)));
        let decoded = message(&profile, format!("{{\"tamper\":true,\"t\":{time}}}").as_bytes()).unwrap();
        assert_eq!(decoded[0].device_time, expected.map(Wall), "{format} {time}");
    }
}

const READER: &str = r#"
[mqtt]
drop = ["/info/pic", "/info/idCard"]
[[message]]
topic = "t/{address}"
[[message.event]]
kind = "credential"
at = "/op"
phases = { "Rec" = "moment" }
serial = "/info/id"
[message.event.credential]
carrier = "card"
person = "/info/card"
"#;

#[test]
fn a_card_number_leaves_only_as_a_pseudonym() {
    let profile = parsed(&mqtt(READER));
    assert!(profile.personal() && !parsed(&mqtt(HELP)).personal());
    let secret = "0012345678";
    let pic = "A".repeat(300_000);
    let payloads = [
        format!(r#"{{"op":"Rec","info":{{"id":1,"card":"{secret}","pic":"{pic}","idCard":"{secret}"}}}}"#),
        format!(r#"{{"op":"{secret}","info":{{"card":"{secret}"}}}}"#),
        format!(r#"{{"op":"Rec","info":{{"card":["{secret}"]}}}}"#),
        format!(r#"{{"op":"Rec","info":"{secret}"}}"#),
        format!(r#"{{"op":"Rec","info":{{"card":"{}"}}}}"#, secret.repeat(20)),
        format!(r#"{{"{secret}":1,"{secret}":2}}"#),
        format!(r#"{{"op":"Rec","info":{{"card":"{secret}"#),
    ];
    for (i, payload) in payloads.iter().enumerate() {
        let outcome = message(&profile, payload.as_bytes());
        assert_eq!(outcome.is_ok(), i == 0, "{i}: {outcome:?}");
        let shown =
            format!("{outcome:?} {}", outcome.as_ref().err().map(ToString::to_string).unwrap_or_default());
        assert!(!shown.contains(secret) && shown.len() < 1000, "{i}: {shown}");
    }
    let text = READER.replace("\"/info/id\"", "\"/info/card\"");
    assert!(slips(&mqtt(&text))[0].0.contains("in the clear"));
}

#[test]
fn availability_is_a_link() {
    let profile = parsed(&mqtt(
        "[[message]]\ntopic = \"t/{address}\"\n[message.availability]\nat = \"/state\"\nonline = [\"online\"]\noffline = [\"offline\"]",
    ));
    let link = |payload: &str| message(&profile, payload.as_bytes()).map(|d| d[0].body.clone());
    assert_eq!(link("online"), Ok(Body::Link(Link::Up)));
    assert_eq!(link("{\"state\":\"offline\"}"), Ok(Body::Link(Link::Down(crate::model::Fault::Unreachable))));
    assert_eq!(link("{\"state\":5}").unwrap_err().kind, "unknown_value");
    assert_eq!(link("nonsense").unwrap_err().kind, "not_json");
    assert_eq!(profile.topics("gate/1"), ["t/gate/1"]);
}

/// That what is wrong and what to write are told in Chinese as well as in English.
pub(crate) fn assert_in_both_languages(problem: &Problem) {
    for Text { zh, en } in [&problem.message, &problem.advice] {
        let chinese = zh.contains(|c: char| ('\u{4e00}'..='\u{9fff}').contains(&c));
        assert!(chinese && zh != en, "{problem}\n{zh}");
    }
}

/// Everything that is wrong, in English.
pub(super) fn all_told(problems: Problems) -> String {
    let all = problems.into_sorted();
    all.iter().for_each(assert_in_both_languages);
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Message and advice of every problem, in order of place.
pub(super) fn slips(text: &str) -> Vec<(String, String)> {
    let problems = Problems::new();
    assert!(parse("profile.toml", text, &problems).is_none(), "{text}");
    let all = problems.into_sorted();
    all.iter().for_each(assert_in_both_languages);
    let all: Vec<_> = all.into_iter().map(|p| (p.message.en, p.advice.en)).collect();
    assert!(!all.is_empty());
    all
}

#[test]
fn slips_in_a_profile_are_named_with_advice() {
    let at0 = "id = \"x\"\ntable = \"holding\"\naddress = 0\ntype = \"u32\"\n";
    let regs = |extra: &str| modbus(&point(&format!("{at0}{extra}")));
    let two = |second: &str| modbus(&format!("{}{}", point(at0), point(second)));
    let help = |from: &str, to: &str| mqtt(&HELP.replacen(from, to, 1));
    let cases = [
        (regs("tpye = \"u16\""), "'tpye' is not a key", "type"),
        (regs("").replace("\"1\"", "\"Kwh\""), "cannot be \"Kwh\"", "kWh"),
        (regs("").replace("u32", "u31"), "cannot be \"u31\"", "u32"),
        (regs("").replace("= 0\n", "= 65535\n"), "beyond register 65535", "0-based"),
        (regs("").replace("= 0\n", "= 40001.5\n"), "with a decimal point", "whole number"),
        (regs("scale = 0"), "'scale' is 0", "0.1"),
        (regs("wrap = 100"), "does not count", "counter"),
        (regs("range = [5, 1]"), "not two rising numbers", "[lowest, highest]"),
        (regs("invalid = [\"FFFF\"]"), "not the bits of this type", "8 hexadecimal digits"),
        (regs("order = \"ABDC\""), "cannot be \"ABDC\"", "BADC"),
        (regs("order = \"CDAB\"").replace("u32", "u16"), "swaps words", "ABCD"),
        (two(at0), "is there twice", "its own id"),
        (
            two("id = \"y\"\ntable = \"holding\"\naddress = 1\ntype = \"u16\""),
            "same register as 'x'",
            "check both addresses",
        ),
        (modbus(""), "0 points and 0 events", "[[point]]"),
        (modbus(&format!("[modbus]\nmax_registers = 1\n{}", point(at0))), "has 2 registers", "max_registers"),
        (modbus("[modbus]\nmax_registers = 126"), "out of range", "1 to 125"),
        (regs("").replace("test-one", "test-two"), "not made of vendor and model", "test-one"),
        (regs("").replace("confirmed = false", ""), "'confirmed' is missing", "confirmed = "),
        (regs("").replace("\"modbus\"", "\"bacnet\""), "cannot be \"bacnet\"", "modbus"),
        (help("t/{address}", ""), "nowhere or twice", "{address}"),
        (help("t/{address}", "t/{address}/#/x"), "wildcard", "{address}"),
        (help("\"/action\"", "\"action\""), "not a JSON pointer", "/info/time"),
        (help("\"help\"", "\"hepl\""), "cannot be \"hepl\"", "help"),
        (help("\"moment\"", "\"now\""), "cannot be \"now\"", "moment"),
        (help("epoch-s", "epoch"), "cannot be \"epoch\"", "epoch-s"),
        (help("\"help\"", "\"credential\""), "without [credential]", "message.event.credential"),
        (mqtt(&format!("[mqtt]\ndrop = [\"/action\"]{HELP}")), "listed in mqtt.drop", "one of the two"),
        (mqtt(&format!("{HELP}{HELP}")), "two messages have this topic", "one [[message]]"),
        (mqtt("[[message]]\ntopic = \"t/{address}\""), "points and events", "message.availability"),
        (
            format!(
                "{HEADER}protocol = \"onvif\"\n[[notification]]\nkind = \"motion\"\ntopics = [\"tns1:A/B\"]\nitem = \"State\""
            ),
            "'tns1:A/B' is not a topic",
            "without namespace prefixes",
        ),
        (
            format!("{HEADER}protocol = \"onvif\"\n[[notification]]\nkind = \"motion\"\ntopics = [\"A/B\"]"),
            "told by a data item or a moment",
            "moment = true",
        ),
    ];
    for (text, message, advice) in &cases {
        let all = slips(text);
        let found = all.iter().any(|(m, a)| m.contains(message) && a.contains(advice));
        assert!(found, "expected {message:?} with advice {advice:?}, got {all:#?}");
    }
}

#[test]
fn vectors_tell_what_they_expected_and_what_came() {
    let profile = parsed(&mqtt(HELP));
    let vector = |payload: &str, rest: &str| {
        format!(
            "[[message]]\nname = \"n\"\naddress = \"a1\"\ntopic = \"t/a1\"\npayload = '{payload}'\n{rest}\n"
        )
    };
    let good = format!(
        "{}{}",
        vector(
            r#"{"action":"sos","tamper":true}"#,
            "[[message.event]]\nkind = \"help\"\nphase = \"moment\"\n[[message.event]]\nkind = \"tamper\"\nphase = \"start\""
        ),
        vector(r#"{"deep":[{"x/y":5}]}"#, "[[message.point]]\nid = \"x\"\nvalue = 5\nunit = \"%\""),
    );
    let run = |text: &str| {
        let problems = Problems::new();
        let checked = vectors::check(&profile, "vectors.toml", text, &problems);
        (checked, all_told(problems))
    };
    assert_eq!(run(&good), (2, String::new()));
    let cases = [
        (good.replace("value = 5", "value = 6"), "expected: x 6 %, good"),
        (good.replace("value = 5", "value = 5\nquality = \"sentinel\""), "gives: 5 %, good"),
        (good.replace("\"start\"", "\"end\""), "gives: kind tamper, phase start"),
        (good.replace("'{\"deep", "'!{\"deep"), "not_json"),
        (
            good.replace("[[message.point]]\nid", "refused = \"not_json\"\n[[message.point]]\nid"),
            "no refusal",
        ),
        (good.replace("[[message.event]]\nkind = \"tamper\"\nphase = \"start\"", ""), "no further event"),
        (good.replace("id = \"x\"", "id = \"y\""), "no such point"),
        (good.replace("name = ", "nmae = "), "'nmae' is not a key"),
        (vector(r#"{"action":""}"#, ""), "no vector gives the point 'x'"),
        (String::new(), "there are no vectors"),
    ];
    for (text, expected) in &cases {
        let (_, shown) = run(text);
        assert!(shown.contains(expected), "expected {expected:?}, got {shown}");
    }
}

#[test]
fn identifiers_are_asked_for_as_often_as_their_hastiest_point() {
    let point = |id: &str, di: &str, extra: &str| {
        let names = "name_zh = \"值\"\nname_en = \"value\"\nunit = \"kWh\"";
        format!("[[point]]\nid = \"{id}\"\n{names}\ndi = \"{di}\"\nformat = \"XXXXXX.XX\"\n{extra}\n")
    };
    let text = format!(
        "{HEADER}protocol = \"dlt645\"\n{}{}{}{}",
        point("a", "00010000", "every = 10\nratio = \"ct_pt\"\nkind = \"counter\"\nwrap = 1000000"),
        point("b", "0001FF00", "every = 10"),
        point("c", "0001FF00", "at = 4\nevery = 3"),
        point("d", "00020000", ""),
    );
    let profile = parsed(&text);
    let every: Vec<u16> = profile.identifiers().into_iter().map(|id| profile.every(id)).collect();
    assert_eq!(every, [10, 3, 1]);
    let primary = profile.behind(Ratios { ct: 40.0, pt: 1.0 });
    let decoded = primary.decode_digits(Identifier::Dlt645(0x0001_0000), &[0x78, 0x56, 0x34, 0x12]);
    let Body::Reading(reading) = &decoded[0].body else { panic!("{decoded:?}") };
    assert_eq!((reading.value, primary.points[0].wrap), (Some(4_938_271.2), Some(4e7)));
    let all = slips(&text.replace("every = 3", "every = 0"));
    assert!(all[0].1.contains("1 to 1000"), "{all:?}");
}

#[test]
fn topic_filters() {
    let cases = [
        ("a/b", "a/b", true),
        ("a/b", "a/b/c", false),
        ("a/b/c", "a/b", false),
        ("a/+", "a/b", true),
        ("a/+", "a", false),
        ("a/+", "a/", true),
        ("a/+/c", "a/b/c", true),
        ("+", "a/b", false),
        ("a/#", "a", true),
        ("a/#", "a/b/c", true),
        ("#", "a/b", true),
        ("#", "$SYS/x", false),
        ("+/x", "$SYS/x", false),
        ("$SYS/#", "$SYS/x", true),
        ("/a", "a", false),
        ("+/+", "/a", true),
    ];
    for (filter, topic, expected) in cases {
        assert_eq!(topic_matches(filter, topic), expected, "{filter} {topic}");
    }
}

/// A thousand small damages to good payloads: whatever comes out, nothing panics and no number gets out.
#[test]
fn damaged_payloads_neither_panic_nor_leak() {
    let reader = parsed(&mqtt(READER));
    let button = parsed(&mqtt(HELP));
    let good = br#"{"op":"Rec","info":{"id":1,"card":"0012345678","pic":"A"},"action":"sos","n":7,"t":1725234065.5}"#;
    let mut seed = 0x5EED_u64;
    let mut next = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    let mut refused = 0;
    for _ in 0..1000 {
        let mut payload = good.to_vec();
        for _ in 0..=next(3) {
            let at = next(payload.len());
            match next(4) {
                0 => payload[at] = u8::try_from(next(256)).unwrap(),
                1 => payload.truncate(at.max(1)),
                2 => payload.insert(at, b"{}[]\",:\\0e-"[next(11)]),
                _ => drop(payload.splice(at..at, good[..next(good.len())].to_vec())),
            }
        }
        for profile in [&reader, &button] {
            let outcome = message(profile, &payload);
            refused += usize::from(outcome.is_err());
            let shown = format!("{outcome:?}");
            assert!(!shown.contains("0012345678"), "{shown}");
        }
    }
    assert!(refused > 500, "the damage was felt: {refused}");
}
