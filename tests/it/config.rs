//! Golden configurations through the real binary: each broken one is told with its place and what to write instead,
//! each good one is understood, in English and in Chinese. `BLESS=1` writes what is said now into `expected.txt` and
//! `expected.zh.txt`.

use crate::rig::root;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every secret in the golden files has this in it; it must never be printed.
const SECRET: &str = "hunter2";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let from = entry.unwrap().path();
        let to = to.join(from.file_name().unwrap());
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(&from, &to).unwrap();
            // A clone does not keep these bits.
            let secret = from.parent().is_some_and(|p| p.ends_with("secrets")) && !from.ends_with("open");
            fs::set_permissions(&to, PermissionsExt::from_mode(if secret { 0o600 } else { 0o644 })).unwrap();
        }
    }
}

/// Runs `schoolgate check` in `dir`: its exit code and what it printed.
fn check(dir: &Path) -> (Option<i32>, String) {
    check_with(dir, &[])
}

/// The same in an environment with these variables.
fn check_with(dir: &Path, variables: &[(&str, &OsStr)]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_schoolgate"));
    for name in ["LC_ALL", "LC_MESSAGES", "LANG", "CREDENTIALS_DIRECTORY"] {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied());
    let done = command.args(["check", "--config", "gateway.toml"]).current_dir(dir).output().unwrap();
    assert!(done.stderr.is_empty(), "stderr: {}", String::from_utf8_lossy(&done.stderr));
    // What it notes of a calendar that runs out depends on the day of the test.
    let of_the_day = ["note: the last term ", "note: the calendar ", "注意：校历"];
    let said = String::from_utf8(done.stdout).unwrap();
    let kept =
        said.split_inclusive('\n').filter(|line| !of_the_day.iter().any(|note| line.starts_with(note)));
    (done.status.code(), kept.collect())
}

/// The locale of each language, and the golden file of what is said in it.
const LANGUAGES: [(&str, &str); 2] = [("C.UTF-8", "expected.txt"), ("zh_CN.UTF-8", "expected.zh.txt")];

/// Every golden configuration whose name begins with `good-`, or every other.
fn cases(good: bool) -> Vec<PathBuf> {
    let is_good = |path: &Path| path.file_name().unwrap().to_string_lossy().starts_with("good-");
    let all = fs::read_dir(root().join("tests/golden/config")).unwrap();
    let mut cases: Vec<PathBuf> = all.map(|e| e.unwrap().path()).filter(|p| is_good(p) == good).collect();
    cases.sort();
    cases
}

/// Compares each case with its golden files; all differences at once.
fn compare(cases: &[PathBuf], code: i32) {
    let bless = std::env::var_os("BLESS").is_some_and(|v| v == "1");
    let mut wrong = Vec::new();
    for case in cases {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("case");
        copy(&root().join("tests/golden/profiles"), &temp.path().join("profiles"));
        copy(case, &dir);
        let [en, zh] = LANGUAGES.map(|(locale, golden)| {
            let (found, said) = check_with(&dir, &[("LANG", OsStr::new(locale))]);
            assert!(!said.contains(SECRET), "{}: a secret is printed: {said}", case.display());
            let expected = case.join(golden);
            if bless {
                fs::write(&expected, &said).unwrap();
            }
            let wanted = fs::read_to_string(&expected).unwrap_or_default();
            assert!(code == 0 || said.contains("\n    -> "), "{}: {said}", case.display());
            if found != Some(code) || said != wanted {
                wrong.push(format!(
                    "{} in {locale} exits with {found:?}\n--- wanted\n{wanted}--- said\n{said}",
                    case.display()
                ));
            }
            said
        });
        wrong.extend(untold(&en, &zh));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_broken_configuration_is_told_with_place_and_advice() {
    let cases = cases(false);
    assert!(cases.len() >= 24, "only {} broken configurations", cases.len());
    compare(&cases, 64);
}

#[test]
fn every_good_configuration_is_understood() {
    let cases = cases(true);
    assert!(cases.len() >= 3, "only {} good configurations", cases.len());
    compare(&cases, 0);
}

/// What a line of the check says in words: a message without its place, or an advice.
fn sentence(line: &str) -> Option<&str> {
    if let Some(advice) = line.strip_prefix("    -> ") {
        return Some(advice);
    }
    let line = ["note: ", "注意："].iter().find_map(|note| line.strip_prefix(note)).unwrap_or(line);
    let mut parts = line.splitn(4, ':');
    let [_, row, column, message] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    let place = [row, column].iter().all(|part| part.parse::<usize>().is_ok());
    if place { message.strip_prefix(' ') } else { None }
}

/// The sentences that are left in English for those who read Chinese.
fn untold(en: &str, zh: &str) -> Vec<String> {
    let han = |text: &str| text.contains(|c: char| ('\u{4e00}'..='\u{9fff}').contains(&c));
    let sentences = |said: &str| said.lines().filter_map(sentence).map(ToOwned::to_owned).collect();
    let [en, zh]: [Vec<String>; 2] = [sentences(en), sentences(zh)];
    assert_eq!(en.len(), zh.len(), "{en:#?}\n{zh:#?}");
    let pairs = en.into_iter().zip(zh);
    pairs.filter(|(en, zh)| en == zh || !han(zh)).map(|(_, zh)| format!("not in Chinese: {zh}")).collect()
}

#[test]
fn a_sentence_that_is_left_in_english_is_seen() {
    let en = "a.toml:1:2: the name is empty\n    \"名\"\n    -> write it\nnote: a.toml:3:1: it is off\n";
    for (zh, left) in [
        ("a.toml:1:2: 名称是空的\n    \"名\"\n    -> 写上\n注意：a.toml:3:1: 没有启用\n", 0),
        ("a.toml:1:2: the name is empty\n    \"名\"\n    -> 写上\n注意：a.toml:3:1: off\n", 2),
    ] {
        assert_eq!(untold(en, zh).len(), left, "{zh}");
    }
}

/// The example that is installed, with the secrets its comments ask for and the profiles of this tree.
#[test]
fn the_example_configuration_is_good() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    copy(&root().join("deploy/example"), dir);
    let secrets = dir.join("secrets");
    fs::create_dir(&secrets).unwrap();
    for secret in example_secrets() {
        fs::write(dir.join(&secret), SECRET).unwrap();
        fs::set_permissions(dir.join(&secret), PermissionsExt::from_mode(0o600)).unwrap();
    }
    let profiles = format!("[profiles]\ndir = {:?}\n", root().join("device-profiles"));
    fs::write(dir.join("conf.d/99-profiles.toml"), profiles).unwrap();
    let (code, said) = check(dir);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with("ok: "), "{said}");
}

#[test]
fn the_last_line_is_in_the_language_of_the_person() {
    let golden = |case: &str| {
        let temp = tempfile::tempdir().unwrap();
        copy(&root().join("tests/golden/profiles"), &temp.path().join("profiles"));
        copy(&root().join("tests/golden/config").join(case), &temp.path().join("case"));
        temp
    };
    for (case, code, zh, en) in [
        ("good-2-one-meter", 0, "ok（正常）：地点 2 个", "ok: 2 places"),
        ("05-wrong-types", 64, "共 4 个问题；", "4 problems"),
    ] {
        let temp = golden(case);
        for (locale, begin) in [("zh_CN.UTF-8", zh), ("C.UTF-8", en)] {
            let (found, said) = check_with(&temp.path().join("case"), &[("LANG", OsStr::new(locale))]);
            let last = said.lines().last().unwrap();
            assert!(found == Some(code) && last.starts_with(begin), "{locale}: {said}");
        }
    }
}

/// Under systemd the service cannot enter `secrets/`, which is root's: it is given a copy of each file there.
#[test]
fn a_credential_of_systemd_stands_for_the_secret_it_was_made_of() {
    let temp = tempfile::tempdir().unwrap();
    let (dir, credentials) = (temp.path().join("etc"), temp.path().join("credentials"));
    let wanted = root().join("tests/golden/config/good-6-certificates");
    copy(&wanted, &dir);
    copy(&root().join("tests/golden/profiles"), &temp.path().join("profiles"));
    fs::remove_dir_all(dir.join("secrets")).unwrap();
    fs::create_dir(&credentials).unwrap();
    let under_systemd = || check_with(&dir, &[("CREDENTIALS_DIRECTORY", credentials.as_os_str())]);

    let (code, said) = under_systemd();
    assert_eq!(code, Some(64), "neither is there: {said}");
    assert!(said.contains("'secret_file': there is no file secrets/province"), "{said}");

    // An access list shows itself as bits of the group.
    let credential = credentials.join("secret_province");
    fs::write(&credential, SECRET).unwrap();
    fs::set_permissions(&credential, PermissionsExt::from_mode(0o440)).unwrap();
    let (code, said) = under_systemd();
    assert_eq!(code, Some(0), "the credential is taken: {said}");
    assert_eq!(check(&dir).0, Some(64), "a person's check reads the file that is named");

    fs::create_dir(dir.join("secrets")).unwrap();
    let secret = dir.join("secrets/province");
    fs::write(&secret, SECRET).unwrap();
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o640)).unwrap();
    assert_eq!(under_systemd().0, Some(0), "the credential goes first");
    let (code, said) = check(&dir);
    assert_eq!(code, Some(64), "{said}");
    assert!(said.contains("other users can read the secret"), "{said}");
    fs::remove_file(&credential).unwrap();
    assert_eq!(under_systemd().0, Some(64), "without a credential the file is read, with all its checks");
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!((under_systemd().0, check(&dir).0), (Some(0), Some(0)));
}

/// The directory named by the unit and the names the program looks for are the same.
#[test]
fn the_unit_hands_over_the_secrets_of_the_example() {
    let unit = fs::read_to_string(root().join("systemd/schoolgate.service")).unwrap();
    let loaded: Vec<&str> = unit.lines().filter(|line| line.starts_with("LoadCredential=")).collect();
    assert_eq!(loaded, ["LoadCredential=secret:/etc/schoolgate/secrets"]);
    let secrets = example_secrets();
    assert_eq!(secrets, ["secrets/cameras", "secrets/city", "secrets/mqtt", "secrets/province"]);
    let main = fs::read_to_string(root().join("deploy/example/gateway.toml")).unwrap();
    for secret in secrets {
        assert!(main.contains(&secret), "the example says how to make {secret}");
    }
}

/// Every path of a secret in the example, in alphabetical order.
fn example_secrets() -> Vec<String> {
    let mut secrets = Vec::new();
    for entry in fs::read_dir(root().join("deploy/example/conf.d")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let lines = text.lines().filter(|l| l.starts_with("password_file") || l.starts_with("secret_file"));
        secrets.extend(lines.map(|line| line.split('"').nth(1).unwrap().to_owned()));
    }
    secrets.sort();
    secrets
}

#[test]
fn files_that_cannot_be_a_configuration_are_refused() {
    let site = "[site]\ngateway = \"gw-1\"\nname = \"x\"\n[profiles]\ndir = \".\"\n";
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let said = || {
        let (code, said) = check(dir);
        assert_eq!(code, Some(64), "{said}");
        said
    };
    fs::create_dir(dir.join("gateway.toml")).unwrap();
    assert!(said().starts_with("gateway.toml:1:1: gateway.toml is not a plain file"));
    fs::remove_dir(dir.join("gateway.toml")).unwrap();
    fs::write(dir.join("gateway.toml"), format!("{site}a = {}", "[".repeat(1 << 20))).unwrap();
    assert!(said().contains("gateway.toml:6:"));
    fs::write(dir.join("gateway.toml"), site).unwrap();
    fs::create_dir(dir.join("conf.d")).unwrap();
    fs::write(dir.join("conf.d/big.toml"), "#".repeat(5 << 20)).unwrap();
    assert!(said().starts_with("conf.d/big.toml:1:1: conf.d/big.toml has 5242880 bytes"));
    fs::remove_file(dir.join("conf.d/big.toml")).unwrap();
    for n in 0..300 {
        fs::write(dir.join(format!("conf.d/{n}.toml")), "").unwrap();
    }
    assert!(said().contains("conf.d has 300 files"));
}

#[test]
fn a_plan_may_be_so_large_and_all_of_them_together() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let plan = |bytes: usize| [b"\x89PNG\r\n\x1a\n".as_slice(), &vec![0; bytes - 8]].concat();
    let most = schoolgate::config::MAX_PLAN_BYTES;
    fs::write(dir.join("most.png"), plan(most)).unwrap();
    fs::write(dir.join("more.png"), plan(most + 1)).unwrap();
    let said = |plans: &[&str]| {
        let place = |(n, plan): (usize, &&str)| {
            format!("[[place]]\nid = \"p{n}\"\nkind = \"floor\"\nplan = \"{plan}\"\n")
        };
        let places: String = plans.iter().enumerate().map(place).collect();
        let site = "[site]\ngateway = \"gw-1\"\nname = \"x\"\n[profiles]\ndir = \".\"\n";
        fs::write(dir.join("gateway.toml"), format!("{site}{places}")).unwrap();
        check(dir)
    };
    let (code, text) = said(&["more.png"]);
    assert!(code == Some(64) && text.contains("'plan': more.png has 2097153 bytes"), "{text}");
    assert_eq!(said(&["most.png"; 8]).0, Some(0), "16 MiB together");
    let (code, text) = said(&["most.png"; 9]);
    assert!(code == Some(64) && text.contains("have 18874368 bytes together"), "{text}");
}

/// An unknown key in a table makes the check list the known ones; the manual must have them all.
#[test]
fn every_key_and_rule_kind_is_in_the_manual() {
    let manual = fs::read_to_string(root().join("docs/configuration.md")).unwrap();
    let temp = tempfile::tempdir().unwrap();
    let once = [
        "site",
        "store",
        "http",
        "uploads",
        "profiles",
        "controls",
        "privacy",
        "campus",
        "console",
        "console.oidc",
    ]
    .map(|t| format!("[{t}]\nzzz = 1\n"));
    let sources = ["http-push", "isapi", "dahua", "fire-receiver", "panel-receiver"];
    let kinds = [&["modbus-tcp", "mqtt", "mqtt-listener", "onvif"][..], &sources].concat();
    let bus: Vec<String> = kinds.into_iter().map(|k| format!("[[bus]]\nkind = \"{k}\"\nzzz = 1\n")).collect();
    let many = [
        "place",
        "device",
        "destination",
        "contact",
        "guidance",
        "control",
        "control.interlock",
        "bus.reader",
    ]
    .map(|t| format!("[[{t}]]\nzzz = 1\n"));
    let kinds = ["wecom", "dingtalk", "feishu", "webhook", "smtp", "http", "mqtt", "sound", "control"];
    let sub = |kind: &str| match kind {
        "sound" => "[channel.files]\nzzz = 1\n",
        _ => "",
    };
    let channels = kinds.map(|k| format!("[[channel]]\nkind = \"{k}\"\nzzz = 1\n{}", sub(k)));
    let text = [once.as_slice(), &bus, &channels, &many].concat().concat()
        + "[control.read_back]\nzzz = 1\n[[rule]]\nkind = \"zzz\"\n[zzz]\n";
    fs::write(temp.path().join("gateway.toml"), text).unwrap();
    let (_, said) = check(temp.path());
    let lists: Vec<&str> = said.split("-> write one of: ").skip(1).filter_map(|s| s.lines().next()).collect();
    assert_eq!(lists.len(), 40, "{said}");
    // Long lists are cut: of the kinds of rules the table has them all.
    let kinds = schoolgate::rules::RULE_KINDS.iter().map(|kind| kind.name);
    let keys = lists.iter().filter(|list| !list.contains(" more")).flat_map(|list| list.split(", "));
    for key in keys.chain(kinds) {
        let written = [format!("`{key}`"), format!("[{key}]")].iter().any(|form| manual.contains(form));
        assert!(written, "'{key}' is missing in docs/configuration.md");
    }
}

#[test]
fn the_command_line_is_checked_too() {
    let run = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_schoolgate")).args(args).output().unwrap();
    assert_eq!(run(&["chekc"]).status.code(), Some(64));
    assert_eq!(run(&["check", "--cofnig", "x"]).status.code(), Some(64));
    assert_eq!(run(&["--version"]).status.code(), Some(0));
}
