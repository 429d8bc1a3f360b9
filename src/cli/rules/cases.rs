//! `schoolgate rules test`: runs each case and says where what happened differs from what was expected.

use super::super::progress::Progress;
use super::super::words::{said, say};
use super::{EXIT_DIFFERS, tell, trial};
use crate::config::{self, Trial};
use crate::document::Problems;
use crate::model::Wall;
use crate::rules::{self, Rule, World};
use crate::trial::{Case, Expected, Happened, Outcome, cases, play};
use clap::Args;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// So many cases take long enough to show how far they are.
const MANY: usize = 100;

#[derive(Debug, Args)]
pub(super) struct Test {
    /// Files with rules or cases, or directories of such; the configuration's own unless named
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Only the cases of this rule
    #[arg(long = "rule", value_name = "ID")]
    only: Vec<String>,
    /// A rule without a case in which it raises an alarm is an error
    #[arg(long)]
    strict: bool,
    /// Say also what happened in the cases that went well
    #[arg(short, long)]
    verbose: bool,
}

/// What was found of all cases.
#[derive(Default)]
struct Tally {
    good: usize,
    bad: usize,
}

impl Test {
    /// Exits with 0 when every case is as expected, 1 when one is not, 64 when something cannot be read.
    pub(super) fn run(&self, config: &Path, out: &mut impl Write) -> io::Result<ExitCode> {
        let trial = match trial(config, &self.paths, out)? {
            Ok(trial) => trial,
            Err(code) => return Ok(code),
        };
        let written = match read(&trial) {
            Ok(cases) => cases,
            Err(problems) => return tell(&problems, out),
        };
        let wanted =
            |case: &&Case| self.only.is_empty() || self.only.iter().any(|id| id == case.rule.as_str());
        let wanted: Vec<&Case> = written.iter().filter(wanted).collect();
        let mut tally = Tally::default();
        let mut progress = Progress::new();
        for (turn, case) in wanted.iter().enumerate() {
            if wanted.len() > MANY {
                let (turn, all) = (turn + 1, wanted.len());
                progress.at(|| say(format!("第 {turn} 个，共 {all} 个"), format!("case {turn} of {all}")));
            }
            self.one(&trial, case, &mut tally, out)?;
        }
        progress.clear();
        let untried = if self.strict { untried(&trial, &written) } else { Vec::new() };
        for rule in &untried {
            writeln!(
                out,
                "{}",
                say(
                    format!("没有用例  {rule}：没有一个用例期望它报警"),
                    format!("NO CASE  {rule}: there is no case in which it is to raise an alarm")
                )
            )?;
        }
        let Tally { good, bad } = tally;
        let zh = format!("用例：{good} 个通过，{bad} 个不符");
        writeln!(out, "{}", say(zh, format!("cases: {good} ok, {bad} failed")))?;
        if wanted.is_empty() {
            let zh = "没有用例：写在规则文件旁边的 <名称>.cases.toml 里";
            writeln!(
                out,
                "{}",
                say(zh, "there are no cases: write some into <name>.cases.toml beside the rules")
            )?;
        }
        let well = bad == 0 && untried.is_empty() && !wanted.is_empty();
        Ok(if well { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DIFFERS) })
    }

    fn one(&self, trial: &Trial, case: &Case, tally: &mut Tally, out: &mut impl Write) -> io::Result<()> {
        let outcome = run(trial, case);
        let (rule, name) = (&case.rule, &case.name);
        if outcome.good() {
            tally.good += 1;
            writeln!(out, "{}", say(format!("通过  {rule}  {name}"), format!("ok      {rule}  {name}")))?;
        } else {
            tally.bad += 1;
            let at = format!("{}:{}", case.spot.file, case.spot.line);
            writeln!(
                out,
                "{}",
                say(format!("不符  {rule}  {name}  ({at})"), format!("FAILED  {rule}  {name}  ({at})"))
            )?;
        }
        if self.verbose || !outcome.good() {
            differences(&outcome, &trial.config.site.zone, out)?;
        }
        Ok(())
    }
}

fn read(trial: &Trial) -> Result<Vec<Case>, Vec<crate::document::Problem>> {
    let problems = Problems::new();
    let ids: Vec<&str> = trial.config.rules.iter().map(|rule| rule.id().as_str()).collect();
    let (world, zone) = (&trial.config.world, &trial.config.site.zone);
    let written: Vec<Case> = trial
        .cases
        .iter()
        .flat_map(|(file, text)| cases((file, text), &ids, world, zone, &problems))
        .collect();
    if problems.is_empty() { Ok(written) } else { Err(problems.into_sorted()) }
}

fn run(trial: &Trial, case: &Case) -> Outcome {
    let world = case.calendar.clone().map_or_else(
        || trial.config.world.with_calendar(trial.config.world.calendar.as_ref().clone()),
        |calendar| trial.config.world.with_calendar(calendar),
    );
    let rule = rule(&trial.rules, case.rule.as_str(), &world);
    play(case, rule, Arc::new(world), trial.config.aggregate_secs)
}

/// The rule of this id, made anew for a world.
fn rule(files: &[(String, String)], id: &str, world: &World) -> Option<Box<dyn Rule>> {
    // What is wrong with the rules was told when the configuration was read.
    let told = Problems::new();
    let written = config::rules(files, world, &told).into_iter();
    written.chain(rules::always(world)).find(|rule| rule.id().as_str() == id)
}

/// Rules that no case expects to raise an alarm.
fn untried<'t>(trial: &'t Trial, written: &[Case]) -> Vec<&'t str> {
    let raised: BTreeSet<&str> = written
        .iter()
        .filter(|case| case.expected.iter().any(|expected| expected.raised))
        .map(|case| case.rule.as_str())
        .collect();
    let ids = trial.config.rules.iter().map(|rule| rule.id().as_str());
    ids.filter(|id| !id.starts_with("always.") && !raised.contains(id)).collect()
}

/// What was expected and did not come, what came and was not expected, and between them what fits, by time.
fn differences(outcome: &Outcome, zone: &TimeZone, out: &mut impl Write) -> io::Result<()> {
    let mut lines: BTreeMap<(Wall, usize), String> = BTreeMap::new();
    let mut add = |at: Wall, line: String| lines.insert((at, lines.len()), line);
    for Expected { at, raised, subject, contains, priority, .. } in &outcome.missing {
        let text = contains.as_ref().map(|text| format!(": …{text}…")).unwrap_or_default();
        let priority = priority.map(|p| format!(" ({p})")).unwrap_or_default();
        add(*at, format!("    - {} {} {subject}{priority}{text}", at.in_zone(zone), word(*raised)));
    }
    for (mark, all) in [("+", &outcome.surplus), ("=", &outcome.fits)] {
        for Happened { at, raised, subject, priority, what } in all {
            let what = said(what);
            add(
                *at,
                format!("    {mark} {} {} {subject} ({priority}): {what}", at.in_zone(zone), word(*raised)),
            );
        }
    }
    lines.into_values().try_for_each(|line| writeln!(out, "{line}"))
}

fn word(raised: bool) -> String {
    if raised { say("报警", "raised") } else { say("结束", "ended") }
}
