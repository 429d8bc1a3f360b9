//! Asks every unit id on a line who is there, faster than polling could: the next question goes out while a slow device
//! may still be thinking, and a late answer is known by its unit id.
//!
//! Two passes. The quick one gives each id its question's time on the wire and [`Sweep::wait`] (15 ms at 9600 baud), and
//! holds back only while bytes are coming in. A device slower than that may answer while the next question is on the
//! wire; RS-485 drivers stand that (TIA-485-A, 4.2.6: contention), but both are garbled. So every id that was asked
//! shortly before bytes that make no sense, or beside a late answer, is asked again in the patient pass, alone and with
//! [`PATIENCE`] each. What is garbled there, too, is told: two devices with one id, or bad wiring.

use super::heard::{ANSWER_LEN, Ear, Heard, QUESTION_LEN, Reply, question};
use crate::southbound::polled::Exception;
use crate::southbound::serial::line::{Pace, Wire};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};

/// A device's time to think in the quick pass, beside the silence between frames.
const THINKING: Duration = Duration::from_millis(11);
/// Added where a converter and a network lie between.
const CONVERTER: Duration = Duration::from_millis(25);
/// First byte of an answer at the latest, in the patient pass.
const PATIENCE: Duration = Duration::from_millis(300);
/// A pause between bytes that still belong to one frame: USB adapters hand bytes over every 16 ms.
const HOLD: Duration = Duration::from_millis(20);
/// Longest holding back for one id on a line that is never silent.
const MOST_HOLD: Duration = Duration::from_millis(300);
/// How late an answer may be and still make sense of garbled bytes.
const LATENESS: Duration = Duration::from_millis(600);
/// Listening before the first question: does anybody else speak here?
const BEFORE: Duration = Duration::from_millis(100);
/// Listening after the last.
const AFTER: Duration = Duration::from_millis(400);
/// A plan that is behind by no more keeps its times; timers are late by up to a millisecond.
const SLACK: Duration = Duration::from_millis(2);
/// More doubtful ids than this without a single answer are a noisy line and not devices.
const MOST_DOUBTS_UNHEARD: usize = 64;

/// How far a pass is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Ids asked in this pass.
    pub asked: usize,
    /// Ids to ask in this pass.
    pub of: usize,
    /// Units that have answered so far.
    pub answered: usize,
    /// How long the rest of the pass takes if nobody more answers.
    pub left: Duration,
}

/// One sweep over a line at one setting. What was found stands here also when the sweep is cut off.
#[derive(Debug)]
pub struct Sweep {
    pace: Pace,
    wait: Duration,
    /// Who answered, and how.
    pub answers: BTreeMap<u8, Reply>,
    /// Who answered, but never in a way that could be read: two devices with one id, or bad wiring.
    pub garbled: BTreeSet<u8>,
    /// Whether somebody spoke before the first question: another master.
    pub others: bool,
    /// Whether our own questions came back.
    pub echo: bool,
    /// Bytes that made no sense.
    pub noise: usize,
    doubtful: BTreeSet<u8>,
    recent: VecDeque<(u8, Instant)>,
    ear: Ear,
}

impl Sweep {
    /// For a line of so many baud, with a converter and a network between or not.
    #[must_use]
    pub fn new(baud: u32, converter: bool) -> Self {
        let pace = Pace::new(baud);
        let wait = pace.silence() + THINKING + if converter { CONVERTER } else { Duration::ZERO };
        Self {
            pace,
            wait,
            answers: BTreeMap::new(),
            garbled: BTreeSet::new(),
            others: false,
            echo: false,
            noise: 0,
            doubtful: BTreeSet::new(),
            recent: VecDeque::new(),
            ear: Ear::default(),
        }
    }

    /// How long the quick pass over so many ids takes when nobody answers.
    #[must_use]
    pub fn estimate(&self, ids: usize) -> Duration {
        BEFORE + self.slot() * u32::try_from(ids).unwrap_or(u32::MAX) + AFTER
    }

    fn slot(&self) -> Duration {
        self.pace.of_bytes(QUESTION_LEN) + self.wait
    }

    /// How many ids the patient pass would ask again.
    #[must_use]
    pub fn doubts(&self) -> usize {
        self.doubtful.iter().filter(|id| !self.answers.contains_key(id)).count()
    }

    /// Whether there is so much noise and so little answer that asking again is no use.
    #[must_use]
    pub fn is_only_noise(&self) -> bool {
        self.answers.is_empty() && self.doubts() > MOST_DOUBTS_UNHEARD
    }

    /// The quick pass.
    ///
    /// # Errors
    /// When the line breaks.
    pub async fn quick(
        &mut self,
        wire: &mut dyn Wire,
        ids: &[u8],
        told: &mut (dyn FnMut(Step) + Send),
    ) -> io::Result<()> {
        let began = Instant::now();
        self.listen(wire, began + BEFORE, began + BEFORE).await?;
        self.others = self.ear.take_noise() > 0 || !self.answers.is_empty();
        let mut plan = Instant::now();
        for (asked, id) in ids.iter().enumerate() {
            let left = self.slot() * u32::try_from(ids.len() - asked).unwrap_or(u32::MAX) + AFTER;
            told(Step { asked, of: ids.len(), answered: self.answers.len(), left });
            if Instant::now().saturating_duration_since(plan) > SLACK {
                plan = Instant::now();
            }
            self.ask(wire, *id, plan).await?;
            let sent = plan + self.pace.of_bytes(QUESTION_LEN);
            let free = self.hear_out(wire, *id, sent + self.wait).await?;
            plan = free;
        }
        let end = Instant::now() + AFTER;
        self.listen(wire, end, end).await?;
        self.settle_noise(None);
        Ok(())
    }

    /// The patient pass over the ids in doubt, or over all that have not answered.
    ///
    /// # Errors
    /// When the line breaks.
    pub async fn patient(
        &mut self,
        wire: &mut dyn Wire,
        all: Option<&[u8]>,
        told: &mut (dyn FnMut(Step) + Send),
    ) -> io::Result<()> {
        let doubtful = std::mem::take(&mut self.doubtful);
        let ids: Vec<u8> = match all {
            Some(ids) => ids.to_vec(),
            None => doubtful.into_iter().collect(),
        };
        let ids: Vec<u8> = ids.into_iter().filter(|id| !self.answers.contains_key(id)).collect();
        let slot = self.pace.of_bytes(QUESTION_LEN) + PATIENCE;
        for (asked, id) in ids.iter().enumerate() {
            let left = slot * u32::try_from(ids.len() - asked).unwrap_or(u32::MAX);
            told(Step { asked, of: ids.len(), answered: self.answers.len(), left });
            let mut garbled = false;
            // Once more after garbled bytes: they may have been an answer to the id before.
            for _ in 0..2 {
                let begin = Instant::now();
                self.ask(wire, *id, begin).await?;
                let until = begin + self.pace.of_bytes(QUESTION_LEN) + PATIENCE;
                self.hear_out(wire, *id, until).await?;
                garbled = self.doubtful.remove(id);
                if self.answers.contains_key(id) || !garbled {
                    break;
                }
            }
            if garbled && !self.answers.contains_key(id) {
                self.garbled.insert(*id);
            }
        }
        self.doubtful.clear();
        Ok(())
    }

    async fn ask(&mut self, wire: &mut dyn Wire, id: u8, at: Instant) -> io::Result<()> {
        self.recent.retain(|(_, asked)| at.saturating_duration_since(*asked) < LATENESS);
        self.recent.push_back((id, at));
        wire.write_all(&question(id)).await?;
        wire.flush().await
    }

    /// Listens until then, and as long as an answer is coming in; when the line is free again.
    async fn hear_out(&mut self, wire: &mut dyn Wire, id: u8, until: Instant) -> io::Result<Instant> {
        let before = self.answers.len();
        let give_up = until + MOST_HOLD + self.pace.of_bytes(ANSWER_LEN);
        let answered = self.listen_for(wire, id, until, give_up).await?;
        if self.settle_noise(Some(id)) || (!answered && self.answers.len() > before) {
            // Beside garbled bytes or another's late answer, its own may have been lost.
            self.doubtful.insert(id);
        }
        Ok(if answered { Instant::now() + self.pace.silence() } else { until.max(Instant::now() - SLACK) })
    }

    /// Listens for one id's answer; whether it came.
    async fn listen_for(
        &mut self,
        wire: &mut dyn Wire,
        id: u8,
        until: Instant,
        give_up: Instant,
    ) -> io::Result<bool> {
        let mut until = until;
        loop {
            let fresh = self.receive(wire, until.min(give_up)).await?;
            if self.take_in(id) && !self.ear.expects_more() {
                return Ok(true);
            }
            if !fresh {
                return Ok(self.answers.contains_key(&id));
            }
            if self.ear.expects_more() {
                until = until.max(Instant::now() + HOLD);
            }
        }
    }

    async fn listen(&mut self, wire: &mut dyn Wire, until: Instant, give_up: Instant) -> io::Result<()> {
        // Id 0 is broadcast and never answers.
        self.listen_for(wire, 0, until, give_up).await.map(|_| ())
    }

    /// Takes in whole frames; whether one is this id's answer.
    fn take_in(&mut self, id: u8) -> bool {
        let mut answered = false;
        while let Some(heard) = self.ear.next() {
            match heard {
                Heard::Echo => self.echo = true,
                // A converter says that nobody is there.
                Heard::Reply(_, Reply::Refused(Exception::GatewayPath | Exception::GatewayTarget)) => {}
                Heard::Reply(unit, reply) => {
                    self.answers.insert(unit, reply);
                    self.doubtful.remove(&unit);
                    answered |= unit == id;
                }
            }
        }
        answered
    }

    /// Gives up on bytes that made no frame, and doubts whoever was asked shortly before; whether there were any.
    fn settle_noise(&mut self, id: Option<u8>) -> bool {
        let noise = self.ear.take_noise();
        self.noise += noise;
        if noise == 0 {
            return false;
        }
        let recent = self.recent.iter().map(|(id, _)| *id).chain(id);
        let unheard: Vec<u8> = recent.filter(|id| !self.answers.contains_key(id)).collect();
        self.doubtful.extend(unheard);
        true
    }

    /// Receives something by then; whether anything came.
    async fn receive(&mut self, wire: &mut dyn Wire, until: Instant) -> io::Result<bool> {
        let mut bytes = [0; 256];
        match timeout_at(until, wire.read(&mut bytes)).await {
            Err(_) => Ok(false),
            Ok(Ok(0)) => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the other side closed the connection"))
            }
            Ok(Ok(n)) => {
                self.ear.hear(bytes.get(..n).unwrap_or_default());
                Ok(true)
            }
            Ok(Err(error)) => Err(error),
        }
    }
}
