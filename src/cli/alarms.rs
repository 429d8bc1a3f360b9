//! `schoolgate alarms list|ack|reset`: what is open, and taking it, through the running gateway.

use super::client::{ApiError, Client, Gateway, Orderer, rows, text};
use super::words::{lang, said, say};
use super::{EXIT_UNAVAILABLE, complain, table};
use crate::model::alarm::state_name;
use crate::model::{AlarmClass, Lang, Priority, Wall};
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::process::ExitCode;

/// Look at alarms and take them.
#[derive(Debug, Args)]
pub(super) struct Alarms {
    #[command(flatten)]
    gateway: Gateway,
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
    #[command(flatten)]
    orderer: Orderer,
    /// What you want to write down
    #[arg(long, default_value = "")]
    note: String,
}

impl Alarms {
    /// Exits with 0 when done, 64 when the configuration is wrong, 69 when the gateway did not do it.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let (address, zone) = match self.gateway.find(out)? {
            Ok(found) => found,
            Err(code) => return Ok(code),
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
        let order = json!({"actor": self.orderer.name()?, "note": self.note});
        client.post(&format!("/api/v1/alarms/{}/{verb}", self.id), &order)
    }
}

fn after(alarm: &Value, done: &str) -> String {
    let (id, state) = (text(alarm, "/id"), state(alarm));
    say(format!("报警 {id} {done}：{state}"), format!("alarm {id} {done}: {state}"))
}

fn list(out: &mut impl Write, answer: &Value, zone: &TimeZone) -> io::Result<()> {
    let rows: Vec<[String; 7]> = rows(answer)
        .map(|alarm| {
            let raised = alarm.get("raised_at").and_then(Value::as_i64).map(|ms| Wall(ms).in_zone(zone));
            let priority = Priority::from_word(&text(alarm, "/priority")).map(Priority::name);
            let class = AlarmClass::from_word(&text(alarm, "/class")).map(AlarmClass::name);
            [
                text(alarm, "/id"),
                state(alarm),
                priority.map(|name| said(&name)).unwrap_or_default(),
                class.map(|name| said(&name)).unwrap_or_default(),
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
    text(alarm, "/state").chars().next().map(|isa| said(&state_name(isa))).unwrap_or_default()
}
