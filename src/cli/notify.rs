//! `schoolgate notify channels|test`: the ways to tell people, and trying one without a running gateway.

use super::client::{ApiError, Client, Door, text};
use super::wired::block_on;
use super::words::{lang, said, say};
use super::{At, EXIT_UNAVAILABLE, EXIT_USAGE, complain, configured, table};
use crate::config::{Channel, ChannelKind, Config, ControlChannel};
use crate::document::one_of;
use crate::model::{Lang, Priority, Text};
use crate::notify::{Means, Message, Occasion, Rate, Verdict, notifier};
use crate::runtime::{SystemClock, Tally, control_desk};
use clap::Subcommand;
use serde_json::json;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// The other side takes no more for now (`EX_TEMPFAIL` of sysexits.h).
const EXIT_BUSY: u8 = 75;
/// It will never work so (`EX_CONFIG` of sysexits.h).
const EXIT_REFUSED: u8 = 78;
/// Longest wait for a siren: the order is carried out by the gateway.
const SIREN_WITHIN: Duration = Duration::from_secs(30);

/// Look at the ways to tell people, and try one.
#[derive(Debug, clap::Args)]
pub(super) struct Notify {
    #[command(flatten)]
    at: At,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show every channel of the configuration
    Channels,
    /// Send a message that is marked as a test by one channel, and say what became of it
    ///
    /// Needs no running gateway, but for a siren, which the gateway alone may switch. Exits with 0 when the other side
    /// has it, 75 when it takes no more for now, 69 when it failed, 78 when it will never work so.
    Test {
        /// The channel's id
        channel: String,
    },
}

impl Notify {
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let config = match configured(&self.at.config, out)? {
            Ok(config) => config,
            Err(code) => return Ok(code),
        };
        match &self.action {
            Action::Channels => channels(&config, out),
            Action::Test { channel } => {
                let Some(found) = config.channels.iter().find(|known| known.id.as_str() == channel) else {
                    let known: Vec<&str> = config.channels.iter().map(|known| known.id.as_str()).collect();
                    let hint = one_of(channel, &known);
                    let zh = format!("schoolgate：没有渠道“{channel}”：{}", hint.zh);
                    let en = format!("schoolgate: there is no channel '{channel}': {}", hint.en);
                    writeln!(io::stderr(), "{}", say(zh, en))?;
                    return Ok(ExitCode::from(EXIT_USAGE));
                };
                match &found.kind {
                    ChannelKind::Control(control) => siren(&config, control, out),
                    _ => trial(&config, found, out),
                }
            }
        }
    }
}

fn means(config: &Config) -> Means {
    Means {
        clock: Arc::new(SystemClock::new()),
        tally: Arc::new(Tally::default()),
        site: Arc::new(config.site.clone()),
        controls: control_desk::desk(false).0,
    }
}

fn channels(config: &Config, out: &mut impl Write) -> io::Result<ExitCode> {
    let means = means(config);
    let mut rows = Vec::new();
    for channel in &config.channels {
        let made = match notifier(channel, &means) {
            Ok(made) => made,
            Err(error) => return complain(&error, EXIT_USAGE),
        };
        let Rate { messages, per } = made.rate();
        let quiet =
            channel.quiet.map(|q| format!("{}-{}", q.from.strftime("%H:%M"), q.until.strftime("%H:%M")));
        rows.push([
            channel.id.to_string(),
            channel.name.clone(),
            channel.kind.word().to_owned(),
            if channel.is_local() { say("是", "yes") } else { say("否", "no") },
            format!("{messages}/{} s", per.as_secs()),
            quiet.unwrap_or_else(|| "-".into()),
            if channel.drill { say("是", "yes") } else { say("否", "no") },
        ]);
    }
    if rows.is_empty() {
        writeln!(out, "{}", say("没有通知渠道", "there is no channel"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let headings = match lang() {
        Lang::Zh => ["编号", "名称", "种类", "在现场发声或显示", "最多", "免打扰", "仅演练"],
        Lang::En => ["ID", "NAME", "KIND", "LOCAL", "AT MOST", "QUIET", "DRILLS ONLY"],
    };
    table::print(out, headings, &rows)?;
    Ok(ExitCode::SUCCESS)
}

fn trial(config: &Config, channel: &Channel, out: &mut impl Write) -> io::Result<ExitCode> {
    let means = means(config);
    let mut made = match notifier(channel, &means) {
        Ok(made) => made,
        Err(error) => return complain(&error, EXIT_USAGE),
    };
    let message = message(means.clock.now().wall);
    let verdict = block_on(made.tell(&message))?;
    if let Some(answer) = made.said() {
        writeln!(out, "{}", say(format!("对方回答：{answer}"), format!("the other side said: {answer}")))?;
    }
    tell(&verdict, out)
}

/// What a technician sees on the other side.
fn message(at: crate::model::Wall) -> Message {
    Message {
        number: u64::try_from(at.0).unwrap_or(0),
        occasion: Occasion::Trial,
        priority: Priority::Low,
        class: None,
        drill: false,
        title: Text::new("通知渠道测试，无需处理", "a test of this channel: nothing is to be done"),
        place: None,
        lines: Vec::new(),
        at,
        alarms: Vec::new(),
    }
}

fn tell(verdict: &Verdict, out: &mut impl Write) -> io::Result<ExitCode> {
    let (text, code) = match verdict {
        Verdict::Accepted => (Text::new("已送达对方", "accepted: the other side has it"), 0),
        Verdict::Busy { retry_after } => {
            let secs = retry_after.map(|pause| pause.as_secs());
            let zh = secs.map_or(String::new(), |secs| format!("，{secs} 秒后再试"));
            let en = secs.map_or(String::new(), |secs| format!("; try again in {secs} s"));
            let text = Text::new(
                format!("对方暂不接收{zh}"),
                format!("busy: the other side takes no more for now{en}"),
            );
            (text, EXIT_BUSY)
        }
        Verdict::Failed { why } => {
            (Text::new(format!("发送失败：{why}"), format!("failed: {why}")), EXIT_UNAVAILABLE)
        }
        Verdict::Refused { why } => (
            Text::new(
                format!("对方拒绝，需修改配置：{why}"),
                format!("refused, change the configuration: {why}"),
            ),
            EXIT_REFUSED,
        ),
    };
    writeln!(out, "{}", said(&text))?;
    Ok(ExitCode::from(code))
}

/// A siren is switched by the gateway, which alone knows what else its bus is doing.
fn siren(config: &Config, control: &ControlChannel, out: &mut impl Write) -> io::Result<ExitCode> {
    let order = || -> Result<serde_json::Value, ApiError> {
        let order = json!({
            "actor": "schoolgate notify test", "value": control.on, "reason": "通知渠道测试", "dry_run": false,
        });
        Client::patient(Door::of(config), SIREN_WITHIN)?
            .post(&format!("/api/v1/controls/{}", control.control), &order)
    };
    match order() {
        Ok(answer) => {
            let detail = if lang() == Lang::Zh { "/detail_zh" } else { "/detail" };
            writeln!(out, "{}", text(&answer, detail))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => complain(&error, EXIT_UNAVAILABLE),
    }
}
