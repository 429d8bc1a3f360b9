//! A seeded mutational fuzzer on stable Rust: inputs that make a decoder behave in a new way are kept and mutated on.

use crate::rig;
use hil::chance::{Chance, hex};
use std::collections::HashSet;
use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// One input may take this long, on however busy a machine; after that a decoder hangs.
const HANGS: Duration = Duration::from_secs(60);
/// Most inputs that are kept and mutated on in one run, and most that are kept in the tree for one decoder.
const MOST_KEPT: usize = 4_000;
const MOST_IN_TREE: usize = 400;
/// Longest input that goes into the tree.
const LONGEST_IN_TREE: usize = 600;
/// In the long form, how often it says how far it is.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// Tries one input.
type Trial = Box<dyn FnMut(&[u8]) -> u64>;

/// A decoder on trial.
pub struct Target {
    /// Names its kept inputs.
    pub name: &'static str,
    /// Inputs of the short form.
    pub inputs: u64,
    /// Longest input.
    pub longest: usize,
    /// Inputs that make sense.
    pub seeds: Vec<Vec<u8>>,
    /// What decoders of this kind look for: put into inputs now and then.
    pub words: Vec<Vec<u8>>,
    /// Makes an input right where mutation broke it: check sums, lengths.
    pub repair: fn(&mut Vec<u8>),
    /// Tries one input: panics when a promise is broken, and tells what the decoder did as a number.
    pub run: Trial,
}

/// Steps that make a way to behave: of longer ones every input would have its own.
const STEPS: u32 = 6;

/// What a decoder did, step by step, as one number.
#[derive(Default)]
pub struct Did(DefaultHasher, u32);

impl Did {
    pub fn step(&mut self, what: impl Hash) {
        self.1 += 1;
        if self.1 <= STEPS {
            what.hash(&mut self.0);
        }
    }

    pub fn all(&self) -> u64 {
        self.0.finish()
    }
}

/// How many digits a length has in binary: lengths of about one size are one behaviour.
pub fn size(length: usize) -> u32 {
    usize::BITS - length.leading_zeros()
}

/// Text without what changes from input to input: numbers and what stands in quotes.
pub fn plain(text: &str) -> String {
    let mut quoted = false;
    let kept = text.chars().filter(|c| {
        quoted ^= matches!(c, '\'' | '"' | '`');
        !quoted && !c.is_ascii_digit()
    });
    kept.take(80).collect()
}

struct Long {
    time: Duration,
    seed: u64,
}

/// The long form, where FUZZ_SECS asks for it.
fn long() -> Option<Long> {
    let number = |name: &str| {
        let text = std::env::var(name).ok()?;
        Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
    };
    let secs = number("FUZZ_SECS")?;
    let seed = number("FUZZ_SEED").unwrap_or_else(|| RandomState::new().build_hasher().finish());
    Some(Long { time: Duration::from_secs(secs), seed })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes();
    assert!(digits.len().is_multiple_of(2), "an odd number of digits: {text}");
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|p| u8::from_str_radix(p, 16).ok());
    digits
        .chunks(2)
        .map(|pair| byte(pair).unwrap_or_else(|| panic!("no hexadecimal digits: {text}")))
        .collect()
}

/// The kept inputs of a decoder: one line of hexadecimal digits each.
fn tree(name: &str) -> PathBuf {
    rig::root().join("tests/golden/fuzz").join(format!("{name}.hex"))
}

/// Runs a decoder over what is kept, what makes sense, and what comes of both by mutation.
pub fn fuzz(target: Target) {
    let long = long();
    let seed = long.as_ref().map_or(0x5eed, |long| long.seed);
    let kept = std::fs::read_to_string(tree(target.name)).unwrap_or_default();
    let kept: Vec<Vec<u8>> = kept.lines().map(unhex).collect();
    let mut run = Run::new(target, seed);
    for input in &kept {
        run.one(input);
    }
    let in_tree = run.found.len();
    for input in run.target.seeds.clone() {
        run.one(&input);
    }
    let begun = Instant::now();
    let mut told = begun;
    while match &long {
        Some(long) => begun.elapsed() < long.time,
        None => run.tried < run.target.inputs,
    } {
        let input = run.next();
        run.one(&input);
        if long.is_some() && told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            run.tell(begun);
        }
    }
    if long.is_some() {
        run.tell(begun);
        run.keep(&kept, in_tree);
    }
}

struct Run {
    target: Target,
    seed: u64,
    chance: Chance,
    tried: u64,
    seen: HashSet<u64>,
    /// Inputs that made the decoder do something new.
    found: Vec<Vec<u8>>,
    /// The input on trial and its number, for the one who watches.
    under_way: Arc<Mutex<(u64, Vec<u8>)>>,
    _ends_watch: mpsc::SyncSender<()>,
}

impl Run {
    fn new(target: Target, seed: u64) -> Self {
        let under_way = Arc::new(Mutex::new((0, Vec::new())));
        let (ends_watch, ended) = mpsc::sync_channel::<()>(1);
        let (watched, name) = (Arc::clone(&under_way), target.name);
        std::thread::spawn(move || {
            let mut last = 0;
            while ended.recv_timeout(HANGS) == Err(RecvTimeoutError::Timeout) {
                let (number, input) = watched.lock().unwrap_or_else(PoisonError::into_inner).clone();
                if number == last {
                    eprintln!("fuzz: {name}: takes over {HANGS:?}: {}", hex(&input));
                    std::process::abort();
                }
                last = number;
            }
        });
        Self {
            chance: Chance::seeded(seed),
            target,
            seed,
            tried: 0,
            seen: HashSet::new(),
            found: Vec::new(),
            under_way,
            _ends_watch: ends_watch,
        }
    }

    fn one(&mut self, input: &[u8]) {
        self.tried += 1;
        if let Ok(mut under_way) = self.under_way.lock() {
            under_way.0 = self.tried;
            under_way.1.clear();
            under_way.1.extend(input);
        }
        match catch_unwind(AssertUnwindSafe(|| (self.target.run)(input))) {
            Ok(did) => {
                if self.seen.insert(did) && self.found.len() < MOST_KEPT {
                    self.found.push(input.to_vec());
                }
            }
            Err(panic) => {
                // A line for tests/golden/fuzz, where it stays once it is mended.
                eprintln!(
                    "fuzz: {}: seed {}, input {}: {}",
                    self.target.name,
                    self.seed,
                    self.tried,
                    hex(input)
                );
                resume_unwind(panic);
            }
        }
    }

    /// One of the found inputs, mutated.
    fn next(&mut self) -> Vec<u8> {
        let chance = &mut self.chance;
        let pick = |chance: &mut Chance, count: usize| chance.below(count.max(1) as u64) as usize;
        // Every other time one of the newest: they are not understood yet.
        let newest = self.found.len().saturating_sub(20);
        let from = if chance.one_in(2) {
            newest + pick(chance, self.found.len() - newest)
        } else {
            pick(chance, self.found.len())
        };
        let mut input = self.found.get(from).cloned().unwrap_or_default();
        for _ in 0..=chance.below(6) {
            let other = pick(chance, self.found.len());
            let other = self.found.get(other).map_or(&[][..], Vec::as_slice);
            let word = pick(chance, self.target.words.len());
            let word = self.target.words.get(word).map_or(&[][..], Vec::as_slice);
            mutate(&mut input, other, word, chance);
        }
        input.truncate(self.target.longest);
        if chance.one_in(2) {
            (self.target.repair)(&mut input);
        }
        input
    }

    fn tell(&self, begun: Instant) {
        let (name, tried, ways, secs) =
            (self.target.name, self.tried, self.seen.len(), begun.elapsed().as_secs());
        eprintln!("fuzz: {name}: {tried} inputs, {ways} ways to behave, {secs} s, seed {}", self.seed);
    }

    /// Adds to the tree what behaves unlike everything in it.
    fn keep(&self, kept: &[Vec<u8>], in_tree: usize) {
        let fresh =
            self.found.iter().skip(in_tree).filter(|input| (1..=LONGEST_IN_TREE).contains(&input.len()));
        // Spread over the whole run, not only its beginning.
        let fresh: Vec<&Vec<u8>> = fresh.collect();
        let room = MOST_IN_TREE.saturating_sub(kept.len());
        let every = fresh.len().div_ceil(room.max(1)).max(1);
        let added = fresh.into_iter().step_by(every).take(room);
        let mut text = String::new();
        for input in kept.iter().chain(added) {
            text += &hex(input);
            text.push('\n');
        }
        std::fs::write(tree(self.target.name), text).expect("tests/golden/fuzz can be written");
    }
}

/// A range of `0..length` of at most `longest`.
fn range(chance: &mut Chance, length: usize, longest: u64) -> Range<usize> {
    let from = chance.below(length as u64 + 1) as usize;
    let to = (from + chance.below(longest + 1) as usize).min(length);
    from..to
}

fn mutate(input: &mut Vec<u8>, other: &[u8], word: &[u8], chance: &mut Chance) {
    const EDGES: [u8; 14] = [0, 1, 2, 0x10, 0x16, 0x33, 0x68, 0x7F, 0x80, 0x81, 0x91, 0xD1, 0xFE, 0xFF];
    let at = chance.below(input.len().max(1) as u64) as usize;
    match chance.below(10) {
        0 | 1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << chance.below(8);
            }
        }
        2 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = EDGES[chance.below(EDGES.len() as u64) as usize];
            }
        }
        3 => {
            if let Some(byte) = input.get_mut(at) {
                let by = chance.below(33) as u8;
                *byte = byte.wrapping_add(by).wrapping_sub(16);
            }
        }
        4 => {
            let bytes: Vec<u8> = (0..chance.below(9)).map(|_| chance.bits() as u8).collect();
            input.splice(at.min(input.len())..at.min(input.len()), bytes);
        }
        5 => {
            input.drain(range(chance, input.len(), 16));
        }
        6 => {
            let piece = input[range(chance, input.len(), 64)].to_vec();
            input.splice(at.min(input.len())..at.min(input.len()), piece);
        }
        7 => {
            let piece = other[range(chance, other.len(), 300)].to_vec();
            let over = range(chance, input.len(), 32);
            input.splice(over, piece);
        }
        8 => {
            let over = range(chance, input.len(), word.len() as u64);
            input.splice(over, word.iter().copied());
        }
        _ => input.truncate(at.max(1)),
    }
}
