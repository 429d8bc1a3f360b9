//! `schoolgate rules explain`: what made an alarm, by showing its rule that time once more.

use super::super::words::{said, say};
use super::super::{complain, wired};
use super::{EXIT_DIFFERS, trial};
use crate::config::Trial;
use crate::document::{Document, Problems};
use crate::model::{
    Alarm, AlarmChange, AlarmId, Body, ChangeKind, Link, Observation, PointId, Quality, Text, Wall,
};
use crate::store::{Reader, StoreError};
use crate::trial::Told;
use crate::work::past::{Step, Stretch, each};
use clap::Args;
use jiff::tz::TimeZone;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Most observations that are shown.
const SHOWN: usize = 40;
/// A finding so near to the time of the alarm is the one that made it, milliseconds.
const WITHIN_MS: i64 = 5_000;

#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The alarm's number
    alarm: u64,
    /// The data directory, instead of the one in the configuration
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// One observation, in words.
struct Line {
    at: Wall,
    text: String,
    /// It comes from the device that the alarm names.
    own: bool,
}

/// What the rule did when it was shown that time once more.
#[derive(Default)]
struct Shown {
    lines: VecDeque<Line>,
    left_out: usize,
    found: Option<(Wall, Text)>,
}

impl Explain {
    /// Exits with 0 when done, 1 when the store cannot be read, 64 when there is no such alarm or the configuration is
    /// wrong.
    pub(super) fn run(&self, config: &Path, out: &mut impl Write) -> io::Result<ExitCode> {
        let trial = match trial(config, &[], out)? {
            Ok(trial) => trial,
            Err(code) => return Ok(code),
        };
        let dir = self.dir.clone().unwrap_or_else(|| trial.config.data_dir.clone());
        let found = Reader::open(&dir).and_then(|reader| Ok((reader.alarm(AlarmId(self.alarm))?, reader)));
        let (alarm, steps, reader) = match found {
            Ok((Some((alarm, steps)), reader)) => (alarm, steps, reader),
            Ok((None, _)) => {
                let zh = format!("没有编号为 {} 的报警", self.alarm);
                return wired::refuse(&say(zh, format!("there is no alarm {}", self.alarm)));
            }
            Err(error) => return complain(&error, EXIT_DIFFERS),
        };
        let zone = trial.config.site.zone.clone();
        head(&alarm, &zone, out)?;
        written(&trial, &alarm, out)?;
        match again(trial, &reader, &alarm) {
            Ok(shown) => observations(&alarm, shown, &zone, out)?,
            Err(error) => return complain(&error, EXIT_DIFFERS),
        }
        life(&steps, &zone, out)?;
        Ok(ExitCode::SUCCESS)
    }
}

fn head(alarm: &Alarm, zone: &TimeZone, out: &mut impl Write) -> io::Result<()> {
    let (id, what, at) = (alarm.id, said(&alarm.what), alarm.raised_at.in_zone(zone));
    let (class, priority) = (said(&alarm.class.name()), said(&alarm.priority.name()));
    let zh = format!("报警 {id}（{class}，{priority}）{at}");
    writeln!(out, "{}", say(zh, format!("alarm {id} ({class}, {priority}), raised {at}")))?;
    writeln!(out, "  {what}")
}

/// The rule as it is written now.
fn written(trial: &Trial, alarm: &Alarm, out: &mut impl Write) -> io::Result<()> {
    let id = alarm.key.rule.as_str();
    let told = Problems::new();
    writeln!(out, "\n{}", say(format!("规则 {id}："), format!("rule {id}:")))?;
    for (file, text) in &trial.rules {
        let document = Document::parse(file, text, &told);
        for rule in document.reader(&told).tables("rule") {
            if rule.text_opt("id").as_deref() != Some(id) {
                continue;
            }
            let first = rule.here().line;
            writeln!(out, "  {file}:{first}")?;
            let body = text.lines().skip(first).take_while(|line| !line.trim_start().starts_with('['));
            let said = body.filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
            for line in said {
                writeln!(out, "    {line}")?;
            }
            return Ok(());
        }
    }
    let text = if trial.config.rules.iter().any(|rule| rule.id().as_str() == id) {
        say("  始终有效，没有可写的限值", "  always on; it has no limits to write")
    } else {
        say(
            "  已不在配置中，或由网关自身产生",
            "  no longer in the configuration, or made by the gateway itself",
        )
    };
    writeln!(out, "{text}")
}

/// Shows the rule the time around the alarm once more.
fn again(trial: Trial, reader: &Reader, alarm: &Alarm) -> Result<Option<Shown>, StoreError> {
    let mut rules = trial.config.rules;
    rules.retain(|rule| *rule.id() == alarm.key.rule);
    if rules.is_empty() {
        return Ok(None);
    }
    let judged: Vec<_> =
        rules.iter().flat_map(|rule| rule.points().into_iter().chain(rule.periods())).collect();
    let to = alarm.raised_at.plus_ms(WITHIN_MS);
    let stretch = Stretch::around(reader, alarm.raised_at, to)?;
    let (world, zone) = (Arc::new(trial.config.world), trial.config.site.zone);
    let (areas, mut shown) = (trial.config.areas, Shown::default());
    each(reader, rules, (&world, &areas), (&zone, stretch), |at, step| {
        match step {
            Step::Told(Told::Seen(seen)) if shown.found.is_none() => {
                // Of a rule for many devices, what the others said is not asked.
                let own = alarm.device.as_ref() == Some(&seen.device);
                let asked = own || alarm.device.is_none();
                let judged = |point: &PointId| {
                    judged.is_empty() || judged.iter().any(|(d, p)| *d == seen.device && p == point)
                };
                let text = if asked { words(seen, judged) } else { None };
                if let Some(text) = text {
                    shown.lines.push_back(Line { at, text, own });
                    if shown.lines.len() > SHOWN {
                        shown.lines.pop_front();
                        shown.left_out += 1;
                    }
                }
            }
            Step::Told(Told::Started { .. }) => {
                let text = say("网关启动，规则重新开始", "the gateway started; the rule began anew");
                shown.lines.push_back(Line { at, text, own: false });
            }
            Step::Changed(change) => {
                let raised = matches!(change.kind, ChangeKind::Raised | ChangeKind::Recurred);
                let here = at.since(alarm.raised_at).saturating_abs() <= WITHIN_MS;
                if raised && here && change.alarm.key == alarm.key && shown.found.is_none() {
                    shown.found = Some((at, change.alarm.what.clone()));
                }
            }
            Step::Told(_) | Step::Read(_) => {}
        }
        shown.found.is_none()
    })?;
    Ok(Some(shown))
}

/// What was observed, without who it was; `None` for a point that the rule does not judge.
fn words(seen: &Observation, judged: impl Fn(&PointId) -> bool) -> Option<String> {
    let device = &seen.device;
    let text = match &seen.body {
        Body::Reading(reading) if judged(&reading.point) => {
            let value = reading.value.map_or_else(|| "-".into(), |value| value.to_string());
            let doubt = match reading.quality {
                Quality::Good => String::new(),
                Quality::Uncertain(doubt) | Quality::Bad(doubt) => format!(" ({doubt})"),
            };
            format!("{device} {} {value} {}{doubt}", reading.point, reading.unit.symbol())
        }
        Body::Reading(_) => return None,
        Body::Event(event) => {
            let mut text = format!("{device} {} {}", event.kind, event.phase);
            if let Some(credential) = &event.credential {
                let role = credential.known.as_ref().map(|who| format!(" {}", who.role)).unwrap_or_default();
                text.push_str(&format!(" {} {}{role}", credential.direction, credential.result));
            }
            if let Some(code) = &event.code {
                text.push_str(&format!(" [{code}]"));
            }
            text
        }
        Body::Link(Link::Up) => format!("{device} {}", say("有应答", "answers")),
        Body::Link(Link::Down(fault)) => format!("{device} {} ({fault})", say("无应答", "does not answer")),
    };
    Some(text)
}

fn observations(
    alarm: &Alarm,
    shown: Option<Shown>,
    zone: &TimeZone,
    out: &mut impl Write,
) -> io::Result<()> {
    let Some(Shown { lines, left_out, found }) = shown else { return Ok(()) };
    writeln!(out, "\n{}", say("经过：", "what happened:"))?;
    if left_out > 0 {
        let zh = format!("  （更早的 {left_out} 条略）");
        writeln!(out, "{}", say(zh, format!("  ({left_out} earlier observations left out)")))?;
    }
    if lines.is_empty() {
        let zh = "  这段时间没有存下的读数和事件（可能已过保存期）";
        let en = "  no readings or events of that time are stored (they may be older than is kept)";
        writeln!(out, "{}", say(zh, en))?;
    }
    for Line { at, text, own } in lines {
        writeln!(out, "  {} {} {text}", at.in_zone(zone), if own { "*" } else { " " })?;
    }
    match found {
        Some((at, what)) => writeln!(out, "  {} ! {}", at.in_zone(zone), said(&what)),
        None => {
            let at = alarm.raised_at.in_zone(zone);
            let zh = format!("  按现在的规则和存下的数据，{at} 不会报警：规则改过，或数据不全");
            let en = format!(
                "  by the rule as it is now and what is stored, there would be no alarm at {at}: the rule was changed, \
                 or data are gone"
            );
            writeln!(out, "{}", say(zh, en))
        }
    }
}

fn life(steps: &[AlarmChange], zone: &TimeZone, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\n{}", say("处置过程：", "what became of it:"))?;
    for AlarmChange { kind, at, actor, note, .. } in steps {
        let note = if note.is_empty() { String::new() } else { format!(": {note}") };
        writeln!(out, "  {}  {kind}  {}{note}", at.in_zone(zone), actor.as_str())?;
    }
    Ok(())
}
