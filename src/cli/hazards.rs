//! `schoolgate hazards`: hazards (隐患) from found to closed, through the running gateway.

use super::alarms::ordered;
use super::client::{ApiError, Client, Gateway, Orderer, rows, text};
use super::words::{lang, said, say};
use super::{EXIT_UNAVAILABLE, complain, table};
use crate::model::{Lang, Stage, Wall};
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::process::ExitCode;

/// Write down hazards and follow them until they are gone.
#[derive(Debug, Args)]
pub(super) struct Hazards {
    #[command(flatten)]
    gateway: Gateway,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show the hazards that are not closed
    List {
        /// Also those that are closed, newest first
        #[arg(long)]
        all: bool,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Write down a hazard that was found
    Find {
        /// What it is
        what: String,
        /// The number of the alarm that showed it
        #[arg(long)]
        alarm: Option<u64>,
        /// Where it is [default: the alarm's place]
        #[arg(long)]
        place: Option<String>,
        #[command(flatten)]
        by: By,
    },
    /// Somebody looked at it
    Check(Given),
    /// Somebody did something about it
    Handle(Given),
    /// Somebody saw that it is gone
    Close(Given),
}

#[derive(Debug, Args)]
struct By {
    #[command(flatten)]
    orderer: Orderer,
    /// What was seen or done
    #[arg(long, default_value = "")]
    note: String,
}

#[derive(Debug, Args)]
struct Given {
    /// The hazard's number
    id: u64,
    #[command(flatten)]
    by: By,
}

impl Hazards {
    /// Exits with 0 when done, 64 when the configuration is wrong, 69 when the gateway did not do it.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let (door, zone) = match self.gateway.find(out)? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        };
        match (Client::new(door).and_then(|client| self.action.ask(&client)), &self.action) {
            (Err(error), _) => return complain(&error, EXIT_UNAVAILABLE),
            (Ok(answer), Action::List { json: true, .. }) => writeln!(out, "{answer:#}")?,
            (Ok(answer), Action::List { .. }) => list(out, &answer, &zone)?,
            (Ok(hazard), _) => {
                let (id, stage) = (text(&hazard, "/id"), stage(&hazard));
                writeln!(out, "{}", say(format!("隐患 {id}：{stage}"), format!("hazard {id}: {stage}")))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Action {
    fn ask(&self, client: &Client) -> Result<Value, ApiError> {
        match self {
            Self::List { all, .. } => {
                client.get(if *all { "/api/v1/hazards" } else { "/api/v1/hazards?open=true" })
            }
            Self::Find { what, alarm, place, by } => {
                let found = json!({"what": what, "alarm": alarm, "place": place});
                client.post("/api/v1/hazards", &ordered(&by.orderer, &by.note, found)?)
            }
            Self::Check(given) => given.step(client, Stage::Checked),
            Self::Handle(given) => given.step(client, Stage::Handled),
            Self::Close(given) => given.step(client, Stage::Closed),
        }
    }
}

impl Given {
    fn step(&self, client: &Client, stage: Stage) -> Result<Value, ApiError> {
        let order = ordered(&self.by.orderer, &self.by.note, json!({}))?;
        client.post(&format!("/api/v1/hazards/{}/{stage}", self.id), &order)
    }
}

fn stage(hazard: &Value) -> String {
    Stage::from_word(&text(hazard, "/stage")).map(|stage| said(&stage.name())).unwrap_or_default()
}

fn list(out: &mut impl Write, answer: &Value, zone: &TimeZone) -> io::Result<()> {
    let rows: Vec<[String; 6]> = rows(answer)
        .map(|hazard| {
            let found = hazard.pointer("/found/at").and_then(Value::as_i64);
            [
                text(hazard, "/id"),
                stage(hazard),
                found.map(|ms| Wall(ms).in_zone(zone)).unwrap_or_default(),
                text(hazard, "/found/by"),
                text(hazard, "/place"),
                text(hazard, "/what"),
            ]
        })
        .collect();
    if rows.is_empty() {
        return writeln!(out, "{}", say("没有隐患", "no hazards"));
    }
    let headings = match lang() {
        Lang::Zh => ["编号", "阶段", "发现时间", "发现人", "地点", "内容"],
        Lang::En => ["ID", "STAGE", "FOUND", "BY", "PLACE", "WHAT"],
    };
    table::print(out, headings, &rows)
}
