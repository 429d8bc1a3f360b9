//! `schoolgate alarms list|ack|reset`: what is open, and taking it, through the running gateway.

use super::client::{ApiError, Client};
use super::words::{lang, said, say};
use super::{At, EXIT_UNAVAILABLE, complain, configured, table};
use crate::model::alarm::state_name;
use crate::model::{AlarmClass, Lang, Priority, Wall};
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

/// Look at alarms and take them.
#[derive(Debug, Args)]
pub(super) struct Alarms {
    #[command(flatten)]
    at: At,
    /// The gateway's address, instead of the one in the configuration (whose secrets only its owner may read)
    #[arg(long, global = true, value_name = "IP:PORT")]
    gateway: Option<SocketAddr>,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the alarms that are not over
    List {
        /// Also those that are over, newest first
        #[arg(long)]
        all: bool,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Acknowledge an alarm: you take it
    Ack(Given),
    /// Reset a latched alarm (help, fire, intrusion) after its cause is gone
    Reset(Given),
}

#[derive(Debug, Args)]
struct Given {
    /// The alarm's number
    id: u64,
    /// Who you are [default: the login name]
    #[arg(long = "as", value_name = "NAME")]
    actor: Option<String>,
    /// What you want to write down
    #[arg(long, default_value = "")]
    note: String,
}

impl Alarms {
    /// Exits with 0 when done, 64 when the configuration is wrong, 69 when the gateway did not do it.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let (address, zone) = match self.gateway {
            Some(address) => (address, TimeZone::system()),
            None => match configured(&self.at.config, out)? {
                Ok(config) => (config.http, config.site.zone),
                Err(code) => return Ok(code),
            },
        };
        let told = Client::new(address).and_then(|client| match &self.action {
            Action::List { all, .. } => {
                client.get(if *all { "/api/v1/alarms" } else { "/api/v1/alarms?open=true" })
            }
            Action::Ack(given) => given.order(&client, "acknowledge"),
            Action::Reset(given) => given.order(&client, "reset"),
        });
        let answer = match told {
            Ok(answer) => answer,
            Err(error) => return complain(&error, EXIT_UNAVAILABLE),
        };
        match &self.action {
            Action::List { json: true, .. } => writeln!(out, "{answer:#}")?,
            Action::List { .. } => list(out, &answer, &zone)?,
            Action::Ack(_) => writeln!(out, "{}", after(&answer, &say("已确认", "acknowledged")))?,
            Action::Reset(_) => writeln!(out, "{}", after(&answer, &say("已复位", "reset")))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Given {
    fn order(&self, client: &Client, verb: &str) -> Result<Value, ApiError> {
        let actor = self.actor.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_default();
        if actor.trim().is_empty() {
            return Err(ApiError::Refused(say("请写明姓名：--as 姓名", "say who you are: --as NAME")));
        }
        client
            .post(&format!("/api/v1/alarms/{}/{verb}", self.id), &json!({"actor": actor, "note": self.note}))
    }
}

fn after(alarm: &Value, done: &str) -> String {
    let (id, state) = (text(alarm, "/id"), state(alarm));
    say(format!("报警 {id} {done}：{state}"), format!("alarm {id} {done}: {state}"))
}

fn list(out: &mut impl Write, answer: &Value, zone: &TimeZone) -> io::Result<()> {
    let rows: Vec<[String; 7]> = answer
        .get("rows")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|alarm| {
            let raised = alarm.get("raised_at").and_then(Value::as_i64).map(|ms| Wall(ms).in_zone(zone));
            let priority = Priority::from_word(&text(alarm, "/priority")).map(Priority::name);
            let class = AlarmClass::from_word(&text(alarm, "/class")).map(AlarmClass::name);
            [
                text(alarm, "/id"),
                state(alarm),
                priority.map(said).unwrap_or_default(),
                class.map(said).unwrap_or_default(),
                raised.unwrap_or_default(),
                text(alarm, "/acknowledged/by"),
                text(alarm, if lang() == Lang::Zh { "/what/zh" } else { "/what/en" }),
            ]
        })
        .collect();
    if rows.is_empty() {
        return writeln!(out, "{}", say("没有报警", "no alarms"));
    }
    let headings = match lang() {
        Lang::Zh => ["编号", "状态", "级别", "类别", "发生时间", "确认人", "内容"],
        Lang::En => ["ID", "STATE", "PRIORITY", "CLASS", "RAISED", "TAKEN BY", "WHAT"],
    };
    table::print(out, headings, &rows)
}

fn state(alarm: &Value) -> String {
    text(alarm, "/state").chars().next().map(|isa| said(state_name(isa))).unwrap_or_default()
}

/// The text or number at a JSON pointer, `-` when there is none.
fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
