//! The rooms of the house keep their order: a room uses only those above it in `src/lib.rs`, the pure ones touch
//! nothing of the world, and `ARCHITECTURE.md` speaks of what is there.

mod docs;
mod tokens;

use crate::rig::root;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use tokens::{Token, end_of_block, stands, tokens, without_tests};

/// Longest file in `src/`, lines.
const MAX_LINES: usize = 650;
/// Files of pure rooms that may touch the world, and the room each belongs to.
const EXCEPTIONS: &[&str] = &["src/config/load.rs"];
/// What a pure room never mentions outside its tests: runtimes, databases, network libraries, machine state.
const BANNED_WORDS: &[&str] = &[
    "axum",
    "File",
    "getrandom",
    "hyper",
    "Instant",
    "OpenOptions",
    "prometheus",
    "reqwest",
    "retina",
    "rumqttc",
    "rusqlite",
    "sd_notify",
    "SystemTime",
    "TcpListener",
    "TcpStream",
    "tokio",
    "ToSocketAddrs",
    "UdpSocket",
    "UnixListener",
    "UnixStream",
];
/// Modules of the standard library that a pure room never names in a path.
const BANNED_MODULES: &[&str] = &["env", "fs", "process", "thread"];
/// Methods by which a path or a library's clock would reach the machine.
const BANNED_CALLS: &[&str] = &[
    "canonicalize",
    "exists",
    "is_dir",
    "is_file",
    "metadata",
    "now",
    "read_dir",
    "read_link",
    "symlink_metadata",
    "to_socket_addrs",
    "try_exists",
];

/// The rooms of `lib.rs` from the ground up, each with whether it is pure.
fn rooms(lib: &str) -> Vec<(String, bool)> {
    let mut pure = false;
    let mut rooms = Vec::new();
    for line in lib.lines() {
        if let Some(comment) = line.strip_prefix("// ") {
            pure = comment.starts_with("pure");
        } else if let Some(name) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
            rooms.push((name.to_owned(), pure));
        }
    }
    rooms
}

/// The first names behind a path's `::`: one, or each of a list in braces.
fn names_behind(tokens: &[Token], at: usize) -> Vec<Token> {
    let Some(first) = tokens.get(at) else { return Vec::new() };
    if first.text != "{" {
        return vec![first.clone()];
    }
    let (mut names, mut depth, mut fresh) = (Vec::new(), 0, true);
    for token in &tokens[at..] {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," => fresh = depth == 1,
            _ if fresh && depth == 1 => {
                names.push(token.clone());
                fresh = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

/// How many modules deep inside its room a file's own module is: 0 for `mod.rs` of the room or `room.rs`.
fn depth_in_room(path: &str) -> usize {
    let inside = path.strip_prefix("src/").unwrap_or(path).strip_suffix(".rs").unwrap_or(path);
    inside.split('/').filter(|part| *part != "mod").count() - 1
}

/// How many modules written inside the file hold each token.
fn inline_depths(tokens: &[Token]) -> Vec<usize> {
    let mut depths = vec![0; tokens.len()];
    for i in 0..tokens.len() {
        if tokens[i].text == "mod" && tokens.get(i + 2).is_some_and(|token| token.text == "{") {
            let end = end_of_block(tokens, i + 2).min(tokens.len());
            depths[i + 2..end].iter_mut().for_each(|depth| *depth += 1);
        }
    }
    depths
}

/// Every use of a room that does not stand above the file's own, and every path by which one could hide.
fn order_problems(rooms: &[(String, bool)], path: &str, source: &str) -> Vec<String> {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let own = inside.split(['/', '.']).next().unwrap_or_default();
    let Some(place) = rooms.iter().position(|(name, _)| name == own) else {
        return vec![format!("{path}: '{own}' is no room of src/lib.rs")];
    };
    let tokens = tokens(source);
    let inline = inline_depths(&tokens);
    let depth = depth_in_room(path);
    let mut problems = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let mut tell = |line: usize, what: String| problems.push(format!("{path}:{line}: {what}"));
        let before = i.checked_sub(1).map_or("", |n| tokens[n].text.as_str());
        match token.text.as_str() {
            "crate" if stands(&tokens, i + 1, &["::"]) => {
                for name in names_behind(&tokens, i + 2) {
                    match rooms.iter().position(|(room, _)| *room == name.text) {
                        Some(used) if used <= place => {}
                        Some(_) => {
                            tell(name.line, format!("{own} uses {}, which stands below it", name.text))
                        }
                        None => tell(name.line, format!("'crate::{}' is no room of src/lib.rs", name.text)),
                    }
                }
            }
            "crate" if !matches!(before, "(" | "in" | "$") => {
                tell(token.line, "the crate under another name hides what is used".into());
            }
            "schoolgate" if stands(&tokens, i + 1, &["::"]) => {
                tell(token.line, "inside the library write 'crate', so that its order can be checked".into());
            }
            "super" if before != "::" => {
                let ups = tokens[i..].iter().take_while(|t| matches!(t.text.as_str(), "super" | "::"));
                let ups = ups.filter(|t| t.text == "super").count();
                if ups > depth + inline[i] {
                    tell(token.line, "'super' leaves the room; write 'crate::' and the room's name".into());
                }
            }
            _ => {}
        }
    }
    problems
}

/// Everything of the world that a pure file touches outside its tests.
fn purity_problems(path: &str, source: &str) -> Vec<String> {
    let tokens = without_tests(&tokens(source));
    let mut problems = Vec::new();
    for (i, token) in tokens.iter().enumerate() {
        let word = token.text.as_str();
        let in_path = stands(&tokens, i + 1, &["::"]) || (i > 0 && tokens[i - 1].text == "::");
        let called =
            i > 0 && matches!(tokens[i - 1].text.as_str(), "." | "::") && stands(&tokens, i + 1, &["("]);
        if BANNED_WORDS.contains(&word)
            || (BANNED_MODULES.contains(&word) && in_path)
            || (BANNED_CALLS.contains(&word) && called)
        {
            problems.push(format!("{path}:{}: a pure room does not know '{word}'", token.line));
        }
    }
    problems
}

/// A file without a first sentence, or too long to be read.
fn form_problems(path: &str, source: &str) -> Vec<String> {
    let mut problems = Vec::new();
    if !source.strip_prefix("//! ").is_some_and(|rest| rest.starts_with(|c: char| !c.is_whitespace())) {
        problems.push(format!("{path}:1: a file begins with '//!' and one sentence on what it is for"));
    }
    let lines = source.lines().count();
    if lines > MAX_LINES {
        problems.push(format!("{path}: {lines} lines; split it, {MAX_LINES} is the limit"));
    }
    problems
}

/// Whether a file holds tests only: it is compiled behind `#[cfg(test)]` in the module that names it.
fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("/testing.rs")
}

/// Every file below a directory of the tree, by its path from the root, without what is built or fetched.
fn files(below: &str) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let mut directories = vec![root().join(below)];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of the tree") {
            let entry = entry.expect("an entry");
            let name = entry.file_name();
            if ["target", ".git", ".venv", "node_modules"].iter().any(|skip| name == *skip) {
                continue;
            }
            let kind = entry.file_type().expect("its kind");
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_file() {
                let path = entry.path();
                let short = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
                found.insert(short, path);
            }
        }
    }
    found
}

fn sources() -> BTreeMap<String, String> {
    let rust = files("src").into_iter().filter(|(path, _)| path.ends_with(".rs"));
    rust.map(|(path, full)| (path, fs::read_to_string(full).expect("UTF-8"))).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn none(problems: Vec<String>) {
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn a_room_uses_only_the_rooms_above_it() {
    let rooms = rooms(&read("src/lib.rs"));
    assert!(rooms.len() > 10, "the rooms were found: {rooms:?}");
    let sources = sources();
    let in_rooms = sources.iter().filter(|(path, _)| !matches!(path.as_str(), "src/lib.rs" | "src/main.rs"));
    none(in_rooms.flat_map(|(path, source)| order_problems(&rooms, path, source)).collect());
}

#[test]
fn pure_rooms_know_no_runtime_no_files_no_clock_and_no_database() {
    let pure: Vec<String> =
        rooms(&read("src/lib.rs")).into_iter().filter(|(_, pure)| *pure).map(|(name, _)| name).collect();
    assert!(pure.len() > 5, "the pure rooms were found: {pure:?}");
    let mut problems = Vec::new();
    for (path, source) in sources() {
        let own = path.split(['/', '.']).nth(1).unwrap_or_default();
        if !pure.iter().any(|room| room == own) || is_test_file(&path) {
            continue;
        }
        let found = purity_problems(&path, &source);
        if EXCEPTIONS.contains(&path.as_str()) {
            assert!(!found.is_empty(), "{path} touches nothing any more: take it out of EXCEPTIONS");
        } else {
            problems.extend(found);
        }
    }
    none(problems);
}

#[test]
fn every_file_says_what_it_is_for_and_can_be_read_in_one_go() {
    none(sources().iter().flat_map(|(path, source)| form_problems(path, source)).collect());
}

#[test]
fn files_of_tests_are_compiled_for_tests_only() {
    let sources = sources();
    let mut problems = Vec::new();
    for path in sources.keys().filter(|path| is_test_file(path)) {
        let (directory, file) = path.rsplit_once('/').expect("a directory");
        let module = file.strip_suffix(".rs").expect("a Rust file");
        let parents = [format!("{directory}/mod.rs"), format!("{directory}.rs")];
        let behind_cfg = parents.iter().filter_map(|parent| sources.get(parent)).any(|parent| {
            let tokens = tokens(parent);
            (0..tokens.len()).any(|i| {
                stands(&tokens, i, &["#", "[", "cfg", "(", "test", ")", "]"])
                    && tokens[i + 7..].iter().take(6).any(|token| token.text == module)
            })
        });
        if !behind_cfg {
            problems.push(format!("{path}: its parent does not say #[cfg(test)] before 'mod {module};'"));
        }
    }
    none(problems);
}

// The scanner itself: it must see what it is there to see.

fn house() -> Vec<(String, bool)> {
    rooms(
        "// pure: words\npub mod model;\n// pure\npub mod rules;\n\n// edge\npub mod store;\n// composition\npub mod cli;\n",
    )
}

#[test]
fn rooms_are_read_in_their_order() {
    let expected = [("model", true), ("rules", true), ("store", false), ("cli", false)];
    assert_eq!(house(), expected.map(|(name, pure)| (name.to_owned(), pure)));
}

#[test]
fn the_scanner_sees_every_way_into_a_room_below() {
    let wrong: &[(&str, &str, &str)] = &[
        ("src/model/mod.rs", "use crate::rules::Engine;", "1: model uses rules"),
        ("src/model/id.rs", "fn f() {\n    crate::store::open();\n}", "2: model uses store"),
        ("src/rules/mod.rs", "use crate::{\n  model::{self, Id},\n  cli,\n};", "3: rules uses cli"),
        ("src/rules/mod.rs", "use crate :: store;", "1: rules uses store"),
        ("src/rules/mod.rs", "use crate::*;", "'crate::*' is no room"),
        ("src/rules/mod.rs", "use crate as house;", "under another name"),
        ("src/rules/mod.rs", "use schoolgate::store;", "write 'crate'"),
        ("src/rules/mod.rs", "use super::store::Store;", "'super' leaves the room"),
        ("src/rules/a/b.rs", "use super::super::super::store;", "'super' leaves the room"),
        ("src/rules/mod.rs", "mod tests { use super::super::store; }", "'super' leaves the room"),
        ("src/attic/mod.rs", "", "'attic' is no room"),
        ("src/attic.rs", "", "'attic' is no room"),
        ("src/model/mod.rs", "const A: char = '\"'; use crate::cli; // \"", "model uses cli"),
        ("src/model/mod.rs", "const A: &str = \"\\\"\"; use crate::cli;", "model uses cli"),
        ("src/model/mod.rs", "const A: &str = r#\"\"#; use crate::cli;", "model uses cli"),
        ("src/model/mod.rs", "/* /* */ */ use crate::cli;", "model uses cli"),
        ("src/model/mod.rs", "fn f<'a>(x: &'a str) {} use crate::cli;", "model uses cli"),
    ];
    for (path, source, expected) in wrong {
        let problems = order_problems(&house(), path, source);
        assert_eq!(problems.len(), 1, "{source}: {problems:?}");
        assert!(problems[0].contains(expected), "{source}: {problems:?}");
    }
}

#[test]
fn the_scanner_lets_through_what_is_right() {
    let right: &[(&str, &str)] = &[
        ("src/store/mod.rs", "use crate::model::Id; use crate::{rules::Engine, store::append};"),
        (
            "src/model/mod.rs",
            "// use crate::cli;\n/* crate::cli */ /// crate::cli\nconst A: &str = \"crate::cli\";",
        ),
        ("src/model/mod.rs", "const A: &str = r#\"crate::cli \"quoted\" crate::cli\"#;"),
        (
            "src/model/mod.rs",
            "pub(crate) fn f() {} pub(in crate::model) fn g() {} macro_rules! m { () => { $crate::model } }",
        ),
        ("src/rules/a/b.rs", "use super::super::Engine; mod tests { use super::*; use super::super::x; }"),
        ("src/cli/mod.rs", "const LIFETIME: fn(&'static str) = |_| {}; use crate::store;"),
    ];
    for (path, source) in right {
        assert_eq!(order_problems(&house(), path, source), Vec::<String>::new(), "{source}");
    }
}

#[test]
fn the_scanner_sees_the_world_in_a_pure_room() {
    let wrong = [
        "use tokio::sync::mpsc;",
        "async fn f() { tokio::time::sleep(d).await }",
        "use std::{fs, io};\nfn f() { fs::read(p); }",
        "fn f() { std::fs::read(p); }",
        "use std::fs;",
        "use std::net::TcpStream;",
        "fn f() { std::time::Instant::now(); }",
        "use std::time::SystemTime;",
        "fn f() { jiff::Timestamp::now(); }",
        "fn f(c: rusqlite::Connection) {}",
        "fn f() { reqwest::get(u); }",
        "fn f(p: &Path) -> bool { p.exists() }",
        "fn f() { std::env::var(\"TZ\"); }",
        "#[cfg(test)]\nmod tests { fn f() {} }\nfn g() { std::thread::sleep(d); }",
    ];
    for source in wrong {
        assert!(!purity_problems("src/model/x.rs", source).is_empty(), "{source}");
    }
    let right = [
        "use std::net::{IpAddr, SocketAddr};",
        "fn f(now: Now) -> Wall { now.wall }",
        "// tokio, rusqlite, Instant::now()\nconst A: &str = \"tokio\";",
        "#[cfg(test)]\nmod tests { fn f() { std::fs::read(p); } }",
        "#[cfg(test)]\nmod tests;\nfn f() {}",
        "fn f(document: &Document) -> bool { document.process }",
    ];
    for source in right {
        assert_eq!(purity_problems("src/model/x.rs", source), Vec::<String>::new(), "{source}");
    }
}

#[test]
fn the_scanner_sees_a_missing_sentence_and_a_long_file() {
    assert!(form_problems("src/x.rs", "//! What it is for.\n").is_empty());
    for source in ["", "use std::io;\n", "\n//! Late.\n", "//!\n", "//!  \n", "// No doc.\n"] {
        assert_eq!(form_problems("src/x.rs", source).len(), 1, "{source:?}");
    }
    let long = format!("//! Long.\n{}", "\n".repeat(MAX_LINES));
    assert_eq!(form_problems("src/x.rs", &long).len(), 1);
}
