//! `schoolgate rules replay`: which alarms rules would have raised in the stored past, beside those that were raised.

use super::super::progress::{Progress, left};
use super::super::words::{lang, say};
use super::super::{complain, table, wired};
use super::{EXIT_DIFFERS, trial};
use crate::config::Trial;
use crate::model::{Lang, Wall};
use crate::runtime::{Clock, SystemClock};
use crate::store::StoreError;
use crate::trial::{Compared, Episode};
use crate::work::past::{Stretch, Way};
use crate::work::replay::{self, Replayed, subject};
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// It was stopped, as shells have it for a program that was interrupted.
const EXIT_STOPPED: u8 = 130;
/// Most differences and subjects that are listed; JSON has all.
const LISTED: usize = 20;
/// Pause between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(super) struct Replay {
    /// From this day (the school's) or moment on: 2026-09-01 or 2026-09-01T00:00:00+08:00
    #[arg(long)]
    from: String,
    /// Before this day or moment
    #[arg(long)]
    to: String,
    /// Only this rule; may be given several times
    #[arg(long = "rule", value_name = "ID")]
    only: Vec<String>,
    /// Try the rules of this file or directory in place of the configuration's; may be given several times
    #[arg(long, value_name = "PATH")]
    rules: Vec<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long)]
    json: bool,
    /// The data directory, instead of the one in the configuration
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What is told in the end.
struct Report {
    came: Replayed,
    took: Duration,
}

impl Replay {
    /// Exits with 0 when done, 1 when the store cannot be read, 64 when something is written wrongly, 130 when it was
    /// stopped; what there is by then is printed.
    pub(super) fn run(&self, config: &Path, out: &mut impl Write) -> io::Result<ExitCode> {
        let trial = match trial(config, &self.rules, out)? {
            Ok(trial) => trial,
            Err(code) => return Ok(code),
        };
        let zone = trial.config.site.zone.clone();
        let (from, to) = match (moment(&self.from, &zone), moment(&self.to, &zone)) {
            (Ok(from), Ok(to)) if from < to => (from, to),
            (Ok(_), Ok(_)) => {
                return wired::refuse(&say("--to 必须晚于 --from", "--to must be later than --from"));
            }
            (Err(wrong), _) | (_, Err(wrong)) => return wired::refuse(&wrong),
        };
        let known: BTreeSet<String> = trial.config.rules.iter().map(|rule| rule.id().to_string()).collect();
        if let Some(wrong) = self.only.iter().find(|id| !known.contains(*id)) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let advice = crate::document::one_of(wrong, &known);
            let zh = format!("没有规则“{wrong}”：{}", advice.zh);
            let en = format!("there is no rule '{wrong}': {}", advice.en);
            return wired::refuse(&say(zh, en));
        }
        let dir = self.dir.clone().unwrap_or_else(|| trial.config.data_dir.clone());
        match self.report(trial, dir, (from, to)) {
            Ok(report) => {
                let stopped = report.came.reached < to;
                if self.json {
                    print_json(&report, out)?
                } else {
                    print(&report, &zone, out)?
                }
                Ok(if stopped { ExitCode::from(EXIT_STOPPED) } else { ExitCode::SUCCESS })
            }
            Err(error) => complain(&error, EXIT_DIFFERS),
        }
    }

    fn report(&self, trial: Trial, dir: PathBuf, span: (Wall, Wall)) -> Result<Report, StoreError> {
        let zone = trial.config.site.zone.clone();
        let replay = replay::Replay::new(dir, trial.config, &self.only, span)?;
        let clock = SystemClock::new();
        let (began, way, stretch) = (clock.now(), Arc::new(Way::default()), replay.stretch);
        let work = {
            let way = Arc::clone(&way);
            move || replay.run(&way)
        };
        let came = shown(work, &way, stretch, (&clock, &zone))?;
        Ok(Report { came, took: clock.now().mono.since(began.mono) })
    }
}

/// Runs the work beside a line that says how far it is, until it is done or stopped.
fn shown(
    work: impl FnOnce() -> Result<Replayed, StoreError> + Send + 'static,
    way: &Way,
    stretch: Stretch,
    (clock, zone): (&SystemClock, &TimeZone),
) -> Result<Replayed, StoreError> {
    let began = clock.now();
    let ended = wired::block_on(async {
        let mut work = tokio::task::spawn_blocking(work);
        let mut progress = Progress::new();
        let mut done = None;
        let whole = wired::unless_stopped(async {
            loop {
                tokio::select! {
                    ended = &mut work => {
                        done = Some(ended);
                        return;
                    }
                    () = tokio::time::sleep(LOOK) => {
                        let took = clock.now().mono.since(began.mono);
                        if took > LOOK * 10 {
                            progress.at(|| line(way, stretch, took, zone));
                        }
                    }
                }
            }
        })
        .await;
        if !whole {
            way.stop.store(true, Ordering::Relaxed);
        }
        progress.clear();
        match done {
            Some(ended) => ended,
            None => work.await,
        }
    });
    match ended {
        Ok(Ok(came)) => came,
        // A thread that fell over has said so.
        _ => Err(StoreError::Closed),
    }
}

/// "43 %, at 2026-10-09 12:00:00, 350000 readings/s, about 20 s left".
fn line(way: &Way, stretch: Stretch, took: Duration, zone: &TimeZone) -> String {
    let (reached, all) = (way.reached(stretch.begin), stretch.to.since(stretch.begin).max(1));
    let gone = reached.since(stretch.begin).clamp(0, all);
    let rate = u128::from(way.readings.load(Ordering::Relaxed)) * 1000 / took.as_millis().max(1);
    let at = reached.in_zone(zone);
    let percent = gone * 100 / all;
    let head = say(
        format!("{percent}%，已到 {at}，每秒 {rate} 个读数"),
        format!("{percent} %, at {at}, {rate} readings/s"),
    );
    if gone == 0 {
        return head;
    }
    let (gone, rest) = (gone.unsigned_abs(), (all - gone).unsigned_abs());
    let ms = u64::try_from(took.as_millis() * u128::from(rest) / u128::from(gone)).unwrap_or(u64::MAX);
    format!("{head}, {}", left(Duration::from_millis(ms)))
}

/// A day of the school, or a moment.
pub(super) fn moment(text: &str, zone: &TimeZone) -> Result<Wall, String> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Ok(Wall(at.as_millisecond()));
    }
    let day: Result<jiff::civil::Date, _> = text.parse();
    let at = day.and_then(|day| day.to_zoned(zone.clone())).map_err(|_| {
        say(
            format!("“{text}”不是日期：写 2026-09-01 或 2026-09-01T00:00:00+08:00"),
            format!("'{text}' is no day or moment: write 2026-09-01 or 2026-09-01T00:00:00+08:00"),
        )
    })?;
    Ok(Wall(at.timestamp().as_millisecond()))
}

/// How often and how long, and how both accounts stand to one another.
#[derive(Debug, Default, Clone, Copy)]
struct Sum {
    times: u64,
    ms: i64,
    then: u64,
    same: u64,
    only_now: u64,
    only_then: u64,
}

/// By rule, or by rule and subject.
fn sums<K: Ord>(report: &Report, key: impl Fn(&Episode) -> K) -> BTreeMap<K, Sum> {
    let mut sums: BTreeMap<K, Sum> = BTreeMap::new();
    for episode in &report.came.now.episodes {
        let sum = sums.entry(key(episode)).or_default();
        sum.times += 1;
        sum.ms += episode.ms();
    }
    let Compared { same, only_now, only_then } = &report.came.compared;
    report.came.then.episodes.iter().for_each(|e| sums.entry(key(e)).or_default().then += 1);
    same.iter().for_each(|e| sums.entry(key(e)).or_default().same += 1);
    only_now.iter().for_each(|e| sums.entry(key(e)).or_default().only_now += 1);
    only_then.iter().for_each(|e| sums.entry(key(e)).or_default().only_then += 1);
    sums
}

fn length(ms: i64) -> String {
    let secs = ms / 1000;
    match secs {
        ..=0 => "-".into(),
        1..60 => format!("{secs} s"),
        60..3600 => format!("{} min", secs / 60),
        _ => format!("{} h {:02} min", secs / 3600, secs % 3600 / 60),
    }
}

/// From when on there is too little to judge by.
fn cautions(report: &Report, zone: &TimeZone) -> Vec<String> {
    let Stretch { begin, from, .. } = report.came.stretch;
    let after = |at: Option<Wall>, floor: Wall| at.filter(|at| *at > floor).map(|at| at.in_zone(zone));
    let mut told = Vec::new();
    if let Some(at) = after(report.came.reach.readings, from) {
        told.push(say(
            format!("读数从 {at} 才有：此前按数值判断的规则无从判断"),
            format!("there are readings from {at} on: before that, rules of values could not judge"),
        ));
    }
    if let Some(at) = after(report.came.reach.events, from) {
        told.push(say(
            format!("事件从 {at} 才有：此前按事件判断的规则无从判断"),
            format!("there are events from {at} on: before that, rules of events could not judge"),
        ));
    }
    if report.came.reach.starts.is_none_or(|at| at > begin) {
        let at = after(report.came.reach.starts, begin).unwrap_or_else(|| "-".into());
        told.push(say(
            format!("网关的启动和设备的通断从 {at} 才有记录：此前按一直运行、通断不明处理"),
            format!(
                "starts of the gateway and whether devices answered are noted from {at} on: before that it is taken \
                 to have run without a break, and links are not known"
            ),
        ));
    }
    if report.came.now.more + report.came.then.more > 0 {
        let more = report.came.now.more + report.came.then.more;
        told.push(say(
            format!("报警太多，有 {more} 次未列入比较"),
            format!("{more} alarms were too many to be compared"),
        ));
    }
    told
}

fn print(report: &Report, zone: &TimeZone, out: &mut impl Write) -> io::Result<()> {
    let (from, reached) = (report.came.stretch.from.in_zone(zone), report.came.reached.in_zone(zone));
    let (readings, secs) = (report.came.readings, report.took.as_secs_f64());
    let zh = format!("{from} 至 {reached}：{readings} 个读数，用时 {secs:.1} 秒");
    writeln!(out, "{}", say(zh, format!("{from} to {reached}: {readings} readings in {secs:.1} s")))?;
    if report.came.reached < report.came.stretch.to {
        writeln!(out, "{}", say("（中途停止）", "(stopped before the end)"))?;
    }
    for told in cautions(report, zone) {
        writeln!(out, "! {told}")?;
    }
    let by_rule = sums(report, |episode| episode.key.rule.to_string());
    let cells =
        |sum: &Sum| [sum.times, sum.then, sum.same, sum.only_now, sum.only_then].map(|n| n.to_string());
    let rows: Vec<[String; 7]> = report
        .came
        .rules
        .iter()
        .map(|rule| {
            let sum = by_rule.get(rule).copied().unwrap_or_default();
            let [times, then, same, now, only_then] = cells(&sum);
            [rule.clone(), times, length(sum.ms), then, same, now, only_then]
        })
        .collect();
    let headings = match lang() {
        Lang::Zh => ["规则", "次数", "共计", "当时", "相同", "仅现在", "仅当时"],
        Lang::En => ["RULE", "TIMES", "LASTING", "THEN", "SAME", "ONLY NOW", "ONLY THEN"],
    };
    table::print(out, headings, &rows)?;
    let by_subject = sums(report, |episode| (episode.key.rule.to_string(), subject(&episode.key)));
    let mut subjects: Vec<_> = by_subject.into_iter().collect();
    subjects.sort_by_key(|(_, sum)| std::cmp::Reverse((sum.times, sum.then)));
    let hidden = subjects.len().saturating_sub(LISTED);
    subjects.truncate(LISTED);
    if !subjects.is_empty() {
        writeln!(out)?;
        let rows: Vec<[String; 8]> = subjects
            .into_iter()
            .map(|((rule, subject), sum)| {
                let [times, then, same, now, only_then] = cells(&sum);
                [rule, subject, times, length(sum.ms), then, same, now, only_then]
            })
            .collect();
        let headings = match lang() {
            Lang::Zh => ["规则", "对象", "次数", "共计", "当时", "相同", "仅现在", "仅当时"],
            Lang::En => ["RULE", "SUBJECT", "TIMES", "LASTING", "THEN", "SAME", "ONLY NOW", "ONLY THEN"],
        };
        table::print(out, headings, &rows)?;
        more(out, hidden)?;
    }
    for (zh, en, all) in [
        ("仅现在：", "only now:", &report.came.compared.only_now),
        ("仅当时：", "only then:", &report.came.compared.only_then),
    ] {
        if all.is_empty() {
            continue;
        }
        writeln!(out, "\n{}", say(zh, en))?;
        for episode in all.iter().take(LISTED) {
            let lasting = length(episode.ms());
            writeln!(
                out,
                "  {}  {}  {}  {lasting}",
                episode.from.in_zone(zone),
                episode.key.rule,
                subject(&episode.key)
            )?;
        }
        more(out, all.len().saturating_sub(LISTED))?;
    }
    Ok(())
}

fn more(out: &mut impl Write, hidden: usize) -> io::Result<()> {
    if hidden == 0 {
        return Ok(());
    }
    let zh = format!("  另有 {hidden} 项，--json 可看全部");
    writeln!(out, "{}", say(zh, format!("  and {hidden} more; --json has all")))
}

fn print_json(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let sum = |sum: &Sum| {
        json!({
            "times": sum.times, "lasting_ms": sum.ms, "then": sum.then, "same": sum.same,
            "only_now": sum.only_now, "only_then": sum.only_then,
        })
    };
    let episodes = |all: &[Episode]| -> Value {
        let one =
            |e: &Episode| json!({"rule": e.key.rule, "subject": subject(&e.key), "from": e.from, "to": e.to});
        all.iter().map(one).collect()
    };
    let by_rule = sums(report, |episode| episode.key.rule.to_string());
    let rules: serde_json::Map<String, Value> = report
        .came
        .rules
        .iter()
        .map(|rule| (rule.clone(), sum(&by_rule.get(rule).copied().unwrap_or_default())))
        .collect();
    let subjects: Vec<Value> = sums(report, |episode| (episode.key.rule.to_string(), subject(&episode.key)))
        .iter()
        .map(|((rule, subject), s)| json!({"rule": rule, "subject": subject, "sum": sum(s)}))
        .collect();
    let reach = report.came.reach;
    let told = json!({
        "from": report.came.stretch.from, "to": report.came.stretch.to, "reached": report.came.reached,
        "readings": report.came.readings,
        "oldest": {"reading": reach.readings, "event": reach.events, "start": reach.starts},
        "rules": rules, "subjects": subjects, "not_compared": report.came.now.more + report.came.then.more,
        "same": episodes(&report.came.compared.same),
        "only_now": episodes(&report.came.compared.only_now),
        "only_then": episodes(&report.came.compared.only_then),
    });
    writeln!(out, "{told:#}")
}
