//! Codes that become events.

use super::*;
use crate::document::Problems;
use crate::profile::tests::{all_told, parsed, slips, with_context};
use crate::profile::{Profile, vectors};
use std::sync::atomic::{AtomicU64, Ordering};

fn profile(body: &str) -> String {
    format!(
        "id = \"test-one\"\nclass = \"card-reader\"\nvendor = \"Test\"\nmodel = \"One\"\nname_zh = \"试\"\n\
         name_en = \"test\"\nsource = \"this test\"\nconfirmed = false\nprotocol = \"isapi\"\n{body}"
    )
}

const CODES: &str = r#"
[[code]]
match = ["5/1"]
kind = "credential"
carrier = "card"
result = "granted"
[[code]]
match = ["5/*"]
kind = "credential"
result = "denied"
reason = "no_right"
[[code]]
match = ["5/9*"]
leave_out = true
[[code]]
match = ["shut"]
kind = "contact"
phase = "end"
ends = ["door_held"]
[[code]]
match = ["401"]
kind = "armed"
phase = "reversed"
[[code]]
match = ["threat"]
kind = "duress"
[[point]]
id = "warmth"
name_zh = "体温"
name_en = "warmth"
unit = "°C"
from = "t"
scale = 0.1
health = true
"#;

fn told(profile: &Profile, notice: &Notice) -> Vec<Body> {
    with_context(|cx| profile.decode_notice(cx, notice)).unwrap().into_iter().map(|d| d.body).collect()
}

fn event(profile: &Profile, notice: &Notice) -> Event {
    match told(profile, notice).as_slice() {
        [Body::Event(event)] => event.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_closest_code_counts_and_none_is_lost() {
    let profile = parsed(&profile(CODES));
    let said = |code: &str| {
        let event = event(&profile, &Notice::bare(code));
        (event.kind, event.code.unwrap(), event.credential.map(|c| (c.result, c.reason)))
    };
    let granted = (AccessResult::Granted, None);
    assert_eq!(said("5/1"), (EventKind::Credential, "5/1".to_owned(), Some(granted)));
    let denied = (AccessResult::Denied, Some(Reason::NoRight));
    assert_eq!(said("5/2"), (EventKind::Credential, "5/2".to_owned(), Some(denied)));
    assert!(told(&profile, &Notice::bare("5/91")).is_empty(), "the longer prefix leaves it out");
    assert_eq!(said("6/1"), (EventKind::Other, "6/1".to_owned(), None));
    assert!(profile.events.contains(&EventKind::Other) && profile.events.contains(&EventKind::DoorHeld));
}

#[test]
fn phases_are_told_turned_or_fixed() {
    let profile = parsed(&profile(CODES));
    for (code, said, expected) in [
        ("401", Some(Phase::Start), Phase::End),
        ("401", Some(Phase::End), Phase::Start),
        ("401", None, Phase::Moment),
        ("threat", Some(Phase::Start), Phase::Start),
        ("threat", None, Phase::Moment),
        ("unknown", Some(Phase::End), Phase::End),
    ] {
        let notice = Notice { phase: said, ..Notice::bare(code) };
        assert_eq!(event(&profile, &notice).phase, expected, "{code} {said:?}");
    }
    let mut shut = Notice { phase: Some(Phase::Start), part: Some("2".to_owned()), ..Notice::bare("shut") };
    shut.serial = Some("7".to_owned());
    let bodies = told(&profile, &shut);
    let events = bodies.iter().map(|body| match body {
        Body::Event(event) => (event.kind, event.phase, event.code.as_deref(), event.serial.as_deref()),
        other => panic!("{other:?}"),
    });
    let (code, end) = (Some("shut 2"), Phase::End);
    let expected =
        [(EventKind::Contact, end, code, Some("7")), (EventKind::DoorHeld, end, code, Some("7/door_held"))];
    assert!(events.eq(expected), "{bodies:?}");
}

#[test]
fn what_the_notice_says_goes_before_the_table_and_long_words_are_cut() {
    let profile = parsed(&profile(CODES));
    let notice = Notice {
        subject: Some(Personal::new("0012345678".to_owned())),
        carrier: Some(Carrier::Face),
        direction: Some(Direction::Out),
        service: Some(Service::Canteen),
        label: Some("长".repeat(100)),
        part: Some("p".repeat(128)),
        ..Notice::bare("5/1")
    };
    let event = event(&profile, &notice);
    assert_eq!(event.code.unwrap().chars().count(), 128);
    let credential = event.credential.unwrap();
    assert_eq!(
        (credential.carrier, credential.direction, credential.service),
        (Carrier::Face, Direction::Out, Service::Canteen)
    );
    let person = credential.person.unwrap();
    assert_eq!(
        person,
        Personal::new("0012345678".to_owned()).pseudonym(&crate::model::SiteKey::new([7; 32]))
    );
}

#[test]
fn a_silent_call_for_help_says_who_where_it_can() {
    let profile = parsed(&profile(CODES));
    let mut notice = Notice::bare("threat");
    assert_eq!(event(&profile, &notice).credential, None);
    notice.subject = Some(Personal::new("S2024001".to_owned()));
    assert!(event(&profile, &notice).credential.unwrap().person.is_some());
    notice.code = "401".to_owned();
    assert_eq!(event(&profile, &notice).credential, None, "who armed it is nobody's business");
}

#[test]
fn a_notice_without_a_number_gets_one_that_tells_nothing() {
    let profile = parsed(&profile(CODES));
    let notice = |who: &str, code: &str, at: &str| Notice {
        subject: Some(Personal::new(who.to_owned())),
        at: Some(At::Local(at.parse().unwrap())),
        ..Notice::bare(code)
    };
    let serial = |notice: &Notice| event(&profile, notice).serial.unwrap();
    let first = serial(&notice("1001", "5/1", "2024-09-02T07:41:05"));
    assert_eq!(first, serial(&notice("1001", "5/1", "2024-09-02T07:41:05")), "sent again");
    for other in [
        notice("1002", "5/1", "2024-09-02T07:41:05"),
        notice("1001", "5/2", "2024-09-02T07:41:05"),
        notice("1001", "5/1", "2024-09-02T07:41:06"),
    ] {
        assert_ne!(first, serial(&other), "{other:?}");
    }
    assert!(!first.contains("1001"));
    let own = Notice { serial: Some("7".to_owned()), ..notice("1001", "5/1", "2024-09-02T07:41:05") };
    assert_eq!(serial(&own), "7");
    assert_eq!(event(&profile, &Notice::bare("5/1")).serial, None);
}

#[test]
fn health_data_is_refused_and_counted_and_costs_nothing_else() {
    let profile = parsed(&profile(CODES));
    let amount = Amount { name: "t".to_owned(), value: 365.0 };
    let mut notice = Notice { amounts: vec![amount], ..Notice::bare("5/1") };
    let count = AtomicU64::new(0);
    with_context(|cx| {
        let refusing = Context { withheld: Some(&count), ..*cx };
        let decoded = profile.decode_notice(&refusing, &notice).unwrap();
        assert!(matches!(decoded.as_slice(), [Decoded { body: Body::Event(_), .. }]), "{decoded:?}");
        let allowing = Context { allow_health: true, ..refusing };
        let decoded = profile.decode_notice(&allowing, &notice).unwrap();
        let [_, Decoded { body: Body::Reading(reading), .. }] = decoded.as_slice() else {
            panic!("{decoded:?}")
        };
        assert_eq!(reading.value, Some(36.5));
        notice.code = "5/91".to_owned();
        assert_eq!(profile.decode_notice(&refusing, &notice).unwrap_err().kind, "health");
    });
    assert_eq!(count.load(Ordering::Relaxed), 2);
}

#[test]
fn slips_are_named_with_advice() {
    let code = |body: &str| profile(&format!("[[code]]\nmatch = [\"a\"]\n{body}\n"));
    for (text, message, advice) in [
        (profile(""), "the profile has no code", "[[code]]"),
        (code(""), "either has a kind of event or is left out", "leave_out"),
        (code("kind = \"fire\"\nleave_out = true"), "either has a kind", "not both"),
        (code("kind = \"fier\""), "cannot be \"fier\"", "fire"),
        (code("kind = \"fire\"\nphase = \"begin\""), "cannot be \"begin\"", "start"),
        (code("kind = \"credential\"\nreason = \"expired\""), "no refusal", "denied"),
        (code("kind = \"contact\"\nends = [\"held\"]"), "no kind of event", "as in `kind`"),
        (code("kind = \"fire\"\n[[code]]\nmatch = [\"a\"]\nkind = \"help\""), "there twice", "keep one"),
        (profile("[[code]]\nmatch = []\nkind = \"fire\""), "missing or empty", "5/75"),
        (profile("[[code]]\nmatch = \"a\"\nkind = \"fire\""), "'code.match' is", "list"),
    ] {
        let all = slips(&text);
        let found = all.iter().any(|(m, a)| m.contains(message) && a.contains(advice));
        assert!(found, "{text}\nexpected: {message} / {advice}\ngot: {all:?}");
    }
}

#[test]
fn a_vector_that_lies_is_told() {
    let profile = parsed(&profile("[[code]]\nmatch = [\"*\"]\nkind = \"fire\"\n"));
    let run = |vector: &str| {
        let problems = Problems::new();
        let _checked = vectors::check(&profile, "vectors.toml", vector, &problems);
        all_told(problems)
    };
    let good = "[[notice]]\nname = \"a\"\ncode = \"x\"\n[[notice.event]]\nkind = \"fire\"\nphase = \"moment\"\ncode = \"x\"\n";
    assert_eq!(run(good), "");
    assert!(run(&good.replace("\"moment\"", "\"start\"")).contains("phase moment"));
    assert!(run(&good.replace("code = \"x\"\n[[", "raw = \"{\"\n[[")).contains("not_json"));
    let refused = "[[notice]]\nname = \"b\"\nraw = \"{\"\nrefused = \"not_json\"\n";
    assert_eq!(run(&format!("{good}{refused}")), "");
}
