//! Every kind of slip is reported with its place and what to write.

use super::*;

fn problems(text: &str, walk: impl FnOnce(&Reader<'_>)) -> Vec<(usize, usize, String)> {
    let problems = Problems::new();
    let document = Document::parse("t.toml", text, &problems);
    let reader = document.reader(&problems);
    walk(&reader);
    reader.finish();
    problems
        .into_sorted()
        .into_iter()
        .map(|p| (p.spot.line, p.spot.column, format!("{} -> {}", p.message.en, p.advice.en)))
        .collect()
}

#[test]
fn a_good_file_has_none() {
    let found = problems("a = \"x\"\nb = 0x10\nc = 1.5\nd = true\n[e]\nf = [\"g\"]\n", |r| {
        assert_eq!(r.text("a").as_deref(), Some("x"));
        assert_eq!(r.integer("b", 0..=99), Some(16));
        assert_eq!(r.number("c", 0.0..=2.0), Some(1.5));
        assert_eq!(r.flag_opt("d"), Some(true));
        let e = r.table("e").expect("there");
        assert_eq!(e.texts("f").len(), 1);
        e.finish();
    });
    assert_eq!(found, []);
}

#[test]
fn every_slip_has_its_place_and_advice() {
    let found = problems("prot = 5\nport = 70000\nname = 7\nkind = \"modbus-tpc\"\n", |r| {
        r.integer("port", 1..=65535);
        r.text("name");
        r.word("kind", &[("modbus-tcp", 1), ("mqtt", 2)]);
        r.text("place");
    });
    let all = format!("{found:#?}");
    assert_eq!(found.len(), 5, "{all}");
    assert!(found.iter().any(|(l, c, t)| (*l, *c) == (1, 1) && t.contains("did you mean 'port'")), "{all}");
    assert!(found.iter().any(|(l, c, t)| (*l, *c) == (2, 8) && t.contains("from 1 to 65535")), "{all}");
    assert!(found.iter().any(|(l, _, t)| *l == 3 && t.contains("a text in double quotes")), "{all}");
    assert!(found.iter().any(|(l, _, t)| *l == 4 && t.contains("did you mean 'modbus-tcp'")), "{all}");
    assert!(found.iter().any(|(_, _, t)| t.contains("'place' is missing")), "{all}");
}

#[test]
fn broken_toml_is_reported_and_the_rest_still_read() {
    let found = problems("a = \nb = 3\n", |r| {
        r.integer_opt("a", 0..=1);
        assert_eq!(r.integer("b", 0..=9), Some(3));
    });
    assert!(found.iter().any(|(line, _, text)| *line == 1 && text.contains("not TOML")), "{found:?}");
}

/// What the parser makes of broken text is judged no more: it was told already that it cannot be read.
#[test]
fn broken_values_are_told_once() {
    for (text, line, column, part) in [
        ("port = 15O2\nkind = \"mqtt\"\n", 1, 8, "digits only"),
        ("port = 1502\nkind = “mqtt”\n", 2, 8, "plain"),
        ("port = 1502\nkind = mqqt\n", 2, 8, "double quotes"),
        ("port = \nkind = \"mqtt\"\n", 1, 8, "`key = value`"),
    ] {
        let found = problems(text, |r| {
            r.integer_opt("port", 1..=65535);
            r.word_opt("kind", &[("mqtt", 1)]);
        });
        let first = found.first().expect("a problem");
        assert!((first.0, first.1) == (line, column) && first.2.contains(part), "{text}: {found:?}");
        let again = found.iter().skip(1).any(|other| (other.0, other.1) == (first.0, first.1));
        assert!(!again, "{text}: {found:?}");
    }
}

#[test]
fn columns_count_characters_not_bytes() {
    let found = problems("\"名\" = 1\n", |_| ());
    assert_eq!(found.first().map(|f| (f.0, f.1)), Some((1, 1)));
    let found = problems("a = { \"名字\" = 1, b = 2 }\n", |r| {
        let a = r.table("a").expect("there");
        a.integer("名字", 0..=9);
        a.finish();
    });
    assert_eq!(found.first().map(|f| (f.0, f.1)), Some((1, 17)));
}

#[test]
fn what_stands_behind_a_secret_key_is_not_shown() {
    for text in [
        "password = hunter2\n",
        "password = 'hunter2\n",
        "login.password = 7_hunter2\n",
        "login = { user = \"x\", \"password\" = \"hunter2\" }\n",
        "token = [\"hunter2\"]\n",
    ] {
        let problems = Problems::new();
        let document = Document::parse("t.toml", text, &problems);
        let reader = document.reader(&problems);
        for key in ["login", "password", "token"] {
            assert_eq!(reader.integer_opt(key, 0..=1), None);
        }
        reader.finish();
        let all = problems.into_sorted();
        assert!(!all.is_empty() && !format!("{all:?}").contains("hunter2"), "{all:?}");
    }
}
