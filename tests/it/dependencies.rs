//! What the program that schools run is made of: `deny.toml` is kept also where cargo-deny is not installed.

use crate::rig::root;
use std::collections::BTreeSet;
use std::process::Command;

/// One package of the release graph.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    license: String,
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).expect("a file of the tree")
}

/// The package `schoolgate` with its normal and build dependencies, as it is built for a release.
fn release_graph() -> BTreeSet<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--package", "schoolgate", "--edges", "normal,build", "--locked", "--offline"])
        .args(["--prefix", "none", "--format", "{p}|{l}"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).expect("UTF-8");
    tree.lines().filter_map(package).collect()
}

fn package(line: &str) -> Option<Package> {
    let (package, license) = line.trim_end_matches(" (*)").split_once('|')?;
    let name = package.split(' ').next()?;
    Some(Package { name: name.to_owned(), license: license.trim().to_owned() })
}

/// The lists of `deny.toml`: licences that are allowed, crates that are banned.
fn lists() -> (Vec<String>, Vec<String>) {
    let deny: toml::Table = read("deny.toml").parse().expect("TOML");
    let texts = |list: &toml::Value, key: Option<&str>| {
        let list = list.as_array().expect("a list").iter();
        list.map(|entry| key.map_or(entry, |key| &entry[key]).as_str().expect("a text").to_owned()).collect()
    };
    (texts(&deny["licenses"]["allow"], None), texts(&deny["bans"]["deny"], Some("crate")))
}

/// Whether an SPDX expression can be met with the allowed licences; `/` is the old sign for `OR`.
fn met(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (met, rest) = either(&words, allowed);
    met && rest.is_empty()
}

fn either<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (mut met, mut rest) = both(words, allowed);
    while let Some(("OR", behind)) = rest.split_first().map(|(word, behind)| (*word, behind)) {
        let (more, left) = both(behind, allowed);
        (met, rest) = (met || more, left);
    }
    (met, rest)
}

fn both<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    let (mut met, mut rest) = one(words, allowed);
    while let Some(("AND", behind)) = rest.split_first().map(|(word, behind)| (*word, behind)) {
        let (more, left) = one(behind, allowed);
        (met, rest) = (met && more, left);
    }
    (met, rest)
}

fn one<'a>(words: &'a [&'a str], allowed: &[String]) -> (bool, &'a [&'a str]) {
    match words {
        ["(", inside @ ..] => {
            let (met, rest) = either(inside, allowed);
            match rest {
                [")", behind @ ..] => (met, behind),
                _ => (false, rest),
            }
        }
        [name, "WITH", exception, rest @ ..] => (allowed.contains(&format!("{name} WITH {exception}")), rest),
        [name, rest @ ..] => (allowed.iter().any(|licence| licence == name), rest),
        [] => (false, words),
    }
}

#[test]
fn the_release_holds_no_banned_crate_and_only_allowed_licences() {
    let (allowed, banned) = lists();
    assert!(banned.iter().any(|name| name == "aws-lc-sys"), "the list was read: {banned:?}");
    let graph = release_graph();
    assert!(graph.len() > 100, "the graph was read: {} packages", graph.len());
    let bad: Vec<&Package> =
        graph.iter().filter(|p| banned.contains(&p.name) || !met(&p.license, &allowed)).collect();
    assert!(bad.is_empty(), "banned, or under a licence that deny.toml does not allow: {bad:#?}");
}

#[test]
fn every_package_comes_from_crates_io() {
    let lock: toml::Table = read("Cargo.lock").parse().expect("TOML");
    let packages = lock["package"].as_array().expect("packages");
    assert!(packages.len() > 100, "the lock was read");
    for package in packages {
        let ours = package["name"].as_str().is_some_and(|name| name.starts_with("schoolgate"));
        let source = package.get("source").and_then(toml::Value::as_str);
        let expected = "registry+https://github.com/rust-lang/crates.io-index";
        assert!(ours || source == Some(expected), "{}: {source:?}", package["name"]);
    }
}

/// The names of the packages that a manifest asks for, in every table of dependencies, renamed ones by their own name.
fn asked_for(manifest: &toml::Table) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (key, value) in manifest {
        let Some(table) = value.as_table() else { continue };
        if matches!(key.as_str(), "dependencies" | "dev-dependencies" | "build-dependencies") {
            for (name, wanted) in table {
                let package = wanted.get("package").and_then(toml::Value::as_str);
                names.insert(package.unwrap_or(name).to_owned());
            }
        } else {
            // [target.'cfg(…)'.dependencies] and the like.
            names.extend(asked_for(table));
        }
    }
    names
}

/// The simulated school judges the program by the documents of devices and platforms; code that both share would make
/// both wrong together.
#[test]
fn the_simulated_school_shares_no_code_with_the_program() {
    let manifest: toml::Table = read("hil/Cargo.toml").parse().expect("TOML");
    let names = asked_for(&manifest);
    assert!(names.contains("tokio-modbus"), "the manifest was read: {names:?}");
    assert!(!names.contains("schoolgate"), "hil/Cargo.toml asks for the program it is there to judge");
}

#[test]
fn every_way_to_ask_for_a_package_is_seen() {
    for manifest in [
        "[dependencies]\nschoolgate = { path = '..' }",
        "[dependencies.schoolgate]\npath = '..'",
        "[dev-dependencies]\nwitness = { package = 'schoolgate', path = '..' }",
        "[target.'cfg(unix)'.build-dependencies]\nschoolgate = '0.1'",
    ] {
        let names = asked_for(&manifest.parse().expect("TOML"));
        assert!(names.contains("schoolgate"), "{manifest}: {names:?}");
    }
    let other =
        "[package]\nname = 'schoolgate-hil'\n[dependencies]\ntokio = '1'\n[features]\nschoolgate = []";
    assert_eq!(asked_for(&other.parse().expect("TOML")), BTreeSet::from(["tokio".to_owned()]));
}

#[test]
fn licences_are_judged_as_spdx_has_them() {
    let allowed = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    for (expression, expected) in [
        ("MIT", true),
        ("GPL-3.0", false),
        ("", false),
        ("MIT OR GPL-3.0", true),
        ("GPL-3.0/MIT", true),
        ("MIT AND GPL-3.0", false),
        ("MIT AND ISC", true),
        ("GPL-3.0 OR MIT AND ISC", true),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("ISC AND (GPL-3.0 OR LGPL-3.0)", false),
        ("Apache-2.0 WITH LLVM-exception", true),
        ("Apache-2.0", false),
        ("(MIT", false),
        ("MIT ISC", false),
    ] {
        assert_eq!(met(expression, &allowed), expected, "{expression}");
    }
}

#[test]
fn lines_of_the_graph_are_read() {
    let expected = Package { name: "ring".into(), license: "Apache-2.0 AND ISC".into() };
    assert_eq!(package("ring v0.17.14|Apache-2.0 AND ISC (*)"), Some(expected));
    assert_eq!(package(""), None);
}
