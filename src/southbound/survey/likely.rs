//! Which device profiles fit a device that answers: first what tells profiles apart, then everything of the best of them.

use crate::model::{Body, ProfileId, Quality, Text, Unit};
use crate::profile::{Likeness, Profile, Protocol, RegisterSpan, RegisterTable, likeness};
use crate::southbound::polled::{Ask, Block, Channel, ReadError, Said, Station, plan};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Points of a profile that are read in the first round.
const TELLING: usize = 3;
/// Profiles of which everything is read in the second round.
const FINALISTS: usize = 12;
/// Matches that are told.
const TOLD: usize = 3;
/// Least likeness that is told.
const LEAST_PERCENT: u8 = 20;
/// What it is worth that most values speak for a profile, in percent of likeness.
const SPEAKING_PERCENT: usize = 10;
/// A profile that was found on the line before and fits as well as this is not compared with others.
const CERTAIN_PERCENT: u8 = 90;
/// So many requests in a row without an answer: the device is gone, or does not say no.
const MOST_SILENT: u8 = 6;
/// Single reads of a profile after its merged reads were refused.
const MOST_SINGLE: usize = 24;

/// A profile, and how well it fits.
#[derive(Debug, Clone)]
pub struct Match {
    /// The profile.
    pub profile: Arc<Profile>,
    /// How well: 0 to 100.
    pub percent: u8,
    /// Why not better, and what speaks for it.
    pub reasons: Vec<Text>,
    /// How many values speak for it.
    speaking: usize,
    /// Reads of it that gave values.
    answered: usize,
}

/// What has been read of one unit.
struct Known<'c> {
    channel: &'c mut dyn Channel,
    unit: u8,
    reads: BTreeMap<(RegisterTable, u16, u16), Result<Vec<u16>, ()>>,
    silent: u8,
}

impl Known<'_> {
    /// What a span holds, if that is known already.
    fn recall(&self, span: RegisterSpan) -> Option<Result<Vec<u16>, ()>> {
        if let Some(read) = self.reads.get(&(span.table, span.address, span.words)) {
            return Some(read.clone());
        }
        let from = (span.table, span.address.saturating_sub(125), 0);
        let to = (span.table, span.address, u16::MAX);
        self.reads.range(from..=to).find_map(|((_, address, _), read)| {
            let start = usize::from(span.address.checked_sub(*address)?);
            let words = read.as_ref().ok()?.get(start..start + usize::from(span.words))?;
            Some(Ok(words.to_vec()))
        })
    }

    /// Asks for registers next to one another, unless they are known.
    async fn ask(&mut self, block: Block) -> Result<(), ReadError> {
        let whole = RegisterSpan { table: block.table, address: block.address, words: block.words, every: 1 };
        if self.recall(whole).is_some() || self.silent >= MOST_SILENT {
            return Ok(());
        }
        let key = (block.table, block.address, block.words);
        let read = match self.channel.ask(Station::Unit(self.unit), &Ask::Registers(block)).await {
            Ok(Said::Words(words)) => Ok(words),
            Ok(_) | Err(ReadError::Refused(_)) => Err(()),
            Err(error @ ReadError::Connect { .. }) => return Err(error),
            Err(_) => {
                self.silent += 1;
                self.reads.insert(key, Err(()));
                return Ok(());
            }
        };
        self.silent = 0;
        self.reads.insert(key, read);
        Ok(())
    }

    async fn single(&mut self, span: RegisterSpan) -> Result<(), ReadError> {
        let RegisterSpan { table, address, words, .. } = span;
        self.ask(Block { table, address, words, every: 1, points: vec![span] }).await
    }

    /// Everything of a profile, in merged reads, and one by one where those are refused.
    async fn all_of(&mut self, profile: &Profile) -> Result<(), ReadError> {
        for span in profile.identity() {
            self.single(span).await?;
        }
        let mut singles = 0;
        for block in plan(&profile.registers(), &profile.modbus_limits()) {
            let points = block.points.clone();
            self.ask(block).await?;
            for point in points {
                if self.recall(point).is_none() && singles < MOST_SINGLE {
                    singles += 1;
                    self.single(point).await?;
                }
            }
        }
        Ok(())
    }

    fn judge(&self, profile: &Arc<Profile>, spans: &[RegisterSpan]) -> Match {
        let answers: Vec<(RegisterSpan, Result<Vec<u16>, ()>)> =
            spans.iter().filter_map(|span| Some((*span, self.recall(*span)?))).collect();
        let answered = answers.iter().filter(|(_, read)| read.is_ok()).count();
        let Likeness { percent, speaking, reasons } = likeness(profile, &answers);
        Match { profile: Arc::clone(profile), percent, reasons, speaking, answered }
    }
}

/// The points that tell a profile from others: a frequency, a voltage, an energy; else the first, middle and last; and
/// where the device would say which model it is.
fn telling(profile: &Profile) -> Vec<RegisterSpan> {
    let spoken = [Unit::Hertz, Unit::Volt, Unit::KilowattHour].into_iter().filter_map(|unit| {
        profile.points.iter().find(|point| point.unit == unit).and_then(|point| profile.span(&point.id))
    });
    let mut spans: Vec<RegisterSpan> = spoken.collect();
    let mut all = profile.registers();
    all.sort_by_key(|span| (span.table, span.address));
    let last = all.len().saturating_sub(1);
    for at in [0, last / 2, last] {
        if let Some(span) = all.get(at)
            && spans.len() < TELLING
            && !spans.contains(span)
        {
            spans.push(*span);
        }
    }
    spans.extend(profile.identity());
    spans
}

/// Everything a profile reads, and where the device would say which model it is.
fn spans(profile: &Profile) -> Vec<RegisterSpan> {
    let mut spans = profile.registers();
    spans.extend(profile.identity());
    spans
}

/// By likeness, and by how many values speak for it: the registers of a three-phase meter often hold those of its
/// single-phase sister, which then fit even better and explain less.
fn best_first(matches: &mut [Match]) {
    let most = matches.iter().map(|m| m.speaking).max().unwrap_or(0).max(1);
    matches.sort_by_key(|m| {
        let rank = usize::from(m.percent) + SPEAKING_PERCENT * m.speaking / most;
        (std::cmp::Reverse((rank, m.speaking, m.profile.points.len())), m.profile.id.clone())
    });
}

/// Compares a Modbus unit with profiles; those in `first`, found before on the same line, are tried before others.
/// `told` hears how many profiles are compared.
///
/// # Errors
/// When the connection is lost and cannot be opened again.
pub async fn modbus(
    channel: &mut dyn Channel,
    unit: u8,
    profiles: &[Arc<Profile>],
    first: &[ProfileId],
    told: &mut (dyn FnMut(usize, usize) + Send),
) -> Result<Vec<Match>, ReadError> {
    let profiles: Vec<&Arc<Profile>> = profiles.iter().filter(|p| p.protocol == Protocol::Modbus).collect();
    let mut known = Known { channel, unit, reads: BTreeMap::new(), silent: 0 };
    let mut matches = Vec::new();
    for profile in profiles.iter().filter(|profile| first.contains(&profile.id)) {
        known.all_of(profile).await?;
        let found = known.judge(profile, &spans(profile));
        if found.percent >= CERTAIN_PERCENT {
            matches.push(found);
        }
    }
    if !matches.is_empty() {
        best_first(&mut matches);
        return Ok(matches);
    }
    let of = profiles.len() + FINALISTS;
    for (compared, profile) in profiles.iter().enumerate() {
        told(compared, of);
        let spans = telling(profile);
        for span in &spans {
            known.single(*span).await?;
        }
        matches.push(known.judge(profile, &spans));
    }
    best_first(&mut matches);
    matches.retain(|m| m.answered > 0);
    matches.truncate(FINALISTS);
    for (i, m) in matches.iter_mut().enumerate() {
        told(profiles.len() + i, of);
        known.all_of(&m.profile).await?;
        *m = known.judge(&m.profile, &spans(&m.profile));
    }
    matches.retain(|m| m.percent >= LEAST_PERCENT);
    Ok(told_ones(matches))
}

fn told_ones(mut matches: Vec<Match>) -> Vec<Match> {
    best_first(&mut matches);
    matches.truncate(TOLD);
    matches
}

/// Compares a DL/T 645 or CJ/T 188 meter with profiles: how many of their quantities it gives.
///
/// # Errors
/// When the connection is lost and cannot be opened again.
pub async fn meter(
    channel: &mut dyn Channel,
    station: Station,
    profiles: &[Arc<Profile>],
) -> Result<Vec<Match>, ReadError> {
    let fits = |profile: &Profile| match station {
        Station::Unit(_) => false,
        Station::Meter(_) => profile.protocol == Protocol::Dlt645,
        Station::Flow(kind, _) => {
            profile.protocol == Protocol::Cjt188 && [kind, 0xAA].contains(&profile.meter_kind())
        }
    };
    let mut known = BTreeMap::new();
    let mut matches = Vec::new();
    for profile in profiles.iter().filter(|profile| fits(profile)) {
        let (mut good, mut silent) = (0, 0);
        for identifier in profile.identifiers() {
            let data = match known.get(&identifier) {
                Some(data) => data,
                None if silent >= MOST_SILENT => continue,
                None => {
                    let data = match channel.ask(station, &Ask::Quantity(identifier)).await {
                        Ok(Said::Bytes(data)) => Some(data),
                        Err(error @ ReadError::Connect { .. }) => return Err(error),
                        Ok(_) | Err(ReadError::Refused(_)) => None,
                        Err(_) => {
                            silent += 1;
                            None
                        }
                    };
                    known.entry(identifier).or_insert(data)
                }
            };
            let Some(data) = data else { continue };
            good += profile.decode_digits(identifier, data).iter().filter(|one| is_good(&one.body)).count();
        }
        let of = profile.points.len().max(1);
        let percent = u8::try_from(good.min(of) * 100 / of).unwrap_or(100);
        let reason =
            Text::new(format!("{of} 个量中有 {good} 个可用"), format!("gives {good} of {of} quantities"));
        matches.push(Match {
            profile: Arc::clone(profile),
            percent,
            reasons: vec![reason],
            speaking: good,
            answered: good,
        });
    }
    Ok(told_ones(matches))
}

fn is_good(body: &Body) -> bool {
    matches!(body, Body::Reading(reading) if reading.value.is_some() && reading.quality == Quality::Good)
}
