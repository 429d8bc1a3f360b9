//! A device profile to begin with, made from a capture of an unknown Modbus device: which registers answered, what type
//! they may have, and vectors from the bytes that came. What the registers mean is for a person with the manual to say.

use super::capture::{Capture, Read};
use crate::document::Problems;
use crate::model::{Body, DeviceId, ProfileId, Reading, SiteKey, Unit, Wall};
use crate::profile::{self, Context, RegisterTable, orders};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Most registers of a sketch: as many as a profile may have points.
const MAX_REGISTERS: usize = 1000;
/// Most registers in one vector.
const MAX_VECTOR_WORDS: usize = 100;
/// Share of number pairs, in percent, that must make sense as floats in one order to call a run of registers floats.
const MOSTLY: usize = 60;

/// What to call the profile.
#[derive(Debug, Clone)]
pub struct Naming {
    /// `<vendor>-<model>`.
    pub id: ProfileId,
    /// The class: `energy-meter`, `sensor` …
    pub class: String,
    /// Which unit of the capture; the only one, unless told.
    pub unit: Option<u8>,
}

/// The two files of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    /// `profile.toml`.
    pub profile: String,
    /// `vectors.toml`.
    pub vectors: String,
    /// How many points it has.
    pub points: usize,
}

/// Why there is no sketch.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NoSketch {
    /// Nothing to work with.
    #[error(
        "no register of a Modbus device was read in this capture; meters of DL/T 645 and CJ/T 188 need no new profile, \
         their quantities are in the standards"
    )]
    NoReads,
    /// Several units.
    #[error("the capture has the units {0:?}: say which with --unit")]
    SeveralUnits(Vec<u8>),
    /// The id has no vendor.
    #[error("'{0}' has no vendor: write <vendor>-<model>, such as chint-dtsu777")]
    NoVendor(ProfileId),
    /// The result is no good profile: a mistake of this program.
    #[error("the sketch is no profile: {0}")]
    Broken(String),
}

/// Registers next to one another, as last read.
struct Run {
    table: RegisterTable,
    address: u16,
    words: Vec<u16>,
}

/// One point of the sketch.
struct Guess {
    table: RegisterTable,
    address: u16,
    words: Vec<u16>,
    kind: &'static str,
    order: &'static str,
    unit: Unit,
    comment: String,
}

/// Makes a profile to begin with.
///
/// # Errors
/// [`NoSketch`].
pub fn sketch(capture: &Capture, naming: &Naming) -> Result<Sketch, NoSketch> {
    let (vendor, model) = naming
        .id
        .as_str()
        .split_once('-')
        .filter(|(_, m)| !m.is_empty())
        .ok_or_else(|| NoSketch::NoVendor(naming.id.clone()))?;
    let reads = reads_of(capture, naming.unit)?;
    let runs = runs(&reads);
    let guesses: Vec<Guess> = runs.iter().flat_map(guess).collect();
    let mut text = format!(
        "# Made from a capture by `schoolgate profile new`. Names, units, scales and counters are to be filled in from\n\
         # the manual; types and orders are guesses. Run `schoolgate profile test` after every change.\n\n\
         id = \"{}\"\nclass = \"{}\"\nvendor = \"{vendor}\"\nmodel = \"{model}\"\nname_zh = \"{} 设备\"\n\
         name_en = \"device {}\"\nsource = \"a capture; the manual is still to be compared\"\nconfirmed = false\n\
         protocol = \"modbus\"\n\n[modbus]\n# No registers that did not answer are read along.\nmax_gap = 0\n",
        naming.id, naming.class, model, model
    );
    for guess in &guesses {
        guess.write(&mut text);
    }
    let vectors = vectors(&text, &runs)?;
    Ok(Sketch { profile: text, vectors, points: guesses.len() })
}

fn reads_of(capture: &Capture, unit: Option<u8>) -> Result<Vec<Read>, NoSketch> {
    let mut reads = capture.reads();
    let units: BTreeSet<u8> = reads.iter().map(|read| read.unit).collect();
    match (unit, units.len()) {
        (_, 0) => return Err(NoSketch::NoReads),
        (None, 1) => {}
        (None, _) => return Err(NoSketch::SeveralUnits(units.into_iter().collect())),
        (Some(unit), _) => reads.retain(|read| read.unit == unit),
    }
    if reads.is_empty() { Err(NoSketch::NoReads) } else { Ok(reads) }
}

fn runs(reads: &[Read]) -> Vec<Run> {
    let mut known: BTreeMap<(RegisterTable, u16), u16> = BTreeMap::new();
    for read in reads {
        for (address, word) in (read.address..=u16::MAX).zip(&read.words) {
            if known.len() < MAX_REGISTERS || known.contains_key(&(read.table, address)) {
                known.insert((read.table, address), *word);
            }
        }
    }
    let mut runs: Vec<Run> = Vec::new();
    for ((table, address), word) in known {
        let next = |run: &Run| usize::from(run.address) + run.words.len() == usize::from(address);
        match runs
            .last_mut()
            .filter(|run| run.table == table && run.words.len() < MAX_VECTOR_WORDS && next(run))
        {
            Some(run) => run.words.push(word),
            None => runs.push(Run { table, address, words: vec![word] }),
        }
    }
    runs
}

/// The order in which most of a run's pairs are sensible floats, if there is one.
fn float_order(words: &[u16]) -> Option<&'static str> {
    let (pairs, _) = words.as_chunks::<2>();
    let telling: Vec<&[u16; 2]> = pairs.iter().filter(|pair| **pair != [0, 0]).collect();
    let mut sensible: BTreeMap<&str, usize> = BTreeMap::new();
    for pair in &telling {
        for meaning in orders(*pair).iter().filter(|m| m.kind == "f32" && m.plausible && m.value != 0.0) {
            *sensible.entry(meaning.order).or_default() += 1;
        }
    }
    let best = ["ABCD", "CDAB", "BADC", "DCBA"]
        .into_iter()
        .rev()
        .max_by_key(|order| sensible.get(order).copied())?;
    let count = sensible.get(best).copied().unwrap_or(0);
    (count > 0 && count * 100 >= telling.len() * MOSTLY).then_some(best)
}

fn guess(run: &Run) -> Vec<Guess> {
    let order = float_order(&run.words);
    let mut guesses = Vec::new();
    let mut at = 0;
    while at < run.words.len() {
        let address = run.address.saturating_add(u16::try_from(at).unwrap_or(u16::MAX));
        let pair = run.words.get(at..at + 2).unwrap_or_default();
        let float = order.and_then(|order| {
            orders(pair).into_iter().find(|m| m.kind == "f32" && m.order == order && m.plausible)
        });
        if let (Some(order), Some(float)) = (order, float) {
            let comment = format!("{} as a float", float.value);
            let (table, words, unit) = (run.table, pair.to_vec(), unit_of(float.value));
            guesses.push(Guess { table, address, words, kind: "f32", order, unit, comment });
            at += 2;
        } else {
            let word = run.words.get(at).copied().unwrap_or_default();
            let whole: Vec<String> = orders(pair)
                .iter()
                .filter(|m| m.kind == "u32" && m.plausible && matches!(m.order, "ABCD" | "CDAB"))
                .map(|m| format!("{} as u32 {}", m.value, m.order))
                .collect();
            let mut comment = format!("{word}, hexadecimal {word:04X}{}", scaled(word));
            if !whole.is_empty() {
                write!(comment, "; with the next register {}", whole.join(", ")).ok();
            }
            let (table, words) = (run.table, vec![word]);
            guesses.push(Guess {
                table,
                address,
                words,
                kind: "u16",
                order: "ABCD",
                unit: Unit::One,
                comment,
            });
            at += 1;
        }
    }
    guesses
}

fn unit_of(value: f64) -> Unit {
    match value {
        45.0..=65.0 => Unit::Hertz,
        180.0..=260.0 => Unit::Volt,
        _ => Unit::One,
    }
}

/// What a whole number looks like, scaled as makers do.
fn scaled(word: u16) -> &'static str {
    match word {
        1800..=2600 => "; a voltage, if scale = 0.1 and unit = \"V\"",
        4900..=5100 => "; a frequency, if scale = 0.01 and unit = \"Hz\"",
        490..=510 => "; a frequency, if scale = 0.1 and unit = \"Hz\"",
        _ => "",
    }
}

impl Guess {
    fn write(&self, text: &mut String) {
        let table = table_word(self.table);
        let id = format!("{}_{:04x}", table, self.address);
        let order =
            if self.words.len() > 1 { format!("order = \"{}\"\n", self.order) } else { String::new() };
        write!(
            text,
            "\n# Was {}.\n[[point]]\nid = \"{id}\"\nname_zh = \"寄存器 {}\"\nname_en = \"register {}\"\n\
             table = \"{table}\"\naddress = 0x{:04X}\ntype = \"{}\"\n{order}unit = \"{}\"\n",
            self.comment,
            self.address,
            self.address,
            self.address,
            self.kind,
            self.unit.symbol()
        )
        .ok();
    }
}

fn table_word(table: RegisterTable) -> &'static str {
    match table {
        RegisterTable::Holding => "holding",
        RegisterTable::Input => "input",
        RegisterTable::Coil => "coil",
        RegisterTable::Discrete => "discrete",
    }
}

/// Vectors from the words that came, with what the profile makes of them.
fn vectors(text: &str, runs: &[Run]) -> Result<String, NoSketch> {
    let problems = Problems::new();
    let Some(profile) = profile::parse("profile.toml", text, &problems) else {
        let told: Vec<String> = problems.into_sorted().iter().map(ToString::to_string).collect();
        return Err(NoSketch::Broken(told.join("; ")));
    };
    let device = DeviceId::new("sketch").map_err(|error| NoSketch::Broken(error.to_string()))?;
    let (site_key, zone) = (SiteKey::new([0; 32]), jiff::tz::TimeZone::UTC);
    let cx = Context {
        device: &device,
        now: Wall(0),
        site_key: &site_key,
        zone: &zone,
        allow_health: false,
        withheld: None,
    };
    let mut vectors = String::from("# The bytes of the capture, and what the profile makes of them.\n");
    for run in runs {
        let words: Vec<String> = run.words.iter().map(|word| format!("{word:04X}")).collect();
        let table = table_word(run.table);
        write!(
            vectors,
            "\n[[registers]]\nname = \"captured from {table} register {}\"\ntable = \"{table}\"\naddress = 0x{:04X}\n\
             words = \"{}\"\n",
            run.address,
            run.address,
            words.join(" ")
        )
        .ok();
        for one in profile.decode_registers(&cx, run.table, run.address, &run.words) {
            if let Body::Reading(Reading { point, value: Some(value), unit, .. }) = one.body {
                let unit = unit.symbol();
                write!(
                    vectors,
                    "[[registers.point]]\nid = \"{point}\"\nvalue = {value:?}\nunit = \"{unit}\"\n"
                )
                .ok();
            }
        }
    }
    Ok(vectors)
}
