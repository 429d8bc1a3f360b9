//! `schoolgate drill`: practising with alarms that are none, through the running gateway.

use super::alarms::{ordered, span_secs};
use super::client::{ApiError, Client, Gateway, Orderer, text};
use super::words::{said, say};
use super::{EXIT_UNAVAILABLE, complain};
use crate::model::{AlarmClass, Priority, Text, Wall};
use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::process::ExitCode;

/// Practise with alarms that are marked as a drill and go to no platform.
#[derive(Debug, Args)]
pub(super) struct Drill {
    #[command(flatten)]
    gateway: Gateway,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Begin a drill
    Start {
        #[command(flatten)]
        orderer: Orderer,
        /// For how long at most, such as 30m; no longer than 4h
        #[arg(long = "for", value_name = "SPAN", value_parser = span_secs, default_value = "1h")]
        span: u32,
        /// What for
        #[arg(long)]
        note: String,
    },
    /// End the drill and close its alarms
    Stop {
        #[command(flatten)]
        orderer: Orderer,
        /// What you want to write down
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Show the drill that is running
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Raise an alarm of the drill
    Alarm {
        #[command(flatten)]
        orderer: Orderer,
        /// What it is about
        #[arg(long, value_enum)]
        class: Class,
        /// Where: the id of a place
        #[arg(long)]
        place: String,
        /// How soon people are to act
        #[arg(long, value_enum, default_value = "critical")]
        priority: Urgency,
        /// What happens, in words
        #[arg(long)]
        what: Option<String>,
        /// What you want to write down
        #[arg(long, default_value = "")]
        note: String,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Class {
    Fire,
    Help,
    Intrusion,
    Security,
}

impl Class {
    fn word(self) -> &'static str {
        match self {
            Self::Fire => AlarmClass::Fire,
            Self::Help => AlarmClass::Help,
            Self::Intrusion => AlarmClass::Intrusion,
            Self::Security => AlarmClass::Security,
        }
        .as_str()
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Urgency {
    Critical,
    High,
    Medium,
    Low,
}

impl Urgency {
    fn word(self) -> &'static str {
        match self {
            Self::Critical => Priority::Critical,
            Self::High => Priority::High,
            Self::Medium => Priority::Medium,
            Self::Low => Priority::Low,
        }
        .as_str()
    }
}

impl Drill {
    /// Exits with 0 when done, 64 when the configuration is wrong, 69 when the gateway did not do it.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let (door, zone) = match self.gateway.find(out)? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        };
        let answer = match Client::new(door).and_then(|client| self.action.ask(&client)) {
            Ok(answer) => answer,
            Err(error) => return complain(&error, EXIT_UNAVAILABLE),
        };
        match &self.action {
            Action::Status { json: true } => writeln!(out, "{answer:#}")?,
            Action::Status { .. } | Action::Start { .. } => writeln!(out, "{}", status(&answer, &zone))?,
            Action::Stop { .. } => {
                let (number, alarms) = (text(&answer, "/drill/number"), text(&answer, "/drill/alarms"));
                let zh = format!("演练 {number} 已结束，共 {alarms} 条演练报警，均已关闭");
                writeln!(
                    out,
                    "{}",
                    say(zh, format!("drill {number} is over; alarms in it, all closed: {alarms}"))
                )?;
            }
            Action::Alarm { .. } => {
                let what = Text::new(text(&answer, "/what/zh"), text(&answer, "/what/en"));
                let (id, what) = (text(&answer, "/id"), said(&what));
                writeln!(out, "{}", say(format!("报警 {id}：{what}"), format!("alarm {id}: {what}")))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Action {
    fn ask(&self, client: &Client) -> Result<Value, ApiError> {
        match self {
            Self::Start { orderer, span, note } => {
                client.post("/api/v1/drill/start", &ordered(orderer, note, json!({"for_secs": span}))?)
            }
            Self::Stop { orderer, note } => {
                client.post("/api/v1/drill/stop", &ordered(orderer, note, json!({}))?)
            }
            Self::Status { .. } => client.get("/api/v1/drill"),
            Self::Alarm { orderer, class, place, priority, what, note } => {
                let order = json!({
                    "class": class.word(), "place": place, "priority": priority.word(), "what": what,
                });
                client.post("/api/v1/drill/alarm", &ordered(orderer, note, order)?)
            }
        }
    }
}

/// The drill that is running, until when, by whom, and who is told of it.
fn status(answer: &Value, zone: &TimeZone) -> String {
    if answer.get("drill").is_none_or(Value::is_null) {
        return say("现在没有演练", "no drill is running");
    }
    let number = text(answer, "/drill/number");
    let (by, note) = (text(answer, "/drill/begun/by"), text(answer, "/drill/begun/note"));
    let until = answer.pointer("/drill/until").and_then(Value::as_i64).map(|ms| Wall(ms).in_zone(zone));
    let until = until.unwrap_or_default();
    let channels = answer.get("channels").and_then(Value::as_array).into_iter().flatten();
    let channels = channels.filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
    let told = if channels.is_empty() {
        let zh = "没有演练渠道：演练报警只在页面和 API 显示";
        say(zh, "no channel has `drill = true`: its alarms are shown in pages and the API only")
    } else {
        say(format!("通知渠道：{channels}"), format!("people are told by: {channels}"))
    };
    say(
        format!("演练 {number} 进行中，最迟到 {until}（{by}：{note}）；{told}。真实报警照常通知"),
        format!(
            "drill {number} is running until {until} at the latest ({by}: {note}); {told}. Real alarms are told as ever"
        ),
    )
}
