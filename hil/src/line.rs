//! A half-duplex line, as RS-485 is: every character takes its time, what two send at once nobody understands, and who
//! sends hears nothing.

use crate::chance::Chance;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep_until};

/// Bits of one character: start, eight of data, parity or a second stop bit, stop.
const BITS_PER_CHARACTER: u32 = 11;
/// Bytes of a question.
const QUESTION: usize = 8;

/// What is connected to the line.
#[derive(Debug, Clone)]
pub struct Device {
    /// From the last bit of the question to the first of the answer, at least.
    pub thinks: Duration,
    /// And this much longer at most, differently each time.
    pub wavers: Duration,
    /// What it answers.
    pub answer: Vec<u8>,
}

/// A line, and the adapter between it and whoever asks.
#[derive(Debug)]
pub struct Line {
    character: Duration,
    every: Option<Duration>,
    chance: Chance,
    devices: BTreeMap<u8, Device>,
    /// Characters on the wire, or still to come, by the end of their last bit.
    characters: Vec<Character>,
    /// When the last bit of the last question is over the wire.
    asked: Instant,
}

#[derive(Debug, Clone, Copy)]
struct Character {
    from: Instant,
    to: Instant,
    byte: u8,
}

impl Line {
    /// A line of so many baud with devices by their unit ids; the seed decides how they waver.
    #[must_use]
    pub fn new(baud: u32, devices: BTreeMap<u8, Device>, seed: u64) -> Self {
        let character = Duration::from_secs(1) * BITS_PER_CHARACTER / baud.max(1);
        let (chance, characters) = (Chance::seeded(seed), Vec::new());
        Self { character, every: None, chance, devices, characters, asked: Instant::now() }
    }

    /// The adapter hands bytes over only every so often, as those of FTDI do every 16 ms unless told otherwise.
    #[must_use]
    pub fn handed_over_every(mut self, every: Duration) -> Self {
        self.every = Some(every);
        self
    }

    /// Carries questions of 8 bytes, and answers to those that no other sender disturbed: not on the wire, and not in the
    /// silence of 3.5 characters before and after, which tells where a frame ends (MODBUS over Serial Line V1.02, 2.5.1.1).
    pub async fn serve(mut self, mut wire: DuplexStream) {
        let began = Instant::now();
        let mut question = [0; QUESTION];
        loop {
            self.characters.sort_by_key(|character| character.to);
            let due = self.characters.first().map(|character| self.handed_over(began, character.to));
            tokio::select! {
                biased;
                () = sleep_until(due.unwrap_or(began)), if due.is_some() => {
                    let now = Instant::now();
                    let count = self.characters.iter().take_while(|c| self.handed_over(began, c.to) <= now).count();
                    let bytes: Vec<u8> = self.characters.drain(..count).map(|character| character.byte).collect();
                    if wire.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                read = wire.read_exact(&mut question) => {
                    if read.is_err() {
                        return;
                    }
                    self.ask(question);
                }
            }
        }
    }

    fn handed_over(&self, began: Instant, at: Instant) -> Instant {
        let Some(every) = self.every else { return at };
        let turns = at.duration_since(began).as_nanos().div_ceil(every.as_nanos().max(1));
        began + every * u32::try_from(turns).unwrap_or(u32::MAX)
    }

    fn ask(&mut self, question: [u8; QUESTION]) {
        let silence = self.character * 7 / 2;
        let from = Instant::now().max(self.asked);
        let to = from + self.character * 8;
        self.asked = to;
        // Timers are late by up to a millisecond, so nobody here insists on the last bit of silence.
        let near = |c: &Character| c.to + silence > from + self.character && c.from < to + silence;
        let is_clear = !self.characters.iter().any(near);
        self.characters.retain(|c| c.to <= from || c.to > to);
        for cut in self.characters.iter_mut().filter(|c| c.from < to && c.to > to) {
            cut.byte = 0xFF;
        }
        let Some(device) = self.devices.get(&question[0]).filter(|_| is_clear) else { return };
        let mut from = to + device.thinks + device.wavers.mul_f64(self.chance.fraction());
        for byte in device.answer.clone() {
            let mut new = Character { from, to: from + self.character, byte };
            for other in self.characters.iter_mut().filter(|c| c.from < new.to && c.to > new.from) {
                other.byte ^= 0x5A;
                new.byte ^= 0xA5;
            }
            self.characters.push(new);
            from = new.to;
        }
    }
}
