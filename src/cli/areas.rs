//! `schoolgate areas`: what is armed, and arming and disarming it, through the running gateway.

use super::alarms::ordered;
use super::client::{ApiError, Client, Gateway, Orderer, rows, text};
use super::words::{lang, said, say};
use super::{EXIT_UNAVAILABLE, complain, table};
use crate::model::{ArmMode, Lang, Wall};
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::process::ExitCode;

/// Show, arm and disarm the areas of the school.
#[derive(Debug, Args)]
pub(super) struct Areas {
    #[command(flatten)]
    gateway: Gateway,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show how every area stands
    List {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Arm an area
    Arm {
        #[command(flatten)]
        given: Given,
        /// Only its outer side, while people are inside
        #[arg(long)]
        partial: bool,
        /// Also while something is open; that is passed over until it closes
        #[arg(long)]
        force: bool,
    },
    /// Disarm an area
    Disarm(Given),
}

#[derive(Debug, Args)]
struct Given {
    /// The area's id
    area: String,
    #[command(flatten)]
    orderer: Orderer,
    /// What you want to write down
    #[arg(long, default_value = "")]
    note: String,
}

impl Areas {
    /// Exits with 0 when done, 64 when the configuration is wrong, 69 when the gateway did not do it.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let (door, zone) = match self.gateway.find(out)? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        };
        let told = Client::new(door).and_then(|client| match &self.action {
            Action::List { .. } => client.get("/api/v1/areas"),
            Action::Arm { given, partial, force } => {
                given.order(&client, if *partial { "arm-partial" } else { "arm" }, json!({"force": force}))
            }
            Action::Disarm(given) => given.order(&client, "disarm", json!({})),
        });
        match (told, &self.action) {
            (Err(error), _) => return complain(&error, EXIT_UNAVAILABLE),
            (Ok(answer), Action::List { json: true }) => writeln!(out, "{answer:#}")?,
            (Ok(answer), Action::List { .. }) => list(out, &answer, &zone)?,
            (Ok(area), _) => {
                let (id, mode) = (text(&area, "/id"), mode(&area));
                writeln!(out, "{}", say(format!("防区 {id}：{mode}"), format!("area {id}: {mode}")))?;
                let bypassed = subjects(&area, "bypassed");
                if !bypassed.is_empty() {
                    writeln!(
                        out,
                        "{}",
                        say(format!("已旁路：{bypassed}"), format!("passed over: {bypassed}"))
                    )?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Given {
    fn order(&self, client: &Client, verb: &str, more: Value) -> Result<Value, ApiError> {
        let order = ordered(&self.orderer, &self.note, more)?;
        client.post(&format!("/api/v1/areas/{}/{verb}", self.area), &order)
    }
}

fn mode(area: &Value) -> String {
    ArmMode::from_word(&text(area, "/mode")).map(|mode| said(&mode.name())).unwrap_or_default()
}

fn subjects(area: &Value, key: &str) -> String {
    let keys = area.get(key).and_then(Value::as_array).into_iter().flatten();
    keys.map(|key| text(key, "/subject")).collect::<Vec<_>>().join(", ")
}

fn list(out: &mut impl Write, answer: &Value, zone: &TimeZone) -> io::Result<()> {
    let rows: Vec<[String; 6]> = rows(answer)
        .map(|area| {
            let since = area.get("since").and_then(Value::as_i64).filter(|ms| *ms > 0);
            let since = since.map(|ms| Wall(ms).in_zone(zone)).unwrap_or_default();
            let (open, by) = (subjects(area, "open"), text(area, "/by"));
            [text(area, "/id"), text(area, "/name"), mode(area), since, by, open]
        })
        .collect();
    if rows.is_empty() {
        return writeln!(out, "{}", say("没有配置防区", "no area is configured"));
    }
    let headings = match lang() {
        Lang::Zh => ["编号", "名称", "状态", "时间", "操作人", "未关闭"],
        Lang::En => ["ID", "NAME", "STATE", "SINCE", "BY", "OPEN"],
    };
    table::print(out, headings, &rows)
}
