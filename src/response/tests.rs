//! Each state of a response against each thing that can happen to it, and the cases that matter one by one.

use super::testing::*;
use super::*;
use crate::control::{Failure, Outcome, Refusal};
use crate::model::{AlarmKey, RuleId};

const EVERY: [&str; 9] = [
    "off",
    "prepared",
    "on, waiting",
    "on",
    "on, in a drill",
    "given back",
    "returning",
    "off, with fire",
    "evacuating",
];

/// A lockdown in this state; the next moment to use is 10 s.
fn in_state(state: &str) -> Responses {
    let (mut responses, _) = restored(None, &[], None);
    let at = now(1000);
    match state {
        "prepared" => {
            responses.prepare(at, &id("lockdown"), (Actor::named("a").unwrap(), false), "1234").unwrap();
        }
        "on, waiting" => drop(begin(&mut responses, at, "lockdown", ("a", false)).unwrap()),
        "on" | "given back" | "returning" | "on, in a drill" => {
            let steps = begin(&mut responses, at, "lockdown", ("a", state.ends_with("drill"))).unwrap();
            answer(&mut responses, at, &steps, &done());
            if state == "given back" {
                let steps = responses.fire(at, Some(&fire()));
                answer(&mut responses, at, &steps, &done());
                responses.fire(at, None);
            } else if state == "returning" {
                responses.clear(at, &id("lockdown"), &given("b"), false).unwrap();
            }
        }
        "off, with fire" => drop(responses.fire(at, Some(&fire()))),
        "evacuating" => {
            let steps = begin(&mut responses, at, "evacuate", ("a", false)).unwrap();
            answer(&mut responses, at, &steps, &done());
        }
        _ => {}
    }
    responses
}

/// What happens, to the lockdown unless another is named; how it is answered, what is done, and how the lockdown stands.
fn happens(responses: &mut Responses, event: &str) -> String {
    let at = now(10_000);
    let done = |outcome: Result<Vec<Step>, Refused>| match outcome {
        Ok(steps) => said(&steps).join(" "),
        Err(refused) => format!("{refused:?}").split([' ', '{']).next().unwrap().to_owned(),
    };
    let lockdown = id("lockdown");
    let told = match event {
        "prepare" => match responses.prepare(at, &lockdown, (Actor::named("a").unwrap(), false), "9999") {
            Ok(()) => "code".to_owned(),
            Err(refused) => done(Err(refused)),
        },
        "start" => done(responses.start(at, &lockdown, "1234", &given("a"))),
        "start, wrong code" => done(responses.start(at, &lockdown, "1235", &given("a"))),
        "both steps" => done(begin(responses, at, "lockdown", ("a", false))),
        "drill" => done(begin(responses, at, "lockdown", ("a", true))),
        "clear, same person" => done(responses.clear(at, &lockdown, &given("a"), false)),
        "clear" => done(responses.clear(at, &lockdown, &given("b"), false)),
        "fire" => said(&responses.fire(at, Some(&fire()))).join(" "),
        "evacuate" => done(begin(responses, at, "evacuate", ("b", false))),
        "hold" => done(begin(responses, at, "hold", ("b", false))),
        "31 s" => said(&responses.expire(now(41_000))).join(" "),
        _ => unreachable!("{event}"),
    };
    format!("{} | {}", told, view(responses, "lockdown").stage.word())
}

/// What each event does in each of [`EVERY`] state.
const TABLE: &[(&str, [&str; 9])] = &[
    (
        "prepare",
        [
            "code | off",
            "code | off",
            "code | on",
            "code | on",
            "code | on",
            "code | given_back",
            "code | returning",
            "Fire | off",
            "Evacuating | off",
        ],
    ),
    (
        "start",
        [
            "NotPrepared | off",
            "door-1=1 door-2=1 exit=0 broadcast! +lockdown | on",
            "NotPrepared | on",
            "NotPrepared | on",
            "NotPrepared | on",
            "NotPrepared | given_back",
            "NotPrepared | returning",
            "NotPrepared | off",
            "NotPrepared | off",
        ],
    ),
    (
        "start, wrong code",
        [
            "NotPrepared | off",
            "WrongCode | off",
            "NotPrepared | on",
            "NotPrepared | on",
            "NotPrepared | on",
            "NotPrepared | given_back",
            "NotPrepared | returning",
            "NotPrepared | off",
            "NotPrepared | off",
        ],
    ),
    (
        "both steps",
        [
            "door-1=1 door-2=1 exit=0 broadcast! +lockdown | on",
            "door-1=1 door-2=1 exit=0 broadcast! +lockdown | on",
            "+lockdown | on",
            "+lockdown | on",
            "-lockdown drill door-2=1 broadcast! +lockdown | on",
            "door-1=1 door-2=1 exit=0 broadcast! ~lockdown | on",
            "door-1=1 door-2=1 exit=0 broadcast! ~lockdown | on",
            "Fire | off",
            "Evacuating | off",
        ],
    ),
    (
        "drill",
        [
            "door-1=1 exit=0 +lockdown drill | on",
            "door-1=1 exit=0 +lockdown drill | on",
            "InEarnest | on",
            "InEarnest | on",
            "+lockdown drill | on",
            "InEarnest | given_back",
            "InEarnest | returning",
            "Fire | off",
            "InEarnest | off",
        ],
    ),
    (
        "clear, same person",
        [
            "NotOn | off",
            "NotOn | off",
            "SamePerson | on",
            "SamePerson | on",
            "SamePerson | on",
            "SamePerson | given_back",
            "NotOn | returning",
            "NotOn | off",
            "NotOn | off",
        ],
    ),
    (
        "clear",
        [
            "NotOn | off",
            "NotOn | off",
            "door-1=0 door-2=0 exit=0 broadcast. | returning",
            "door-1=0 door-2=0 exit=0 broadcast. | returning",
            "door-1=0 exit=0 | returning",
            "broadcast. | returning",
            "NotOn | returning",
            "NotOn | off",
            "NotOn | off",
        ],
    ),
    (
        "fire",
        [
            "door-2=0 door-1=0 gate=0 | off",
            "door-2=0 door-1=0 gate=0 | off",
            "door-1=0 door-2=0 exit=0 ~lockdown gate=0 | given_back",
            "door-1=0 door-2=0 exit=0 ~lockdown gate=0 | given_back",
            "door-1=0 exit=0 ~lockdown drill door-2=0 gate=0 | given_back",
            "door-2=0 door-1=0 gate=0 | given_back",
            "door-2=0 door-1=0 gate=0 | returning",
            " | off",
            "door-2=0 door-1=0 gate=0 | off",
        ],
    ),
    (
        "evacuate",
        [
            "lamp=1 door-2=0 broadcast! +evacuate | off",
            "lamp=1 door-2=0 broadcast! +evacuate | off",
            "door-1=0 exit=0 ~lockdown lamp=1 door-2=0 broadcast! +evacuate | given_back",
            "door-1=0 exit=0 ~lockdown lamp=1 door-2=0 broadcast! +evacuate | given_back",
            "door-1=0 exit=0 lamp=1 door-2=0 broadcast! +evacuate | returning",
            "lamp=1 door-2=0 broadcast! +evacuate | given_back",
            "lamp=1 door-2=0 broadcast! +evacuate | returning",
            "lamp=1 door-2=0 broadcast! +evacuate | off",
            "+evacuate | off",
        ],
    ),
    (
        "hold",
        [
            "door-2=1 +hold | off",
            "door-2=1 +hold | off",
            "InUse | on",
            "InUse | on",
            "door-1=0 exit=0 door-2=1 +hold | returning",
            "door-2=1 +hold | given_back",
            "door-2=1 +hold | returning",
            "Fire | off",
            "Evacuating | off",
        ],
    ),
    (
        "31 s",
        [
            " | off",
            " | off",
            "~lockdown | on",
            " | on",
            " | on",
            " | given_back",
            " | returning",
            " | off",
            " | off",
        ],
    ),
];

#[test]
fn every_state_and_every_event_are_in_the_table() {
    let mut wrong = Vec::new();
    for (event, expected) in TABLE {
        for (state, expected) in EVERY.iter().zip(expected) {
            let found = happens(&mut in_state(state), event);
            if found != *expected {
                wrong.push(format!("{event} in '{state}': expected {expected:?}, found {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_code_is_good_once_and_for_thirty_seconds() {
    let (mut responses, _) = restored(None, &[], None);
    let prepare = |responses: &mut Responses, ms: u64, code: &str| {
        responses.prepare(now(ms), &id("hold"), (Actor::named("a").unwrap(), false), code).unwrap();
    };
    prepare(&mut responses, 0, "0007");
    assert_eq!(responses.next_deadline(), Some(now(30_000).mono));
    assert_eq!(responses.start(now(30_000), &id("hold"), "0007", &given("b")), Err(Refused::NotPrepared));
    prepare(&mut responses, 40_000, "0008");
    prepare(&mut responses, 41_000, "0009");
    assert_eq!(responses.start(now(69_000), &id("hold"), "0008", &given("b")), Err(Refused::WrongCode));
    assert_eq!(responses.start(now(69_000), &id("secure"), "0009", &given("b")), Err(Refused::NotPrepared));
    let steps = responses.start(now(70_999), &id("hold"), "0009", &given("b")).unwrap();
    assert_eq!(said(&steps), ["door-2=1", "+hold"]);
    assert_eq!(responses.start(now(70_999), &id("hold"), "0009", &given("b")), Err(Refused::NotPrepared));
    // Whoever takes the second step began it.
    assert_eq!(responses.clear(now(71_000), &id("hold"), &given("B"), false), Err(Refused::SamePerson));
    assert!(responses.clear(now(71_000), &id("hold"), &given("a"), false).is_ok());
}

#[test]
fn who_is_alone_says_why_and_it_is_written_down() {
    let mut responses = in_state("on");
    let lockdown = id("lockdown");
    assert_eq!(responses.clear(now(2000), &lockdown, &given("a"), true), Err(Refused::NoReason));
    let given = Given { note: "假期只有我一人".into(), ..given("a") };
    let steps = responses.clear(now(2000), &lockdown, &given, true).unwrap();
    let rows: Vec<&Audit> = steps
        .iter()
        .filter_map(|step| if let Step::Note(_, rows) = step { Some(rows) } else { None })
        .flatten()
        .collect();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].detail, "result=clear alone=true note=\"假期只有我一人\"");
    assert_eq!((&*rows[0].actor, rows[0].action, &*rows[0].subject), ("a", "response", "lockdown"));
}

#[test]
fn what_fails_is_tried_again_and_told_in_the_end() {
    let (mut responses, _) = restored(None, &[], None);
    let mut steps = begin(&mut responses, now(0), "secure", ("a", false)).unwrap();
    let later = Answer::Later { why: Text::same("stuck"), wait: None };
    let mut ms = 0;
    for pause in [1000, 5000, 30_000] {
        assert!(answer(&mut responses, now(ms), &steps, &later).is_empty());
        assert_eq!(states(&responses, "secure"), ["gate trying_again", "exit trying_again"]);
        assert!(responses.expire(now(ms + pause - 1)).is_empty());
        ms += pause;
        steps = responses.expire(now(ms));
        assert_eq!(said(&steps), ["gate=1", "exit=0"]);
    }
    let Step::Switch { ticket, .. } = steps[0] else { panic!("{steps:?}") };
    assert_eq!(said(&responses.took(now(ms), ticket, later)), Vec::<String>::new());
    let Step::Switch { ticket, .. } = steps[1] else { panic!("{steps:?}") };
    let steps = responses.took(now(ms), ticket, done());
    assert_eq!(said(&steps), ["~secure"]);
    let Some(Step::Report(finding)) = steps.iter().find(|step| matches!(step, Step::Report(_))) else {
        panic!("{steps:?}")
    };
    assert_eq!(finding.what.en, "secure: these outputs failed: gate");
    assert_eq!(states(&responses, "secure"), ["gate failed", "exit done"]);
    // Begun once more, what failed is tried again, and nothing else.
    let steps = begin(&mut responses, now(ms), "secure", ("b", false)).unwrap();
    assert_eq!(said(&steps), ["gate=1", "+secure"]);
    assert_eq!(view(&responses, "secure").begun.unwrap().0.as_str(), "a", "it was begun by who began it");
    // What asks for too long a wait, and what will never be done, is not tried again.
    for answered in [
        Answer::Later { why: Text::same("x"), wait: Some(Duration::from_secs(61)) },
        Answer::Never(Text::same("x")),
    ] {
        let (mut responses, _) = restored(None, &[], None);
        let steps = begin(&mut responses, now(0), "hold", ("a", false)).unwrap();
        assert_eq!(said(&answer(&mut responses, now(0), &steps, &answered)), ["~hold"]);
        assert_eq!(responses.next_deadline(), None);
    }
}

#[test]
fn an_answer_that_comes_late_still_counts_and_an_old_one_does_not() {
    let (mut responses, _) = restored(None, &[], None);
    let steps = begin(&mut responses, now(0), "hold", ("a", false)).unwrap();
    assert_eq!(said(&responses.expire(now(30_000))), ["~hold"]);
    assert_eq!(states(&responses, "hold"), ["door-2 no_answer"]);
    answer(&mut responses, now(31_000), &steps, &done());
    assert_eq!(states(&responses, "hold"), ["door-2 done"]);
    let back = responses.clear(now(32_000), &id("hold"), &given("b"), false).unwrap();
    assert!(answer(&mut responses, now(32_000), &steps, &done()).is_empty(), "that was the way there");
    assert_eq!(said(&answer(&mut responses, now(33_000), &back, &done())), ["-hold"]);
    assert_eq!(view(&responses, "hold").stage, Stage::Off);
}

#[test]
fn what_does_not_return_is_told_and_may_be_cleared_again() {
    let (mut responses, _) = restored(None, &[], None);
    let steps = begin(&mut responses, now(0), "hold", ("a", false)).unwrap();
    answer(&mut responses, now(0), &steps, &done());
    let steps = responses.clear(now(1), &id("hold"), &given("b"), false).unwrap();
    let came = answer(&mut responses, now(2), &steps, &Answer::Never(Text::same("broken")));
    assert_eq!(said(&came), ["~hold", "-hold"]);
    let steps = responses.clear(now(3), &id("hold"), &given("b"), false).unwrap();
    assert_eq!(said(&steps), ["+hold", "door-2=0"]);
    answer(&mut responses, now(4), &steps, &done());
    assert_eq!(responses.clear(now(5), &id("hold"), &given("b"), false), Err(Refused::NotOn));
}

#[test]
fn outputs_that_go_back_by_themselves_are_told_once() {
    let (mut responses, _) = restored(None, &[], None);
    let steps = begin(&mut responses, now(0), "lockdown", ("a", false)).unwrap();
    let done = Answer::Done { back_in: Some(Duration::from_secs(600)) };
    answer(&mut responses, now(0), &steps, &done);
    assert!(responses.expire(now(599_999)).is_empty());
    assert_eq!(said(&responses.expire(now(600_000))), ["~lockdown"]);
    assert_eq!(states(&responses, "lockdown")[0], "door-1 back_by_itself");
    assert_eq!(responses.next_deadline(), None);
}

#[test]
fn a_restart_orders_anew_what_is_on_unless_there_is_fire() {
    let mut responses = in_state("on");
    // Whatever was noted last.
    let steps = begin(&mut responses, now(2000), "lockdown", ("c", false)).unwrap();
    let memory = noted(&steps).unwrap();
    let key = AlarmKey { rule: RuleId::new("response.lockdown").unwrap(), subject: "lockdown".into() };
    let other = AlarmKey { rule: RuleId::new("response.hold").unwrap(), subject: "hold-2".into() };

    let (mut again, steps) = restored(Some(&memory), &[key.clone(), other], None);
    assert_eq!(said(&steps), ["door-1=1", "door-2=1", "exit=0", "+lockdown", "-hold-2"]);
    assert_eq!(again.clear(now(1), &id("lockdown"), &given("a"), false), Err(Refused::SamePerson));
    answer(&mut again, now(1), &steps, &done());
    assert!(again.clear(now(2), &id("lockdown"), &given("b"), false).is_ok());

    let (again, steps) = restored(Some(&memory), std::slice::from_ref(&key), Some(fire()));
    assert_eq!(
        said(&steps),
        ["door-1=0", "door-2=0", "exit=0", "+lockdown", "~lockdown", "gate=0"],
        "an evacuation uses the lamp"
    );
    assert_eq!(view(&again, "lockdown").stage, Stage::GivenBack);
    let (again, _) = restored(noted(&steps).as_deref(), std::slice::from_ref(&key), None);
    assert_eq!(view(&again, "lockdown").stage, Stage::GivenBack, "it is not locked again by itself");

    // What was returning returns; what is given back stays so.
    let steps = in_state("on").clear(now(3), &id("lockdown"), &given("b"), false).unwrap();
    let (mut again, steps) = restored(noted(&steps).as_deref(), std::slice::from_ref(&key), None);
    assert_eq!(said(&steps), ["door-1=0", "door-2=0", "exit=0", "broadcast."]);
    assert_eq!(said(&answer(&mut again, now(1), &steps, &done())), ["-lockdown"]);
    let steps = in_state("on").fire(now(3), Some(&fire()));
    let (again, steps) = restored(noted(&steps).as_deref(), std::slice::from_ref(&key), None);
    assert_eq!(said(&steps), ["door-1=0", "door-2=0", "exit=0", "+lockdown"]);
    assert_eq!(view(&again, "lockdown").stage, Stage::GivenBack);

    // Taken out of the configuration: what it had switched returns, and its alarm ends.
    let (mut again, steps) = Responses::restore(now(0), &[], Some(&memory), (&[key], None, false));
    assert_eq!(said(&steps), ["door-1=0", "door-2=0", "exit=0", "-lockdown"]);
    answer(&mut again, now(1), &steps, &done());
    assert_eq!(view(&again, "lockdown").stage, Stage::Off);
    let refused = again.prepare(now(2), &id("lockdown"), (Actor::named("a").unwrap(), false), "1");
    assert_eq!(refused, Err(Refused::Unknown));
    // What cannot be read is nothing.
    assert!(restored(Some("?"), &[], None).1.is_empty());
}

#[test]
fn what_is_practised_ends_with_the_drill() {
    for state in ["on", "on, in a drill"] {
        let mut responses = in_state(state);
        let drill = state != "on";
        let steps = responses.drill(now(10_000), false);
        assert_eq!(said(&steps), if drill { vec!["door-1=0", "exit=0"] } else { Vec::new() });
        let ended = answer(&mut responses, now(11_000), &steps, &done());
        assert_eq!(said(&ended), if drill { vec!["-lockdown drill"] } else { Vec::new() });
        responses.drill(now(12_000), false);
        let again = begin(&mut responses, now(13_000), "hold", ("a", true)).unwrap_err();
        assert_eq!(again, Refused::NoDrill);
    }
    let steps = begin(&mut in_state("off"), now(2000), "lockdown", ("a", true)).unwrap();
    let (again, steps) = Responses::restore(now(0), &school(), noted(&steps).as_deref(), (&[], None, false));
    assert_eq!(said(&steps), ["door-1=0", "exit=0"]);
    assert_eq!(view(&again, "lockdown").stage, Stage::Returning);
}

#[test]
fn alarms_say_which_response_and_a_silent_one_is_silent() {
    let silent = Response { silent: true, ..(*school()[2]).clone() };
    let (mut responses, _) = Responses::restore(now(0), &[Arc::new(silent)], None, (&[], None, true));
    for (actor, drill, rule, subject, zh) in [
        ("a", true, "drill.response.lockdown.silent", "lockdown", "【演练】紧急封控：已启动"),
        ("a", false, "response.lockdown.silent", "lockdown", "紧急封控：已启动"),
    ] {
        let steps = begin(&mut responses, now(0), "lockdown", (actor, drill)).unwrap();
        let Some(Step::Report(finding)) = steps.iter().rfind(|step| matches!(step, Step::Report(_))) else {
            panic!("{steps:?}")
        };
        assert_eq!((finding.key.rule.as_str(), finding.key.subject.as_str()), (rule, subject));
        assert_eq!(finding.what.zh, zh);
        assert!(finding.key.of_response());
    }
}

#[test]
fn only_what_was_read_back_or_accepted_counts() {
    let secs = Duration::from_secs(3);
    let later = |wait| move |answer: &Answer| matches!(answer, Answer::Later { wait: w, .. } if *w == wait);
    let never = |answer: &Answer| matches!(answer, Answer::Never(_));
    let check = |outcome: Outcome, right: &dyn Fn(&Answer) -> bool| {
        assert!(right(&Answer::from(&outcome)), "{outcome:?}");
    };
    check(Outcome::Done { value: 1.0, back_in: Some(secs) }, &|answer| {
        *answer == Answer::Done { back_in: Some(secs) }
    });
    check(Outcome::DryRun { value: 1.0 }, &never);
    check(Outcome::Refused(Refusal::Off), &never);
    check(Outcome::Refused(Refusal::Exit), &never);
    check(Outcome::Refused(Refusal::Fire), &never);
    check(Outcome::Refused(Refusal::TooSoon { wait: secs }), &later(Some(secs)));
    check(Outcome::Refused(Refusal::UnderWay { by: "x".into() }), &later(None));
    check(Outcome::Refused(Refusal::Interlock(Text::same("x"))), &later(None));
    check(Outcome::Failed(Failure::Silent(Text::same("x"))), &later(None));
    for (verdict, right) in [
        (Verdict::Accepted, Answer::Done { back_in: None }),
        (Verdict::Failed { why: "x".into() }, Answer::Later { why: Text::same("x"), wait: None }),
        (Verdict::Refused { why: "x".into() }, Answer::Never(Text::same("x"))),
    ] {
        assert_eq!(Answer::from(verdict), right);
    }
}
