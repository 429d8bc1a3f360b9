//! `deploy/rules`: checked against the school beside them, and every case is as it says.

use crate::rig::root;
use schoolgate::config;
use schoolgate::document::Problems;
use schoolgate::trial::{cases, play};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

fn deploy() -> PathBuf {
    root().join("deploy/rules")
}

/// Runs `schoolgate rules …` against the school: its exit code and what it printed.
fn rules(arguments: &[&str]) -> (Option<i32>, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_schoolgate"))
        .arg("rules")
        .args(arguments)
        .args(["--config", "deploy/rules/school/gateway.toml"])
        .current_dir(root())
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let text = String::from_utf8(done.stdout).unwrap() + &String::from_utf8(done.stderr).unwrap();
    (done.status.code(), text)
}

fn texts(ending: &str) -> BTreeMap<String, String> {
    let files = std::fs::read_dir(deploy()).unwrap().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.is_file())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), path))
        .filter(|(name, _)| {
            name.ends_with(ending) && (ending == ".cases.toml" || !name.ends_with(".cases.toml"))
        })
        .map(|(name, path)| (name, std::fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn every_case_is_as_it_says_and_every_rule_has_one() {
    let (code, said) = rules(&["test", "--strict", "deploy/rules"]);
    assert_eq!(code, Some(0), "{said}");
    let written: usize = texts(".toml").values().map(|text| text.matches("[[rule]]").count()).sum();
    assert!(written >= 30, "only {written} rules");
    let cases: usize = texts(".cases.toml").values().map(|text| text.matches("[[case]]").count()).sum();
    assert!(cases >= written, "{cases} cases of {written} rules");
    assert!(said.contains(&format!("cases: {cases} ok, 0 failed")), "{said}");
}

/// A case that a rule passes which is not there shows nothing: every rule has one that it does not.
#[test]
fn no_rule_passes_its_cases_without_being_there() {
    let config = deploy().join("school/gateway.toml");
    let trial = config::load_trial(&config, &[deploy()]).unwrap_or_else(|problems| panic!("{problems:#?}"));
    let ids: Vec<&str> = trial.config.rules.iter().map(|rule| rule.id().as_str()).collect();
    let (world, zone, problems) = (&trial.config.world, &trial.config.site.zone, Problems::new());
    let cases: Vec<_> = trial
        .cases
        .iter()
        .flat_map(|(file, text)| cases((file, text), &ids, world, zone, &problems))
        .collect();
    assert_eq!(problems.into_sorted(), []);
    let mut bites: BTreeSet<&str> = BTreeSet::new();
    for case in &cases {
        let world = Arc::new(world.with_calendar(world.calendar.as_ref().clone()));
        let good = play(case, None, world, trial.config.aggregate_secs).good();
        assert_eq!(good, case.expected.is_empty(), "{} {}", case.rule, case.name);
        if !good {
            bites.insert(case.rule.as_str());
        }
    }
    let written = ids.iter().filter(|id| !id.starts_with("always."));
    let idle: Vec<_> = written.filter(|id| !bites.contains(**id)).collect();
    assert!(idle.is_empty(), "no case of these fails without them: {idle:?}");
}

/// What the rules of the school are for: the capabilities of the plans that a rule can serve.
#[test]
fn the_rules_name_what_they_serve_and_what_to_do() {
    let texts = texts(".toml");
    let all: String = texts.values().cloned().collect();
    for number in [
        "AC-09", "AC-11", "AC-12", "AC-13", "AC-14", "AC-20", "AC-22", "AC-23", "AC-25", "AC-33", "AC-33b",
        "AC-34", "AC-35", "AC-37", "AC-38", "AC-39",
    ] {
        assert!(all.contains(&format!("{number} ")), "no rule names {number}");
    }
    for (file, text) in &texts {
        let steps = text.matches("# 处置步骤：").count();
        let rules = text.matches("[[rule]]").count();
        assert_eq!(steps, rules, "{file}: each rule says what to do");
    }
}

#[test]
fn a_case_that_is_wrong_is_told_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let cases = dir.path().join("x.cases.toml");
    for (text, told) in [
        (
            "[[case]]\nrule = \"patrl\"\nname = \"n\"\nstart = \"2026-10-16T10:00\"\nexpect = []",
            "did you mean 'patrol'?",
        ),
        (
            "[[case]]\nrule = \"patrol\"\nname = \"n\"\nstart = \"2026-10-16T10:00\"",
            "expects nothing and does not say so",
        ),
        (
            "[[case]]\nrule = \"patrol\"\nname = \"n\"\nstart = \"tomorrow\"\nexpect = []",
            "is no date and time",
        ),
        (
            "[[case]]\nrule = \"patrol\"\nname = \"n\"\nstart = \"2026-10-16T10:00\"\nexpect = []\ngiven = [{ at = \"+1m\", device = \"ups\", point = \"battery_charge\", value = 130 }]",
            "would be doubted",
        ),
        (
            "[[case]]\nrule = \"patrol\"\nname = \"n\"\nstart = \"2026-10-16T10:00\"\nexpect = []\ngiven = [{ at = \"+1m\", device = \"ups\", event = \"motion\" }]",
            "gives no 'motion' events",
        ),
        (
            "[[case]]\nrule = \"patrol\"\nname = \"n\"\nstart = \"2026-10-16T10:00\"\nuntil = \"+1s\"\nexpect = [{ at = \"+1m\", raise = \"x\" }]",
            "is over before the last",
        ),
    ] {
        std::fs::write(&cases, text).unwrap();
        let rules_file = deploy().join("patrol.toml");
        let (code, said) = rules(&["test", cases.to_str().unwrap(), rules_file.to_str().unwrap()]);
        assert_eq!(code, Some(64), "{said}");
        assert!(said.contains(told) && said.contains("x.cases.toml:"), "{told}: {said}");
    }
    // One that fails says what came instead.
    let text = "[[case]]\nrule = \"always.help\"\nname = \"n\"\nstart = \"2026-10-16T10:00\"\ngiven = [{ at = \"+1m\", device = \"help-gate\", event = \"help\" }]\nexpect = [{ at = \"+2m\", raise = \"help-gate\" }]";
    std::fs::write(&cases, text).unwrap();
    let (code, said) = rules(&["test", cases.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("+ 2026-10-16 10:01:00 raised help-gate (critical)"), "{said}");
    assert!(said.contains("- 2026-10-16 10:02:00 raised help-gate"), "{said}");
}

/// `check` says of a rule that can never raise an alarm, and of two that say the same; the gateway starts all the same.
#[test]
fn check_tells_rules_that_can_never_raise_an_alarm() {
    let dir = tempfile::tempdir().unwrap();
    let profiles = root().join("device-profiles");
    let base = format!(
        "[site]\ngateway = \"gw\"\nname = \"n\"\n[profiles]\ndir = \"{}\"\n\
         [[place]]\nid = \"p\"\nkind = \"room\"\nname = \"p\"\n[[bus]]\nid = \"c\"\nkind = \"onvif\"\n\
         [[device]]\nid = \"cam\"\nprofile = \"onvif-generic\"\nbus = \"c\"\naddress = \"http://10.0.0.1/x\"\nplace = \"p\"\n",
        profiles.display()
    );
    let exam = "[[rule]]\nid = \"e\"\nkind = \"exam_watch\"\ndevices = [\"cam\"]\n";
    let motion = |id: &str, more: &str| {
        format!("[[rule]]\nid = \"{id}\"\nkind = \"event\"\ndevices = [\"cam\"]\nevent = \"motion\"\n{more}")
    };
    let exams = "[[calendar.exam]]\nname = \"x\"\nfirst = \"2027-01-18\"\nlast = \"2027-01-20\"\nperiods = [\"08:30-11:30\"]\n";
    let always_taught = "[[calendar.bell]]\ndays = [\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]\nperiods = [\"00:00-24:00\"]\n";
    let changes = |window_secs: u32| {
        format!(
            "[[bus]]\nid = \"m\"\nkind = \"modbus-tcp\"\nhost = \"10.0.0.2\"\n[[device]]\nid = \"e\"\nbus = \"m\"\n\
             profile = \"eastron-sdm630\"\naddress = 1\nplace = \"p\"\npoll_secs = 60\n[[rule]]\nid = \"c\"\nkind = \"count\"\n\
             devices = [\"e\"]\npoint = \"power_total\"\ncount = 5\nwindow_secs = {window_secs}\n"
        )
    };
    for (text, told) in [
        (exam.to_owned(), Some("there is no examination in the calendar")),
        (format!("{exam}{exams}"), None),
        (motion("a", "only_outside_hours = true\n"), None),
        (
            format!("{}{always_taught}", motion("a", "only_outside_hours = true\n")),
            Some("there is no time outside teaching in the calendar"),
        ),
        (
            format!(
                "{}{always_taught}",
                motion("a", "").replace("\"event\"", "\"held\"") + "for_secs = 60\nwhen = \"outside\"\n"
            ),
            Some("there is no time outside teaching in the calendar"),
        ),
        (changes(120), Some("120 s hold 3 changes at most, and the rule wants 5")),
        (changes(240), None),
        (format!("{}{}", motion("a", ""), motion("b", "")), Some("the rule 'b' says the same as 'a'")),
        (format!("{}{}", motion("a", ""), motion("b", "priority = \"low\"\n")), None),
    ] {
        let file = dir.path().join("gateway.toml");
        std::fs::write(&file, format!("{base}{text}")).unwrap();
        let done = Command::new(env!("CARGO_BIN_EXE_schoolgate"))
            .args(["check", "--config"])
            .arg(&file)
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let said = String::from_utf8(done.stdout).unwrap();
        assert_eq!(done.status.code(), Some(0), "{said}");
        match told {
            Some(told) => assert!(said.contains(told) && said.contains("gateway.toml:"), "{said}"),
            None => assert_eq!(said.lines().count(), 1, "{said}"),
        }
    }
}
