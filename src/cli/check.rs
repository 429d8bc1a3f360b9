//! `schoolgate check`: tells everything that is wrong in the configuration, or what was understood.

use super::words::{lang, say, tell};
use super::{At, EXIT_USAGE, calendar};
use crate::alarm::Step;
use crate::config::{self, Config, Privacy};
use crate::model::ChannelId;
use crate::runtime::{Clock, SystemClock};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;

/// Check the configuration: every problem at once, with its place and what to write instead.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    at: At,
}

impl Check {
    /// Exits with 0 when all is well, else with 64.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        match config::load(&self.at.config) {
            Ok(config) => {
                writeln!(out, "{}", understood(&config))?;
                for caution in &config.cautions {
                    writeln!(out, "{}{}", say("注意：", "note: "), caution.in_lang(lang()))?;
                }
                for note in calendar::notes(&config, SystemClock::new().now().wall) {
                    writeln!(out, "{note}")?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Err(problems) => {
                tell(&problems, out)?;
                let many = problems.len();
                let zh = format!("共 {many} 个问题；“->” 后面是改法，改好后再检查一次");
                writeln!(out, "{}", say(zh, counted(many, "problem")))?;
                Ok(ExitCode::from(EXIT_USAGE))
            }
        }
    }
}

fn understood(config: &Config) -> String {
    let always = config.rules.iter().filter(|rule| rule.id().as_str().starts_with("always.")).count();
    let rules = config.rules.len() - always;
    let (places, buses) = (config.places.len(), config.buses.len());
    let (devices, destinations) = (config.devices.len(), config.destinations.len());
    let unconfirmed: BTreeSet<&str> = config
        .devices
        .values()
        .filter(|device| !device.profile.confirmed)
        .map(|device| device.profile.id.as_str())
        .collect();
    let names = unconfirmed.into_iter().collect::<Vec<_>>().join(", ");
    let parts = [
        counted(places, "place"),
        counted(buses, "bus"),
        counted(devices, "device"),
        format!("{} and {always} always on", counted(rules, "rule")),
        counted(destinations, "destination"),
    ];
    let zh = format!(
        "ok（正常）：地点 {places} 个，总线 {buses} 条，设备 {devices} 台，规则 {rules} 条（另有 {always} 条始终有效），平台 {destinations} 个"
    );
    let mut line = say(zh, format!("ok: {}", parts.join(", ")));
    let switched = &config.controls;
    if !switched.all.is_empty() {
        let many = switched.all.len();
        let (zh, en) =
            if switched.enabled { ("已启用", "switched on") } else { ("未启用", "switched off") };
        line.push_str(&say(
            format!("；控制点 {many} 个，{zh}"),
            format!("; {}, {en}", counted(many, "control")),
        ));
    }
    line.push_str(&privacy(&config.privacy));
    if !names.is_empty() {
        let zh = format!("；尚未经真机确认的设备模板：{names}");
        line.push_str(&say(zh, format!("; device profiles not yet confirmed on a real device: {names}")));
    }
    let kinds: BTreeSet<&str> = config.buses.iter().filter_map(|bus| bus.kind.unconfirmed()).collect();
    if !kinds.is_empty() {
        let names = kinds.into_iter().collect::<Vec<_>>().join(", ");
        let zh = format!("；尚未经真机确认的总线种类：{names}");
        line.push_str(&say(zh, format!("; kinds of buses not yet confirmed with a real device: {names}")));
    }
    line.push_str(&told(config));
    line
}

/// Who is told of alarms, and in full where nobody wrote it down.
fn told(config: &Config) -> String {
    let drills: Vec<&str> = config.channels.iter().filter(|of| of.drill).map(|of| of.id.as_str()).collect();
    let many = config.channels.len() - drills.len();
    let drills = if drills.is_empty() {
        let zh = "；没有渠道写 drill = true：演练只在页面和 API 显示";
        say(zh, "; no channel has `drill = true`: drills are shown in pages and the API only")
    } else {
        let drills = drills.join(", ");
        say(format!("；演练渠道：{drills}"), format!("; for drills: {drills}"))
    };
    if many == 0 {
        let zh = "；没有 [[channel]]：报警时不会通知任何人";
        let none = say(zh, "; there is no [[channel]]: nobody will be told of alarms");
        return if config.channels.is_empty() { none } else { none + &drills };
    }
    let written = config.ladders.all.len() - config.ladders.usual;
    let mut line = say(
        format!("；通知渠道 {many} 个，升级规则 {written} 条"),
        format!("; {} and {}", counted(many, "channel"), counted(written, "ladder")),
    );
    line.push_str(&drills);
    for policy in config.ladders.all.iter().skip(written) {
        let priorities = policy.scope.priorities.iter().map(|priority| priority.name());
        let (zh, en): (Vec<String>, Vec<String>) = priorities.map(|name| (name.zh, name.en)).unzip();
        let steps: Vec<String> = policy.steps.iter().map(step).collect();
        let (zh, en, steps) = (zh.join("、"), en.join(" and "), steps.join(&say("；", "; ")));
        line.push_str(&say(
            format!("\n  未另写 [[ladder]] 的{zh}报警：{steps}"),
            format!("\n  {en} alarms that no [[ladder]] is for: {steps}"),
        ));
    }
    line
}

/// `30 s: guard-siren + guard-wecom, else guard-sms`.
fn step(step: &Step) -> String {
    let (after, or) = (say(" 秒后：", " s: "), say("，不成则 ", ", else "));
    let group = |group: &Vec<ChannelId>| group.iter().map(ChannelId::as_str).collect::<Vec<_>>().join(&or);
    let groups: Vec<String> = step.groups.iter().map(group).collect();
    format!("{}{after}{}", step.after.as_secs(), groups.join(" + "))
}

fn counted(count: usize, what: &str) -> String {
    match (count, what) {
        (1, _) => format!("1 {what}"),
        (_, "bus") => format!("{count} buses"),
        _ => format!("{count} {what}s"),
    }
}

/// What differs from what holds unless it is written.
fn privacy(privacy: &Privacy) -> String {
    let (keep, usual) = (&privacy.keep, &Privacy::default().keep);
    let days = [
        ("事件", "events", keep.events_days, usual.events_days),
        ("报警", "alarms", keep.alarms_days, usual.alarms_days),
        ("审计日志", "the audit trail", keep.security_log_days, usual.security_log_days),
        ("隔离区", "quarantine", keep.quarantine_days, usual.quarantine_days),
        ("到期的人员", "expired persons", keep.persons_days, usual.persons_days),
    ];
    let kept = days.into_iter().filter(|(.., days, usual)| days != usual).map(|(zh, en, days, _)| {
        say(format!("；{zh}保存 {days} 天"), format!("; {en} kept for {days} days"))
    });
    let flags = [
        (privacy.track, "；可查询人员轨迹", "; tracks of persons may be asked for"),
        (privacy.allow_health, "；接收健康数据", "; health values are taken"),
    ];
    kept.chain(flags.into_iter().filter(|(on, ..)| *on).map(|(_, zh, en)| say(zh, en))).collect()
}
