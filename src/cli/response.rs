//! `schoolgate response list|prepare|start|clear`: lockdown, evacuation and their like, through the running gateway.

use super::client::{ApiError, Client, Gateway, Orderer, rows, text};
use super::words::{lang, say};
use super::{EXIT_UNAVAILABLE, complain, table};
use crate::model::{Lang, ResponseId, Wall};
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

/// Pause between two looks at what came of the outputs.
const LOOK: Duration = Duration::from_millis(200);
/// Looks until it is given up: longer than an output may take with every attempt.
const LOOKS: u32 = 1500;

/// Lockdown, evacuation and their like: two steps to begin, a second person to end.
#[derive(Debug, Args)]
pub(super) struct Response {
    #[command(flatten)]
    gateway: Gateway,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show every response, how far it is, and what came of each output
    List {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// The first step: nothing is done yet; it gives the code of the second
    Prepare {
        /// The response's id
        id: String,
        #[command(flatten)]
        orderer: Orderer,
        /// Only practise: outputs that are not for drills are left out
        #[arg(long)]
        drill: bool,
    },
    /// The second step: everything is ordered at once; waits until it is known what came of each output
    Start {
        /// The response's id
        id: String,
        /// What the first step gave; good once, for 30 seconds
        code: String,
        #[command(flatten)]
        orderer: Orderer,
        /// What you want to write down
        #[arg(long, default_value = "")]
        note: String,
    },
    /// All is clear; somebody other than who started it says so
    Clear {
        /// The response's id
        id: String,
        #[command(flatten)]
        orderer: Orderer,
        /// There is nobody else; it goes into the audit trail
        #[arg(long, requires = "reason")]
        alone: bool,
        /// Why
        #[arg(long, default_value = "")]
        reason: String,
    },
}

impl Response {
    /// Exits with 0 when every output is so, 64 when the configuration is wrong, 69 when the gateway did not do it or an
    /// output failed.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let (door, zone) = match self.gateway.find(out)? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        };
        let client = match Client::new(door) {
            Ok(client) => client,
            Err(error) => return complain(&error, EXIT_UNAVAILABLE),
        };
        let told = match &self.action {
            Action::List { .. } => client.get("/api/v1/responses"),
            Action::Prepare { id, orderer, drill } => {
                order(&client, id, "prepare", orderer, json!({"drill": drill}))
            }
            Action::Start { id, code, orderer, note } => {
                order(&client, id, "start", orderer, json!({"code": code, "note": note}))
            }
            Action::Clear { id, orderer, alone, reason } => {
                order(&client, id, "clear", orderer, json!({"alone": alone, "note": reason}))
            }
        };
        let answer = match told {
            Ok(answer) => answer,
            Err(error) => return complain(&error, EXIT_UNAVAILABLE),
        };
        match &self.action {
            Action::List { json: true } => writeln!(out, "{answer:#}")?,
            Action::List { json: false } => list(out, &answer, &zone)?,
            Action::Prepare { id, .. } => prepared(out, id, &answer)?,
            Action::Start { id, .. } | Action::Clear { id, .. } => return follow(out, &client, id, answer),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn order(client: &Client, id: &str, step: &str, orderer: &Orderer, more: Value) -> Result<Value, ApiError> {
    if ResponseId::new(id).is_err() {
        return Err(ApiError::Refused(say(
            "没有这个应急响应：见 schoolgate response list",
            "there is no such response: see `schoolgate response list`",
        )));
    }
    let mut body = more;
    if let Some(fields) = body.as_object_mut() {
        fields.insert("actor".into(), json!(orderer.name()?));
    }
    client.post(&format!("/api/v1/responses/{id}/{step}"), &body)
}

fn named(answer: &Value, zh: &str, en: &str) -> String {
    text(answer, if lang() == Lang::Zh { zh } else { en })
}

fn prepared(out: &mut impl Write, id: &str, answer: &Value) -> io::Result<()> {
    let (name, code) = (named(answer, "/name_zh", "/name"), text(answer, "/code"));
    let secs = text(answer, "/code_secs");
    let zh = format!("{name}：尚未启动。{secs} 秒内执行 schoolgate response start {id} {code}");
    let en = format!("{name}: nothing is done yet. Within {secs} s: schoolgate response start {id} {code}");
    writeln!(out, "{}", say(zh, en))
}

#[expect(clippy::disallowed_methods, reason = "the command line has one thread and nothing else to do")]
fn pause() {
    thread::sleep(LOOK);
}

/// Prints a line for each output as soon as it is known what came of it.
fn follow(out: &mut impl Write, client: &Client, id: &str, first: Value) -> io::Result<ExitCode> {
    let mut printed: BTreeMap<usize, String> = BTreeMap::new();
    let mut row = first;
    for _ in 0..LOOKS {
        let outputs = row.pointer("/outputs").and_then(Value::as_array).cloned().unwrap_or_default();
        let known = |output: &Value| output.pointer("/known") == Some(&Value::Bool(true));
        for (index, output) in outputs.iter().enumerate().filter(|(_, output)| known(output)) {
            let line = format!("{}: {}", text(output, "/name"), named(output, "/detail_zh", "/detail"));
            if printed.insert(index, line.clone()).as_ref() != Some(&line) {
                writeln!(out, "{line}")?;
                out.flush()?;
            }
        }
        if outputs.iter().all(known) && text(&row, "/stage") != "returning" {
            let failing = outputs.iter().any(|output| output.pointer("/failing") == Some(&Value::Bool(true)));
            let (name, stage) = (named(&row, "/name_zh", "/name"), named(&row, "/stage_zh", "/stage_en"));
            writeln!(out, "{}", say(format!("{name}：{stage}"), format!("{name}: {stage}")))?;
            return Ok(if failing { ExitCode::from(EXIT_UNAVAILABLE) } else { ExitCode::SUCCESS });
        }
        pause();
        let answer = match client.get("/api/v1/responses") {
            Ok(answer) => answer,
            Err(error) => return complain(&error, EXIT_UNAVAILABLE),
        };
        match rows(&answer).find(|row| text(row, "/id") == id) {
            Some(found) => row = found.clone(),
            None => break,
        }
    }
    let zh = "仍有输出没有结果：见 schoolgate response list";
    writeln!(out, "{}", say(zh, "some outputs are not known yet: see `schoolgate response list`"))?;
    Ok(ExitCode::from(EXIT_UNAVAILABLE))
}

fn list(out: &mut impl Write, answer: &Value, zone: &TimeZone) -> io::Result<()> {
    let mut lines: Vec<[String; 6]> = Vec::new();
    for row in rows(answer) {
        let at = row.pointer("/at").and_then(Value::as_i64).map(|at| Wall(at).in_zone(zone));
        let drill = row.pointer("/drill") == Some(&Value::Bool(true));
        let mark = if drill { say("（演练）", " (drill)") } else { String::new() };
        let stage = named(row, "/stage_zh", "/stage_en") + &mark;
        let (id, name) = (text(row, "/id"), named(row, "/name_zh", "/name"));
        lines.push([id, name, stage, text(row, "/by"), at.unwrap_or_else(|| "-".into()), String::new()]);
        for output in row.pointer("/outputs").and_then(Value::as_array).into_iter().flatten() {
            let said = named(output, "/detail_zh", "/detail");
            let name = text(output, "/name");
            lines.push([
                String::new(),
                format!("  {name}"),
                String::new(),
                String::new(),
                String::new(),
                said,
            ]);
        }
    }
    if lines.is_empty() {
        return writeln!(out, "{}", say("没有配置应急响应", "no response is configured"));
    }
    let headings = match lang() {
        Lang::Zh => ["编号", "名称", "状态", "启动人", "时间", "结果"],
        Lang::En => ["ID", "NAME", "STATE", "BY", "AT", "OUTCOME"],
    };
    table::print(out, headings, &lines)
}
