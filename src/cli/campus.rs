//! `schoolgate presence` and `schoolgate muster`: who is where, and who is missing, through the running gateway.

use super::client::{ApiError, Client, Gateway};
use super::words::{lang, said, say};
use super::{EXIT_UNAVAILABLE, complain, table};
use crate::model::{Lang, Text, Wall};
use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::process::ExitCode;

/// Show how many are in each place that counts.
#[derive(Debug, Args)]
pub(super) struct Presence {
    #[command(flatten)]
    gateway: Gateway,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// Show who entered and was not seen leaving, or call a drill or an evacuation.
#[derive(Debug, Args)]
pub(super) struct Muster {
    #[command(flatten)]
    gateway: Gateway,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Call a muster
    Start {
        /// Why
        #[arg(value_enum)]
        cause: Cause,
        #[command(flatten)]
        by: By,
    },
    /// End the muster that was called
    Close {
        #[command(flatten)]
        by: By,
    },
    /// Say that everybody listed of a class is safe
    Safe {
        /// The class or department
        group: String,
        #[command(flatten)]
        by: By,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Cause {
    Drill,
    Evacuation,
}

#[derive(Debug, Args)]
struct By {
    /// Who you are [default: the login name]
    #[arg(long = "as", value_name = "NAME")]
    actor: Option<String>,
    /// What you want to write down
    #[arg(long, default_value = "")]
    note: String,
}

impl Presence {
    /// Exits with 0 when done, 64 when the configuration is wrong, 69 when the gateway does not answer.
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let (door, _) = match self.gateway.find(out)? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        };
        match Client::new(door).and_then(|client| client.get("/api/v1/presence")) {
            Ok(answer) if self.json => writeln!(out, "{answer:#}")?,
            Ok(answer) => presence(out, &answer)?,
            Err(error) => return complain(&error, EXIT_UNAVAILABLE),
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Muster {
    /// As [`Presence::run`].
    pub(super) fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let (door, zone) = match self.gateway.find(out)? {
            Ok(found) => found,
            Err(code) => return Ok(code),
        };
        let told = Client::new(door).and_then(|client| match &self.action {
            None => client.get("/api/v1/muster"),
            Some(action) => action.order(&client),
        });
        match (told, &self.action) {
            (Err(error), _) => return complain(&error, EXIT_UNAVAILABLE),
            (Ok(answer), None) if self.json => writeln!(out, "{answer:#}")?,
            (Ok(answer), None) => muster(out, &answer, &zone)?,
            (Ok(_), Some(action)) => writeln!(out, "{}", said(&action.done()))?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Action {
    fn order(&self, client: &Client) -> Result<Value, ApiError> {
        let (Self::Start { by, .. } | Self::Close { by } | Self::Safe { by, .. }) = self;
        let actor = by.actor.clone().or_else(|| std::env::var("USER").ok()).unwrap_or_default();
        if actor.trim().is_empty() {
            return Err(ApiError::Refused(say("请写明姓名：--as 姓名", "say who you are: --as NAME")));
        }
        let note = &by.note;
        match self {
            Self::Start { cause, .. } => {
                let cause = match cause {
                    Cause::Drill => "drill",
                    Cause::Evacuation => "evacuation",
                };
                let body = json!({"actor": actor, "cause": cause, "note": note});
                client.post("/api/v1/muster/start", &body)
            }
            Self::Close { .. } => client.post("/api/v1/muster/close", &json!({"actor": actor, "note": note})),
            Self::Safe { group, .. } => {
                client.post("/api/v1/muster/safe", &json!({"actor": actor, "group": group, "note": note}))
            }
        }
    }

    fn done(&self) -> Text {
        match self {
            Self::Start { .. } => {
                Text::new("清点已开始：schoolgate muster", "muster started: schoolgate muster")
            }
            Self::Close { .. } => Text::new("清点已结束", "muster closed"),
            Self::Safe { group, .. } => Text::new(format!("{group}：已安全"), format!("{group}: safe")),
        }
    }
}

fn rows<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = &'v Value> + use<'v> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

fn number(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0).to_string()
}

fn text(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned()
}

fn presence(out: &mut impl Write, answer: &Value) -> io::Result<()> {
    let name = if lang() == Lang::Zh { "/path/zh" } else { "/path/en" };
    let rows: Vec<[String; 6]> = rows(answer, "/zones")
        .map(|zone| {
            [
                text(zone, name),
                number(zone, "/persons/known"),
                number(zone, "/persons/anonymous"),
                number(zone, "/vehicles/known"),
                number(zone, "/vehicles/anonymous"),
                number(zone, "/not_seen_leaving"),
            ]
        })
        .collect();
    if rows.is_empty() {
        let none = say(
            "没有需要统计的地点：在 [[place]] 中写 counts = true",
            "no place counts: write `counts = true` in a [[place]]",
        );
        return writeln!(out, "{none}");
    }
    let headings = match lang() {
        Lang::Zh => ["地点", "人数", "未识别", "车辆", "未识别车辆", "昨日未见离开"],
        Lang::En => ["PLACE", "PERSONS", "UNNAMED", "VEHICLES", "UNNAMED", "NOT SEEN LEAVING"],
    };
    table::print(out, headings, &rows)
}

fn muster(out: &mut impl Write, answer: &Value, zone: &TimeZone) -> io::Result<()> {
    let Some(muster) = answer.get("muster").filter(|muster| !muster.is_null()) else {
        return writeln!(out, "{}", say("现在没有清点", "there is no muster"));
    };
    let since = muster.get("since").and_then(Value::as_i64).map(|ms| Wall(ms).in_zone(zone));
    let since = since.unwrap_or_default();
    let cause = match (muster.get("fire") == Some(&Value::Bool(true)), text(muster, "/called").as_str()) {
        (true, _) => say("火警", "fire"),
        (false, "drill") => say("演练", "drill"),
        (false, _) => say("疏散", "evacuation"),
    };
    writeln!(out, "{}", say(format!("{cause}，{since} 起"), format!("{cause}, since {since}")))?;
    let counts = |value: &Value| ["/missing", "/safe", "/left", "/listed"].map(|key| number(value, key));
    let mut lines: Vec<[String; 6]> = rows(muster, "/rows")
        .map(|row| {
            let [missing, safe, left, listed] = counts(row);
            [text(row, "/place"), text(row, "/group"), missing, safe, left, listed]
        })
        .collect();
    for pair in rows(muster, "/anonymous") {
        let unnamed = say("未识别", "unnamed");
        let gap = || "-".to_owned();
        lines.push([text(pair, "/0"), unnamed, number(pair, "/1"), gap(), gap(), gap()]);
    }
    if let Some(sum) = muster.get("sum") {
        let [missing, safe, left, listed] = counts(sum);
        lines.push([say("合计", "all"), "-".to_owned(), missing, safe, left, listed]);
    }
    let headings = match lang() {
        Lang::Zh => ["地点", "班级", "未到", "已安全", "已离开", "应到"],
        Lang::En => ["PLACE", "CLASS", "MISSING", "SAFE", "LEFT", "LISTED"],
    };
    table::print(out, headings, &lines)?;
    for pair in rows(muster, "/persons") {
        writeln!(out, "{}  {}", text(pair, "/0"), text(pair, "/1"))?;
    }
    Ok(())
}
