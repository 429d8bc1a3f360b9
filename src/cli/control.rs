//! `schoolgate control list|set`: what may be switched, and switching it, through the running gateway.

use super::client::{ApiError, Client, Gateway, Orderer, rows, text};
use super::words::{lang, say};
use super::{EXIT_UNAVAILABLE, complain, table};
use crate::model::{Lang, Wall};
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

/// Longest wait for the outcome of an order: the disk, three writes and reads, and the longest `settle_ms`.
const OUTCOME_WITHIN: Duration = Duration::from_secs(240);

/// Look at what may be switched, and switch it.
#[derive(Debug, Args)]
pub(super) struct Control {
    #[command(flatten)]
    gateway: Gateway,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show everything that may be switched, and how it stands
    List {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Write a value; done means that the device was read to be so
    Set(Given),
}

#[derive(Debug, Args)]
struct Given {
    /// The control's id
    id: String,
    /// The value to write
    #[arg(allow_negative_numbers = true)]
    value: f64,
    /// Why; it goes into the audit trail
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    orderer: Orderer,
    /// Make every check and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Control {
    /// Exits with 0 when done, 64 when the configuration is wrong, 69 when the gateway did not do it.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let (door, zone) = match self.gateway.find(out)? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        };
        let told = match &self.action {
            Action::List { .. } => Client::new(door).and_then(|client| client.get("/api/v1/controls")),
            Action::Set(given) => {
                Client::patient(door, OUTCOME_WITHIN).and_then(|client| given.order(&client))
            }
        };
        let answer = match told {
            Ok(answer) => answer,
            Err(error) => return complain(&error, EXIT_UNAVAILABLE),
        };
        match &self.action {
            Action::List { json: true } => writeln!(out, "{answer:#}")?,
            Action::List { json: false } => list(out, &answer, &zone)?,
            Action::Set(given) => {
                let detail = if lang() == Lang::Zh { "/detail_zh" } else { "/detail" };
                writeln!(out, "{}: {}", given.id, text(&answer, detail))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Given {
    fn order(&self, client: &Client) -> Result<Value, ApiError> {
        if crate::model::ControlId::new(&self.id).is_err() || !self.value.is_finite() {
            return Err(ApiError::Refused(say(
                "没有这个控制点或值：见 schoolgate control list",
                "there is no such control or value: see `schoolgate control list`",
            )));
        }
        let order = json!({"actor": self.orderer.name()?, "value": self.value, "reason": self.reason, "dry_run": self.dry_run});
        client.post(&format!("/api/v1/controls/{}", self.id), &order)
    }
}

fn list(out: &mut impl Write, answer: &Value, zone: &TimeZone) -> io::Result<()> {
    if answer.pointer("/enabled") != Some(&Value::Bool(true)) {
        let off = crate::control::Refusal::Off.says();
        writeln!(out, "{}", off.in_lang(lang()))?;
    }
    let rows: Vec<[String; 8]> = rows(answer)
        .map(|control| {
            let at =
                |pointer| control.pointer(pointer).and_then(Value::as_i64).map(|ms| Wall(ms).in_zone(zone));
            [
                text(control, "/id"),
                text(control, "/name"),
                text(control, "/value"),
                text(control, "/allowed"),
                text(control, "/rest"),
                at("/rest_at").unwrap_or_else(|| "-".into()),
                text(control, "/stage"),
                text(control, if lang() == Lang::Zh { "/last/detail_zh" } else { "/last/detail" }),
            ]
        })
        .collect();
    if rows.is_empty() {
        return writeln!(out, "{}", say("没有可控制的设备", "nothing may be switched"));
    }
    let headings = match lang() {
        Lang::Zh => ["编号", "名称", "当前值", "允许的值", "静止值", "自动恢复", "状态", "上一条命令"],
        Lang::En => ["ID", "NAME", "VALUE", "ALLOWED", "REST", "BACK AT", "STAGE", "LAST ORDER"],
    };
    table::print(out, headings, &rows)
}
