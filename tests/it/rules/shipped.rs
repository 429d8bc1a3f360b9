//! `deploy/rules`: checked against the school beside them, and every case is as it says.

use crate::rig::root;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

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
