//! What `ARCHITECTURE.md` and the glossary say is there, and no page names the machine it was written on.

use super::tokens::tokens;
use super::{files, none, read, rooms};
use crate::rig::root;
use std::fs;

#[test]
fn the_map_of_the_architecture_is_the_list_of_rooms() {
    let page = read("ARCHITECTURE.md");
    let on_the_map: Vec<&str> = page
        .lines()
        .filter_map(|line| line.split_once("/ "))
        .map(|(name, _)| name)
        .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()))
        .collect();
    let rooms = rooms(&read("src/lib.rs"));
    let names: Vec<&str> = rooms.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(on_the_map, names, "the map in ARCHITECTURE.md (left) and src/lib.rs (right)");
}

#[test]
fn pages_name_tests_and_files_that_exist() {
    for (page, fewest) in [("ARCHITECTURE.md", 10), ("docs/security.md", 30)] {
        names_what_exists(page, fewest);
    }
}

fn names_what_exists(page: &str, fewest: usize) {
    let page = read(page);
    let all = files("");
    let rust: String = all
        .iter()
        .filter(|(path, _)| path.ends_with(".rs"))
        .map(|(_, full)| fs::read_to_string(full).expect("UTF-8"))
        .collect();
    let mut problems = Vec::new();
    let mut tests = 0;
    for word in page.split('`').skip(1).step_by(2) {
        let is_file = [".rs", ".md", ".toml", ".sql", ".service"].iter().any(|ending| word.ends_with(ending));
        if is_file && !word.contains(['*', '<', ' ']) {
            let there = all.keys().any(|path| path == word || path.ends_with(&format!("/{word}")));
            if !there {
                problems.push(format!("there is no file {word}"));
            }
        } else if word.starts_with("schoolgate_") {
            if !rust.contains(&format!("\"{word}\"")) {
                problems.push(format!("there is no metric {word}"));
            }
        } else if word.matches('_').count() >= 3
            && word.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c.is_ascii_digit())
        {
            tests += 1;
            if !rust.contains(&format!("fn {word}(")) {
                problems.push(format!("there is no test {word}"));
            }
        }
    }
    assert!(tests > fewest, "it names tests: {tests}");
    none(problems);
}

#[test]
fn every_word_of_the_model_is_in_the_glossary() {
    let tokens = tokens(&read("src/model/mod.rs"));
    let glossary = read("docs/glossary.md");
    let words: Vec<&str> = tokens
        .iter()
        .map(|token| token.text.as_str())
        .filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase()))
        .collect();
    assert!(words.len() > 40, "the words were found: {words:?}");
    let missing = words.iter().filter(|word| !glossary.contains(&format!("`{word}`")));
    none(missing.map(|word| format!("docs/glossary.md: no line for `{word}`")).collect());
}

#[test]
fn the_tree_names_no_place_of_the_machine_it_was_written_on() {
    // Homes of people and of build users, the directory of this very build, and where cargo keeps what it fetched.
    let mut places: Vec<String> = ["home", "root", "Users"].iter().map(|home| format!("/{home}/")).collect();
    places.push([".cargo", "registry", "src"].join("/"));
    let here = root().to_string_lossy().into_owned();
    let installed = ["/etc", "/opt", "/usr", "/var"].iter().any(|prefix| here.starts_with(prefix));
    if here.matches('/').count() > 1 && !installed {
        places.push(here);
    }
    let mut problems = Vec::new();
    for (short, full) in files("") {
        let Ok(text) = fs::read_to_string(full) else { continue };
        for place in places.iter().filter(|place| text.contains(place.as_str())) {
            problems.push(format!("{short}: names {place}"));
        }
    }
    none(problems);
}
