//! The shipped device profiles: each is readable, stands in the right directory, and decodes its golden vectors.

use crate::rig::root;
use schoolgate::document::Problems;
use schoolgate::profile::{self, vectors};
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
    for expected in [
        "acrel-adl400",
        "aqara-mccgq11lm",
        "aqara-wsdcgq11lm",
        "cj-t-188-2004-cold-water",
        "dl-t-645-2007-three-phase",
        "eastron-sdm630",
        "face-rec-mqtt",
        "onvif-generic",
        "tuya-ts0215a",
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
        (4, 4),
        "one profile and its vectors for each kind of protocol"
    );
    for (profile, golden) in profiles.into_iter().zip(golden) {
        let problems = Problems::new();
        let parsed = profile::parse("docs/profiles.md", profile, &problems);
        let checked = parsed.map(|p| vectors::check(&p, "docs/profiles.md", golden, &problems));
        no_problems("docs/profiles.md", problems);
        assert!(checked.is_some_and(|n| n > 0), "{golden}");
    }
}
