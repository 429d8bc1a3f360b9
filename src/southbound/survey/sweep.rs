//! Asks every unit id on a line who is there, faster than polling could: the next question goes out while a slow device
//! may still be thinking, and a late answer is known by its unit id.
//!
//! The quick pass gives each id its question's time on the wire and [`Sweep::wait`] (15 ms at 9600 baud), and holds back
//! only while bytes are coming in. A device slower than that may answer while the next question is on the wire; RS-485
//! drivers stand that (TIA-485-A, 4.2.6: contention), but both are garbled. Then the sweep looks again at once: it sends
//! the questions of the last [`PATIENCE`] once more in the same rhythm, but none when the garbled answer is due again.
//! Whoever gave it thinks as long as before and is heard. The ids asked last, whose questions may have been garbled, are
//! asked one by one; so are those asked shortly before another's late answer, which may have drowned the question.
//!
//! Nothing that is garbled goes without such a look, not even what is garbled during one: where nobody was heard in the
//! silence, two devices answered at the same moment, and each half of the ids is looked at apart. What is still not
//! cleared up after [`MOST_LOOKS`] leaves its ids in doubt for the patient pass: each alone and with [`PATIENCE`]. What
//! is garbled there, too, is told: two devices with one id, or bad wiring.

use super::heard::{ANSWER_LEN, Ear, Heard, QUESTION_LEN, Reply, question};
use crate::southbound::polled::Exception;
use crate::southbound::serial::line::{Pace, Wire};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout_at};

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
/// Listening before the first question: does anybody else speak here?
const BEFORE: Duration = Duration::from_millis(100);
/// Listening after the last.
const AFTER: Duration = Duration::from_millis(400);
/// A plan that is behind by no more keeps its times; timers are late by up to a millisecond.
const SLACK: Duration = Duration::from_millis(2);
/// Second looks one after another, each because of what came in the one before.
const MOST_LOOKS: usize = 8;
/// Times one after another that looking again found nobody; then garbled bytes are the line's and not a device's.
const MOST_FRUITLESS: usize = 4;
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

/// One question that was sent.
#[derive(Debug, Clone, Copy)]
struct Asked {
    id: u8,
    at: Instant,
}

/// What came after a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    /// The answer, or nothing.
    Clear,
    /// Another's late answer at this time, beside which a question may not have been understood.
    Beside(Instant),
    /// Bytes that made no sense, the first at this time.
    Noise(Instant),
}

/// Something to clear up.
#[derive(Debug)]
struct Trouble {
    /// When the garbled bytes began to come.
    at: Instant,
    /// Who may have to do with it, in the order in which they were asked.
    suspects: Vec<Asked>,
    /// From which of them on the question itself may have been drowned, by whoever asked before.
    drowned: usize,
}

impl Trouble {
    /// Only answers were garbled.
    fn of(at: Instant, suspects: Vec<Asked>) -> Self {
        Self { at, drowned: suspects.len(), suspects }
    }
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
    /// What was asked last, as far back as an answer may reach.
    recent: VecDeque<Asked>,
    /// How often looking again found nobody, since it last did.
    fruitless: usize,
    /// When an answer of another came than of who was asked last, first.
    other: Option<Instant>,
    ear: Ear,
    /// When the first byte came that the ear still holds or took for noise.
    held_since: Instant,
    /// When the line was silent for a frame's end after the last byte that came.
    quiet_from: Instant,
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
            fruitless: 0,
            other: None,
            ear: Ear::default(),
            held_since: Instant::now(),
            quiet_from: Instant::now(),
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

    fn patient_slot(&self) -> Duration {
        self.pace.of_bytes(QUESTION_LEN) + PATIENCE
    }

    /// From a question to the end of the slowest device's answer, as the slowest adapter hands it over.
    fn reach(&self) -> Duration {
        self.pace.of_bytes(QUESTION_LEN + ANSWER_LEN) + PATIENCE + HOLD
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
        self.listen(wire, began + BEFORE).await?;
        self.others = self.ear.take_noise() > 0 || !self.answers.is_empty();
        let mut plan = Instant::now();
        for (asked, id) in ids.iter().enumerate() {
            let left = self.slot() * u32::try_from(ids.len() - asked).unwrap_or(u32::MAX) + AFTER;
            let left = left + self.patient_slot() * u32::try_from(self.doubts()).unwrap_or(u32::MAX);
            told(Step { asked, of: ids.len(), answered: self.answers.len(), left });
            plan = self.turn(wire, *id, plan).await?;
        }
        for _ in 0..MOST_LOOKS {
            self.listen(wire, Instant::now() + AFTER).await?;
            let Some(noise) = self.take_noise() else { break };
            self.clear_up(wire, Came::Noise(noise)).await?;
        }
        Ok(())
    }

    /// One id's turn in the quick pass; when the next may be asked.
    async fn turn(&mut self, wire: &mut dyn Wire, id: u8, mut at: Instant) -> io::Result<Instant> {
        if Instant::now().saturating_duration_since(at) > SLACK {
            at = Instant::now();
        }
        let (came, free) = self.ask_and_hear(wire, id, at, self.wait).await?;
        if came == Came::Clear {
            return Ok(free);
        }
        self.clear_up(wire, came).await?;
        Ok(self.quiet_from.max(Instant::now()))
    }

    /// Looks again because of what came, and because of what comes then; leaves in doubt what cannot be cleared up.
    async fn clear_up(&mut self, wire: &mut dyn Wire, came: Came) -> io::Result<()> {
        let before = self.answers.len();
        let mut open = VecDeque::from_iter(self.trouble(came));
        let mut looks = 0;
        while let Some(trouble) = open.pop_front() {
            if looks < MOST_LOOKS && self.fruitless < MOST_FRUITLESS {
                looks += 1;
                self.look_again(wire, trouble, &mut open).await?;
            } else {
                self.doubtful.extend(trouble.suspects.iter().map(|asked| asked.id));
            }
        }
        if self.answers.len() > before {
            self.fruitless = 0;
        } else if matches!(came, Came::Noise(_)) {
            self.fruitless += 1;
        }
        Ok(())
    }

    /// Whose answer or question may have been lost in what came.
    fn trouble(&self, came: Came) -> Option<Trouble> {
        let frames = self.pace.of_bytes(QUESTION_LEN) + self.pace.silence() + HOLD;
        let (at, since) = match came {
            Came::Clear => return None,
            Came::Beside(at) => (at, frames + self.pace.of_bytes(ANSWER_LEN)),
            Came::Noise(at) => (at, self.reach()),
        };
        let is_suspect =
            |asked: &&Asked| asked.at <= at && asked.at + since > at && self.is_unheard(asked.id);
        let suspects: Vec<Asked> = self.recent.iter().filter(is_suspect).copied().collect();
        let drowned = match came {
            Came::Noise(_) => suspects.partition_point(|asked| asked.at + frames < at),
            _ => 0,
        };
        Some(Trouble { at, suspects, drowned })
    }

    /// Finds out whose answer was garbled, and asks again whose question was; adds what is open then.
    async fn look_again(
        &mut self,
        wire: &mut dyn Wire,
        trouble: Trouble,
        open: &mut VecDeque<Trouble>,
    ) -> io::Result<()> {
        let Trouble { at, suspects, drowned } = trouble;
        let (older, drowned) = suspects.split_at(drowned);
        let mut drowned = drowned.to_vec();
        self.replay(wire, older, at, &mut drowned, open).await?;
        drowned.reverse();
        for asked in drowned {
            if self.is_unheard(asked.id) {
                let age = at.saturating_duration_since(asked.at);
                let wait = self.wait.max((age + HOLD).saturating_sub(self.pace.of_bytes(QUESTION_LEN)));
                let begin = self.quiet_from.max(Instant::now());
                let (came, _) = self.ask_and_hear(wire, asked.id, begin, wait).await?;
                open.extend(self.trouble(came));
            }
        }
        Ok(())
    }

    /// Sends questions once more in the rhythm in which they were sent, and listens when the answer is due that was
    /// garbled before. Adds whose question was drowned now, and what is open.
    async fn replay(
        &mut self,
        wire: &mut dyn Wire,
        asked: &[Asked],
        noise: Instant,
        drowned: &mut Vec<Asked>,
        open: &mut VecDeque<Trouble>,
    ) -> io::Result<()> {
        let Some(first) = asked.first() else { return Ok(()) };
        let mut shift = self.quiet_from.max(Instant::now()).saturating_duration_since(first.at);
        let nexts = asked.iter().skip(1).map(|next| next.at).chain([noise + HOLD]);
        for (i, (question, next)) in asked.iter().zip(nexts).enumerate() {
            self.other = None;
            if self.is_unheard(question.id) {
                self.ask(wire, question.id, question.at + shift).await?;
            }
            self.listen(wire, next + shift).await?;
            if self.other.is_some() {
                drowned.push(*question);
            }
            let rest = asked.get(i + 1..).unwrap_or_default();
            // The rest has to wait: what was garbled now may have drowned this question.
            if let Some(trouble) = self.take_noise().and_then(|again| self.trouble(Came::Noise(again))) {
                if rest.is_empty() {
                    self.split(trouble, open);
                } else {
                    open.push_back(trouble);
                    open.push_back(Trouble::of(noise, rest.to_vec()));
                }
                return Ok(());
            }
            let free = self.quiet_from.max(Instant::now() - SLACK);
            shift = shift.max(free.saturating_duration_since(next));
        }
        Ok(())
    }

    /// Two that answer at the same moment do so every time; apart they are heard.
    fn split(&mut self, trouble: Trouble, open: &mut VecDeque<Trouble>) {
        let Trouble { at, suspects, .. } = trouble;
        if suspects.len() == 1 {
            self.doubtful.extend(suspects.iter().map(|asked| asked.id));
            return;
        }
        let half = |odd: usize| suspects.iter().skip(odd).step_by(2).copied().collect();
        open.extend([0, 1].map(|odd| Trouble::of(at, half(odd))));
    }

    fn is_unheard(&self, id: u8) -> bool {
        !self.answers.contains_key(&id)
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
        let slot = self.patient_slot();
        for (asked, id) in ids.iter().enumerate() {
            let left = slot * u32::try_from(ids.len() - asked).unwrap_or(u32::MAX);
            told(Step { asked, of: ids.len(), answered: self.answers.len(), left });
            let mut garbled = false;
            // Once more after garbled bytes: they may have been an answer to the id before.
            for _ in 0..2 {
                let at = self.quiet_from.max(Instant::now());
                let (came, _) = self.ask_and_hear(wire, *id, at, PATIENCE).await?;
                garbled = matches!(came, Came::Noise(_));
                if !self.is_unheard(*id) || came == Came::Clear {
                    break;
                }
            }
            if garbled && self.is_unheard(*id) {
                self.garbled.insert(*id);
            }
        }
        Ok(())
    }

    /// Asks an id and gives it so long to begin an answer; what came, and when the line is free again.
    async fn ask_and_hear(
        &mut self,
        wire: &mut dyn Wire,
        id: u8,
        at: Instant,
        wait: Duration,
    ) -> io::Result<(Came, Instant)> {
        self.ask(wire, id, at).await?;
        self.other = None;
        let until = at + self.pace.of_bytes(QUESTION_LEN) + wait;
        let answered = self.listen_for(wire, id, until).await?;
        let came = match (self.take_noise(), self.other) {
            (Some(noise), _) => Came::Noise(noise),
            (None, Some(other)) => Came::Beside(other),
            (None, None) => Came::Clear,
        };
        let free = if answered { Instant::now() } else { until.max(Instant::now() - SLACK) };
        Ok((came, free.max(self.quiet_from)))
    }

    async fn ask(&mut self, wire: &mut dyn Wire, id: u8, at: Instant) -> io::Result<()> {
        sleep_until(at).await;
        let kept = self.reach() * 2;
        self.recent.retain(|asked| at.saturating_duration_since(asked.at) < kept);
        self.recent.push_back(Asked { id, at });
        wire.write_all(&question(id)).await?;
        wire.flush().await
    }

    /// Listens for one id's answer until then, and as long as something is coming in; whether it came.
    async fn listen_for(&mut self, wire: &mut dyn Wire, id: u8, until: Instant) -> io::Result<bool> {
        let give_up = until + MOST_HOLD + self.pace.of_bytes(ANSWER_LEN);
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

    async fn listen(&mut self, wire: &mut dyn Wire, until: Instant) -> io::Result<()> {
        // Id 0 is broadcast and never answers.
        self.listen_for(wire, 0, until).await.map(|_| ())
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
                    if unit != id {
                        self.other.get_or_insert(Instant::now());
                    }
                }
            }
        }
        answered
    }

    /// Gives up on bytes that made no frame; when they began to come, if there were any.
    fn take_noise(&mut self) -> Option<Instant> {
        let noise = self.ear.take_noise();
        self.noise += noise;
        (noise > 0).then_some(self.held_since)
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
                let now = Instant::now();
                if self.ear.is_empty() {
                    self.held_since = now;
                }
                self.quiet_from = now + self.pace.silence();
                self.ear.hear(bytes.get(..n).unwrap_or_default());
                Ok(true)
            }
            Ok(Err(error)) => Err(error),
        }
    }
}
