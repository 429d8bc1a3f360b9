//! What goes over the line, and what never does.

use crate::document::Problems;
use crate::profile::tests::{all_told, modbus, parsed, point, slips};
use crate::profile::{RegisterTable, Write, vectors};

/// A point named `x` at register 10 of `table` that may be written.
fn writable(table: &str, extra: &str) -> String {
    modbus(&point(&format!("id = \"x\"\ntable = \"{table}\"\naddress = 10\n{extra}")))
}

/// A table, further keys, a value, and the words written or the refusal.
type Case = (&'static str, &'static str, f64, Result<&'static [u16], &'static str>);

#[test]
fn values_become_words() {
    let limits = "write_min = -50\nwrite_max = 5000";
    let cases: &[Case] = &[
        ("coil", "write = \"single\"", 1.0, Ok(&[1])),
        ("coil", "write = \"multiple\"", 0.0, Ok(&[0])),
        ("coil", "write = \"single\"", 2.0, Err("takes 0 to 1")),
        ("coil", "write = \"single\"", 0.5, Err("lies between 0 and 1")),
        ("holding", "type = \"u16\"\nwrite = \"single\"\nLIMITS", 26.0, Ok(&[26])),
        ("holding", "type = \"u16\"\nscale = 0.1\nwrite = \"single\"\nLIMITS", 26.3, Ok(&[263])),
        (
            "holding",
            "type = \"u16\"\nscale = 0.1\nwrite = \"single\"\nLIMITS",
            26.34,
            Err("between 26.3 and 26.4"),
        ),
        ("holding", "type = \"u16\"\nscale = 0.1\nwrite = \"single\"\nLIMITS", -1.0, Err("cannot hold -1")),
        (
            "holding",
            "type = \"i16\"\nscale = 0.5\noffset = -40\nwrite = \"single\"\nLIMITS",
            -40.5,
            Ok(&[0xFFFF]),
        ),
        ("holding", "type = \"i16\"\nscale = -0.5\nwrite = \"single\"\nLIMITS", 1.5, Ok(&[0xFFFD])),
        ("holding", "type = \"sm16\"\nwrite = \"single\"\nLIMITS", -5.0, Ok(&[0x8005])),
        ("holding", "type = \"bcd16\"\nwrite = \"single\"\nLIMITS", 1234.0, Ok(&[0x1234])),
        ("holding", "type = \"u16\"\norder = \"BADC\"\nwrite = \"single\"\nLIMITS", 258.0, Ok(&[0x0201])),
        (
            "holding",
            "type = \"f32\"\norder = \"CDAB\"\nwrite = \"multiple\"\nLIMITS",
            220.1,
            Ok(&[0x199A, 0x435C]),
        ),
        ("holding", "type = \"i32\"\nwrite = \"multiple\"\nLIMITS", -2.0, Ok(&[0xFFFF, 0xFFFE])),
        ("holding", "type = \"u16\"\nwrite = \"single\"\nLIMITS", 5000.1, Err("takes -50 to 5000")),
        ("holding", "type = \"u16\"\nwrite = \"single\"\nLIMITS", f64::NAN, Err("takes -50 to 5000")),
        (
            "holding",
            "type = \"u16\"\ninvalid = [\"0063\"]\nwrite = \"single\"\nLIMITS",
            99.0,
            Err("no value"),
        ),
        ("holding", "type = \"u16\"", 1.0, Err("does not let 'x' be written")),
    ];
    for (table, extra, value, expected) in cases {
        let extra = extra.replace("LIMITS", limits);
        let profile = parsed(&writable(table, &extra));
        let got = profile.write("x", *value);
        match expected {
            Ok(words) => {
                let table = if *table == "coil" { RegisterTable::Coil } else { RegisterTable::Holding };
                let multiple = extra.contains("multiple");
                let write = Write { table, address: 10, words: words.to_vec(), multiple };
                assert_eq!(got, Ok(write), "{extra} {value}");
                let all = profile.writable();
                assert_eq!((all.len(), all[0].point.as_str(), all[0].address), (1, "x", 10));
            }
            Err(part) => {
                let why = got.expect_err(&extra);
                assert!(why.en.contains(part) && why.zh != why.en, "{extra} {value}: {why:?}");
            }
        }
    }
    let none = parsed(&writable("coil", ""));
    assert!(none.write("y", 1.0).unwrap_err().en.contains("no point 'y'"));
    assert_eq!(none.writable(), []);
}

#[test]
fn slips_are_named_with_advice() {
    let holding = |extra: &str| writable("holding", extra);
    let cases = [
        (holding("type = \"u16\"\nwrite = \"single\""), "two rising limits", "write_min and write_max"),
        (
            holding("type = \"u16\"\nwrite = \"single\"\nwrite_min = 5\nwrite_max = 5"),
            "two rising",
            "write_min",
        ),
        (holding("type = \"u16\"\nwrite = \"once\""), "cannot be \"once\"", "single"),
        (holding("type = \"u16\"\nwrite_min = 5"), "not written", "write = \"single\""),
        (
            holding("type = \"u32\"\nwrite = \"single\"\nwrite_min = 0\nwrite_max = 5"),
            "several registers",
            "multiple",
        ),
        (holding("bit = 1\nwrite = \"single\""), "cannot be written alone", "whole register"),
        (holding("type = \"u16\"\nscale_at = 11\nwrite = \"single\""), "in two parts", "drop"),
        (holding("type = \"u16\"\nratio = \"ct\"\nwrite = \"single\""), "measured value", "drop"),
        (writable("input", "type = \"u16\"\nwrite = \"single\""), "only be read", "\"holding\" or \"coil\""),
        (writable("discrete", "write = \"single\""), "only be read", "\"holding\" or \"coil\""),
        (writable("coil", "write = \"single\"\nwrite_max = 1"), "two rising limits", "write_min"),
    ];
    for (text, message, advice) in &cases {
        let all = slips(text);
        let found = all.iter().any(|(m, a)| m.contains(message) && a.contains(advice));
        assert!(found, "expected {message:?} with advice {advice:?}, got {all:#?}");
    }
}

#[test]
fn vectors_of_writes() {
    let profile = parsed(&writable("coil", "write = \"single\""));
    let read = "[[registers]]\nname = \"on\"\ntable = \"coil\"\naddress = 10\nwords = \"0001\"\n\
                [[registers.point]]\nid = \"x\"\nvalue = 1\nunit = \"1\"\n";
    let write = "[[write]]\nname = \"on\"\npoint = \"x\"\nvalue = 1\ntable = \"coil\"\naddress = 10\nwords = \"0001\"\n";
    let run = |text: &str| {
        let problems = Problems::new();
        let checked = vectors::check(&profile, "vectors.toml", text, &problems);
        (checked, all_told(problems))
    };
    assert_eq!(run(&format!("{read}{write}")), (2, String::new()));
    let cases = [
        (read.to_owned(), "no vector gives the write of 'x'"),
        (format!("{read}{}", write.replace("0001", "0000")), "expected: Coil 10: 0000"),
        (format!("{read}{}", write.replace("value = 1", "value = 2")), "takes 0 to 1"),
        (format!("{read}{}", write.replace("point = \"x\"", "point = \"y\"")), "no point 'y'"),
    ];
    for (text, expected) in &cases {
        let (_, shown) = run(text);
        assert!(shown.contains(expected), "expected {expected:?}, got {shown}");
    }
}
